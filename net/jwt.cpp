#include "net/jwt.hpp"

#include "net/base64url.hpp"
#include "net/json.hpp"
#include "net/json_document.hpp"
#include "net/key_file.hpp"
#include "net/op_reader.hpp"
#include "net/provider_keys.hpp"

#include <jwt.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace greenroom::net {
namespace {

using json::document;
using json::value;

// A header or payload nested deeper than this says nothing that we would read.
constexpr uint32_t token_depth_max = 8;
constexpr size_t session_bytes_max = 128;
constexpr size_t namespaces_max = 1'000; // that a token may name
// NumericDate beyond this (the year 5138) is a mistake of the issuer, and would not fit our milliseconds.
constexpr double date_max = 1e11;

struct free_jwt {
  void operator()(jwt_t* x) const noexcept { jwt_free(x); }
};
using jwt_handle = std::unique_ptr<jwt_t, free_jwt>;

failure refused(std::string_view why) { return fail(errc::unauthenticated, std::string("token: ").append(why)); }

std::string_view name_of(token_algorithm x) noexcept {
  switch (x) {
  case token_algorithm::hs256:
    return "HS256";
  case token_algorithm::rs256:
    return "RS256";
  case token_algorithm::es256:
    return "ES256";
  }
  return {};
}

outcome<document> decode_part(std::string_view text) {
  auto bytes = decode_base64url(text);
  if (!bytes)
    return refused("not base64url");
  document fields;
  if (auto parsed = fields.parse(*bytes, token_depth_max); !parsed)
    return refused(parsed.error().message);
  return fields;
}

std::string session_of(std::string_view signed_part) {
  std::array<unsigned char, 16> hash;
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(signed_part.data()),
                     signed_part.size(), nullptr, 0);
  std::array<char, 2 * hash.size() + 1> hex;
  sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return std::string("t_") + hex.data();
}

bool is_session_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= session_bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

/// Milliseconds of a NumericDate, which may have a fraction (RFC 7519 section 2).
std::optional<int64_t> date(value given) {
  const auto seconds = given.number();
  if (!seconds || !(*seconds >= 0 && *seconds <= date_max))
    return std::nullopt;
  return static_cast<int64_t>(std::floor(*seconds * 1000));
}

/// A text, or a list of texts: what `aud` is, and what providers write roles and groups as.
bool names(value claim, std::string_view wanted) {
  bool found = claim.text() == wanted;
  claim.each_element([&](value one) { found = found || one.text() == wanted; });
  return found;
}

/// A claim by its name; or, where that begins with a slash, by a JSON Pointer (RFC 6901) through objects, since some
/// providers nest theirs. A dot would not do: names that are URLs have some.
value find_claim(const document& claims, std::string_view name) {
  if (!name.starts_with('/'))
    return claims.find(name);
  auto at = claims.root();
  while (!name.empty()) {
    name.remove_prefix(1);
    const auto end = std::min(name.find('/'), name.size());
    std::string step;
    for (size_t i = 0; i < end; ++i) {
      const bool escaped = name[i] == '~' && i + 1 < end && (name[i + 1] == '0' || name[i + 1] == '1');
      step += !escaped ? name[i] : name[++i] == '0' ? '~' : '/';
    }
    at = at.find(step);
    name.remove_prefix(end);
  }
  return at;
}

bool same_word(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

int64_t system_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

} // namespace

jwt_tokens::jwt_tokens() = default;
jwt_tokens::~jwt_tokens() = default;

outcome<std::unique_ptr<jwt_tokens>> jwt_tokens::open(const settings& config, clock now) {
  if (sodium_init() < 0)
    return fail(errc::unavailable, "auth: libsodium cannot start");
  std::unique_ptr<jwt_tokens> result(new jwt_tokens);
  const auto& auth = config.auth;
  result->algorithm_ = auth.algorithm;
  result->issuer_ = auth.issuer;
  result->audience_ = auth.audience;
  result->leeway_ms_ = int64_t{auth.leeway_s} * 1000;
  result->now_ = now ? std::move(now) : clock(system_now);
  result->user_claim_ = auth.user_claim;
  result->admin_claim_ = auth.admin_claim;
  result->admin_value_ = auth.admin_value;
  result->namespaces_claim_ = auth.namespaces_claim;
  if (auth.algorithm == token_algorithm::hs256) {
    auto secret = load_or_make_secret(secret_file_of(config));
    if (!secret)
      return std::move(secret).error();
    result->secret_ = std::move(*secret);
  } else {
    auto keys = provider_keys::open(config);
    if (!keys)
      return std::move(keys).error();
    result->provider_ = std::move(*keys);
  }
  return result;
}

outcome<identity> jwt_tokens::verify(std::string_view token) const {
  if (token.size() > token_bytes_max)
    return refused("longer than " + std::to_string(token_bytes_max) + " bytes");
  const auto first = token.find('.');
  const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return refused("must have three parts");
  const auto signature = decode_base64url(token.substr(second + 1));
  if (!signature || signature->empty())
    return refused("has no signature");

  auto header = decode_part(token.substr(0, first));
  if (!header)
    return std::move(header).error();
  if (header->find("alg").text() != name_of(algorithm_))
    return refused(std::string("the algorithm must be ").append(name_of(algorithm_)));
  if (header->find("crit"))
    return refused("crit is not supported");
  const auto signed_part = token.substr(0, second);
  if (auto good = provider_ ? check_providers(*header, signed_part, *signature) : check_ours(*header, token); !good)
    return std::move(good).error();
  // The claims are read out of the text that was signed, with types that libjwt's getters do not tell apart.
  return read_claims(token.substr(first + 1, second - first - 1), signed_part);
}

outcome<void> jwt_tokens::check_ours(const document& header, std::string_view token) const {
  // libjwt takes no other; without this line it would look like a wrong signature.
  if (auto typ = header.find("typ"); typ && typ.text() != "JWT")
    return refused("typ must be JWT");
  jwt_t* decoded = nullptr;
  const bool good =
      jwt_decode(&decoded, std::string(token).c_str(), reinterpret_cast<const unsigned char*>(secret_.data()),
                 static_cast<int>(secret_.size())) == 0;
  jwt_handle verified(good ? decoded : nullptr);
  // Asked again, in case libjwt read another alg out of the same header than we did.
  if (!verified || jwt_get_alg(verified.get()) != JWT_ALG_HS256)
    return refused("the signature does not fit");
  return {};
}

outcome<void> jwt_tokens::check_providers(const document& header, std::string_view signed_part,
                                          std::string_view signature) const {
  // RFC 9068 marks access tokens so, RFC 7519 section 5.1 leaves the case open. Other kinds, a logout token say, are
  // signed by the same keys and are no leave to come in.
  if (auto typ = header.find("typ")) {
    const auto word = typ.text().value_or("");
    if (!same_word(word, "JWT") && !same_word(word, "at+jwt") && !same_word(word, "application/at+jwt"))
      return refused("typ must be JWT or at+jwt");
  }
  const auto kid = header.find("kid");
  auto key = provider_->find(kid ? std::optional(kid.text().value_or("")) : std::nullopt);
  if (!key)
    return std::move(key).error();
  if (key->algorithm() != algorithm_ || !key->has_signed(signed_part, signature))
    return refused("the signature does not fit");
  return {};
}

outcome<identity> jwt_tokens::read_claims(std::string_view payload, std::string_view signed_part) const {
  auto claims = decode_part(payload);
  if (!claims)
    return std::move(claims).error();
  const auto now = now_();

  identity who;
  // RFC 7519 gives null no meaning in a registered claim: a null one is a wrong one, not an absent one.
  auto expires = date(claims->find("exp"));
  if (!expires)
    return refused("exp: a time is required");
  if (now >= *expires + leeway_ms_)
    return refused("expired");
  who.expires_at = *expires;
  for (auto name : {"nbf", "iat"}) {
    if (auto claim = claims->find(name)) {
      auto from = date(claim);
      if (!from)
        return refused(std::string(name) + ": must be a time");
      if (*from > now + leeway_ms_)
        return refused(std::string(name) + ": not valid yet");
      if (name == std::string_view("iat"))
        who.issued_at = *from;
    }
  }
  if (!issuer_.empty() && claims->find("iss").text() != issuer_)
    return refused("iss: must be " + issuer_);
  if (!audience_.empty() && !names(claims->find("aud"), audience_))
    return refused("aud: must name " + audience_);

  const auto name = find_claim(*claims, user_claim_).text();
  if (!name)
    return refused(user_claim_ + ": a user id is required");
  auto user = user_id::parse(*name, user_claim_);
  if (!user)
    return refused(user.error().message);
  who.user = std::move(*user);

  auto session = claims->find("sid");
  if (!session)
    session = claims->find("jti");
  if (!session)
    who.session = session_of(signed_part);
  else if (auto text = session.text(); text && is_session_id(*text))
    who.session = *text;
  else
    return refused("sid, jti: must be 1 to " + std::to_string(session_bytes_max) + " visible ASCII characters");

  who.admin = is_admin(*claims);
  if (!namespaces_claim_.empty() && !who.admin) {
    auto open = read_namespaces(*claims);
    if (!open)
      return std::move(open).error();
    who.namespaces = std::move(*open);
  }
  return who;
}

/// Null: all of them.
outcome<std::shared_ptr<const std::vector<std::string>>> jwt_tokens::read_namespaces(const document& claims) const {
  const auto claim = find_claim(claims, namespaces_claim_);
  if (names(claim, "*"))
    return std::shared_ptr<const std::vector<std::string>>{};
  auto open = std::make_shared<std::vector<std::string>>();
  if (!claim) {
    open->emplace_back(); // rooms without a namespace
  } else if (auto one = claim.text()) {
    open->emplace_back(*one);
  } else if (!claim.is_array() || claim.size() > namespaces_max) {
    return refused(namespaces_claim_ + ": must be a namespace, or a list of at most " + std::to_string(namespaces_max));
  } else {
    bool good = true;
    claim.each_element([&](value given) {
      good = good && given.text();
      open->emplace_back(given.text().value_or(""));
    });
    if (!good)
      return refused(namespaces_claim_ + ": must hold texts only");
  }
  return std::shared_ptr<const std::vector<std::string>>(std::move(open));
}

bool jwt_tokens::is_admin(const document& claims) const {
  if (!provider_)
    return claims.find("admin").flag() == true;
  if (admin_claim_.empty())
    return false;
  const auto claim = find_claim(claims, admin_claim_);
  return names(claim, admin_value_) || (claim.flag() == true && admin_value_ == "true");
}

outcome<std::string> jwt_tokens::issue(const identity& who, std::chrono::seconds lifetime) const {
  if (!can_issue())
    return fail(errc::unsupported, "auth: tokens come from an outside identity provider");
  jwt_t* made = nullptr;
  if (jwt_new(&made) != 0)
    return fail(errc::internal, "auth: no token could be made");
  jwt_handle token(made);
  const auto now_s = static_cast<long>(now_() / 1000);
  bool good = true;
  auto text = [&](const char* name, const std::string& value) {
    good = good && (value.empty() || jwt_add_grant(token.get(), name, value.c_str()) == 0);
  };
  text("sub", who.user.str());
  text("iss", issuer_);
  text("aud", audience_);
  text("sid", who.session);
  good = good && jwt_add_grant_int(token.get(), "iat", now_s) == 0;
  good = good && jwt_add_grant_int(token.get(), "exp", now_s + static_cast<long>(lifetime.count())) == 0;
  if (who.admin)
    good = good && jwt_add_grant_bool(token.get(), "admin", 1) == 0;
  if (who.namespaces && !namespaces_claim_.empty()) {
    std::string list;
    for (const auto& name : *who.namespaces)
      json::append_string(list.append(list.empty() ? "[" : ","), name);
    std::string claim = "{";
    json::append_string(claim, namespaces_claim_);
    claim.append(":").append(list.empty() ? "[" : list).append("]}");
    good = good && jwt_add_grants_json(token.get(), claim.c_str()) == 0;
  }
  good = good && jwt_set_alg(token.get(), JWT_ALG_HS256, reinterpret_cast<const unsigned char*>(secret_.data()),
                             static_cast<int>(secret_.size())) == 0;
  std::unique_ptr<char, decltype(&std::free)> encoded(good ? jwt_encode_str(token.get()) : nullptr, &std::free);
  if (!encoded)
    return fail(errc::internal, "auth: no token could be made");
  return std::string(encoded.get());
}

} // namespace greenroom::net
