// What the store's readers see of the shards' logs.
#include "storage/log_records.hpp"
#include "storage/range.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/db.h>
#include <rocksdb/snapshot.h>

namespace greenroom::storage {

outcome<shard_state> store::load_shard(shard_id shard) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ManagedSnapshot moment(&***db);
  return read_shard(**db, shard, moment.snapshot());
}

outcome<std::vector<log_entry>> store::log_after(shard_id shard, uint64_t index, size_t limit, size_t bytes) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  // What is kept and the entries must be of one moment, or a trim between them would look like a hole.
  rocksdb::ManagedSnapshot moment(&***db);
  auto kept = read_positions(**db, shard, moment.snapshot());
  if (!kept)
    return kept.error();
  if (index < kept->first.index)
    return fail(errc::not_found, "storage: shard " + std::to_string(shard) + " keeps its log from index " +
                                     std::to_string(kept->first.index + 1) + " on; asked for what follows " +
                                     std::to_string(index));
  std::vector<log_entry> result;
  if (index == UINT64_MAX)
    return result;
  range log(**db, keys::family::log, keys::prefix(shard, keys::tag::entry), keys::entry(shard, index + 1),
            moment.snapshot(), false);
  size_t used = 0;
  for (log->SeekToFirst(); log->Valid() && result.size() < limit; log->Next()) {
    auto entry = decode_entry(log.value());
    if (!entry)
      return entry.error();
    if (!result.empty() && used + entry->batch.size() > bytes)
      break;
    auto next = keys::seq_of(log.rest());
    if (next != index + 1)
      return fail(errc::internal, "storage: a gap in the log of shard " + std::to_string(shard) + " between " +
                                      std::to_string(index) + " and " + std::to_string(next));
    used += entry->batch.size();
    index = next;
    result.push_back({{entry->epoch, next}, std::make_shared<const std::string>(entry->batch)});
  }
  if (auto good = log.status(); !good)
    return good.error();
  return result;
}

outcome<bool> store::clustered() const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  for (unsigned shard = 0; shard < shard_count; ++shard) {
    range all(**db, keys::family::log, keys::prefix(static_cast<shard_id>(shard)));
    // Backwards: the positions stand behind the entries, and behind what has been trimmed of them. Traces, which stand
    // behind both, are no log's.
    all->SeekForPrev(keys::prefix(static_cast<shard_id>(shard), keys::tag::trace));
    if (all->Valid())
      return true;
    if (auto good = all.status(); !good)
      return good.error();
  }
  return false;
}

outcome<bool> store::empty() const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  for (unsigned shard = 0; shard < shard_count; ++shard)
    for (auto family : keys::state_families) {
      range all(**db, family, keys::prefix(static_cast<shard_id>(shard)));
      all->SeekToFirst();
      if (all->Valid())
        return false;
      if (auto good = all.status(); !good)
        return good.error();
    }
  return true;
}

outcome<std::unique_ptr<shard_snapshot>> store::snapshot(shard_id shard) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  return impl_->snapshots->open(**db, shard);
}

} // namespace greenroom::storage
