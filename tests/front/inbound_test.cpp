#include "scene.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

using namespace greenroom;
using namespace greenroom::test;
using as = tls_wire::as;

namespace {

net::front::options hasty() {
  auto o = unhurried();
  o.handshake_ms = 200;
  return o;
}

/// What the log says while this is there.
class log_listener {
public:
  log_listener() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  /// REQUIRES: nobody logs any more.
  size_t count(const std::string& what) const {
    const auto all = text_.str();
    size_t n = 0;
    for (auto at = all.find(what); at != std::string::npos; at = all.find(what, at + 1))
      ++n;
    return n;
  }
  ~log_listener() { spdlog::set_default_logger(before_); }

private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

} // namespace

TEST_CASE("whoever says nothing is cut off at the deadline", "[front]") {
  offices by;
  node_scene node{by, "n1", {"n2"}, hasty()};
  auto silent = wire::to(node.front->port());
  SECTION("from the start") {}
  SECTION("after the beginning of a handshake") {
    // A record of 512 bytes of which the first five come, RFC 8446 section 5.1.
    REQUIRE(silent.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 10)));
  }
  CHECK(silent.ended());
  CHECK(eventually([&] { return node.refused_in(refusal::late) == 1; }));
  CHECK(node.front->figures().pending.get() == 0);
}

TEST_CASE("a stranger is refused, and the reason is counted", "[front]") {
  offices by;
  node_scene node{by, "n2", {"n1", "n2", "n3"}};
  const auto knock = [&](const std::optional<credential_files>& files) {
    tls_wire w{wire::to(node.front->port()), as::client, files};
    return w.line();
  };
  SECTION("with a certificate of another CA") {
    CHECK(knock(by.files("n3", "another")).empty());
    CHECK(eventually([&] { return node.refused_in(refusal::unknown_ca) == 1; }));
  }
  SECTION("with one that has expired") {
    CHECK(knock(by.files("n3", "ours", {-60, -cli::day_s})).empty());
    CHECK(eventually([&] { return node.refused_in(refusal::expired) == 1; }));
  }
  SECTION("with one that is not valid yet") {
    CHECK(knock(by.files("n3", "ours", {cli::day_s, 3'600})).empty());
    CHECK(eventually([&] { return node.refused_in(refusal::expired) == 1; }));
  }
  SECTION("without one") {
    CHECK(knock(std::nullopt).empty());
    CHECK(eventually([&] { return node.refused_in(refusal::no_certificate) == 1; }));
  }
  SECTION("of a node that is not listed") {
    CHECK(knock(by.files("n4")) == "no no node n4 is listed in the cluster");
    CHECK(eventually([&] { return node.refused_in(refusal::unknown_node) == 1; }));
  }
  SECTION("of ourselves") {
    CHECK(knock(by.files("n2")) == "no no node n2 is listed in the cluster");
    CHECK(eventually([&] { return node.refused_in(refusal::unknown_node) == 1; }));
  }
  SECTION("of a node that we dial") {
    CHECK(knock(by.files("n1")) == "no node n1 should be dialled by n2");
    CHECK(eventually([&] { return node.refused_in(refusal::wrong_side) == 1; }));
  }
  SECTION("with names for two nodes") {
    // The name is written as OpenSSL reads lists.
    CHECK(knock(by.files("n3,DNS:n4")) == "no the certificate must have one DNS name, the node's; it has n3, n4");
    CHECK(eventually([&] { return node.refused_in(refusal::wrong_name) == 1; }));
  }
  SECTION("with a name that only begins like a node's") {
    CHECK(knock(by.files("n3.example")) == "no no node n3.example is listed in the cluster");
  }
  SECTION("that speaks no TLS") {
    auto w = wire::to(node.front->port());
    REQUIRE(w.send("GET / HTTP/1.1\r\nHost: n1\r\n\r\n"));
    while (!w.ended()) { // an alert may come before the end
    }
    CHECK(eventually([&] { return node.refused_in(refusal::not_tls) == 1; }));
  }
  SECTION("that goes away") {
    wire::to(node.front->port()).close();
    CHECK(eventually([&] { return node.refused_in(refusal::gone) == 1; }));
  }
  CHECK(node.front->figures().connections_total.get() == 0);
  CHECK(eventually([&] { return node.front->figures().pending.get() == 0; }));
  // And a good one is let in as before.
  tls_wire good{wire::to(node.front->port()), as::client, by.files("n3")};
  CHECK(good.line() == "ok");
}

TEST_CASE("strangers who say nothing make way for others", "[front]") {
  offices by;
  auto o = unhurried();
  o.pending_max = 3;
  node_scene node{by, "n1", {"n2"}, o};
  std::vector<wire> silent;
  for (int i = 0; i < 3; ++i)
    silent.push_back(wire::to(node.front->port()));
  CHECK(eventually([&] { return node.front->figures().pending.get() == 3; }));
  tls_wire good{wire::to(node.front->port()), as::client, by.files("n2")};
  CHECK(good.line() == "ok");
  CHECK(silent[0].ended());
  CHECK(eventually([&] { return node.refused_in(refusal::crowded) == 1; }));
  CHECK(eventually([&] { return node.front->figures().pending.get() == 2; }));
}

TEST_CASE("one address that opens many does not crowd out another", "[front]") {
  offices by;
  auto o = unhurried();
  o.pending_max = 3;
  node_scene node{by, "n1", {"n2"}, o};
  auto slow = wire::to(node.front->port(), 0, "127.0.0.2"); // has begun, and takes its time
  std::vector<wire> silent;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(wire::to(node.front->port()));
    CHECK(eventually([&] { return node.front->figures().accepted.get() == i + 2; }));
  }
  CHECK(eventually([&] { return node.refused_in(refusal::crowded) == 8; }));
  tls_wire good{std::move(slow), as::client, by.files("n2")};
  CHECK(good.line() == "ok");
}

TEST_CASE("of several addresses that have as many the oldest makes way", "[front]") {
  offices by;
  auto o = unhurried();
  o.pending_max = 3;
  node_scene node{by, "n1", {"n2"}, o};
  int64_t knocks = 0;
  auto knock = [&](const char* from) {
    auto w = wire::to(node.front->port(), 0, from);
    ++knocks;
    CHECK(eventually([&] { return node.front->figures().accepted.get() == knocks; }));
    return w;
  };
  std::vector<wire> strangers;
  for (const auto* from : {"127.0.0.7", "127.0.0.8", "127.0.0.9"})
    strangers.push_back(knock(from));
  auto slow = knock("127.0.0.2"); // has begun, and takes its time
  for (const auto* from : {"127.0.0.5", "127.0.0.6"})
    strangers.push_back(knock(from));
  CHECK(eventually([&] { return node.refused_in(refusal::crowded) == 3; }));
  for (size_t i = 0; i < 3; ++i)
    CHECK(strangers[i].ended());
  tls_wire good{std::move(slow), as::client, by.files("n2")};
  CHECK(good.line() == "ok");
}

TEST_CASE("nobody is let in before the gateway is there, nor when it is not", "[front]") {
  offices by;
  auto o = unhurried();
  o.name = "n1";
  mtls_front front{o, by.of("n1")};
  front.know({{"n2", "store", "127.0.0.1", 1}});
  auto early = std::async(std::launch::async, [&] {
    tls_wire w{wire::to(front.port()), as::client, by.files("n2")};
    return w.line();
  });
  uint16_t nobody = 0;
  {
    door gone;
    nobody = gone.port();
  }
  front.open(nobody);
  CHECK(early.get().starts_with("no the gateway's port of n1 does not answer"));
  door gateway;
  front.open(gateway.port());
  tls_wire good{wire::to(front.port()), as::client, by.files("n2")};
  CHECK(good.line() == "ok");
}

TEST_CASE("the log names each reason once, with who and from where", "[front]") {
  offices by;
  log_listener log;
  {
    node_scene node{by, "n1", {"n2"}};
    const auto knock = [&](const credential_files& files) {
      tls_wire w{wire::to(node.front->port()), as::client, files};
      w.line();
    };
    for (int i = 0; i < 3; ++i) {
      knock(by.files("n2", "another"));
      knock(by.files("n7"));
    }
    CHECK(eventually([&] { return node.refused_in(refusal::unknown_ca) == 3; }));
    CHECK(eventually([&] { return node.refused_in(refusal::unknown_node) == 3; }));
  }
  CHECK(log.count("what=front_refused") == 2);
  CHECK(log.count("peer=unknown address=127.0.0.1:") == 1);
  CHECK(log.count(
            "reason=unknown_ca why=\"a certificate of n2, not from our CA: unable to get local issuer certificate\"") ==
        1);
  CHECK(log.count("peer=n7 address=127.0.0.1:") == 1);
  CHECK(log.count("reason=unknown_node why=\"no node n7 is listed in the cluster\"") == 1);
}

TEST_CASE("a port that is taken is named", "[front]") {
  offices by;
  net::front::options o;
  o.name = "n1";
  mtls_front first{o, by.of("n1")};
  o.port = first.port();
  CHECK_THROWS_WITH(mtls_front(o, by.of("n1")),
                    "can't take links on 127.0.0.1 port " + std::to_string(o.port) +
                        " (cluster.listen_address, cluster.listen_port): Address already in use");
}
