// record_reader: byte_reader with the words of our records, and what writes them. Private to storage/.
#pragma once

#include "config/outcome.hpp"
#include "storage/coding.hpp"
#include "storage/records.hpp"

#include <string>
#include <utility>

namespace greenroom::storage {

/// The first byte of every stored record; a record that gets another form gets another version, and its decode() learns
/// both.
inline constexpr uint8_t record_version = 1;

inline std::string start_record(size_t size_hint, uint8_t version = record_version) {
  std::string out;
  out.reserve(size_hint);
  out.push_back(static_cast<char>(version));
  return out;
}

template <class Enum>
void put_enum(std::string& out, Enum value) {
  out.push_back(static_cast<char>(value));
}

inline void put_limits(std::string& out, const room_limits& x) {
  put_varint(out, x.members);
  put_varint(out, x.text_bytes);
  put_varint(out, x.sends_per_s);
}

/// Times are counted from 1970, and older ones are possible in theory only; as 64 bits they survive all the same.
inline void put_time(std::string& out, int64_t ms) { put_varint(out, static_cast<uint64_t>(ms)); }

class record_reader : public byte_reader {
public:
  /// Fails where the version is none of 1 to `newest`.
  record_reader(std::string_view bytes, const char* what, uint8_t newest = record_version)
      : byte_reader(bytes), what_(what), version_(byte()) {
    if (version_ == 0 || version_ > newest)
      fail();
  }

  uint8_t version() const noexcept { return version_; }

  template <class Enum>
  Enum one_of(Enum least, Enum greatest) noexcept {
    auto value = byte();
    if (value >= static_cast<uint8_t>(least) && value <= static_cast<uint8_t>(greatest))
      return static_cast<Enum>(value);
    fail();
    return least;
  }

  room_kind kind() noexcept { return one_of(room_kind::public_, room_kind::direct); }
  member_role role() noexcept { return one_of(member_role::none, member_role::owner); }
  member_change change() noexcept { return one_of(member_change::none, member_change::role); }
  room_limits limits() noexcept {
    room_limits x;
    x.members = varint32();
    x.text_bytes = varint32();
    x.sends_per_s = varint32();
    return x;
  }
  int64_t time() noexcept { return static_cast<int64_t>(varint()); }
  std::string string() { return std::string(text()); }
  /// A count of things that take a byte each at least: one beyond that is a lie, and must not reserve memory.
  uint64_t count() noexcept {
    auto n = varint();
    if (n <= left())
      return n;
    fail();
    return 0;
  }

  user_id user() {
    auto parsed = user_id::parse(text());
    return parsed ? std::move(*parsed) : (fail(), user_id{});
  }
  user_id user_or_none() {
    auto bytes = text();
    if (bytes.empty())
      return {};
    auto parsed = user_id::parse(bytes);
    return parsed ? std::move(*parsed) : (fail(), user_id{});
  }
  room_id room() {
    auto parsed = room_id::parse(text());
    return parsed ? std::move(*parsed) : (fail(), room_id{});
  }

  template <class Record>
  outcome<Record> finish(Record&& record) {
    if (!finished())
      return greenroom::fail(errc::internal, std::string("storage: not a valid ") + what_ + " record");
    return std::move(record);
  }

  using byte_reader::fail;

private:
  const char* what_;
  uint8_t version_;
};

} // namespace greenroom::storage
