// address_throttle: how often one address may try something, in memory of a fixed size.
//
// A table of cells that are picked by a keyed hash of the address; each holds one number (the generic cell rate
// algorithm of ITU-T I.371). Nothing is allocated or evicted, so an attacker with many addresses can neither fill it
// nor push out his own record. Two addresses that share a cell share its budget; without the key nobody can aim at
// another's cell.
//
// Threads: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace greenroom::net {

class address_throttle {
public:
  static constexpr size_t cells = 65'536; // 512 KiB

  address_throttle();

  /// Takes one attempt at `now_ms` of a clock that never goes back: at most `per_minute` at once, and as many per
  /// minute later. 0: admitted; otherwise milliseconds until the next attempt would be. An IPv6 address counts as its
  /// first 64 bits, which one customer commonly owns. REQUIRES: per_minute > 0.
  uint32_t admit(std::string_view address, uint32_t per_minute, int64_t now_ms);

private:
  size_t cell_of(std::string_view address) const;

  std::array<unsigned char, 16> key_;
  std::mutex mutex_;
  std::vector<int64_t> empty_at_us_; // when the cell will have forgotten all attempts
};

} // namespace greenroom::net
