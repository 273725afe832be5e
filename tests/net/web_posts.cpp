// Posts to web servers: answers, connections that are kept and closed behind our back, servers that are slow or say too
// much.
#include "net/web_client.hpp"

#include "web_stub.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <future>

using namespace greenroom;
using namespace std::chrono_literals;

namespace {

std::future<outcome<http_answer>> post_later(net::web_client& web, http_post what) {
  auto told = std::make_shared<std::promise<outcome<http_answer>>>();
  web.post(std::move(what), [told](outcome<http_answer> got) { told->set_value(std::move(got)); });
  return told->get_future();
}

outcome<http_answer> post(net::web_client& web, const std::string& url, uint32_t timeout_ms = 20'000) {
  http_post p;
  p.url = url;
  p.body = R"({"a":1})";
  p.headers = {{"Greenroom-Hook", "audit"}};
  p.timeout_ms = timeout_ms;
  p.answer_bytes = 1'000;
  auto got = post_later(web, std::move(p));
  REQUIRE(got.wait_for(60s) == std::future_status::ready);
  return got.get();
}

} // namespace

TEST_CASE("a post arrives with its headers and body, and is answered with status and body", "[web]") {
  web_stub server;
  server.answer("yes", "202 Accepted");
  net::web_client web;
  const auto got = post(web, server.url("/hook?x=1"));
  REQUIRE(got.has_value());
  CHECK(got->status == 202);
  CHECK(got->body == "yes");
  CHECK(got->retry_after_ms == 0);
  const auto asked = server.last_request();
  CHECK_THAT(asked, Catch::StartsWith("POST /hook?x=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port)));
  CHECK_THAT(asked, Catch::Contains("\r\nContent-Type: application/json\r\n"));
  CHECK_THAT(asked, Catch::Contains("\r\nGreenroom-Hook: audit\r\n"));
  CHECK_THAT(asked, Catch::Contains("\r\nContent-Length: 7\r\n"));
}

TEST_CASE("a connection that the server has closed meanwhile is no failure", "[web]") {
  web_stub server; // closes each after its answer, without saying so
  server.answer("yes");
  net::web_client web;
  for (int i = 0; i < 3; ++i) {
    const auto got = post(web, server.url());
    REQUIRE(got.has_value());
    CHECK(got->status == 200);
  }
}

TEST_CASE("a server may ask for patience in seconds or by a date", "[web]") {
  web_stub server;
  net::web_client web;
  const auto wait_of = [&](const std::string& header) {
    server.answer_raw("HTTP/1.1 503 Busy\r\nRetry-After: " + header + "\r\nContent-Length: 0\r\n\r\n");
    return post(web, server.url()).value().retry_after_ms;
  };
  CHECK(wait_of("7") == 7'000);
  CHECK(wait_of("-7") == 0);
  CHECK(wait_of("soon") == 0);
  CHECK(wait_of("Fri, 31 Dec 1999 23:59:59 GMT") == 0);
  CHECK(wait_of("Fri, 31 Dec 2999 23:59:59 GMT") > 86'400'000);
}

TEST_CASE("no answer in time is a failure, and so is a connection that nobody takes", "[web]") {
  web_stub server;
  server.answer_raw("");
  net::web_client web;
  auto got = post(web, server.url(), 200);
  REQUIRE(got.has_error());
  CHECK(got.error().code == errc::unavailable);
  CHECK(got.error().message == "read: no answer in time");
  CHECK(post(web, "http://127.0.0.1:1/").has_error());
  CHECK(post(web, "ftp://127.0.0.1/").has_error());
  server.answer_raw("nonsense\r\n\r\n");
  CHECK(post(web, server.url()).has_error());
}

TEST_CASE("an answer that is too long has a status and no body", "[web]") {
  web_stub server;
  server.answer(std::string(5'000, 'x'));
  net::web_client web;
  const auto got = post(web, server.url());
  REQUIRE(got.has_value());
  CHECK(got->status == 200);
  CHECK(got->body.empty());
}

TEST_CASE("a client that ends answers what is under way", "[web]") {
  web_stub server;
  server.answer_raw("");
  std::future<outcome<http_answer>> got;
  {
    net::web_client web;
    http_post p;
    p.url = server.url();
    p.timeout_ms = 60'000;
    got = post_later(web, std::move(p));
    for (int i = 0; i < 6'000 && server.requests == 0; ++i)
      std::this_thread::sleep_for(10ms);
    REQUIRE(server.requests == 1);
  }
  REQUIRE(got.wait_for(0s) == std::future_status::ready);
  CHECK(got.get().has_error());
}
