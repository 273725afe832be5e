// store: this node's RocksDB behind a small typed interface. Knows nothing of actors.
//
// Threads: commit() and reopen() are for one writer thread; everything that is const may be called from any thread at
// any time, also while the writer commits or reopens (a read then fails with unavailable).
//
// Invariants
// - commit() returns success only after one fdatasync that covers every batch handed over; all of them or none are
//   visible afterwards.
// - After a failed commit the store refuses every commit until reopen() succeeded. What a failed commit wrote may or
//   may not be there then: whoever holds state of it must read it anew (generation() has changed).
// - A commit that the free-space check refused wrote nothing: that is a plain refusal, and the store stays healthy.
// - No read waits for the writer; only `disk` reads and pages wait for the disk.
//
// Messages of failures are for the log: they may name files. A client is told "unavailable" in other words.
#pragma once

#include "storage/batch.hpp"
#include "storage/records.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rocksdb {
class Env;
}

namespace greenroom::storage {

struct store_options {
  std::string path; // a directory; made when missing
  uint64_t cache_bytes = 256u << 20;
  uint64_t write_buffer_bytes = 64u << 20;
  uint64_t min_free_bytes = 64u << 20; // commit() fails with unavailable below it; 0: not checked
  rocksdb::Env* env = nullptr;         // for fault injection in tests; must outlive the store
};

/// How a read may behave: `cached` never touches the disk and says so when it would have to.
enum class read_tier : uint8_t { cached, disk };
enum class lookup : uint8_t { found, absent, would_block };

/// What a room actor needs to start.
struct room_image {
  room_record record;
  uint64_t head = 0; // seq of the last event, 0: none
  int64_t head_ts = 0;
  std::vector<std::pair<user_id, member_record>> members; // those who left included
  std::vector<event> recent;                              // the last events, oldest first, within the bounds asked for
};

/// What a user actor needs to start.
struct user_image {
  std::optional<account_record> account;
  std::vector<std::pair<std::string, session_record>> sessions;
  std::vector<std::pair<room_id, listed_room>> rooms;
};

struct event_page {
  std::vector<event> events; // oldest first
  bool more = false;         // there are more in the direction asked for
};

class store {
public:
  /// Opens or makes the store and brings an older schema up to date. Fails with errc::unavailable and the reason, e.g.
  /// that a newer program made it.
  static outcome<std::unique_ptr<store>> open(store_options options);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  // -- the writer ----------------------------------------------------------------------------------------------------
  /// One synced write of all batches. Fails with errc::unavailable; healthy() then tells a refusal for want of space,
  /// after which the next commit may simply be tried, from a failed write, after which only reopen() helps. An error of
  /// RocksDB's background work (a flush that finds the disk full) makes the next commit fail in the same way.
  outcome<void> commit(std::span<const batch* const> batches);
  /// Closes and opens the database after a failed commit. Fails with errc::unavailable as long as it can't be opened,
  /// and may be tried for ever. While the disk is below min_free_bytes it fails at once and leaves the database open,
  /// so that reads go on.
  outcome<void> reopen();
  /// Whether the last commit or reopen succeeded. Any thread.
  bool healthy() const noexcept;
  /// Grows by one with each successful reopen. Any thread.
  uint64_t generation() const noexcept;
  /// 32 hex digits, drawn when the store was made. Any thread.
  const std::string& id() const noexcept;

  // -- readers -------------------------------------------------------------------------------------------------------
  /// nullopt: no such room. `recent_events` and `recent_bytes` bound room_image::recent.
  outcome<std::optional<room_image>> load_room(const room_id& room, size_t recent_events, size_t recent_bytes) const;
  outcome<user_image> load_user(const user_id& user) const;
  /// Events with seq > `after`, ascending, at most `limit` and about `bytes` (at least one).
  outcome<event_page> events_after(const room_id& room, uint64_t after, size_t limit, size_t bytes) const;
  /// Events with seq < `before`, at most `limit` and about `bytes` (at least one); still oldest first.
  outcome<event_page> events_before(const room_id& room, uint64_t before, size_t limit, size_t bytes) const;
  /// The lowest seq in first..head whose ts >= `ts`; head + 1 if there is none. Binary search over seq: the design
  /// keeps ts monotonic and seq gap-free.
  outcome<uint64_t> seq_at(const room_id& room, int64_t ts, uint64_t first, uint64_t head) const;
  /// Fails with unavailable while the store is closed.
  outcome<std::pair<lookup, key_record>> find_key(const room_id& room, const key_hash& key, read_tier tier) const;
  /// Effects of a shard that wait to be acknowledged, at most `limit`.
  outcome<std::vector<effect_record>> effects(shard_id shard, size_t limit) const;
  /// Reads the database's own figures (RocksDB properties) for metrics: name -> value.
  std::vector<std::pair<std::string, uint64_t>> figures() const;

private:
  struct impl;
  explicit store(std::unique_ptr<impl>);
  std::unique_ptr<impl> impl_;
};

} // namespace greenroom::storage
