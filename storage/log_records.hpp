// log_records: the stored forms of a shard's log and its positions, and the form of a snapshot's chunk. Private to
// storage/ and its tests.
//
// Decoding trusts nothing and fails with errc::internal.
#pragma once

#include "storage/database.hpp"
#include "storage/log.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace rocksdb {
class Snapshot;
}

namespace greenroom::storage {

/// What stands before the batch in the value of an entry; the index is in its key.
std::string encode_entry_head(const log_position& at);
/// `batch` is a view into `value`.
struct stored_entry {
  uint64_t epoch = 0;
  std::string_view batch;
};
outcome<stored_entry> decode_entry(std::string_view value);

/// The record of a shard: all of its state but `last`, which is where the log ends.
std::string encode_positions(const shard_state& x);
outcome<shard_state> decode_positions(std::string_view value);

/// The record of a shard, with `last` as if its log ended with what was applied. All zeros if there is none.
outcome<shard_state> read_positions(const database& db, shard_id shard, const rocksdb::Snapshot* moment);
/// The state of a shard: its record, and the end of its log by one seek from behind. All zeros if there is neither.
outcome<shard_state> read_shard(const database& db, shard_id shard, const rocksdb::Snapshot* moment);

// -- chunks -----------------------------------------------------------------------------------------------------------
/// A place in the order in which a snapshot is read: family by family, then by key. The family follows from the key.
/// REQUIRES: neither is empty.
bool stands_before(std::string_view a, std::string_view b) noexcept;

class chunk_writer {
public:
  chunk_writer(shard_id shard, const log_position& applied, std::string_view follows, size_t bytes);
  /// REQUIRES: the key stands behind those before it, see stands_before().
  void add(std::string_view key, std::string_view value);
  size_t size() const noexcept { return bytes_.size(); }
  uint32_t count() const noexcept { return count_; }
  /// The chunk, with its checksum: 16 bytes of BLAKE2b (RFC 7693).
  std::string finish(bool last) &&;

private:
  std::string bytes_;
  uint32_t count_ = 0;
};

struct chunk_head {
  log_position applied;
  std::string_view follows; // the token of the chunk before it; empty: this is the first
  std::string_view token;   // its own: the last key, or `follows` if it holds none
  bool last = false;
};

/// Calls `put` for each pair in order. Nothing has been called if the checksum is wrong; a mistake of whoever made the
/// chunk (a foreign key, keys out of order) may be found after some calls.
outcome<chunk_head> read_chunk(std::string_view bytes, shard_id shard,
                               const std::function<void(std::string_view key, std::string_view value)>& put);

} // namespace greenroom::storage
