// key_set: the keys that an outside identity provider signs with at present, out of its JWK Set (RFC 7517).
//
// A set holds what is good for the one configured algorithm, and passes over all else, as RFC 7517 section 5 asks: keys
// for encryption, of another kind, too weak, wrong, or that should have been kept secret. A text that is no JWK Set, is
// beyond the bounds or leaves no key at all is no set: whoever reads it goes on with what it has.
//
// Threads: const, any.
#pragma once

#include "net/public_key.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net {

class key_set {
public:
  static constexpr size_t text_bytes_max = 65'536;
  static constexpr size_t keys_max = 64; // those that are passed over count, too
  static constexpr size_t kid_bytes_max = 256;

  /// Fails with bad_request. REQUIRES: algorithm is not hs256.
  static outcome<key_set> parse(std::string_view text, token_algorithm algorithm);
  /// One key, for every token, whatever `kid` it names.
  static key_set only(public_key key);

  /// The key that a token must be signed with: the one of that name; for a token without `kid` the only one there is.
  /// Null: there is none.
  const public_key* find(std::optional<std::string_view> kid) const noexcept;
  size_t size() const noexcept { return keys_.size(); }
  /// For the log: a line for each key that was passed over, and why.
  const std::vector<std::string>& passed_over() const noexcept { return passed_over_; }

private:
  struct named_key {
    std::string kid; // empty: it has none
    public_key key;
  };
  key_set() = default;

  bool any_name_ = false;
  std::vector<named_key> keys_;
  std::vector<std::string> passed_over_;
};

} // namespace greenroom::net
