// public_key: a key with which an outside identity provider's signatures are checked. Parsed once and kept: reading it
// out of its text anew for each token would cost more than the check.
//
// Invariant: a key is good for one algorithm, chosen when it is made; a token has no say in it.
// Threads: const, any.
#pragma once

#include "config/outcome.hpp"
#include "config/settings.hpp"

#include <memory>
#include <string_view>

struct evp_pkey_st;

namespace greenroom::net {

class public_key {
public:
  /// RFC 7518 section 3.3 asks for at least so many bits. The upper bound is for us: the cost of a check grows with the
  /// square.
  static constexpr int rsa_bits_min = 2'048;
  static constexpr int rsa_bits_max = 8'192;
  /// Bytes of a coordinate on P-256 (RFC 7518 section 6.2.1.2), and of each half of a signature.
  static constexpr size_t p256_bytes = 32;

  // Each fails with bad_request; the message says what is wrong with the key. REQUIRES: algorithm is not hs256.
  static outcome<public_key> of_pem(std::string_view text, token_algorithm algorithm);
  /// RS256. Big-endian numbers, of any length.
  static outcome<public_key> of_rsa(std::string_view modulus, std::string_view exponent);
  /// ES256. A point on P-256.
  static outcome<public_key> of_p256(std::string_view x, std::string_view y);

  token_algorithm algorithm() const noexcept { return algorithm_; }
  /// `signature` as in a JWT: for ES256 both numbers, of 32 bytes each (RFC 7518 section 3.4).
  bool has_signed(std::string_view text, std::string_view signature) const;

private:
  public_key(std::shared_ptr<evp_pkey_st> key, token_algorithm algorithm);
  static outcome<public_key> checked(std::shared_ptr<evp_pkey_st> key, token_algorithm algorithm);

  std::shared_ptr<evp_pkey_st> key_;
  token_algorithm algorithm_;
};

} // namespace greenroom::net
