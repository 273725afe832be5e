// snapshots: the snapshots that are open, so that they can be let go before the database closes or their shard is
// dropped. Private to storage/.
//
// Threads: any. Locks: this one's mutex, then a snapshot's own. A snapshot is in the list for as long as it holds
// anything of RocksDB, and leaves it under the mutex: so none is released into a database that has been closed.
#pragma once

#include "storage/database.hpp"
#include "storage/snapshot.hpp"

#include <mutex>
#include <vector>

namespace greenroom::storage {

class open_snapshots : public std::enable_shared_from_this<open_snapshots> {
public:
  /// Fails with unavailable while the shard is installing. REQUIRES: the database stays open meanwhile (the store's
  /// gate is held).
  outcome<std::unique_ptr<shard_snapshot>> open(const database& db, shard_id shard);
  /// Waits for a chunk that is being read; afterwards the snapshots of this shard are void.
  void close(shard_id shard);
  /// The same for all shards, before the database closes.
  void close_all();

private:
  friend class shard_snapshot;
  void remove(shard_snapshot::core& x);

  std::mutex mutex_;
  std::vector<shard_snapshot::core*> all_;
};

} // namespace greenroom::storage
