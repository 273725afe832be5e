#include "../support/net_house.hpp"

#include <catch2/catch.hpp>

using namespace greenroom;
using namespace greenroom::test;

TEST_CASE("requests on one connection are answered in order", "[transport]") {
  net_house house;
  peer p{house.port};
  const auto a = p.request("GET /a?x=1%202&y=%C3%A9+z&flag HTTP/1.1\r\nHost: h");
  CHECK(a.status == 200);
  CHECK(a.body == "GET /a |x=1 2|y=\xc3\xa9 z|flag=");
  CHECK(p.request("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5", "hello").body == "POST /b hello");
  // Pipelined, the last one in two pieces.
  p.send("GET /c HTTP/1.1\r\nHost: h\r\n\r\nPOST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nddGET /e HT");
  CHECK(p.answer().body == "GET /c ");
  CHECK(p.answer().body == "POST /d dd");
  p.send("TP/1.1\r\nHost: h\r\n\r\n");
  CHECK(p.answer().body == "GET /e ");
  CHECK(house.metrics.http_requests.get() == 5);
}

TEST_CASE("a long pipeline of small requests is no deep recursion", "[transport]") {
  net_house house;
  peer p{house.port};
  std::string all;
  for (int i = 0; i < 2'000; ++i)
    all += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  p.send(all);
  for (int i = 0; i < 2'000; ++i)
    REQUIRE(p.answer().body == "GET / ");
}

TEST_CASE("chunked bodies, HEAD, 100-continue and the absolute form are understood", "[transport]") {
  net_house house;
  peer p{house.port};
  CHECK(
      p.request("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").body ==
      "POST /b abcde");
  const auto head = p.request("HEAD /h HTTP/1.1\r\nHost: h");
  CHECK(head.status == 200);
  CHECK(head.head.find("Content-Length: 7\r\n") != std::string::npos);
  p.send("POST /c HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(p.answer(true).status == 100);
  p.send("hi");
  CHECK(p.answer().body == "POST /c hi");
  CHECK(p.request("GET http://h/abs?q=1 HTTP/1.1\r\nHost: h").body == "GET /abs |q=1");
}

TEST_CASE("a request that is not HTTP, or too much of it, is refused", "[transport]") {
  limits l;
  l.header_bytes = 2'000;
  l.body_bytes = 1'000;
  net_house house{l};
  struct {
    std::string bytes;
    int status;
    std::string_view names;
  } cases[] = {
      {"nonsense\r\n\r\n", 400, "HTTP"},
      {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"},
      {"GET elsewhere HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
      {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
      {"GET /a?x=%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(3'000, 'x') + "\r\n\r\n", 431, "limits.header_bytes"},
      {"GET /" + std::string(3'000, 'x'), 431, "limits.header_bytes"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413, "limits.body_bytes"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + std::string(2'048, 'x'), 413,
       "limits.body_bytes"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, "HTTP"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n", 400, "HTTP"},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "HTTP"}, // TLS on the plain port
  };
  for (auto& c : cases) {
    CAPTURE(c.bytes.substr(0, 80));
    peer p{house.port};
    p.send(c.bytes);
    const auto a = p.answer();
    CHECK(a.status == c.status);
    CHECK(a.body.find(c.names) != std::string::npos);
    CHECK(p.ended());
    CHECK_FALSE(p.was_reset());
  }
}

TEST_CASE("a refusal is read although the client still sends", "[transport]") {
  limits l;
  l.body_bytes = 1'000;
  net_house house{l};
  peer p{house.port};
  p.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" + std::string(2'000'000, 'x'));
  CHECK(p.answer().status == 413);
}

TEST_CASE("an idle connection is closed after limits.keep_alive_ms", "[transport]") {
  limits l;
  l.keep_alive_ms = 200;
  net_house house{l};
  peer p{house.port};
  CHECK(p.request("GET / HTTP/1.1\r\nHost: h").status == 200);
  CHECK(p.ended());
}

TEST_CASE("an answer that nobody reads is given up", "[transport]") {
  limits l;
  l.keep_alive_ms = 300;
  net_house house{l};
  peer p{house.port, false, 65'536};
  p.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(eventually([&] { return house.server->connections() == 0; }));
}

TEST_CASE("a large answer arrives whole", "[transport]") {
  net_house house;
  peer p{house.port, false, 65'536};
  CHECK(p.request("GET /large HTTP/1.1\r\nHost: h").body.size() == 4'000'000);
}

TEST_CASE("an answer may come after its connection went", "[transport]") {
  net_house house{{}, nullptr, 1};
  std::mutex mutex;
  std::function<void(net::http_response)> done;
  house.on_slow = [&](auto d) {
    std::lock_guard guard{mutex};
    done = std::move(d);
  };
  auto asked = [&] {
    std::lock_guard guard{mutex};
    return done != nullptr;
  };
  peer p{house.port};
  p.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(eventually(asked));
  p.vanish();
  house.threads[0].call([&] { std::exchange(done, nullptr)({}); });
  CHECK(eventually([&] { return house.server->connections() == 0; }));
}
