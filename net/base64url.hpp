// base64url: bytes as JOSE writes them (RFC 7515 section 2).
#pragma once

#include <sodium.h>

#include <optional>
#include <string>
#include <string_view>

namespace greenroom::net {

/// Strict: no padding, no foreign characters, no stray bits. nullopt: it is something else.
inline std::optional<std::string> decode_base64url(std::string_view text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                        &size, nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
    return std::nullopt;
  bytes.resize(size);
  return bytes;
}

} // namespace greenroom::net
