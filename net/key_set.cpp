#include "net/key_set.hpp"

#include "net/base64url.hpp"
#include "net/json_document.hpp"

#include <algorithm>

namespace greenroom::net {
namespace {

using json::value;

// Certificates (x5c) are a list in a key in a list in the set.
constexpr uint32_t depth_max = 8;

failure wrong(std::string why) { return fail(errc::bad_request, std::move(why)); }

std::optional<std::string> bytes_of(value text) {
  const auto encoded = text.text();
  if (!encoded || encoded->empty())
    return std::nullopt;
  return decode_base64url(*encoded);
}

/// Why the key is not for checking this algorithm's signatures; empty: it is. An absent `use` or `alg` leaves it open
/// (RFC 7517 section 4).
std::string other_purpose(value jwk, token_algorithm algorithm) {
  const bool rsa = algorithm == token_algorithm::rs256;
  if (jwk.find("kty").text() != (rsa ? "RSA" : "EC"))
    return rsa ? "kty is not RSA" : "kty is not EC";
  if (auto use = jwk.find("use"); use && use.text() != "sig")
    return "use is not sig";
  if (auto ops = jwk.find("key_ops")) {
    bool verifies = false;
    ops.each_element([&](value one) { verifies = verifies || one.text() == "verify"; });
    if (!verifies)
      return "key_ops has no verify";
  }
  if (auto alg = jwk.find("alg"); alg && alg.text() != (rsa ? "RS256" : "ES256"))
    return rsa ? "alg is not RS256" : "alg is not ES256";
  if (!rsa && jwk.find("crv").text() != "P-256")
    return "crv is not P-256";
  // Whoever has read it can sign.
  if (jwk.find("d"))
    return "its private part is shown";
  return {};
}

outcome<public_key> read_key(value jwk, token_algorithm algorithm) {
  if (auto why = other_purpose(jwk, algorithm); !why.empty())
    return wrong(std::move(why));
  const bool rsa = algorithm == token_algorithm::rs256;
  const auto one = bytes_of(jwk.find(rsa ? "n" : "x"));
  const auto other = bytes_of(jwk.find(rsa ? "e" : "y"));
  if (!one || !other)
    return wrong(rsa ? "n and e must be base64url" : "x and y must be base64url");
  return rsa ? public_key::of_rsa(*one, *other) : public_key::of_p256(*one, *other);
}

/// Of what comes from outside only this may stand in a log line.
bool is_plain(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '='; });
}

} // namespace

outcome<key_set> key_set::parse(std::string_view text, token_algorithm algorithm) {
  if (text.size() > text_bytes_max)
    return wrong("longer than " + std::to_string(text_bytes_max) + " bytes");
  json::document document;
  if (auto parsed = document.parse(text, depth_max); !parsed)
    return wrong("no JWK Set: " + parsed.error().message);
  const auto list = document.find("keys");
  if (!list.is_array())
    return wrong("no JWK Set: keys: a list is required");
  if (list.size() > keys_max)
    return wrong("more than " + std::to_string(keys_max) + " keys");
  key_set out;
  bool twice = false;
  list.each_element([&](value jwk) {
    const auto kid = jwk.find("kid");
    const auto name = std::string(kid.text().value_or(""));
    const auto shown = name.empty() ? "without kid" : is_plain(name) ? name : "of an odd kid";
    if (!jwk.is_object() || (kid && (name.empty() || name.size() > kid_bytes_max))) {
      out.passed_over_.push_back(shown.substr(0, kid_bytes_max) + ": kid must be a text of 1 to " +
                                 std::to_string(kid_bytes_max) + " bytes");
      return;
    }
    auto key = read_key(jwk, algorithm);
    if (!key) {
      out.passed_over_.push_back(shown + ": " + key.error().message);
      return;
    }
    // RFC 7517 section 4.5: which of the two a token means, nobody could tell.
    twice = twice || (!name.empty() && out.find(name) != nullptr);
    out.keys_.push_back({name, std::move(*key)});
  });
  if (twice)
    return wrong("two keys have the same kid");
  if (out.keys_.empty()) {
    const auto total = std::to_string(out.passed_over_.size());
    return wrong("none of its " + total + " keys is for " + (algorithm == token_algorithm::rs256 ? "RS256" : "ES256") +
                 " (auth.algorithm)" + (out.passed_over_.empty() ? "" : ": " + out.passed_over_.front()));
  }
  return out;
}

key_set key_set::only(public_key key) {
  key_set out;
  out.any_name_ = true;
  out.keys_.push_back({{}, std::move(key)});
  return out;
}

const public_key* key_set::find(std::optional<std::string_view> kid) const noexcept {
  if (any_name_ || (!kid && keys_.size() == 1))
    return &keys_.front().key;
  if (!kid || kid->empty())
    return nullptr;
  const auto i = std::find_if(keys_.begin(), keys_.end(), [&](const named_key& x) { return x.kid == *kid; });
  return i == keys_.end() ? nullptr : &i->key;
}

} // namespace greenroom::net
