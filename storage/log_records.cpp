#include "storage/log_records.hpp"

#include "storage/coding.hpp"
#include "storage/range.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>

namespace greenroom::storage {
namespace {

constexpr uint8_t entry_version = 1;
constexpr uint8_t positions_version = 1;
constexpr uint8_t chunk_version = 1;

// Behind the pairs of a chunk: whether it is the last, how many pairs there are, and BLAKE2b over all before it. Of
// fixed size, so that a chunk is written front to back and never copied.
constexpr size_t count_bytes = 4;
constexpr size_t checksum_bytes = crypto_generichash_BYTES_MIN;
constexpr size_t trailer_bytes = 1 + count_bytes + checksum_bytes;
// Version, shard, two positions of ten bytes, the length of a token; the token itself comes on top.
constexpr size_t chunk_head_bytes = 32;

using checksum = std::array<unsigned char, checksum_bytes>;

checksum checksum_of(std::string_view bytes) {
  checksum result;
  crypto_generichash(result.data(), result.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                     nullptr, 0);
  return result;
}

void put_position(std::string& out, const log_position& x) {
  put_varint(out, x.epoch);
  put_varint(out, x.index);
}

log_position position(byte_reader& in) {
  log_position x;
  x.epoch = in.varint();
  x.index = in.varint();
  return x;
}

failure damaged(const char* what) { return fail(errc::internal, std::string("storage: ") + what); }

} // namespace

std::string encode_entry_head(const log_position& at) {
  std::string out;
  out.push_back(static_cast<char>(entry_version));
  put_varint(out, at.epoch);
  return out;
}

outcome<stored_entry> decode_entry(std::string_view value) {
  byte_reader in(value);
  auto version = in.byte();
  auto epoch = in.varint();
  if (!in.good() || version != entry_version || epoch == 0)
    return damaged("an entry of a log is damaged");
  return stored_entry{epoch, value.substr(value.size() - in.left())};
}

std::string encode_positions(const shard_state& x) {
  std::string out;
  out.push_back(static_cast<char>(positions_version));
  put_position(out, x.first);
  put_position(out, x.applied);
  put_flag(out, x.installing);
  return out;
}

outcome<shard_state> decode_positions(std::string_view value) {
  byte_reader in(value);
  auto version = in.byte();
  shard_state x;
  x.first = position(in);
  x.applied = position(in);
  x.installing = in.flag();
  x.last = x.applied;
  if (!in.finished() || version != positions_version || x.first > x.applied || x.first.index > x.applied.index)
    return damaged("the positions of a shard are damaged");
  return x;
}

outcome<shard_state> read_positions(const database& db, shard_id shard, const rocksdb::Snapshot* moment) {
  rocksdb::ReadOptions options;
  options.snapshot = moment;
  rocksdb::PinnableSlice value;
  auto status = db->Get(options, db.family(keys::family::log), keys::positions(shard), &value);
  if (status.IsNotFound())
    return shard_state{};
  if (!status.ok())
    return to_failure("can't read the positions of a shard", status);
  return decode_positions(value.ToStringView());
}

outcome<shard_state> read_shard(const database& db, shard_id shard, const rocksdb::Snapshot* moment) {
  auto positions = read_positions(db, shard, moment);
  if (!positions)
    return positions.error();
  auto state = *positions;
  range log(db, keys::family::log, keys::prefix(shard, keys::tag::entry), keys::entry(shard, state.first.index + 1),
            moment, false);
  log->SeekToLast();
  if (log->Valid()) {
    auto entry = decode_entry(log.value());
    if (!entry)
      return entry.error();
    state.last = {entry->epoch, keys::seq_of(log.rest())};
  } else if (auto good = log.status(); !good) {
    return good.error();
  } else {
    state.last = state.first;
  }
  if (state.last.index < state.applied.index || state.last < state.applied)
    return damaged("the log of a shard ends before what was applied of it");
  return state;
}

bool stands_before(std::string_view a, std::string_view b) noexcept {
  auto family_a = keys::family_of(a);
  auto family_b = keys::family_of(b);
  return family_a != family_b ? family_a < family_b : a < b;
}

chunk_writer::chunk_writer(shard_id shard, const log_position& applied, std::string_view follows, size_t bytes) {
  bytes_.reserve(chunk_head_bytes + follows.size() + bytes + trailer_bytes);
  bytes_.push_back(static_cast<char>(chunk_version));
  bytes_.push_back(static_cast<char>(shard));
  put_position(bytes_, applied);
  put_text(bytes_, follows);
}

void chunk_writer::add(std::string_view key, std::string_view value) {
  put_text(bytes_, key);
  put_text(bytes_, value);
  ++count_;
}

std::string chunk_writer::finish(bool last) && {
  put_flag(bytes_, last);
  for (size_t i = 0; i < count_bytes; ++i)
    bytes_.push_back(static_cast<char>(count_ >> 8 * i));
  auto sum = checksum_of(bytes_);
  bytes_.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  return std::move(bytes_);
}

outcome<chunk_head> read_chunk(std::string_view bytes, shard_id shard,
                               const std::function<void(std::string_view, std::string_view)>& put) {
  if (bytes.size() < trailer_bytes)
    return damaged("a chunk of a snapshot is cut short");
  auto content = bytes.substr(0, bytes.size() - checksum_bytes);
  auto sum = checksum_of(content);
  if (bytes.substr(content.size()) != std::string_view(reinterpret_cast<const char*>(sum.data()), sum.size()))
    return damaged("a chunk of a snapshot is damaged");
  auto trailer = content.substr(content.size() - 1 - count_bytes);
  byte_reader in(content.substr(0, content.size() - trailer.size()));
  if (in.byte() != chunk_version)
    return damaged("a chunk of a snapshot has an unknown version");
  if (in.byte() != shard)
    return damaged("a chunk of a snapshot is of another shard");
  chunk_head head;
  head.applied = position(in);
  head.follows = in.text();
  head.token = head.follows;
  head.last = trailer[0] == 1;
  uint32_t count = 0;
  for (size_t i = count_bytes; i > 0; --i)
    count = count << 8 | static_cast<uint8_t>(trailer[i]);
  if (!head.follows.empty() && !keys::belongs(head.follows, shard))
    return damaged("a chunk of a snapshot follows no key of its shard");
  for (; in.good() && in.left() > 0; --count) {
    auto key = in.text();
    auto value = in.text();
    if (!in.good() || count == 0)
      return damaged("a chunk of a snapshot is not what it says");
    if (!keys::belongs(key, shard))
      return damaged("a chunk of a snapshot holds a foreign key");
    if (!head.token.empty() && !stands_before(head.token, key))
      return damaged("the keys of a snapshot are out of order");
    put(key, value);
    head.token = key;
  }
  if (!in.finished() || count != 0 || static_cast<uint8_t>(trailer[0]) > 1)
    return damaged("a chunk of a snapshot is not what it says");
  return head;
}

} // namespace greenroom::storage
