#include "../support/net_house.hpp"
#include "net/outbox.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace greenroom;
using namespace greenroom::test;

namespace {

frame bytes(std::string s) { return std::make_shared<const std::string>(std::move(s)); }

std::string waiting(const net::outbox& box) {
  iovec parts[64];
  std::string all;
  for (size_t i = 0, n = box.gather(parts, 64); i < n; ++i)
    all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return all;
}

std::string numbered(int i, size_t size) {
  auto s = std::to_string(i) + ":";
  s.resize(size, '.');
  return s;
}

} // namespace

TEST_CASE("an outbox gives out what was put in, in order, however it leaves", "[transport]") {
  std::mt19937 random{7};
  net::outbox box;
  std::string in, out;
  for (int i = 0; i < 3'000; ++i) {
    const auto s = numbered(i, 1 + random() % 40);
    in += s;
    box.push(bytes(s), false);
    if (random() % 3 == 0) {
      const auto n = random() % (box.bytes() + 1);
      char part[4'096];
      const auto copied = box.copy(part, std::min<size_t>(n, sizeof part));
      out.append(part, copied);
      CHECK(waiting(box).substr(0, std::min<size_t>(copied, 64)) ==
            out.substr(out.size() - copied, std::min<size_t>(copied, 64)));
      box.sent(copied);
    }
  }
  while (!box.empty()) {
    const auto part = waiting(box);
    out += part;
    box.sent(part.size());
  }
  CHECK(out == in);
  CHECK(box.bytes() == 0);
}

TEST_CASE("ephemeral frames are dropped, but none that has begun to leave", "[transport]") {
  net::outbox box;
  box.push(bytes("aaaa"), true);
  box.push(bytes("bbbb"), false);
  box.push(bytes("cccc"), true);
  SECTION("none has") {
    CHECK(box.drop_ephemeral() == 2);
    CHECK(waiting(box) == "bbbb");
    CHECK(box.bytes() == 4);
    CHECK(box.drop_ephemeral() == 0);
  }
  SECTION("the first has") {
    box.sent(1);
    CHECK(box.drop_ephemeral() == 1);
    CHECK(waiting(box) == "aaabbbb");
  }
  SECTION("OpenSSL holds some of the third") {
    box.pin(9);
    CHECK(box.drop_ephemeral() == 0);
    CHECK(waiting(box) == "aaaabbbbcccc");
    box.drop_all();
    CHECK(waiting(box) == "aaaabbbbcccc");
    box.sent(9);
    CHECK(box.drop_ephemeral() == 0);
    CHECK(waiting(box) == "ccc");
  }
  SECTION("all go, but the rest of one that has begun") {
    box.sent(5);
    box.drop_all();
    CHECK(waiting(box) == "bbb");
    CHECK(box.bytes() == 3);
    box.sent(3);
    CHECK(box.empty());
  }
}

TEST_CASE("what is written in one burst leaves in one system call", "[transport]") {
  net_house house;
  peer p{house.port};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  REQUIRE(eventually([&] { return house.metrics.writes.get() == 1; })); // the 101
  house.at(c, [](transport& t) {
    for (int i = 0; i < 500; ++i)
      t.write(net::ws_text("m" + std::to_string(i)), delivery::reliable);
  });
  for (int i = 0; i < 500; ++i)
    REQUIRE(p.data().payload == "m" + std::to_string(i));
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0 && house.metrics.writes.get() > 1; }));
  CHECK(house.metrics.writes.get() == 2);
}

TEST_CASE("frames keep their order when the socket takes them in parts", "[transport]") {
  const bool tls = GENERATE(false, true);
  certificate cert{"localhost"};
  limits l;
  l.outbox_bytes = 64'000'000;
  net_house house{l, &cert};
  peer p{tls ? house.tls_port : house.port, tls, 65'536};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  std::vector<std::string> sent;
  for (int i = 0; i < 600; ++i)
    sent.push_back(numbered(i, 10 + static_cast<size_t>(i * 7'919 % 40'000)));
  for (auto& s : sent)
    house.write(c, s, s.size() % 3 == 0 ? delivery::ephemeral : delivery::reliable);
  p.frame("in the middle", {.opcode = 9});
  size_t pongs = 0;
  for (auto& s : sent) {
    auto m = p.message();
    for (; m.opcode == 10; m = p.message())
      ++pongs;
    REQUIRE(m.payload == s);
  }
  if (pongs == 0)
    CHECK(p.message().opcode == 10);
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0; }));
}

TEST_CASE("a slow consumer loses ephemerals first, then its connection", "[transport]") {
  const bool tls = GENERATE(false, true);
  certificate cert{"localhost"};
  limits l;
  l.outbox_bytes = 100'000;
  net_house house{l, &cert};
  peer p{tls ? house.tls_port : house.port, tls, 65'536};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  const auto data = net::ws_text(std::string(990, 'd'));
  const auto typing = net::ws_text(std::string(990, 't'));
  int taken = 0;
  house.at(c, [&](transport& t) {
    // One by one until the kernel takes no more.
    const auto flush_each = [&] { dynamic_cast<flushable&>(t).flush(); };
    while (t.queued_bytes() == 0) {
      REQUIRE(t.write(data, delivery::reliable));
      flush_each();
      ++taken;
    }
    while (t.queued_bytes() + typing->size() <= 50'000)
      t.write(typing, delivery::ephemeral);
    while (t.queued_bytes() + data->size() <= 100'000) {
      REQUIRE(t.write(data, delivery::reliable));
      ++taken;
    }
    REQUIRE(t.write(typing, delivery::ephemeral)); // dropped: no room
    CHECK(t.queued_bytes() > 99'000);
    REQUIRE(t.write(data, delivery::reliable)); // the ephemerals make room
    ++taken;
    CHECK(t.queued_bytes() < 60'000);
    while (t.write(data, delivery::reliable))
      ++taken;
    CHECK(t.queued_bytes() <= 100'000);
    t.close(close_code::slow_consumer, "limits.outbox_bytes");
    CHECK(t.queued_bytes() < 20'000); // at most what was begun, and the close frame
  });
  int got = 0;
  auto m = p.message();
  for (; m.opcode == 1; m = p.message())
    got += m.payload[0] == 'd';
  CHECK(m.code() == 3008);
  CHECK(got < taken);
  p.frame("\x0b\xc0", {.opcode = 8});
  CHECK(p.ended());
  CHECK(house.is_closed(c));
  CHECK(house.closes(close_code::slow_consumer) == 1);
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0 && house.metrics.ephemeral_dropped.get() > 10; }));
}

TEST_CASE("the kernel takes little more than listen.unsent_bytes for a client that does not read", "[transport]") {
  auto taken = [](uint32_t unsent_bytes) {
    limits l;
    l.outbox_bytes = 64'000'000;
    net_house house{l, nullptr, 1, {}, unsent_bytes};
    peer p{house.port, false, 65'536};
    REQUIRE(p.upgrade().status == 101);
    size_t bytes = 0;
    house.at(house.connection(), [&](transport& t) {
      const auto data = net::ws_text(std::string(4'000, 'd'));
      while (t.queued_bytes() == 0 && bytes < 32'000'000) {
        t.write(data, delivery::reliable);
        dynamic_cast<flushable&>(t).flush();
        bytes += data->size();
      }
    });
    return bytes;
  };
  const auto little = taken(8'192), much = taken(1'048'576);
  CAPTURE(little, much);
  CHECK(little + 200'000 < much);
}

TEST_CASE("a slow consumer that never reads is gone within the deadline", "[transport]") {
  limits l;
  l.outbox_bytes = 100'000;
  net_house house{l};
  peer p{house.port, false, 65'536};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  house.at(c, [&](transport& t) {
    while (t.write(net::ws_text(std::string(5'000, 'd')), delivery::reliable))
      dynamic_cast<flushable&>(t).flush();
    t.close(close_code::slow_consumer, "");
  });
  CHECK(house.is_closed(c));
  CHECK(eventually([&] { return house.server->connections() == 0; }));
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0; }));
}

TEST_CASE("a client that pings and never reads is a slow consumer", "[transport]") {
  limits l;
  l.outbox_bytes = 50'000;
  net_house house{l};
  peer p{house.port, false, 65'536};
  REQUIRE(p.upgrade().status == 101);
  p.set_send_patience({0, 200'000});
  std::string pings;
  for (int i = 0; i < 1'000; ++i)
    pings += ws_client_frame(std::string(125, 'p'), {.opcode = 9});
  for (int i = 0; i < 200 && p.send(pings); ++i)
    ;
  CHECK(house.is_closed(house.connection()));
  CHECK(house.closes(close_code::slow_consumer) == 1);
}

TEST_CASE("the client is told once that its outbox has drained", "[transport]") {
  limits l;
  l.outbox_bytes = 1'000'000;
  net_house house{l};
  peer p{house.port, false, 65'536};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  house.at(c, [&](transport& t) {
    while (t.queued_bytes() < 600'000) {
      t.write(net::ws_text(std::string(50'000, 'd')), delivery::reliable);
      dynamic_cast<flushable&>(t).flush();
    }
  });
  auto drained = [&] {
    std::lock_guard guard{house.mutex};
    return c->drained;
  };
  CHECK(drained() == 0);
  house.write(c, "end");
  while (p.data().payload != "end")
    ;
  CHECK(eventually([&] { return drained() == 1; }));
  house.at(c, [](transport& t) { CHECK(t.queued_bytes() == 0); });
  // A burst that never comes near half of the bound is no news.
  house.write(c, "small");
  CHECK(p.data().payload == "small");
  house.at(c, [](transport&) {});
  CHECK(drained() == 1);
}
