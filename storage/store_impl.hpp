// store_impl: what store.cpp (the writer) and store_read.cpp (the readers) share. Private to storage/.
#pragma once

#include "storage/database.hpp"
#include "storage/pending_write.hpp"
#include "storage/snapshots.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>

namespace greenroom::storage {

/// A read in progress: as long as it lives the database stays open.
struct open_database {
  std::shared_lock<std::shared_mutex> lock;
  const database* db;

  const database& operator*() const noexcept { return *db; }
  const database* operator->() const noexcept { return db; }
};

struct store::impl {
  explicit impl(store_options o) : options(std::move(o)) {}
  ~impl() { snapshots->close_all(); }

  /// Never waits: fails with errc::unavailable while the database is closed or about to be.
  outcome<open_database> read() const;
  /// REQUIRES: the writer's thread, or open().
  outcome<void> open_database_now();
  /// Fails with unavailable below store_options::min_free_bytes. Asks the file system at most four times a second,
  /// and anew after each refusal.
  outcome<void> check_free_space();
  /// Whether a write may be tried at all.
  outcome<void> ready();
  /// The write itself, synced if it has to be. A failure that is not for want of space makes the store unhealthy.
  outcome<void> write_now(pending_write& x);
  /// Makes the store unhealthy, and remembers why.
  failure broken(std::string_view why);

  const store_options options;
  std::string id;
  std::atomic<bool> healthy{false};
  std::atomic<uint64_t> generation{1};
  /// Set before reopen() asks for the lock: glibc's rwlock prefers readers, who could otherwise keep it out for ever.
  std::atomic<bool> closing{false};
  /// Breaks off the scrub that is under way: it holds the gate for long. Set for good where none is to begin any more.
  std::atomic<bool> break_scrub{false};
  std::atomic<bool> scrubs_ended{false};
  /// Held shared by reads, alone while the database is closed and opened.
  mutable std::shared_mutex gate;
  database_parts parts;
  std::unique_ptr<database> db; // null: closed, and the last attempt to open it failed
  const std::shared_ptr<open_snapshots> snapshots = std::make_shared<open_snapshots>();
  // The writer's own.
  std::string broken_by;
  known_shards known; // forgotten when the database is opened anew
  std::chrono::steady_clock::time_point space_checked{};
};

} // namespace greenroom::storage
