#include "net/cli/endpoint.hpp"
#include "net/cli/ws_link.hpp"

#include <catch2/catch.hpp>

namespace greenroom::cli {

TEST_CASE("URLs say host, port and TLS", "[endpoint]") {
  auto plain = parse_url("ws://chat.example:8080/");
  REQUIRE(plain.has_value());
  CHECK(plain->host == "chat.example");
  CHECK(plain->port == "8080");
  CHECK_FALSE(plain->tls);
  CHECK(parse_url("http://h")->port == "80");
  CHECK(parse_url("wss://h")->port == "443");
  CHECK(parse_url("https://h:1")->tls);
  auto v6 = parse_url("http://[::1]:9");
  REQUIRE(v6.has_value());
  CHECK(v6->host == "::1");
  CHECK(v6->authority() == "[::1]:9");
}

TEST_CASE("a URL that cannot be meant is refused", "[endpoint]") {
  for (auto bad : {"", "localhost:8080", "ftp://h", "http://", "http://:80", "http://h:", "http://h:x",
                   "http://h:123456", "http://h/ws", "http://[::1", "http://user@h:80x"}) {
    CAPTURE(bad);
    CHECK(parse_url(bad).has_error());
  }
}

TEST_CASE("close codes say whether to come back", "[endpoint]") {
  for (int code : {1001, 1006, 1011, 1012, 3001, 3008, 3012}) {
    CAPTURE(code);
    CHECK(link_end{true, 0, static_cast<uint16_t>(code), ""}.worth_another_try());
  }
  for (int code : {1000, 1002, 1003, 1007, 1009, 3400, 3429, 3501, 3502, 3503, 3504}) {
    CAPTURE(code);
    CHECK_FALSE(link_end{true, 0, static_cast<uint16_t>(code), ""}.worth_another_try());
  }
  CHECK(link_end{false, 503, 1006, ""}.worth_another_try());
  CHECK(link_end{false, 429, 1006, ""}.worth_another_try());
  CHECK_FALSE(link_end{false, 403, 1006, ""}.worth_another_try());
}

} // namespace greenroom::cli
