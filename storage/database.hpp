// database: one opened RocksDB with its column families and options. Private to storage/.
//
// Threads: none of its own; RocksDB runs one for flushes and one for compactions.
//
// Invariant: once background work has failed, failed() stays true until the database is opened anew: RocksDB's own
// attempts to recover are switched off, so that there is one way back only.
#pragma once

#include "storage/keys.hpp"
#include "storage/store.hpp"

#include <array>
#include <memory>

namespace rocksdb {
class Cache;
class ColumnFamilyHandle;
class DB;
class Logger;
class Status;
} // namespace rocksdb

namespace greenroom::storage {

/// What outlives a closed database.
struct database_parts {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::Logger> logger;
};

class database {
public:
  /// Fails with errc::unavailable. Makes the directory when missing.
  static outcome<std::unique_ptr<database>> open(const store_options& options, database_parts& parts);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  rocksdb::DB& operator*() const noexcept { return *db_; }
  rocksdb::DB* operator->() const noexcept { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(keys::family which) const noexcept {
    return families_[static_cast<size_t>(which)];
  }
  bool failed() const noexcept;
  /// Removes the files that hold nothing but keys with this prefix, at once. Only some of what was there may go, and
  /// no snapshot keeps it: REQUIRES: all of it has been deleted, synced, and nobody reads it.
  rocksdb::Status drop_files(keys::family which, const std::string& prefix);

private:
  struct watch;
  database();

  std::shared_ptr<watch> watch_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, keys::family_count> families_{};
};

/// A status as a failure: a damaged file is errc::internal, everything else errc::unavailable.
failure to_failure(std::string_view what, const rocksdb::Status& status);

} // namespace greenroom::storage
