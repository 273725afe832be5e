#include "../support/net_house.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <ctime>

using namespace greenroom;
using namespace greenroom::test;

TEST_CASE("a client may vanish in every state", "[transport]") {
  const bool tls = GENERATE(false, true);
  const bool reset = GENERATE(false, true);
  CAPTURE(tls, reset);
  certificate cert{"localhost"};
  net_house house{{}, &cert};
  const auto port = tls ? house.tls_port : house.port;
  auto gone = [&](peer& p) {
    if (reset)
      p.vanish();
    else
      p.close();
  };
  auto with = [&](auto f) {
    peer p{port, tls};
    f(p);
    gone(p);
  };
  with([](peer&) {});
  with([](peer& p) { p.send("GET /ws"); });
  with([](peer& p) { p.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"); });
  with([](peer& p) { p.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n"); });
  with([](peer& p) { p.send(peer::upgrade_head("\r\nAuthorization: x") + "\r\n\r\n"); });
  with([](peer& p) { p.send(peer::upgrade_head() + "\r\n\r\n"); });
  with([](peer& p) { p.upgrade(); });
  with([](peer& p) {
    p.upgrade();
    p.frame("half", {.length = 1'000});
  });
  with([](peer& p) {
    p.upgrade();
    p.frame("begun", {.fin = false});
  });
  with([](peer& p) {
    p.upgrade();
    p.frame("\x03\xe8", {.opcode = 8});
  });
  with([](peer& p) {
    p.upgrade();
    p.frame("x", {.reserved = 7});
  });
  CHECK(eventually([&] { return house.server->connections() == 0; }));
  CHECK(eventually([&] { return house.metrics.connections.get() == 0; }));
  CHECK(house.metrics.queue_bytes.get() == 0);
  for (size_t i = 0; i < house.accepted(); ++i) {
    REQUIRE(house.is_closed(house.connection(i)));
    std::lock_guard guard{house.mutex};
    CHECK(house.connections[i]->closed == 1);
  }
}

TEST_CASE("a client may vanish while frames wait for it", "[transport]") {
  const bool held = GENERATE(false, true);
  const bool closing = GENERATE(false, true);
  CAPTURE(held, closing);
  net_house house;
  peer p{house.port, false, 65'536};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  house.at(c, [&](transport& t) { t.hold(held); });
  if (held)
    p.frame("parked");
  house.at(c, [&](transport& t) {
    while (t.queued_bytes() < 200'000) {
      t.write(net::ws_text(std::string(20'000, 'd')), delivery::reliable);
      dynamic_cast<flushable&>(t).flush();
    }
    if (closing)
      t.close(close_code::shutdown, "");
  });
  p.vanish();
  if (!held || closing)
    CHECK(house.is_closed(c));
  house.write(c, "into the void");
  CHECK(house.is_closed(c));
  CHECK(eventually([&] { return house.server->connections() == 0; }));
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0; }));
  CHECK((closing ? house.closes(close_code::shutdown) : house.other_closes()) == 1);
}

TEST_CASE("closing all ends every connection in good order", "[transport]") {
  certificate cert{"localhost"};
  net_house house{{}, &cert};
  peer a{house.port}, b{house.tls_port, true}, idle{house.port}, late{house.port}, rude{house.port};
  REQUIRE(a.upgrade().status == 101);
  REQUIRE(b.upgrade().status == 101);
  REQUIRE(rude.upgrade().status == 101);
  REQUIRE(idle.request("GET / HTTP/1.1\r\nHost: h").status == 200);
  REQUIRE(late.request("GET / HTTP/1.1\r\nHost: h").status == 200);
  REQUIRE(house.accepted() == 3);
  house.server->stop_accepting();
  CHECK_THROWS(peer{house.port});
  const auto too_late = late.upgrade();
  CHECK(too_late.status == 503);
  CHECK(too_late.head.find("Retry-After: 5\r\n") != std::string::npos);
  std::thread polite{[&] {
    for (auto* p : {&a, &b}) {
      const auto m = p->data();
      CHECK(m.code() == 1001);
      p->frame("\x03\xe9", {.opcode = 8});
      CHECK(p->ended());
    }
    CHECK(idle.ended());
  }};
  house.server->close_all(close_code::shutdown, std::chrono::milliseconds{500});
  polite.join();
  CHECK(house.server->connections() == 0);
  CHECK(house.metrics.connections.get() == 0);
  CHECK(house.closes(close_code::shutdown) == 3);
}

TEST_CASE("a node that drains refuses new WebSockets in the end, and answers requests", "[transport]") {
  net_house house;
  peer a{house.port}, b{house.port};
  REQUIRE(a.upgrade().status == 101);
  house.turns_away = true;
  CHECK(b.request("GET / HTTP/1.1\r\nHost: h").status == 200);
  const auto answer = b.upgrade();
  CHECK(answer.status == 503);
  CHECK(answer.head.find("Retry-After: ") != std::string::npos);
  CHECK(answer.body.find("the node drains") != std::string::npos);
  CHECK(b.ended());
  CHECK(eventually([&] { return house.metrics.connections.get() == 1; })); // counted behind the answer to its upgrade
}

TEST_CASE("over limits.connections a client is told 503", "[transport]") {
  const bool tls = GENERATE(false, true);
  certificate cert{"localhost"};
  limits l;
  l.connections = 2;
  net_house house{l, &cert};
  const auto port = tls ? house.tls_port : house.port;
  std::optional<peer> a{peer{port, tls}};
  peer b{port, tls};
  REQUIRE(a->upgrade().status == 101);
  REQUIRE(b.upgrade().status == 101);
  peer c{port, tls};
  const auto answer = c.upgrade();
  CHECK(answer.status == 503);
  CHECK(answer.head.find("Retry-After: ") != std::string::npos);
  CHECK(
      answer.body ==
      R"({"error":{"code":"unavailable","message":"limits.connections is reached","retryable":true,"retry_after_ms":5000}})");
  CHECK(c.ended());
  CHECK(house.metrics.handshakes_refused.get() == 1);
  // A place is free again once a connection has ended.
  a.reset();
  REQUIRE(eventually([&] { return house.server->connections() == 1; }));
  peer d{port, tls};
  CHECK(d.upgrade().status == 101);
}

TEST_CASE("over limits.connections_per_address a client is told 429", "[transport]") {
  limits l;
  l.connections_per_address = 1;
  l.allow_addresses.clear();
  net_house house{l};
  peer a{house.port};
  REQUIRE(a.upgrade().status == 101);
  peer b{house.port};
  const auto answer = b.upgrade();
  CHECK(answer.status == 429);
  CHECK(answer.body.find("limits.connections_per_address") != std::string::npos);
  // A new limit holds for new connections.
  l.connections_per_address = 2;
  house.set_limits(l);
  peer c{house.port};
  CHECK(c.upgrade().status == 101);
}

// The undefined behaviour sanitizer looks at objects through a pipe and takes them for broken when it can't have one.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("running out of descriptors pauses accepting, and does not spin", "[transport]") {
  net_house house;
  const int spare = ::dup(0);
  std::vector<int> fill;
  rlimit before;
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(spare) + 50;
  ::setrlimit(RLIMIT_NOFILE, &tight);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0))
    fill.push_back(fd);
  ::close(spare);
  const auto cpu_ms = [] { return std::clock() * 1'000 / CLOCKS_PER_SEC; };
  peer p{house.port}; // takes the last one, so that the server has none for its end
  const auto used = cpu_ms();
  p.send(peer::upgrade_head() + "\r\n\r\n");
  CHECK_FALSE(p.readable_within(700));
  CHECK(cpu_ms() - used < 200);
  for (int fd : fill)
    ::close(fd);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(p.answer().status == 101);
}

#endif

TEST_CASE("refused connections that say nothing don't pile up", "[transport]") {
  limits l;
  l.connections = 0;
  l.refusals_per_address = 12;
  l.refusals = GENERATE(5u, 1'000u);
  net_house house{l};
  std::vector<peer> all;
  for (int i = 0; i < 20; ++i)
    all.emplace_back(house.port);
  // So many may wait for an answer; the others are closed at once.
  const auto told = std::min(l.refusals, l.refusals_per_address);
  REQUIRE(eventually([&] { return house.metrics.handshakes_refused.get() == 20 - told; }));
  for (auto& p : all)
    CHECK(p.ended());
}
