// What was revoked or deleted leaves the disk: store::scrub(). A write over an old value, or a deletion, only hides it;
// the bytes stay in the write-ahead log until its file is given up, and in tables until a compaction happens to come
// by, which on a quiet store is never. So whoever replaces a value leaves a trace in the same write, and this follows
// them.
#include "storage/range.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/db.h>

#include <map>
#include <thread>

namespace greenroom::storage {
namespace {

constexpr auto snapshot_wait = std::chrono::milliseconds(20);
constexpr int snapshot_waits = 100; // what reads hold ends in a moment; a shard that is being sent does not

/// Ranges of one family, by where they begin: [from, to).
using ranges = std::map<std::string, std::string>;

struct traces {
  std::vector<std::string> keys;
  std::array<ranges, keys::family_count> what;
};

/// What lies close together is written anew at once: one range for each kind of data of each room.
void add(ranges& all, std::string from, std::string to) {
  auto id = from.substr(0, from.find('\0', 2));
  auto next = all.lower_bound(id);
  if (next == all.end() || next->first.compare(0, id.size() + 1, id + '\0') != 0) {
    all.emplace(std::move(from), std::move(to));
    return;
  }
  auto joined = std::pair{std::min(next->first, from), std::max(next->second, to)};
  all.erase(next);
  all.insert(std::move(joined));
}

outcome<traces> find_traces(const database& db, size_t limit) {
  traces found;
  for (unsigned i = 0; i < shard_count && found.keys.size() < limit; ++i) {
    const auto shard = static_cast<shard_id>(i);
    range all(db, keys::family::log, keys::prefix(shard, keys::tag::trace));
    for (all->SeekToFirst(); all->Valid() && found.keys.size() < limit; all->Next()) {
      found.keys.emplace_back(all.key());
      auto from = keys::prefix(shard) + std::string(keys::traced(all.rest()));
      auto to = all.value().empty() ? from + '\0' : std::string(all.value());
      const auto family = static_cast<size_t>(keys::family_of(from));
      add(found.what[family], std::move(from), std::move(to));
    }
    if (auto good = all.status(); !good)
      return good.error();
  }
  return found;
}

outcome<bool> has_logs(const database& db) {
  for (unsigned i = 0; i < shard_count; ++i) {
    range positions(db, keys::family::log, keys::positions(static_cast<shard_id>(i)));
    positions->SeekToFirst();
    if (positions->Valid())
      return true;
    if (auto good = positions.status(); !good)
      return good.error();
  }
  return false;
}

/// Whether somebody may still read what there was before `since`; waits a little for it to end.
bool is_seen(const database& db, uint64_t since, const std::atomic<bool>& broken_off) {
  for (int i = 0; i < snapshot_waits && !broken_off; ++i) {
    uint64_t oldest = 0;
    if (!db->GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &oldest) || oldest == 0 ||
        oldest >= since)
      return false;
    std::this_thread::sleep_for(snapshot_wait);
  }
  return true;
}

} // namespace

void store::end_scrubs() noexcept {
  impl_->scrubs_ended = true; // first: see reopen()
  impl_->break_scrub = true;
}

outcome<size_t> store::scrub(size_t limit) {
  auto db = impl_->read();
  if (!db)
    return db.error();
  if (impl_->scrubs_ended) // or reopen() has just lifted the break
    return fail(errc::unavailable, "storage: the node is about to stop");
  auto found = find_traces(**db, limit);
  if (!found)
    return found.error();
  const auto since = (**db)->GetLatestSequenceNumber(); // all that they are of was written before
  // What a shard's log has carried leaves no trace when it is trimmed: where there are logs, they are seen to each
  // time.
  const auto logs = has_logs(**db);
  if (!logs)
    return logs.error();
  if (found->keys.empty() && !*logs)
    return size_t{0};

  if (is_seen(**db, since, impl_->break_scrub))
    return fail(errc::unavailable, "storage: a snapshot still shows what is to be scrubbed");
  // Once all families are in tables, the files of the write-ahead log that are older are given up.
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  for (size_t i = 0; i < keys::family_count; ++i)
    families.push_back((*db)->family(static_cast<keys::family>(i)));
  if (auto status = (**db)->Flush(rocksdb::FlushOptions(), families); !status.ok())
    return to_failure("can't flush", status);

  rocksdb::CompactRangeOptions how;
  how.exclusive_manual_compaction = false;
  how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  how.canceled = &impl_->break_scrub;
  auto rewrite = [&](keys::family family, const rocksdb::Slice& from, const rocksdb::Slice& to) -> outcome<void> {
    if (auto status = (**db)->CompactRange(how, (*db)->family(family), &from, &to); !status.ok())
      return to_failure("can't write tables anew", status);
    return {};
  };
  for (size_t i = 0; i < keys::family_count; ++i)
    for (const auto& [from, to] : found->what[i])
      if (auto done = rewrite(static_cast<keys::family>(i), from, to); !done)
        return done.error();
  // They are short.
  if (auto done = rewrite(keys::family::log, keys::prefix(0), keys::prefix(shard_count)); !done)
    return done.error();

  rocksdb::WriteBatch gone;
  for (const auto& key : found->keys)
    gone.Delete((*db)->family(keys::family::log), key);
  // Not synced: what a crash brings back is done once more.
  if (auto status = (**db)->Write(rocksdb::WriteOptions(), &gone); !status.ok())
    return to_failure("can't strike off what has been scrubbed", status);
  return found->keys.size();
}

} // namespace greenroom::storage
