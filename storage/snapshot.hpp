// snapshot: the state of one shard as it was at one applied position, read in chunks for a node that learns it.
//
// Threads: any, one call after another. It may outlive a reopening of the store and the store itself: next() then fails
// with unavailable, for good.
//
// Invariants
// - All chunks are of one moment, however long it takes and whatever is written meanwhile.
// - Nothing but RocksDB's snapshot is held between two calls. That keeps old versions from being dropped for as long as
//   this object lives: let go of it when the receiver is gone.
#pragma once

#include "storage/log.hpp"

#include <memory>
#include <string>

namespace greenroom::storage {

class open_snapshots;
class database;

struct snapshot_chunk {
  /// Stands by itself: shard, position, what it follows, keys and values, checksum. For install_chunk.
  std::string bytes;
  /// Where it ends; what resume() takes.
  std::string token;
  bool last = false;
};

class shard_snapshot {
public:
  ~shard_snapshot();
  shard_snapshot(const shard_snapshot&) = delete;
  shard_snapshot& operator=(const shard_snapshot&) = delete;

  shard_id shard() const noexcept;
  /// What the state holds: every entry up to here.
  log_position applied() const noexcept;

  /// The next chunk, of about `bytes` (a record that goes over the bound still comes along) and with one record at
  /// least if there is one left. Behind the last chunk comes an empty one that is the last again. Fails with
  /// unavailable once the store was closed or the shard was dropped.
  outcome<snapshot_chunk> next(size_t bytes);
  /// Goes on behind the chunk that had this token; an empty one: from the beginning. Fails with bad_request if it can't
  /// be a token of this shard.
  outcome<void> resume(std::string token);

private:
  friend class open_snapshots;
  struct core;
  shard_snapshot(std::shared_ptr<open_snapshots> among, std::unique_ptr<core> opened);

  std::shared_ptr<open_snapshots> among_;
  std::unique_ptr<core> core_;
};

} // namespace greenroom::storage
