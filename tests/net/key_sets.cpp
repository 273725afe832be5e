// JWK Sets: which of a provider's keys are taken, which is meant by a token, and what is no set.
#include "net/base64url.hpp"
#include "net/key_set.hpp"

#include "jwt_forge.hpp"

#include <random>

using namespace greenroom;
using net::key_set;

namespace {

constexpr auto rs256 = token_algorithm::rs256;
constexpr auto es256 = token_algorithm::es256;

key_set good(const std::string& text, token_algorithm algorithm) {
  auto set = key_set::parse(text, algorithm);
  if (!set)
    FAIL(set.error().message);
  return std::move(*set);
}

std::string why_not(const std::string& text, token_algorithm algorithm) {
  auto set = key_set::parse(text, algorithm);
  REQUIRE_FALSE(set.has_value());
  CHECK(set.error().code == errc::bad_request);
  return set.error().message;
}

/// What was signed, and by whom, out of a token.
bool has_signed(const net::public_key& key, const std::string& token) {
  const auto dot = token.rfind('.');
  return key.has_signed(token.substr(0, dot), net::decode_base64url(token.substr(dot + 1)).value());
}

// Made once: 2048 bits take their time.
const forge::key_pair& an_rsa_key() {
  static const auto key = forge::key_pair::rsa(2048);
  return key;
}

} // namespace

TEST_CASE("a key of a set checks what its owner has signed, and nothing else", "[keys]") {
  for (auto algorithm : {rs256, es256}) {
    const auto rsa = algorithm == rs256;
    const auto owner = rsa ? forge::key_pair::rsa(2048) : forge::key_pair::ec("P-256");
    const auto same_kind = rsa ? forge::key_pair::rsa(2048) : forge::key_pair::ec("P-256");
    const auto other_kind = rsa ? forge::key_pair::ec("P-256") : forge::key_pair::rsa(2048);
    const auto set = good(forge::jwk_set({owner.jwk(R"("kid":"a","use":"sig",)")}), algorithm);
    const auto* key = set.find("a");
    REQUIRE(key);
    CHECK(key->algorithm() == algorithm);
    const auto token = owner.sign("{}", "{}");
    CHECK(has_signed(*key, token));
    CHECK_FALSE(has_signed(*key, "x" + token));
    CHECK_FALSE(has_signed(*key, same_kind.sign("{}", "{}")));
    CHECK_FALSE(has_signed(*key, other_kind.sign("{}", "{}")));
    for (size_t bytes : {0, 1, 63, 64, 65, 255, 256, 257, 1024})
      for (char fill : {'\0', '\1', '\xff'})
        CHECK_FALSE(key->has_signed(token.substr(0, token.rfind('.')), std::string(bytes, fill)));
  }
}

TEST_CASE("what is not for signatures of the configured algorithm is passed over", "[keys]") {
  const auto& rsa = an_rsa_key();
  const auto ec = forge::key_pair::ec("P-256");
  const auto plain_ec = ec.jwk();
  const auto x = plain_ec.substr(plain_ec.find(R"("x":")") + 5, 43);
  struct wrong_key {
    std::string jwk, why;
  };
  const auto is_passed_over = [](const std::string& good_key, token_algorithm algorithm, const wrong_key& w) {
    CAPTURE(w.jwk);
    const auto set = good(forge::jwk_set({w.jwk, good_key}), algorithm);
    CHECK(set.size() == 1);
    REQUIRE(set.passed_over().size() == 1);
    CHECK_THAT(set.passed_over()[0], Catch::Contains(w.why));
    CHECK(set.find("bad") == nullptr);
    CHECK_THAT(why_not(forge::jwk_set({w.jwk}), algorithm), Catch::Contains(w.why));
  };
  const std::string bad = R"("kid":"bad",)";
  for (const auto& w : {
           wrong_key{ec.jwk(bad), "kty is not RSA"},
           {R"({"kid":"bad","kty":"oct","k":"AAAA"})", "kty is not RSA"},
           {R"({"kid":"bad","n":"AQ","e":"AQAB"})", "kty is not RSA"},
           {rsa.jwk(bad + R"("use":"enc",)"), "use is not sig"},
           {rsa.jwk(bad + R"("use":["sig"],)"), "use is not sig"},
           {rsa.jwk(bad + R"("key_ops":["encrypt"],)"), "key_ops has no verify"},
           {rsa.jwk(bad + R"("key_ops":"verify",)"), "key_ops has no verify"},
           {rsa.jwk(bad + R"("alg":"RS512",)"), "alg is not RS256"},
           {rsa.jwk(bad + R"("alg":"PS256",)"), "alg is not RS256"},
           {rsa.jwk(bad + R"("alg":"HS256",)"), "alg is not RS256"},
           {rsa.jwk(bad + R"("d":"AQ",)"), "private"},
           {forge::key_pair::rsa(1024).jwk(bad), "at least 2048 bits"},
           {R"({"kid":"bad","kty":"RSA","n":"AQAB"})", "base64url"},
           {R"({"kid":"bad","kty":"RSA","n":"A+/=","e":"AQAB"})", "base64url"},
           {R"({"kid":"bad","kty":"RSA","n":7,"e":"AQAB"})", "base64url"},
           {R"({"kid":"bad","kty":"RSA","n":"","e":"AQAB"})", "base64url"},
           {R"({"kid":"bad","kty":"RSA","n":")" + forge::base64url(std::string(1'026, '\xff')) + R"(","e":"AQAB"})",
            "too long"},
           {R"({"kid":"bad","kty":"RSA","n":")" + forge::base64url(std::string(256, '\xff')) + R"(","e":"AQ"})",
            "no RSA key"}, // an exponent of 1
           {R"({"kid":"bad","kty":"RSA","n":")" + forge::base64url(std::string(256, '\xff')) + R"(","e":"Ag"})",
            "no RSA key"},
           {R"({"kid":7,)" + rsa.jwk().substr(1), "kid must be"},
           {R"({"kid":"",)" + rsa.jwk().substr(1), "kid must be"},
           {R"({"kid":")" + std::string(257, 'k') + "\"," + rsa.jwk().substr(1), "kid must be"},
           {"7", "kid must be"},
       })
    is_passed_over(rsa.jwk(R"("kid":"good","use":"sig","alg":"RS256","key_ops":["verify"],)"), rs256, w);
  for (const auto& w : {
           wrong_key{rsa.jwk(bad), "kty is not EC"},
           {ec.jwk(bad + R"("alg":"RS256",)"), "alg is not ES256"},
           {ec.jwk(bad + R"("d":"AQ",)"), "private"},
           {R"({"kid":"bad","kty":"EC","crv":"P-384","x":")" + x + R"(","y":")" + x + "\"}", "crv is not P-256"},
           {R"({"kid":"bad","kty":"EC","crv":"P-256","x":")" + x + R"(","y":")" + x + "\"}", "no point on P-256"},
           {R"({"kid":"bad","kty":"EC","crv":"P-256","x":"AQ","y":")" + x + "\"}", "32 bytes"},
           {R"({"kid":"bad","kty":"EC","crv":"P-256","x":")" + x + "\"}", "base64url"},
       })
    is_passed_over(ec.jwk(R"("kid":"good",)"), es256, w);
}

TEST_CASE("a token names its key, unless there is but one", "[keys]") {
  const auto a = forge::key_pair::ec("P-256");
  const auto b = forge::key_pair::ec("P-256");
  const auto both = good(forge::jwk_set({a.jwk(R"("kid":"a",)"), b.jwk(R"("kid":"b",)"), b.jwk()}), es256);
  CHECK(both.size() == 3);
  CHECK(has_signed(*both.find("a"), a.sign("{}", "{}")));
  CHECK(has_signed(*both.find("b"), b.sign("{}", "{}")));
  for (auto kid : {"", "c", "A", "a ", "ab"})
    CHECK(both.find(kid) == nullptr);
  CHECK(both.find(std::nullopt) == nullptr);

  const auto one = good(forge::jwk_set({a.jwk(R"("kid":"a",)"), an_rsa_key().jwk(R"("kid":"b",)")}), es256);
  CHECK(one.find(std::nullopt) == one.find("a"));
  CHECK(one.find("b") == nullptr);

  const auto only = key_set::only(net::public_key::of_pem(a.public_pem(), es256).value());
  for (auto kid : {std::optional<std::string_view>(), std::optional<std::string_view>("what you like")})
    CHECK(only.find(kid) != nullptr);
}

TEST_CASE("what is no set of keys, or beyond the bounds, is refused as a whole", "[keys]") {
  const auto key = forge::key_pair::ec("P-256");
  CHECK_THAT(why_not("", es256), Catch::StartsWith("no JWK Set"));
  CHECK_THAT(why_not("<html>", es256), Catch::StartsWith("no JWK Set"));
  CHECK_THAT(why_not("[]", es256), Catch::StartsWith("no JWK Set"));
  CHECK_THAT(why_not(key.jwk(), es256), Catch::StartsWith("no JWK Set: keys:"));
  CHECK_THAT(why_not(R"({"keys":{}})", es256), Catch::StartsWith("no JWK Set: keys:"));
  CHECK_THAT(why_not(R"({"keys":[]})", es256), Catch::StartsWith("none of its 0 keys"));
  CHECK_THAT(
      why_not(forge::jwk_set({key.jwk(R"("kid":"a",)"), forge::key_pair::ec("P-256").jwk(R"("kid":"a",)")}), es256),
      Catch::Contains("same kid"));
  // Another algorithm's key of the same name is none that a token could mean.
  good(forge::jwk_set({key.jwk(R"("kid":"a",)"), an_rsa_key().jwk(R"("kid":"a",)")}), es256);

  std::string many;
  for (size_t i = 1; i < key_set::keys_max; ++i)
    many += "{},";
  CHECK(good(R"({"keys":[)" + many + key.jwk() + "]}", es256).size() == 1);
  CHECK_THAT(why_not(R"({"keys":[{},)" + many + key.jwk() + "]}", es256), Catch::Contains("more than 64 keys"));
  const auto text = forge::jwk_set({key.jwk()});
  good(text + std::string(key_set::text_bytes_max - text.size(), ' '), es256);
  CHECK_THAT(why_not(text + std::string(key_set::text_bytes_max + 1 - text.size(), ' '), es256),
             Catch::Contains("longer than 65536 bytes"));
  CHECK_THAT(why_not(R"({"keys":)" + std::string(50, '[') + std::string(50, ']') + "}", es256),
             Catch::Contains("nested"));
}

TEST_CASE("a set that is cut or garbled is refused or read, and never anything else", "[keys]") {
  const auto text = forge::jwk_set({forge::key_pair::ec("P-256").jwk(R"("kid":"a","x5c":["AAAA"],)"),
                                    forge::key_pair::ec("P-256").jwk(R"("kid":"b",)")});
  for (size_t size = 0; size < text.size(); ++size)
    CHECK_FALSE(key_set::parse(std::string_view(text).substr(0, size), es256).has_value());
  std::mt19937 random(7);
  for (int i = 0; i < 2'000; ++i) {
    auto changed = text;
    for (int n = 0; n < 3; ++n)
      changed[random() % changed.size()] = static_cast<char>(random());
    if (auto set = key_set::parse(changed, es256))
      CHECK(set->size() > 0);
  }
}
