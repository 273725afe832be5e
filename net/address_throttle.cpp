#include "net/address_throttle.hpp"

#include <sodium.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace greenroom::net {

static_assert(crypto_shorthash_KEYBYTES == 16);

address_throttle::address_throttle() : empty_at_us_(cells, 0) {
  if (sodium_init() < 0)
    throw std::runtime_error("libsodium cannot start");
  randombytes_buf(key_.data(), key_.size());
}

size_t address_throttle::cell_of(std::string_view address) const {
  in6_addr parsed{};
  if (const std::string text(address); inet_pton(AF_INET6, text.c_str(), &parsed) == 1) {
    const bool is_v4 = IN6_IS_ADDR_V4MAPPED(&parsed);
    address = is_v4 ? address.substr(address.rfind(':') + 1)
                    : std::string_view(reinterpret_cast<const char*>(parsed.s6_addr), 8);
  }
  std::array<unsigned char, crypto_shorthash_BYTES> hash;
  crypto_shorthash(hash.data(), reinterpret_cast<const unsigned char*>(address.data()), address.size(), key_.data());
  uint64_t index = 0;
  std::memcpy(&index, hash.data(), sizeof index);
  return index % cells;
}

uint32_t address_throttle::admit(std::string_view address, uint32_t per_minute, int64_t now_ms) {
  constexpr int64_t minute_us = 60'000'000;
  const int64_t interval_us = minute_us / per_minute;
  const int64_t now_us = now_ms * 1000;
  const auto cell = cell_of(address);
  std::lock_guard guard{mutex_};
  const auto next = std::max(empty_at_us_[cell], now_us) + interval_us;
  if (next - now_us > minute_us)
    return static_cast<uint32_t>((next - now_us - minute_us + 999) / 1000);
  empty_at_us_[cell] = next;
  return 0;
}

} // namespace greenroom::net
