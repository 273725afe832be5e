// options_checks: what the options may be, and what is said of those that may not.
#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::net::etcd;

TEST_CASE("an endpoint is a scheme, a host and a port", "[etcd]") {
  const auto parsed = [](std::string_view url) {
    const auto got = parse_endpoint(url);
    return got ? (got->tls ? "tls " : "plain ") + got->authority() : got.error().message;
  };
  CHECK(parsed("http://127.0.0.1:2379") == "plain 127.0.0.1:2379");
  CHECK(parsed("https://etcd.example/") == "tls etcd.example:2379");
  CHECK(parsed("https://[::1]:99") == "tls [::1]:99");
  CHECK(parsed("http://[fe80::1]") == "plain [fe80::1]:2379");
  const auto refused = [&](std::string_view url, const char* why) {
    const auto got = parse_endpoint(url);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == errc::bad_request);
    CHECK_THAT(got.error().message, Catch::Contains(std::string(url)) && Catch::Contains(why));
  };
  refused("127.0.0.1:2379", "must begin with");
  refused("ws://a", "must begin with");
  refused("http://", "no host");
  refused("http://:1", "no host");
  refused("http://a:", "port");
  refused("http://a:0", "port");
  refused("http://a:65536", "port");
  refused("http://a:1x", "port");
  refused("http://[::1", "without ]");
  refused("http://[::1]x", "between");
  refused("http://a/v3", "nothing but");
  refused("http://me@a", "nothing but");
  refused("http://a b", "nothing but");
}

TEST_CASE("options that make no sense are refused by name", "[etcd]") {
  const auto refused = [](auto change, const char* why) {
    options o;
    o.endpoints = {"https://127.0.0.1:1"};
    REQUIRE(validate(o).has_value());
    change(o);
    const auto got = client::open(o);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == errc::bad_request);
    CHECK_THAT(got.error().message, Catch::Contains(why));
  };
  refused([](options& o) { o.endpoints.clear(); }, "endpoints");
  refused([](options& o) { o.endpoints.emplace_back("a"); }, "\"a\"");
  refused([](options& o) { o.user = "a"; }, "user and password");
  refused([](options& o) { o.password = "a"; }, "user and password");
  refused([](options& o) { o.certificate_file = "a"; }, "certificate and key");
  refused([](options& o) { o.key_file = "a"; }, "certificate and key");
  refused(
      [](options& o) {
        o.endpoints = {"http://127.0.0.1"};
        o.ca_file = "a";
      },
      "no endpoint is https");
  refused([](options& o) { o.request_ms = 0; }, "request_ms");
  refused([](options& o) { o.body_bytes_max = 1; }, "body_bytes_max");
  refused([](options& o) { o.watch_line_bytes_max = 1; }, "watch_line_bytes_max");
  refused([](options& o) { o.pending_max = 0; }, "pending_max");
  refused([](options& o) { o.connections_max = 0; }, "connections_max");
  refused([](options& o) { o.watch_silence_ms = 0; }, "watch_silence_ms");
  refused([](options& o) { o.pause_ms = 0; }, "pause_ms");
  refused([](options& o) { o.pause_ms_max = o.pause_ms - 1; }, "pause_ms");
  refused([](options& o) { o.probe_key.clear(); }, "probe_key");
}
