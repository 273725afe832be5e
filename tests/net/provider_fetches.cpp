// The keys of an outside identity provider, from a URL: what is fetched, when, and what is left alone when that fails.
#include "net/jwt.hpp"
#include "net/provider_keys.hpp"

#include "jwt_forge.hpp"
#include "web_stub.hpp"

#include <functional>
#include <thread>

using namespace greenroom;
using namespace std::chrono_literals;

namespace {

void until(const std::function<bool()>& holds) {
  for (int i = 0; i < 3'000 && !holds(); ++i)
    std::this_thread::sleep_for(10ms);
  REQUIRE(holds());
}

outcome<std::string> fetch(const std::string& url, std::chrono::milliseconds time = 10s, size_t bytes_max = 1'000) {
  auto from = net::parse_web_address(url);
  REQUIRE(from.has_value());
  return net::fetcher(std::move(*from), "").fetch(time, bytes_max, {});
}

std::string why_not(const outcome<std::string>& got) {
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().code == errc::unavailable);
  return got.error().message;
}

struct fixture {
  web_stub provider;
  forge::key_pair first = forge::key_pair::ec("P-256");
  forge::key_pair second = forge::key_pair::ec("P-256");
  settings config;

  fixture() {
    config.auth.algorithm = token_algorithm::es256;
    config.auth.issuer = "https://id.example";
    config.auth.audience = "chat";
    config.auth.jwks_url = provider.url();
    config.auth.jwks_unknown_s = 1;
    provider.answer(forge::jwk_set({first.jwk(R"("kid":"1",)")}));
  }
  std::unique_ptr<net::jwt_tokens> open() {
    auto tokens = net::jwt_tokens::open(config, [] { return int64_t{1'764'000'000'000}; });
    if (!tokens)
      FAIL(tokens.error().message);
    return std::move(*tokens);
  }
  static std::string token(const forge::key_pair& by, const std::string& kid) {
    return by.sign(R"({"alg":"ES256","kid":")" + kid + "\"}",
                   R"({"sub":"alice","iss":"https://id.example","aud":"chat","exp":1764003600})");
  }
  static bool good(const net::jwt_tokens& tokens, const forge::key_pair& by, const std::string& kid) {
    return tokens.verify(token(by, kid)).has_value();
  }
  static std::string refusal(const net::jwt_tokens& tokens, const forge::key_pair& by, const std::string& kid) {
    auto who = tokens.verify(token(by, kid));
    REQUIRE_FALSE(who.has_value());
    CHECK(who.error().code == errc::unauthenticated);
    return who.error().message;
  }
};

} // namespace

TEST_CASE("a URL is taken apart, and only one that can be trusted is taken", "[fetch]") {
  const auto all = [](const std::string& url) {
    auto x = net::parse_web_address(url);
    if (!x)
      return x.error().message;
    return (x->tls ? "tls " : "plain ") + x->host + " " + x->port + " " + x->target + " " + x->authority();
  };
  CHECK(all("https://id.example/a/b?c=d") == "tls id.example 443 /a/b?c=d id.example");
  CHECK(all("https://id.example") == "tls id.example 443 / id.example");
  CHECK(all("https://id.example?x") == "tls id.example 443 /?x id.example");
  CHECK(all("https://id.example:8443/") == "tls id.example 8443 / id.example:8443");
  CHECK(all("https://[2001:db8::1]:1/k") == "tls 2001:db8::1 1 /k [2001:db8::1]:1");
  CHECK(all("http://127.1.2.3:80/k") == "plain 127.1.2.3 80 /k 127.1.2.3");
  CHECK(all("http://[::1]/k") == "plain ::1 80 /k [::1]");
  CHECK(all("http://localhost:8080/k") == "plain localhost 8080 /k localhost:8080");
  for (auto url : {"http://id.example/k", "http://192.0.2.1/k", "http://127.evil.example/k"})
    CHECK_THAT(all(url), Catch::Contains("must begin with https://: on the way"));
  for (auto url :
       {"", "id.example", "ftp://x", "https://", "https:///k", "https://:1/k", "https://[]/k", "https://[::1",
        "https://[::1]x/", "https://x:0/", "https://x:65536/", "https://x:1x/", "https://x:/", "https://a@x/",
        "https://x/#f", "https://x/a b", "https://x/\r\nX: y", "https://x/\x80"}) {
    CAPTURE(url);
    CHECK_FALSE(net::parse_web_address(url).has_value());
  }
}

TEST_CASE("a document is fetched as it is, in whatever way HTTP brings it", "[fetch]") {
  web_stub web;
  web.answer("the keys");
  CHECK(fetch(web.url("/a?b=c")).value() == "the keys");
  const auto host = "127.0.0.1:" + std::to_string(web.port);
  CHECK_THAT(web.last_request(), Catch::StartsWith("GET /a?b=c HTTP/1.1\r\nHost: " + host + "\r\n"));
  web.answer_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nthe\r\n5\r\n keys\r\n0\r\n\r\n");
  CHECK(fetch(web.url()).value() == "the keys");
  web.answer_raw("HTTP/1.0 200 OK\r\n\r\nthe keys");
  CHECK(fetch(web.url()).value() == "the keys");
  web.answer(std::string(1'000, 'x'));
  CHECK(fetch(web.url()).value().size() == 1'000);
}

TEST_CASE("what does not answer as it should costs its time and its bytes, no more", "[fetch]") {
  web_stub web;
  web.answer(std::string(1'001, 'x'));
  CHECK_THAT(why_not(fetch(web.url())), Catch::Contains("more than 1000 bytes"));
  web.answer_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n500\r\n" + std::string(0x500, 'x') + "\r\n");
  CHECK_THAT(why_not(fetch(web.url())), Catch::Contains("more than 1000 bytes"));
  web.answer("elsewhere", "302 Found\r\nLocation: http://127.0.0.1:1/");
  CHECK_THAT(why_not(fetch(web.url())), Catch::Contains("status 302"));
  CHECK(web.requests == 3);
  for (auto status : {"404 Not Found", "500 Oh", "204 No Content", "206 Partial Content"}) {
    web.answer("", status);
    CHECK_THAT(why_not(fetch(web.url())), Catch::Contains("status "));
  }
  web.answer_raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  CHECK_THAT(why_not(fetch(web.url())), Catch::StartsWith("read: "));
  web.answer_raw("SSH-2.0-OpenSSH_9.2\r\n");
  CHECK_THAT(why_not(fetch(web.url())), Catch::StartsWith("read: "));
  web.answer_raw("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n");
  CHECK_THAT(why_not(fetch(web.url())), Catch::StartsWith("read: "));
  web.answer_raw("");
  CHECK_THAT(why_not(fetch(web.url(), 50ms)), Catch::Contains("no answer in time"));
  CHECK_THAT(why_not(fetch("https://127.0.0.1:" + std::to_string(web.port) + "/", 200ms)), Catch::StartsWith("TLS: "));
  const auto gone = web_stub().url();
  CHECK_THAT(why_not(fetch(gone)), Catch::StartsWith("connect: "));
  CHECK_THAT(why_not(fetch("https://no-such-host.invalid/", 5s)), Catch::StartsWith("no address: "));
}

TEST_CASE("a fetch ends soon after a stop is asked for", "[fetch]") {
  web_stub web;
  web.answer_raw("");
  net::fetcher f(net::parse_web_address(web.url()).value(), "");
  std::jthread waits([&](std::stop_token stop) { CHECK_FALSE(f.fetch(1h, 1'000, stop).has_value()); });
  until([&] { return web.requests == 1; });
  waits.request_stop(); // else the test would take an hour
  waits.join();
}

TEST_CASE_METHOD(fixture, "a provider's new key is known soon after a token has named it", "[provider]") {
  auto tokens = open();
  CHECK(provider.requests == 1);
  REQUIRE(good(*tokens, first, "1"));
  CHECK(tokens->provider()->figures().keys == 1);
  CHECK_FALSE(good(*tokens, second, "1")); // wrong, not unknown
  CHECK(provider.requests == 1);

  provider.answer(forge::jwk_set({first.jwk(R"("kid":"1",)"), second.jwk(R"("kid":"2",)")}));
  CHECK_THAT(refusal(*tokens, second, "2"), Catch::Contains("fetched anew, try again in "));
  until([&] { return good(*tokens, second, "2"); });
  CHECK(good(*tokens, first, "1"));
  // What the provider takes back is not good any more.
  provider.answer(forge::jwk_set({second.jwk(R"("kid":"2",)")}));
  CHECK_FALSE(good(*tokens, first, "3"));
  until([&] { return !good(*tokens, first, "1"); });
  CHECK(good(*tokens, second, "2"));
}

TEST_CASE_METHOD(fixture, "whatever keys tokens name, the provider is asked at most so often", "[provider]") {
  config.auth.jwks_unknown_s = config.auth.jwks_refresh_s = 3'600;
  auto tokens = open();
  for (int i = 0; i < 500; ++i)
    CHECK_THAT(refusal(*tokens, second, "made up " + std::to_string(i)), Catch::Contains("try again in 3"));
  CHECK(tokens->provider()->figures().unknown == 500);
  CHECK(good(*tokens, first, "1"));
  CHECK(provider.requests == 1);
}

TEST_CASE_METHOD(fixture, "while a token's key is being fetched, nobody waits", "[provider]") {
  auto tokens = open();
  provider.answer_raw("");
  CHECK_FALSE(good(*tokens, second, "2"));
  until([&] { return provider.requests == 2; });
  // The fetch hangs; tokens are answered all the same.
  CHECK(good(*tokens, first, "1"));
  CHECK_FALSE(good(*tokens, second, "2"));
}

TEST_CASE_METHOD(fixture, "the set is fetched again and again, and the last good one stays in force", "[provider]") {
  config.auth.jwks_refresh_s = 1;
  auto tokens = open();
  const auto& figures = tokens->provider()->figures();
  const auto fails = [&](const std::function<void()>& spoil) {
    spoil();
    const auto before = figures.failures.load();
    until([&] { return figures.failures > before; });
    CHECK(good(*tokens, first, "1"));
    CHECK(figures.keys == 1);
  };
  until([&] { return figures.fetches >= 3; });
  CHECK(figures.failures == 0);
  fails([&] { provider.answer("oh", "500 Internal Server Error"); });
  fails([&] { provider.answer("<html>"); });
  fails([&] { provider.answer(R"({"keys":[]})"); });
  fails([&] { provider.answer(forge::jwk_set({second.jwk(R"("kid":"2","use":"enc",)")})); });
  fails([&] { provider.answer(std::string(net::key_set::text_bytes_max + 1, ' ')); });
  provider.answer(forge::jwk_set({second.jwk(R"("kid":"2",)")}));
  until([&] { return good(*tokens, second, "2"); });
  CHECK_FALSE(good(*tokens, first, "1"));
}

TEST_CASE_METHOD(fixture, "a node starts while its provider is away, and gets the keys when it is back", "[provider]") {
  provider.answer("later", "503 Service Unavailable");
  auto tokens = open();
  CHECK_FALSE(tokens->provider()->ready());
  CHECK_THAT(refusal(*tokens, first, "1"), Catch::Contains("try again"));
  provider.answer(forge::jwk_set({first.jwk(R"("kid":"1",)")}));
  until([&] { return good(*tokens, first, "1"); });
  CHECK(tokens->provider()->ready());
}

TEST_CASE_METHOD(fixture, "SIGHUP fetches at once", "[provider]") {
  config.auth.jwks_unknown_s = config.auth.jwks_refresh_s = 3'600;
  auto tokens = open();
  provider.answer(forge::jwk_set({second.jwk(R"("kid":"2",)")}));
  CHECK(tokens->provider()->read_file().value() == nullptr);
  tokens->provider()->renew(nullptr);
  until([&] { return good(*tokens, second, "2"); });
}

TEST_CASE_METHOD(fixture, "a set in a file is read at start and when it is asked for", "[provider]") {
  forge::directory files;
  config.auth.jwks_url.clear();
  config.auth.jwks_file = files.write("keys", forge::jwk_set({first.jwk(R"("kid":"1",)")}));
  auto tokens = open();
  auto& provider_keys = *tokens->provider();
  REQUIRE(good(*tokens, first, "1"));
  CHECK(refusal(*tokens, second, "2") == "token: kid: the provider has no such key");
  files.write("keys", forge::jwk_set({second.jwk(R"("kid":"2",)")}));
  CHECK_FALSE(good(*tokens, second, "2"));
  auto set = provider_keys.read_file();
  REQUIRE(set.has_value());
  CHECK(good(*tokens, first, "1")); // not before it is put in force
  provider_keys.renew(*set);
  CHECK(good(*tokens, second, "2"));
  CHECK_FALSE(good(*tokens, first, "1"));
  files.write("keys", "{}");
  CHECK_THAT(provider_keys.read_file().error().message, Catch::StartsWith("auth.jwks_file: " + config.auth.jwks_file));
  CHECK(good(*tokens, second, "2"));

  const auto open_error = [&] {
    auto wrong = net::jwt_tokens::open(config);
    REQUIRE_FALSE(wrong.has_value());
    return wrong.error().message;
  };
  CHECK_THAT(open_error(), Catch::Contains("no JWK Set"));
  files.write("keys", std::string(net::key_set::text_bytes_max + 1, ' '));
  CHECK_THAT(open_error(), Catch::Contains("longer than 65536 bytes"));
  config.auth.jwks_file += ".gone";
  CHECK_THAT(open_error(), Catch::Contains("can't be read"));
}
