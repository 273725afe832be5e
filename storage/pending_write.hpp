// pending_write: turns the mutations of one store::write() into one RocksDB WriteBatch, and checks what each of them
// requires against what those before it did. Private to storage/.
//
// Threads: the writer's. Nothing that it does is seen by anybody before the batch is written, so a mutation that is
// refused, or an exception, leaves everything as it was.
#pragma once

#include "storage/batch.hpp"
#include "storage/database.hpp"
#include "storage/log.hpp"

#include <rocksdb/write_batch.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::storage {

/// How far a snapshot has come in. In memory only: after a restart it begins anew.
struct installation {
  bool begun = false; // a chunk has come
  bool complete = false;
  log_position applied;
  std::string token; // where the last chunk ended
};

/// What the writer knows of a shard, so that an append need not read.
struct known_shard {
  shard_state state;
  std::optional<installation> incoming;
};

/// By shard; empty: not yet read.
using known_shards = std::array<std::optional<known_shard>, shard_count>;

class pending_write : private batch_reader {
public:
  /// `bytes`: about how large it is going to be. `known` changes only in take_effect().
  pending_write(const database& db, known_shards& known, size_t bytes);

  // Fails with errc::internal, as log.hpp says of each mutation, or if what is stored of its shard can't be read;
  // breaks what log.hpp requires: std::logic_error.
  outcome<void> add(const batch* x);
  outcome<void> add(const append_entry& x);
  outcome<void> add(const cut_log& x);
  outcome<void> add(const apply_entry& x);
  outcome<void> add(const trim_log& x);
  outcome<void> add(const found_log& x);
  outcome<void> add(const install_begin& x);
  outcome<void> add(const install_chunk& x);
  outcome<void> add(const install_end& x);
  /// About what a mutation adds to the batch.
  static size_t size_of(const mutation& x);

  /// Adds the positions that changed, once per shard. The batch lives in this object.
  outcome<rocksdb::WriteBatch*> finish();
  /// REQUIRES: it has been written.
  void take_effect();
  /// Whether it is to be synced, and whether it is to be refused when the disk is nearly full.
  bool synced() const noexcept { return synced_; }
  bool takes_space() const noexcept { return takes_space_; }
  /// Shards of which everything was deleted.
  const std::vector<shard_id>& dropped() const noexcept { return dropped_; }

private:
  struct touched_shard : known_shard {
    bool positions_changed = false;
    /// The entries that this write appended and has not cut off again: they end at state.last.
    std::vector<log_position> appended;
  };

  outcome<touched_shard*> touch(shard_id which);
  outcome<touched_shard*> touch_ready(shard_id which, const char* what);
  outcome<log_position> position_of(shard_id which, const touched_shard& x, uint64_t index) const;
  void put(std::string_view key, std::string_view value) override;
  void erase(std::string_view key) override;
  void erase_range(std::string_view from, std::string_view to) override;
  void replace(std::string_view key, std::string_view value) override;
  void delete_range(keys::family, std::string_view from, std::string_view to);
  void leave_trace(std::string_view from, std::string_view to);
  void erase_entries(shard_id which, uint64_t from, uint64_t to);
  void note(const rocksdb::Status& status);

  const database& db_;
  known_shards& known_;
  std::array<std::unique_ptr<touched_shard>, shard_count> touched_;
  std::vector<shard_id> dropped_;
  rocksdb::WriteBatch batch_;
  rocksdb::Status status_;
  std::array<bool, keys::family_count> written_{}; // a key was put in it
  bool synced_ = false;
  bool takes_space_ = false;
};

} // namespace greenroom::storage
