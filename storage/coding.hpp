// coding: the bytes that records, batches and the schema record are made of. Private to storage/.
//
// Integers are LEB128 varints in their shortest form, strings have their length before them. The reader trusts nothing:
// after the first mistake it stays failed and yields zeros and empty strings, so that a decoder reads all its fields
// straight on and asks once, at the end, whether all of it was good.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace greenroom::storage {

/// At most 10 bytes.
inline void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

/// The length in bytes, then the bytes as they are: of any kind, up to 2^64 - 1 of them.
inline void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

inline void put_flag(std::string& out, bool value) { out.push_back(value ? 1 : 0); }

class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) noexcept : rest_(bytes) {}

  uint8_t byte() noexcept {
    if (rest_.empty()) {
      fail();
      return 0;
    }
    auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  uint64_t varint() noexcept {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint64_t bits = byte();
      value |= (bits & 0x7f) << shift;
      if ((bits & 0x80) != 0)
        continue;
      // A longer form of the same number, or one of more than 64 bits, was not written by us.
      if ((bits == 0 && shift != 0) || (shift == 63 && bits > 1))
        break;
      return value;
    }
    fail();
    return 0;
  }

  /// Fails above 2^32 - 1.
  uint32_t varint32() noexcept {
    auto value = varint();
    if (value <= std::numeric_limits<uint32_t>::max())
      return static_cast<uint32_t>(value);
    fail();
    return 0;
  }

  /// A view into the bytes that are read.
  std::string_view text() noexcept {
    auto size = varint();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    auto result = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return result;
  }

  /// One byte; fails if it is neither 0 nor 1.
  bool flag() noexcept {
    auto value = byte();
    if (value > 1)
      fail();
    return value == 1;
  }

  /// For a decoder that finds a value out of its range.
  void fail() noexcept {
    good_ = false;
    rest_ = {};
  }
  bool good() const noexcept { return good_; }
  /// Everything was read, and all of it made sense.
  bool finished() const noexcept { return good_ && rest_.empty(); }
  size_t left() const noexcept { return rest_.size(); }

private:
  std::string_view rest_;
  bool good_ = true;
};

} // namespace greenroom::storage
