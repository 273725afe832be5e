// jwt: JSON Web Tokens (RFC 7519) through libjwt; says who a token stands for, and makes tokens of our own.
//
// Invariants
// - One algorithm, pinned by the configuration. A token that names another one is refused before any key is touched:
//   `none`, and HS256 made with the text of a public key, get nowhere. Nothing in a token chooses the key (kid, jku,
//   jwk, x5c are not looked at), and an extension that must be understood (crit) is not.
// - The claim `admin` counts only with HS256, whose key is ours alone: an outside identity provider says who somebody
//   is, not what they may do here.
// - A token without `sid` and `jti` gets a session id made from its signed part, so that it can be revoked. The
//   signature is left out: ECDSA and lax base64 let anybody write the same one in several ways.
//
// Threads: const after open(); verify() and issue() may be called from several threads at once.
#pragma once

#include "actors/requests.hpp"
#include "config/settings.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace greenroom::net {

class jwt_tokens : public token_verifier {
public:
  /// Milliseconds since 1970 UTC.
  using clock = std::function<int64_t()>;

  /// Reads the key that `config.auth` names. With HS256 a missing secret file is made, with mode 0600 and 256 random
  /// bits; its content without the line end is the key, at least 32 bytes (RFC 7518 section 3.2). Fails with
  /// unavailable and a message for the operator.
  static outcome<std::unique_ptr<jwt_tokens>> open(const settings& config, clock now = {});

  /// Fails with unauthenticated; the message says what is wrong with the token. Under 10 us with HS256, half a
  /// millisecond with the others (tests/bench/codec_bench).
  outcome<identity> verify(std::string_view token) const override;

  /// Whether tokens are made here: HS256 only.
  bool can_issue() const noexcept { return algorithm_ == token_algorithm::hs256; }
  /// A token for `who` that is good for `lifetime` from now; who.expires_at is not looked at. Fails with unsupported
  /// where tokens come from an outside identity provider.
  outcome<std::string> issue(const identity& who, std::chrono::seconds lifetime) const;

private:
  jwt_tokens() = default;
  outcome<identity> read_claims(std::string_view payload, std::string_view signed_part) const;

  token_algorithm algorithm_ = token_algorithm::hs256;
  std::string key_; // the secret, or the public key as PEM
  std::string issuer_;
  std::string audience_;
  int64_t leeway_ms_ = 0;
  clock now_;
};

} // namespace greenroom::net
