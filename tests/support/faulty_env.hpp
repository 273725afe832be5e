// faulty_env: a disk that fails when told to, for tests of the store.
//
// It counts the operations that change something (create, append, sync, rename, sync of a directory), fails those it is
// told to, and remembers what was synced, so that it can play a loss of power: everything since the last sync is gone,
// half written, or garbage. Its syncs only do the book-keeping: these tests are many, and a real fdatasync takes
// milliseconds.
//
// The sync of a write-ahead log that is not the newest neither fails nor counts: a writer and a flush may be after it
// at the same time, and the second to try after a failure meets an assertion in RocksDB (see storage/README.md, "What
// is durable", 6).
//
// Threads: any; RocksDB's background threads come through here, too.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <memory>
#include <string>

namespace greenroom::testing {

enum class fault : uint8_t {
  none,
  /// One operation fails with an input/output error; an append has written half of its bytes then.
  io_error,
  /// One operation finds no space left.
  no_space_once,
  /// From one operation on there is no space left, until heal().
  no_space,
  /// From one operation on nothing works, until lose_power() has been called.
  power_loss,
};

class faulty_env {
public:
  faulty_env();
  ~faulty_env();

  rocksdb::Env* env() const noexcept { return env_.get(); }

  /// The `nth` operation from now fails, 1 being the next one.
  void fail_at(uint64_t nth, fault kind);
  /// Whether that operation has come, also after heal().
  bool failed() const;
  /// Everything works again.
  void heal();
  /// Brings all files to a state in which a loss of power may leave them, and heals. A tail that was not synced is cut
  /// off; if `torn`, half of it stays, in a write-ahead log followed by garbage (for its MANIFEST RocksDB relies on a
  /// file system that shows no garbage, as ext4 and XFS do not). REQUIRES: no file is open.
  void lose_power(bool torn);

private:
  class disk;
  std::shared_ptr<disk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
};

} // namespace greenroom::testing
