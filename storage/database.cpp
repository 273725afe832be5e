#include "storage/database.hpp"

#include "storage/info_log.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace greenroom::storage {

struct database::watch : rocksdb::EventListener {
  std::atomic<bool> failed{false};

  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status*) override { failed = true; }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

namespace {

namespace fs = std::filesystem;

/// The room of a key that ends in `Rest` bytes of its own: an event's seq, the hash of a request's key. A memtable
/// starts from the last insertion in the same room to find the place of the next; without it that search was two fifths
/// of the instructions of a commit for 1,000 rooms. RocksDB keeps a memtable's range deletions in a list of their own
/// and yet looks for their place with the same hints, which then corrupts one of the two: so a key with which a range
/// deletion begins must be outside of the domain, in every family that has hints.
template <size_t Rest>
struct room_of : rocksdb::SliceTransform {
  const char* Name() const override { return "greenroom.room_of"; }
  bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() >= keys::least_bytes + Rest && key[key.size() - Rest - 1] == '\0';
  }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), key.size() - Rest}; }
};

/// Likewise the log in which an entry stands; and a shard's positions, which are written anew with every apply, each in
/// front of the last.
struct log_of : rocksdb::SliceTransform {
  const char* Name() const override { return "greenroom.log_of"; }
  bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() == keys::entry_bytes || keys::are_positions({key.data(), key.size()});
  }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return key.size() == keys::entry_bytes ? rocksdb::Slice(key.data(), key.size() - keys::seq_bytes) : key;
  }
};

rocksdb::DBOptions database_options(const store_options& options) {
  rocksdb::DBOptions out;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  if (options.env != nullptr)
    out.env = options.env;

  // The write-ahead log: see "What is durable" in the README before touching any of these four.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  out.track_and_verify_wals_in_manifest = true;
  out.avoid_flush_during_recovery = false;
  out.max_bgerror_resume_count = 0;

  // Memory and the time that a start may take: together the memtables stay below write_buffer_bytes, and a rarely
  // written family holds back at most twice of it in log files.
  out.db_write_buffer_size = options.write_buffer_bytes;
  out.max_total_wal_size = 2 * options.write_buffer_bytes;

  // Two threads: one flush, one compaction.
  out.max_background_jobs = 2;
  out.max_subcompactions = 1;
  out.max_file_opening_threads = 2;
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;

  // One writer: nothing to gain from its queue's spinning and from concurrent memtables.
  out.allow_concurrent_memtable_write = false;
  out.enable_write_thread_adaptive_yield = false;

  // All table readers stay open with their filters and indexes, so that a `cached` look-up never finds one missing.
  out.max_open_files = -1;
  out.skip_stats_update_on_db_open = true;
  // Files are deleted by the background thread, not by the reader that held them last.
  out.avoid_unnecessary_blocking_io = true;
  // Flushes write out as they go: one great fsync at their end would stand in the way of the log's.
  out.bytes_per_sync = 1u << 20;
  out.compaction_readahead_size = 2u << 20;

  out.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  return out;
}

rocksdb::CompressionType compression_for_text() {
  auto known = rocksdb::GetSupportedCompressions();
  bool lz4 = std::find(known.begin(), known.end(), rocksdb::kLZ4Compression) != known.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

rocksdb::ColumnFamilyOptions family_options(keys::family which, const store_options& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions out;
  out.max_write_buffer_number = 4;
  out.level_compaction_dynamic_level_bytes = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = false;
  table.format_version = 5;
  switch (which) {
  case keys::family::state:
    // Small records that are read by key and by short ranges. Effects are written to be deleted soon: files with many
    // deletions are compacted early, so that a scan does not step over them again and again.
    out.write_buffer_size = options.write_buffer_bytes / 4;
    out.compression = compression_for_text();
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    out.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(256, 128));
    break;
  case keys::family::events:
    // Read in ranges, never by a key that may be absent: no filter, larger blocks, which compress better.
    out.write_buffer_size = options.write_buffer_bytes;
    out.compression = compression_for_text();
    out.memtable_insert_with_hint_prefix_extractor = std::make_shared<room_of<keys::seq_bytes>>();
    table.block_size = 16u << 10;
    break;
  case keys::family::keys:
    // Asked once per send for a key that is nearly always absent: the answer must come from filters in memory. Bloom
    // filters for young files; Ribbon filters, a third smaller, where most of the keys are.
    out.write_buffer_size = options.write_buffer_bytes / 2;
    out.compression = rocksdb::kNoCompression; // hashes
    out.memtable_insert_with_hint_prefix_extractor = std::make_shared<room_of<std::tuple_size_v<key_hash>>>();
    out.memtable_whole_key_filtering = true;
    out.memtable_prefix_bloom_size_ratio = 0.1;
    table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(12, 2));
    table.optimize_filters_for_memory = true;
    table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
    break;
  case keys::family::files:
    // Pieces of attachments, up to 256 KiB each, which are mostly compressed already: written once, read in order, gone
    // by ranges. Merged as seldom as can be, for each merge writes all of it anew; large blocks, as each value is one.
    out.write_buffer_size = options.write_buffer_bytes / 2;
    out.compression = rocksdb::kNoCompression;
    out.target_file_size_base = 128u << 20;
    table.block_size = 64u << 10;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    break;
  case keys::family::log:
    // Written once, in order, as large as events; trimmed in order, most of it before it has left the memtable. What
    // outlives that is rewritten seldom: universal compaction merges neighbours in age, which die together. No filter,
    // as nothing is looked up that may be absent, and no compression: it does not live long enough to pay for it.
    out.write_buffer_size = options.write_buffer_bytes;
    out.compression = rocksdb::kNoCompression;
    out.compaction_style = rocksdb::kCompactionStyleUniversal;
    out.level_compaction_dynamic_level_bytes = false;
    out.memtable_insert_with_hint_prefix_extractor = std::make_shared<log_of>();
    table.block_size = 32u << 10;
    break;
  }
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

failure cannot_open(const fs::path& path, std::string_view why) {
  return fail(errc::unavailable, "storage: can't open " + path.string() + ": " + std::string(why));
}

/// Whether somebody has the database open already, another process or this one. RocksDB has no code of its own for it,
/// so its words are all there is to go by.
bool is_taken(const rocksdb::Status& status) {
  const auto why = status.ToString();
  return status.IsIOError() && (why.find("LOCK: " + std::string(std::strerror(EAGAIN))) != why.npos ||
                                why.find("lock hold by current process") != why.npos);
}

/// RocksDB syncs its directory, but not the directories above it, in which it would be missing after a power loss.
outcome<void> make_directory(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error))
    return {};
  auto parent = fs::absolute(path).lexically_normal().parent_path();
  if (!fs::is_directory(parent, error))
    if (auto made = make_directory(parent); !made)
      return made;
  if (!fs::create_directory(path, error) && error)
    return cannot_open(path, error.message());
  fs::permissions(path, fs::perms::owner_all, error); // what people say to each other is nobody else's business
  int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0)
    ::close(fd);
  return synced ? outcome<void>{} : cannot_open(path, "its parent directory can't be synced");
}

/// RocksDB would say "column families not opened"; the reason is that we don't know them.
outcome<void> refuse_unknown_families(const store_options& options, const rocksdb::DBOptions& rocks) {
  std::vector<std::string> names;
  if (!rocksdb::DB::ListColumnFamilies(rocks, options.path, &names).ok())
    return {}; // There is no database yet, or open() finds out what is wrong with it.
  for (auto& name : names)
    if (std::find(keys::family_names.begin(), keys::family_names.end(), name) == keys::family_names.end())
      return cannot_open(options.path, "made by a newer version of Greenroom (it has a column family '" + name + "')");
  return {};
}

/// What an attempt to open leaves behind when it fails: tables that it wrote out of the log before the space ended,
/// for one. Tried again and again, it would fill the disk by itself.
class leftovers {
public:
  explicit leftovers(fs::path directory) : directory_(std::move(directory)), current_(current()) {
    for (auto& file : files())
      before_.insert(file);
  }

  /// REQUIRES: the attempt has failed, and nobody has the database open.
  void remove() const {
    // Opening writes a new manifest and then points CURRENT to it. As long as that has not happened nothing refers to
    // a file that is new; afterwards the next open that succeeds cleans up.
    if (current() != current_)
      return;
    for (auto& file : files()) {
      std::error_code ignored;
      if (!before_.contains(file) && is_rocksdb_s(file.filename().string()))
        fs::remove(file, ignored);
    }
  }

private:
  std::vector<fs::path> files() const {
    std::vector<fs::path> result;
    std::error_code error;
    for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error))
      result.push_back(it->path());
    return result;
  }
  std::string current() const {
    std::ifstream in(directory_ / "CURRENT", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  static bool is_rocksdb_s(std::string_view name) {
    return name.ends_with(".sst") || name.ends_with(".log") || name.ends_with(".dbtmp") ||
           name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-");
  }

  const fs::path directory_;
  const std::string current_;
  std::set<fs::path> before_;
};

} // namespace

failure to_failure(std::string_view what, const rocksdb::Status& status) {
  auto code = status.IsCorruption() ? errc::internal : errc::unavailable;
  return fail(code, "storage: " + std::string(what) + ": " + status.ToString());
}

database::database() : watch_(std::make_shared<watch>()) {}

database::~database() {
  if (!db_)
    return;
  for (auto* handle : families_)
    db_->DestroyColumnFamilyHandle(handle);
  // Everything acknowledged is in the log already: there is nothing to do about an error here.
  db_->Close().PermitUncheckedError();
}

bool database::failed() const noexcept { return watch_->failed; }

rocksdb::Status database::drop_files(keys::family which, const std::string& prefix) {
  auto end = keys::end_of(prefix);
  rocksdb::Slice from(prefix);
  rocksdb::Slice to(end);
  return rocksdb::DeleteFilesInRange(db_.get(), family(which), &from, &to, false);
}

outcome<std::unique_ptr<database>> database::open(const store_options& options, database_parts& parts) {
  if (auto made = make_directory(options.path); !made)
    return made.error();
  auto rocks = database_options(options);
  if (auto known = refuse_unknown_families(options, rocks); !known)
    return known.error();
  if (!parts.cache)
    parts.cache = rocksdb::NewLRUCache(options.cache_bytes);
  if (!parts.logger)
    parts.logger = open_info_log(options.path + "/LOG");
  std::unique_ptr<database> result(new database);
  rocks.info_log = parts.logger;
  rocks.listeners.push_back(result->watch_);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (size_t i = 0; i < keys::family_count; ++i)
    families.emplace_back(keys::family_names[i], family_options(static_cast<keys::family>(i), options, parts.cache));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  leftovers failed(options.path);
  auto status = rocksdb::DB::Open(rocks, options.path, families, &handles, &db);
  if (!status.ok() && is_taken(status)) // What is new in there is that node's.
    return cannot_open(options.path, "another node is using this data directory");
  if (!status.ok()) {
    failed.remove();
    return cannot_open(options.path, status.ToString());
  }
  result->db_.reset(db);
  std::copy(handles.begin(), handles.end(), result->families_.begin());
  return result;
}

} // namespace greenroom::storage
