// Tokens: what is accepted, and every known way of getting in without the key.
#include "net/jwt.hpp"

#include "jwt_forge.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include <sys/stat.h>

using namespace greenroom;
using namespace std::chrono_literals;

namespace {

constexpr int64_t now_ms = 1'764'000'000'000;
const std::string secret = "0123456789abcdef0123456789abcdef";
const std::string hs_header = R"({"alg":"HS256","typ":"JWT"})";
const std::string good_claims =
    R"({"sub":"alice","iss":"greenroom","iat":1764000000,"exp":1764003600,"sid":"s_1","admin":true})";

struct fixture {
  forge::directory files;
  settings config;
  int64_t now = now_ms;

  fixture() {
    config.node.data_dir = files.path.string();
    config.auth.secret_file = files.write("secret", secret + "\n");
  }
  std::unique_ptr<net::jwt_tokens> open() {
    auto tokens = net::jwt_tokens::open(config, [this] { return now; });
    if (!tokens)
      FAIL(tokens.error().message);
    return std::move(*tokens);
  }
  std::unique_ptr<net::jwt_tokens> open(token_algorithm algorithm, const forge::key_pair& key) {
    config.auth.algorithm = algorithm;
    config.auth.public_key_file = files.write("public.pem", key.public_pem());
    return open();
  }
  std::string open_error() {
    auto tokens = net::jwt_tokens::open(config, [this] { return now; });
    REQUIRE_FALSE(tokens.has_value());
    CHECK(tokens.error().code == errc::unavailable);
    return tokens.error().message;
  }
};

void refused(const net::jwt_tokens& tokens, std::string_view token, const std::string& why) {
  INFO(token);
  auto result = tokens.verify(token);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == errc::unauthenticated);
  CHECK_THAT(result.error().message, Catch::StartsWith("token: ") && Catch::Contains(why));
}

std::string claims(const std::string& more, const std::string& sub = R"("alice")",
                   const std::string& exp = "1764003600") {
  return R"({"sub":)" + sub + R"(,"iss":"greenroom","exp":)" + exp + (more.empty() ? "" : "," + more) + "}";
}

} // namespace

TEST_CASE_METHOD(fixture, "a token that was issued is verified as the same identity", "[jwt]") {
  auto tokens = open();
  config.auth.audience = "chat";
  auto with_audience = open();
  for (auto* t : {tokens.get(), with_audience.get()}) {
    auto token = t->issue({user_id::trusted("alice"), "s_42", 0, true, nullptr}, 3600s);
    REQUIRE(token.has_value());
    auto who = t->verify(*token);
    REQUIRE(who.has_value());
    CHECK(who->user.str() == "alice");
    CHECK(who->session == "s_42");
    CHECK(who->expires_at == now_ms + 3'600'000);
    CHECK(who->admin);
  }
  auto plain = tokens->issue({user_id::trusted("bob"), "s_43", 0, false, nullptr}, 1s);
  CHECK_FALSE(tokens->verify(*plain)->admin);
  refused(*with_audience, *plain, "aud: must name chat");
}

TEST_CASE_METHOD(fixture, "a token of another library is verified", "[jwt]") {
  auto who = open()->verify(forge::hs256(hs_header, good_claims, secret));
  REQUIRE(who.has_value());
  CHECK(who->session == "s_1");
  CHECK(who->admin);
  CHECK(open()->verify(forge::hs256(R"({"alg":"HS256"})", good_claims, secret)).has_value());
  // A limit of libjwt: some providers mark access tokens so (RFC 9068).
  refused(*open(), forge::hs256(R"({"alg":"HS256","typ":"at+jwt"})", good_claims, secret), "typ must be JWT");
}

TEST_CASE_METHOD(fixture, "a token without the key's signature is refused", "[jwt]") {
  auto tokens = open();
  const auto good = forge::hs256(hs_header, good_claims, secret);
  REQUIRE(tokens->verify(good).has_value());
  refused(*tokens, forge::hs256(hs_header, good_claims, secret + "x"), "signature");
  refused(*tokens, forge::hs256(hs_header, good_claims, ""), "signature");

  const auto first = good.find('.');
  const auto second = good.rfind('.');
  const auto other = forge::hs256(hs_header, claims("", R"("mallory")"), secret);
  refused(*tokens,
          good.substr(0, first) + other.substr(other.find('.'), other.rfind('.') - other.find('.')) +
              good.substr(second),
          "signature");
  refused(*tokens, good.substr(0, second + 1), "no signature");
  refused(*tokens, good.substr(0, second), "three parts");
  refused(*tokens, good + "." + good, "three parts");
  refused(*tokens, good.substr(0, second + 1) + "AAAA", "signature");
  for (auto text : {"", ".", "..", "...", "a.b.c", "Bearer x.y.z", "\xff\xfe.\x01.x"})
    refused(*tokens, text, "");
  refused(*tokens, std::string_view("a\0b.c\0.d", 8), "");
  for (size_t size = 0; size < good.size(); ++size)
    refused(*tokens, std::string_view(good).substr(0, size), "");
  // One changed character anywhere.
  for (size_t i = 0; i < good.size(); ++i) {
    auto changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    refused(*tokens, changed, "");
  }
  // The same bytes written in another way are another text: base64 with padding, foreign characters.
  refused(*tokens, good + "=", "signature");
  refused(*tokens, good + "\n", "signature");
  refused(*tokens, good + "!", "signature");
}

TEST_CASE_METHOD(fixture, "a token that is too long is refused before it is read", "[jwt]") {
  auto tokens = open();
  auto sized = [&](size_t filler) {
    return forge::hs256(hs_header, claims(R"("sid":"s","x":")" + std::string(filler, 'x') + "\""), secret);
  };
  CHECK(tokens->verify(sized(2900)).has_value());
  REQUIRE(sized(3100).size() > 4096);
  refused(*tokens, sized(3100), "longer than 4096 bytes");
  refused(*tokens, std::string(10'000'000, 'a'), "longer than 4096 bytes");
}

TEST_CASE_METHOD(fixture, "only the configured algorithm is accepted", "[jwt]") {
  auto tokens = open();
  for (auto alg : {R"("none")", R"("None")", R"("NONE")", R"("nOnE")", R"("")", R"("hs256")", R"("HS384")",
                   R"("HS512")", R"("RS256")", R"("ES256")", R"(["HS256"])", "null", "1", "true"}) {
    auto header = std::string(R"({"typ":"JWT","alg":)") + alg + "}";
    refused(*tokens, forge::hs256(header, good_claims, secret), "the algorithm must be HS256");
    refused(*tokens, forge::signed_part(header, good_claims) + ".", "");
    refused(*tokens, forge::signed_part(header, good_claims), "");
  }
  refused(*tokens, forge::hs256(R"({"typ":"JWT"})", good_claims, secret), "the algorithm");
  refused(*tokens, forge::hs256(R"({"alg":"none","alg":"HS256","alg":"none"})", good_claims, secret), "the algorithm");
  refused(*tokens, forge::hs256(R"([{"alg":"HS256"}])", good_claims, secret), "not a JSON object");
  refused(*tokens, forge::hs256(R"({"alg":"HS256")", good_claims, secret), "not valid JSON");
  // What must be understood is not; what would choose a key does not.
  refused(*tokens, forge::hs256(R"({"alg":"HS256","crit":["b64"],"b64":false})", good_claims, secret), "crit");
  refused(*tokens, forge::hs256(R"({"alg":"HS256","crit":[]})", good_claims, secret), "crit");
  for (auto trick : {R"("kid":"../../../../dev/null")", R"("kid":"' OR 1=1 --")", R"("jku":"http://evil/keys")",
                     R"("jwk":{"kty":"oct","k":"AAAA"})", R"("kid":7)"}) {
    auto header = std::string(R"({"alg":"HS256",)") + trick + "}";
    CHECK(tokens->verify(forge::hs256(header, good_claims, secret)).has_value());
    refused(*tokens, forge::hs256(header, good_claims, ""), "signature");
    refused(*tokens, forge::hs256(header, good_claims, std::string(3, '\0')), "signature");
  }
}

TEST_CASE_METHOD(fixture, "claims must be there, of the right type, and of now", "[jwt]") {
  auto tokens = open();
  auto check = [&](const std::string& text, const std::string& why) {
    refused(*tokens, forge::hs256(hs_header, text, secret), why);
  };
  auto passes = [&](const std::string& text) {
    INFO(text);
    CHECK(tokens->verify(forge::hs256(hs_header, text, secret)).has_value());
  };
  check(R"({"iss":"greenroom","exp":1764003600})", "sub: a user id is required");
  for (auto sub : {R"("")", R"("Alice")", R"("a b")", R"("alice\u0000")", "7", "null", R"(["alice"])"})
    check(claims("", sub), "");
  check(R"({"sub":"alice","iss":"greenroom"})", "exp: a time is required");
  for (auto exp : {R"("1764003600")", "null", "-1", "1e300", "true", "1764003600000"})
    check(claims("", R"("alice")", exp), "exp: a time is required");
  passes(claims("", R"("alice")", "1764003600.5"));
  // Leeway is 5 s.
  check(claims("", R"("alice")", "1763999995"), "expired");
  passes(claims("", R"("alice")", "1763999996"));
  check(claims(R"("nbf":1764000006)"), "nbf: not valid yet");
  passes(claims(R"("nbf":1764000005)"));
  check(claims(R"("nbf":"soon")"), "nbf: must be a time");
  check(claims(R"("iat":1764000006)"), "iat: not valid yet");
  check(R"({"sub":"alice","exp":1764003600})", "iss: must be greenroom");
  check(R"({"sub":"alice","exp":1764003600,"iss":"other"})", "iss:");
  check(R"({"sub":"alice","exp":1764003600,"iss":["greenroom"]})", "iss:");
  check("[]", "not a JSON object");
  check(R"({"sub":"alice","iss":"greenroom","exp":1764003600,"x":)" + std::string(50, '[') + std::string(50, ']') + "}",
        "nested deeper");

  config.auth.audience = "chat";
  tokens = open();
  check(claims(""), "aud: must name chat");
  check(claims(R"("aud":"chats")"), "aud:");
  check(claims(R"("aud":{"chat":1})"), "aud:");
  check(claims(R"("aud":[])"), "aud:");
  passes(claims(R"("aud":"chat")"));
  passes(claims(R"("aud":["mail","chat"])"));
  config.auth.issuer.clear();
  tokens = open();
  passes(R"({"sub":"alice","exp":1764003600,"iss":"other","aud":"chat"})");
}

TEST_CASE_METHOD(fixture, "every token has a session by which it can be revoked", "[jwt]") {
  auto tokens = open();
  auto session = [&](const std::string& more) {
    return tokens->verify(forge::hs256(hs_header, claims(more), secret))->session;
  };
  CHECK(session(R"("sid":"s_9","jti":"j_9")") == "s_9");
  CHECK(session(R"("jti":"j_9")") == "j_9");
  CHECK(session("").size() == 34);
  CHECK(session("") == session(""));
  CHECK(session("") != session(R"("x":1)"));
  for (auto sid : {R"("")", "7", "null", R"("a b")", R"(["s"])"})
    refused(*tokens, forge::hs256(hs_header, claims(std::string(R"("sid":)") + sid), secret), "sid, jti:");
  refused(*tokens, forge::hs256(hs_header, claims(R"("sid":")" + std::string(129, 's') + "\""), secret), "sid, jti:");
}

TEST_CASE_METHOD(fixture, "RS256 checks an outside provider's tokens and makes none", "[jwt]") {
  const auto key = forge::key_pair::rsa(2048);
  auto tokens = open(token_algorithm::rs256, key);
  const auto good = key.sign(R"({"alg":"RS256","typ":"JWT","kid":"2024"})", good_claims);
  auto who = tokens->verify(good);
  REQUIRE(who.has_value());
  CHECK(who->user.str() == "alice");
  // Whoever else signs does not decide who is an admin here.
  CHECK_FALSE(who->admin);
  CHECK_FALSE(tokens->can_issue());
  CHECK(tokens->issue(*who, 60s).error().code == errc::unsupported);

  // The public key is public: as an HMAC secret it must open nothing.
  auto pem = key.public_pem();
  for (auto secret_text : {pem, pem.substr(0, pem.size() - 1), pem + "\n"}) {
    refused(*tokens, forge::hs256(hs_header, good_claims, secret_text), "the algorithm must be RS256");
    refused(*tokens, forge::hs256(R"({"alg":"RS256"})", good_claims, secret_text), "signature");
  }
  refused(*tokens, forge::key_pair::rsa(2048).sign(R"({"alg":"RS256"})", good_claims), "signature");
  refused(*tokens, forge::key_pair::ec("P-256").sign(R"({"alg":"ES256"})", good_claims), "the algorithm");
  refused(*tokens, forge::key_pair::ec("P-256").sign(R"({"alg":"RS256"})", good_claims), "signature");
  refused(*tokens, key.sign(R"({"alg":"none"})", good_claims), "the algorithm");
  refused(*tokens, good.substr(0, good.rfind('.') + 1), "no signature");
  refused(*tokens, good.substr(0, good.size() - 4), "signature");
}

TEST_CASE_METHOD(fixture, "ES256 checks an outside provider's tokens", "[jwt]") {
  const auto key = forge::key_pair::ec("P-256");
  auto tokens = open(token_algorithm::es256, key);
  const auto good = key.sign(R"({"alg":"ES256"})", good_claims);
  REQUIRE(tokens->verify(good).has_value());
  refused(*tokens, forge::key_pair::ec("P-256").sign(R"({"alg":"ES256"})", good_claims), "signature");
  refused(*tokens, forge::hs256(hs_header, good_claims, key.public_pem()), "the algorithm must be ES256");
  refused(*tokens, forge::key_pair::rsa(2048).sign(R"({"alg":"ES256"})", good_claims), "signature");
  // r = s = 0 verified everywhere in a broken library (CVE-2022-21449).
  refused(*tokens,
          forge::signed_part(R"({"alg":"ES256"})", good_claims) + "." + forge::base64url(std::string(64, '\0')),
          "signature");
  for (size_t bytes : {1, 63, 65, 128})
    refused(*tokens,
            forge::signed_part(R"({"alg":"ES256"})", good_claims) + "." + forge::base64url(std::string(bytes, '\1')),
            "signature");
  // An ECDSA signature has two forms; without sid and jti both must be the same session.
  auto bare = key.sign(R"({"alg":"ES256"})", claims(""));
  auto again = key.sign(R"({"alg":"ES256"})", claims(""));
  CHECK(bare != again);
  CHECK(tokens->verify(bare)->session == tokens->verify(again)->session);
}

TEST_CASE_METHOD(fixture, "of a provider with many keys a token may choose which, and nothing else", "[jwt]") {
  for (const auto algorithm : {token_algorithm::rs256, token_algorithm::es256}) {
    const bool rsa = algorithm == token_algorithm::rs256;
    const std::string alg = rsa ? "RS256" : "ES256";
    const auto one = rsa ? forge::key_pair::rsa(2048) : forge::key_pair::ec("P-256");
    const auto two = rsa ? forge::key_pair::rsa(2048) : forge::key_pair::ec("P-256");
    const auto other = rsa ? forge::key_pair::ec("P-256") : forge::key_pair::rsa(2048);
    config.auth.algorithm = algorithm;
    config.auth.jwks_file = files.write(
        "keys", forge::jwk_set({one.jwk(R"("kid":"1",)"), two.jwk(R"("kid":"2",)"), other.jwk(R"("kid":"3",)")}));
    auto tokens = open();
    const auto header = [&](const std::string& kid, const std::string& more = {}) {
      return R"({"alg":")" + alg + R"(","kid":")" + kid + "\"" + more + "}";
    };
    CHECK(tokens->verify(one.sign(header("1"), good_claims)).has_value());
    CHECK(tokens->verify(two.sign(header("2"), good_claims)).has_value());
    refused(*tokens, one.sign(header("2"), good_claims), "the signature does not fit");
    refused(*tokens, one.sign(R"({"alg":")" + alg + "\"}", good_claims), "kid: required");
    for (auto kid : {"3", "4", "", "../1", "1' OR '1'='1"})
      refused(*tokens, one.sign(header(kid), good_claims), "kid: the provider has no such key");
    refused(*tokens, one.sign(R"({"alg":")" + alg + R"(","kid":1})", good_claims), "kid:");
    // What brings its own key along.
    const auto eve = rsa ? forge::key_pair::rsa(2048) : forge::key_pair::ec("P-256");
    for (const auto& trick : {R"(,"jwk":)" + eve.jwk(), std::string(R"(,"jku":"https://evil.example/keys")"),
                              std::string(R"(,"x5u":"https://evil.example/cert")")}) {
      refused(*tokens, eve.sign(header("1", trick), good_claims), "the signature does not fit");
      CHECK(tokens->verify(one.sign(header("1", trick), good_claims)).has_value());
    }
    // Another algorithm than the configured one, whoever signs.
    refused(*tokens, other.sign(R"({"alg":")" + std::string(rsa ? "ES256" : "RS256") + R"(","kid":"3"})", good_claims),
            "the algorithm must be " + alg);
    refused(*tokens, other.sign(header("1"), good_claims), "the signature does not fit");
    for (const auto& key : {one.public_pem(), one.jwk(), one.jwk(R"("kid":"1",)"), std::string()}) {
      refused(*tokens, forge::hs256(R"({"alg":"HS256","kid":"1"})", good_claims, key), "the algorithm must be " + alg);
      refused(*tokens, forge::hs256(header("1"), good_claims, key), "the signature does not fit");
    }
    for (auto none : {"none", "None", "NONE", "nOnE"})
      for (auto signature : {"", "AAAA"})
        refused(*tokens,
                forge::signed_part(R"({"alg":")" + std::string(none) + R"(","kid":"1"})", good_claims) + "." +
                    signature,
                "");
    refused(*tokens, one.sign(header("1", R"(,"crit":["exp"])"), good_claims), "crit");
  }
}

TEST_CASE_METHOD(fixture, "a provider's token may be marked as an access token, and as nothing else", "[jwt]") {
  const auto key = forge::key_pair::ec("P-256");
  auto tokens = open(token_algorithm::es256, key);
  const auto typed = [&](const std::string& typ) {
    return key.sign(R"({"alg":"ES256","typ":)" + typ + "}", good_claims);
  };
  for (auto typ : {R"("JWT")", R"("jwt")", R"("at+jwt")", R"("AT+JWT")", R"("application/at+jwt")"})
    CHECK(tokens->verify(typed(typ)).has_value());
  for (auto typ : {R"("logout+jwt")", R"("dpop+jwt")", R"("secevent+jwt")", R"("at+jwt ")", R"("")", "null", "7"})
    refused(*tokens, typed(typ), "typ must be JWT or at+jwt");
}

TEST_CASE_METHOD(fixture, "the user is in the claim that is configured, and must be a user id there", "[jwt]") {
  const auto key = forge::key_pair::ec("P-256");
  const auto with = [&](const std::string& more) {
    return key.sign(R"({"alg":"ES256"})", R"({"sub":"00u1","iss":"greenroom","exp":1764003600)" + more + "}");
  };
  config.auth.user_claim = "nick";
  auto tokens = open(token_algorithm::es256, key);
  CHECK(tokens->verify(with(R"(,"nick":"alice")"))->user.str() == "alice");
  refused(*tokens, with(""), "nick: a user id is required");
  refused(*tokens, with(R"(,"nick":7)"), "nick: a user id is required");
  refused(*tokens, with(R"(,"nick":"Alice Liddell")"), "nick: a user id is [a-z0-9]");
  refused(*tokens, with(R"(,"nick":"")"), "nick:");
  config.auth.user_claim = "https://id.example/nick.name"; // some providers demand URLs
  tokens = open();
  CHECK(tokens->verify(with(R"(,"https://id.example/nick.name":"bob")"))->user.str() == "bob");
  config.auth.user_claim = "/pro~1file/ni~0ck/0";
  tokens = open();
  CHECK(tokens->verify(with(R"(,"pro/file":{"ni~ck":{"0":"carl"}})"))->user.str() == "carl");
  for (auto wrong : {R"(,"pro/file":{"ni~ck":["carl"]})", R"(,"pro/file":"carl")", R"(,"/pro~1file/ni~0ck/0":"carl")"})
    refused(*tokens, with(wrong), "/pro~1file/ni~0ck/0: a user id is required");
}

TEST_CASE_METHOD(fixture, "an outside token makes an admin by the one claim and value that are configured", "[jwt]") {
  const auto key = forge::key_pair::ec("P-256");
  std::unique_ptr<net::jwt_tokens> tokens;
  const auto admin = [&](const std::string& more) {
    auto who = tokens->verify(
        key.sign(R"({"alg":"ES256"})", R"({"sub":"alice","iss":"greenroom","exp":1764003600,)" + more + "}"));
    REQUIRE(who.has_value());
    return who->admin;
  };
  tokens = open(token_algorithm::es256, key);
  CHECK_FALSE(admin(R"("admin":true,"roles":["chat-admin"],"":"")"));
  config.auth.admin_claim = "roles";
  config.auth.admin_value = "chat-admin";
  tokens = open();
  CHECK(admin(R"("roles":"chat-admin")"));
  CHECK(admin(R"("roles":["user","chat-admin"])"));
  for (auto no : {R"("roles":["user"])", R"("roles":"chat-admins")", R"("roles":["Chat-Admin"])", R"("roles":[])",
                  R"("roles":[["chat-admin"]])", R"("roles":{"chat-admin":true})", R"("roles":true)", R"("roles":null)",
                  R"("role":"chat-admin")", R"("admin":true)"})
    CHECK_FALSE(admin(no));
  config.auth.admin_claim = "/realm/roles";
  tokens = open();
  CHECK(admin(R"("realm":{"roles":["chat-admin"]})"));
  CHECK_FALSE(admin(R"("roles":["chat-admin"])"));
  config.auth.admin_claim = "boss";
  config.auth.admin_value = "true";
  tokens = open();
  CHECK(admin(R"("boss":true)"));
  CHECK_FALSE(admin(R"("boss":false)"));
  CHECK_FALSE(admin(R"("boss":1)"));
}

TEST_CASE_METHOD(fixture, "a missing secret is made once, and only for its owner", "[jwt]") {
  config.auth.secret_file.clear();
  config.node.data_dir = (files.path / "data").string();
  auto token = open()->issue({user_id::trusted("alice"), "s_1", 0, false, nullptr}, 3600s);
  const auto path = files.path / "data" / "token.secret";
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(std::filesystem::file_size(path) == 65);
  CHECK(open()->verify(*token).has_value());
  // Nothing else was left behind.
  CHECK(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}) == 1);

  std::filesystem::remove(path);
  CHECK_FALSE(open()->verify(*token).has_value());
}

TEST_CASE_METHOD(fixture, "processes that start at once end up with one secret", "[jwt]") {
  config.auth.secret_file = (files.path / "shared").string();
  std::vector<std::string> issued(8);
  {
    std::vector<std::jthread> starting;
    for (auto& token : issued)
      starting.emplace_back([&] {
        auto tokens = net::jwt_tokens::open(config, [] { return now_ms; });
        if (tokens)
          token = *(*tokens)->issue({user_id::trusted("alice"), "s_1", 0, false, nullptr}, 3600s);
      });
  }
  auto tokens = open();
  for (auto& token : issued)
    CHECK(tokens->verify(token).has_value());
}

TEST_CASE_METHOD(fixture, "keys that will not do stop the start and say why", "[jwt]") {
  config.auth.secret_file = files.write("short", std::string(31, 'x') + "\n");
  CHECK_THAT(open_error(), Catch::StartsWith("auth.secret_file: ") && Catch::Contains("at least 32 bytes"));
  config.auth.secret_file = files.write("long", std::string(5000, 'x'));
  CHECK_THAT(open_error(), Catch::Contains("longer than 4096 bytes"));
  config.auth.secret_file = files.path.string();
  CHECK_THAT(open_error(), Catch::Contains("can't be read"));
  config.auth.secret_file = files.write("plain", "x") + "/secret";
  CHECK_THAT(open_error(), Catch::StartsWith("auth.secret_file: "));

  config.auth.algorithm = token_algorithm::rs256;
  CHECK_THAT(open_error(), Catch::StartsWith("auth.public_key_file: required"));
  config.auth.public_key_file = files.write("k", "no key");
  CHECK_THAT(open_error(), Catch::Contains("no public key in PEM form"));
  config.auth.public_key_file = files.write("k", forge::key_pair::rsa(1024).public_pem());
  CHECK_THAT(open_error(), Catch::Contains("at least 2048 bits"));
  config.auth.public_key_file = files.write("k", forge::key_pair::ec("P-256").public_pem());
  CHECK_THAT(open_error(), Catch::Contains("RSA"));
  config.auth.algorithm = token_algorithm::es256;
  config.auth.public_key_file = files.write("k", forge::key_pair::ec("P-384").public_pem());
  CHECK_THAT(open_error(), Catch::Contains("P-256"));
}

TEST_CASE_METHOD(fixture, "tokens are verified from several threads at once", "[jwt]") {
  auto tokens = open();
  const auto good = forge::hs256(hs_header, good_claims, secret);
  const auto wrong = forge::hs256(hs_header, good_claims, secret + "x");
  std::atomic<int> mistakes{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i)
          mistakes += (!tokens->verify(good)) + tokens->verify(wrong).has_value();
      });
  }
  CHECK(mistakes == 0);
}
