#include "../support/net_house.hpp"

#include <catch2/catch.hpp>

using namespace greenroom;
using namespace greenroom::test;

namespace {

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

} // namespace

TEST_CASE("an upgrade is answered 101 with the key's digest", "[transport]") {
  net_house house;
  peer p{house.port};
  const auto a = p.upgrade();
  CHECK(a.status == 101);
  CHECK(a.head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
  CHECK(a.head.find("Sec-WebSocket-Protocol") == std::string::npos);
  CHECK(house.connection()->from.address == "127.0.0.1");
  CHECK_FALSE(house.connection()->who);
  CHECK(house.metrics.connections.get() == 1);
  CHECK(house.metrics.connections_total.get() == 1);
}

TEST_CASE("compression is not negotiated", "[transport]") {
  net_house house;
  peer p{house.port};
  const auto a = p.upgrade("\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
  CHECK(a.status == 101);
  CHECK(a.head.find("Extensions") == std::string::npos);
}

TEST_CASE("our subprotocol is confirmed wherever it stands in the offer", "[transport]") {
  net_house house;
  for (auto offer : {"greenroom.v1", "mqtt, greenroom.v1", "mqtt\r\nSec-WebSocket-Protocol: greenroom.v1"}) {
    peer p{house.port};
    const auto a = p.upgrade(std::string{"\r\nSec-WebSocket-Protocol: "} + offer);
    CHECK(a.status == 101);
    CHECK(a.head.find("Sec-WebSocket-Protocol: greenroom.v1\r\n") != std::string::npos);
  }
}

TEST_CASE("an upgrade that is not in order is refused with a reason", "[transport]") {
  net_house house;
  const auto good = peer::upgrade_head();
  struct {
    std::string head;
    int status;
    std::string_view names;
  } cases[] = {
      {peer::upgrade_head("\r\nSec-WebSocket-Protocol: greenroom.v2, mqtt"), 400, "Sec-WebSocket-Protocol"},
      {peer::upgrade_head("\r\nSec-WebSocket-Protocol: "), 400, "Sec-WebSocket-Protocol"},
      {replaced(good, "dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, "Sec-WebSocket-Key"},
      {replaced(good, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q=="), 400, "Sec-WebSocket-Key"},
      {replaced(good, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR=="), 400, "Sec-WebSocket-Key"},
      {replaced(good, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQAA"), 400, "Sec-WebSocket-Key"},
      {peer::upgrade_head("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "Sec-WebSocket-Key"},
      {replaced(good, "Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version"},
      {replaced(good, "Connection: keep-alive, Upgrade", "Connection: keep-alive"), 400, "Connection"},
      {replaced(good, "Upgrade: websocket\r\n", ""), 426, "/ws"},
      {replaced(good, "GET /ws", "GET /elsewhere"), 404, "/ws"},
      {replaced(good, "GET", "POST"), 400, "GET"},
      {replaced(good, "Host: chat.example\r\n", ""), 400, "Host"},
      {peer::upgrade_head("\r\nHost: other.example"), 400, "Host"},
      {replaced(good, "HTTP/1.1", "HTTP/2.0"), 505, "HTTP/1.1"},
  };
  int64_t refused = 0;
  for (auto& c : cases) {
    CAPTURE(c.head);
    peer p{house.port};
    const auto a = p.request(c.head);
    CHECK(a.status == c.status);
    CHECK(a.body.find(c.names) != std::string::npos);
    CHECK(a.head.find("Connection: close\r\n") != std::string::npos);
    CHECK(p.ended());
    ++refused;
  }
  CHECK(house.accepted() == 0);
  CHECK(house.metrics.handshakes_refused.get() >= refused - 3); // three are no requests at all
}

TEST_CASE("bytes behind the upgrade request are refused", "[transport]") {
  net_house house;
  peer p{house.port};
  p.send(peer::upgrade_head() + "\r\n\r\n" + ws_client_frame("too early"));
  CHECK(p.answer().status == 400);
  CHECK(p.ended());
  peer with_body{house.port};
  CHECK(with_body.request(peer::upgrade_head("\r\nContent-Length: 3"), "abc").status == 400);
}

TEST_CASE("a token in the upgrade request is checked there", "[transport]") {
  net_house house;
  SECTION("good") {
    peer p{house.port};
    CHECK(p.upgrade("\r\nAuthorization: bearer good-alice").status == 101);
    auto c = house.connection();
    REQUIRE(c->who);
    CHECK(c->who->user.str() == "alice");
  }
  SECTION("bad, or of another kind") {
    for (auto header : {"Bearer forged", "Basic YWxpY2U6eA==", "Bearer", "good-alice"}) {
      peer p{house.port};
      const auto a = p.upgrade(std::string{"\r\nAuthorization: "} + header);
      CHECK(a.status == 401);
      CHECK(a.head.find("WWW-Authenticate: Bearer") != std::string::npos);
      CHECK(a.body.starts_with(R"({"error":{"code":"unauthenticated","message":")"));
      CHECK(p.ended());
    }
    CHECK(house.metrics.handshakes_refused.get() == 4);
    CHECK(house.accepted() == 0);
  }
}

TEST_CASE("a page of another host may not connect", "[transport]") {
  auto status = [](net_house& house, const std::string& origin, const std::string& host = "chat.example") {
    peer p{house.port};
    return p.request(replaced(peer::upgrade_head("\r\nOrigin: " + origin), "Host: chat.example", "Host: " + host))
        .status;
  };
  SECTION("by default the host must be the same") {
    net_house house;
    CHECK(status(house, "https://chat.example") == 101);
    CHECK(status(house, "http://CHAT.example:80") == 101);
    CHECK(status(house, "https://chat.example", "chat.example:443") == 101);
    CHECK(status(house, "http://chat.example:8080", "chat.example:8080") == 101);
    CHECK(status(house, "https://chat.example:8080") == 403);
    CHECK(status(house, "https://evil.example") == 403);
    CHECK(status(house, "https://chat.example.evil.example") == 403);
    CHECK(status(house, "null") == 403);
    CHECK(status(house, "chat.example") == 403);
  }
  SECTION("a list names all that may") {
    net_house house{{}, nullptr, 1, {"https://app.example"}};
    CHECK(status(house, "https://app.example") == 101);
    CHECK(status(house, "https://chat.example") == 403);
  }
  SECTION("a star admits every page") {
    net_house house{{}, nullptr, 1, {"*"}};
    CHECK(status(house, "https://evil.example") == 101);
    CHECK(status(house, "null") == 101);
  }
}

TEST_CASE("a slow request is given up, also when it trickles", "[transport]") {
  limits l;
  l.handshake_ms = 300;
  l.request_ms = 300;
  net_house house{l};
  SECTION("a header that never ends") {
    peer p{house.port};
    p.send("GET /ws HTTP/1.1\r\n");
    // Each byte would reset an idle timer, so that only a deadline on the whole ends this.
    bool answered = false;
    for (int i = 0; i < 500 && !answered; ++i) {
      p.send("x");
      answered = p.readable_within(20);
    }
    CHECK(answered); // while it still trickled
    const auto a = p.answer();
    CHECK(a.status == 408);
    CHECK(a.body.find("limits.handshake_ms") != std::string::npos);
    CHECK(p.ended());
  }
  SECTION("a body that never ends") {
    peer p{house.port};
    p.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    bool answered = false;
    for (int i = 0; i < 500 && !answered; ++i) {
      p.send("x");
      answered = p.readable_within(20);
    }
    CHECK(answered); // while it still trickled
    const auto a = p.answer();
    CHECK(a.status == 408);
    CHECK(a.body.find("limits.request_ms") != std::string::npos);
    CHECK(p.ended());
  }
  SECTION("silence") {
    peer p{house.port};
    CHECK(p.ended());
  }
  CHECK(eventually([&] { return house.server->connections() == 0; }));
}
