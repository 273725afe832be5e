// jwt: JSON Web Tokens (RFC 7519); says who a token stands for. Those of our own are made and checked by libjwt, those
// of an outside identity provider by OpenSSL with its keys (provider_keys.hpp).
//
// Invariants
// - One algorithm, pinned by the configuration, and each key is good for that one only. A token that names another one
//   is refused before any key is touched: `none`, and HS256 made with the text of a public key, get nowhere. All that a
//   token says about its key is which of the provider's it is (kid); jku, jwk and x5c are not looked at, and an
//   extension that must be understood (crit) is not.
// - The claim `admin` counts only with HS256, whose key is ours alone. An outside identity provider says who somebody
//   is; what they may do here it says only by the one claim and value that auth.admin_claim and auth.admin_value name.
// - A token without `sid` and `jti` gets a session id made from its signed part, so that it can be revoked. The
//   signature is left out: ECDSA and lax base64 let anybody write the same one in several ways.
//
// Threads: const after open(); verify() and issue() may be called from several threads at once, and wait for nothing.
#pragma once

#include "actors/requests.hpp"
#include "config/settings.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace greenroom::net {

namespace json {
class document;
class value;
} // namespace json
class provider_keys;

class jwt_tokens : public token_verifier {
public:
  /// Milliseconds since 1970 UTC.
  using clock = std::function<int64_t()>;

  /// Reads the key that `config.auth` names. With HS256 a missing secret file is made, with mode 0600 and 256 random
  /// bits; its content without the line end is the key, at least 32 bytes (RFC 7518 section 3.2). Otherwise it opens
  /// the provider's keys. Fails with unavailable and a message for the operator.
  static outcome<std::unique_ptr<jwt_tokens>> open(const settings& config, clock now = {});
  ~jwt_tokens() override;

  /// Fails with unauthenticated; the message says what is wrong with the token. What it costs: tests/bench/codec_bench.
  outcome<identity> verify(std::string_view token) const override;

  /// Null with HS256.
  provider_keys* provider() const noexcept { return provider_.get(); }

  /// Whether tokens are made here: HS256 only.
  bool can_issue() const noexcept { return algorithm_ == token_algorithm::hs256; }
  /// A token for `who` that is good for `lifetime` from now; who.expires_at is not looked at. Fails with unsupported
  /// where tokens come from an outside identity provider.
  outcome<std::string> issue(const identity& who, std::chrono::seconds lifetime) const;

private:
  jwt_tokens();
  outcome<void> check_ours(const json::document& header, std::string_view token) const;
  outcome<void> check_providers(const json::document& header, std::string_view signed_part,
                                std::string_view signature) const;
  outcome<identity> read_claims(std::string_view payload, std::string_view signed_part) const;
  bool is_admin(const json::document& claims) const;
  outcome<std::shared_ptr<const std::vector<std::string>>> read_namespaces(const json::document& claims) const;

  token_algorithm algorithm_ = token_algorithm::hs256;
  std::string secret_; // HS256
  std::unique_ptr<provider_keys> provider_;
  std::string issuer_;
  std::string audience_;
  std::string user_claim_;
  std::string admin_claim_; // empty: none
  std::string admin_value_;
  std::string namespaces_claim_; // empty: all are open
  int64_t leeway_ms_ = 0;
  clock now_;
};

} // namespace greenroom::net
