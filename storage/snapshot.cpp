#include "storage/snapshot.hpp"

#include "storage/log_records.hpp"
#include "storage/range.hpp"
#include "storage/snapshots.hpp"

#include <rocksdb/db.h>
#include <rocksdb/snapshot.h>

#include <algorithm>
#include <array>
#include <atomic>

namespace greenroom::storage {

struct shard_snapshot::core {
  core(const database& of, shard_id which) : shard(which), db(&of) {}
  ~core() { close(); }

  /// Afterwards nothing of RocksDB is held. REQUIRES: the mutex is held, or nobody else knows of this.
  void close() noexcept {
    if (moment != nullptr)
      (*db)->ReleaseSnapshot(moment);
    db = nullptr;
    moment = nullptr;
  }

  const shard_id shard;
  log_position applied;
  /// Set before a closer asks for the mutex: whoever reads chunk after chunk could otherwise keep it out.
  std::atomic<bool> closing{false};
  /// Held while a chunk is read; guards what follows.
  std::mutex mutex;
  const database* db; // null: closed
  const rocksdb::Snapshot* moment = nullptr;
  std::string token;
};

shard_snapshot::shard_snapshot(std::shared_ptr<open_snapshots> among, std::unique_ptr<core> opened)
    : among_(std::move(among)), core_(std::move(opened)) {}

shard_snapshot::~shard_snapshot() { among_->remove(*core_); }

shard_id shard_snapshot::shard() const noexcept { return core_->shard; }
log_position shard_snapshot::applied() const noexcept { return core_->applied; }

outcome<snapshot_chunk> shard_snapshot::next(size_t bytes) {
  auto& self = *core_;
  auto closed = [] { return fail(errc::unavailable, "storage: the snapshot is void: start anew"); };
  if (self.closing)
    return closed();
  std::lock_guard lock(self.mutex);
  if (self.db == nullptr)
    return closed();
  snapshot_chunk result;
  result.token = self.token;
  chunk_writer chunk(self.shard, self.applied, self.token, bytes);
  result.last = true;
  for (auto family : keys::state_families) { // in this order; the log itself is no part of a snapshot
    auto from = keys::prefix(self.shard);
    if (!result.token.empty()) {
      auto reached = keys::family_of(result.token);
      if (family < reached)
        continue;
      if (family == reached)
        from = result.token + '\0'; // the first key behind it
    }
    // The iterator lives no longer than this call: it pins memtables and files that could be freed. What is read once
    // for a stranger must not push out of the cache what is read for clients.
    range all(*self.db, family, keys::prefix(self.shard), std::move(from), self.moment, false);
    for (all->SeekToFirst(); all->Valid(); all->Next()) {
      if (chunk.count() > 0 && chunk.size() + all.key().size() + all.value().size() > bytes) {
        result.last = false;
        break;
      }
      chunk.add(all.key(), all.value());
      result.token.assign(all.key());
    }
    if (auto good = all.status(); !good)
      return good.error();
    if (!result.last)
      break;
  }
  result.bytes = std::move(chunk).finish(result.last);
  self.token = result.token;
  return result;
}

outcome<void> shard_snapshot::resume(std::string token) {
  if (!token.empty() && !keys::belongs(token, core_->shard))
    return fail(errc::bad_request, "storage: not a place in a snapshot of this shard");
  std::lock_guard lock(core_->mutex);
  core_->token = std::move(token);
  return {};
}

outcome<std::unique_ptr<shard_snapshot>> open_snapshots::open(const database& db, shard_id shard) {
  auto core = std::make_unique<shard_snapshot::core>(db, shard);
  auto& x = *core;
  {
    std::lock_guard lock(mutex_);
    all_.push_back(&x);
  }
  std::unique_ptr<shard_snapshot> result(new shard_snapshot(shared_from_this(), std::move(core)));
  // In the list first: if the shard is dropped from now on, this is voided; if it was before, the mark is seen.
  std::lock_guard reading(x.mutex);
  if (x.db == nullptr)
    return fail(errc::unavailable, "storage: the shard is being installed: it holds no truth");
  x.moment = db->GetSnapshot();
  auto state = read_shard(db, shard, x.moment);
  if (!state)
    return state.error();
  if (state->installing)
    return fail(errc::unavailable, "storage: the shard is being installed: it holds no truth");
  x.applied = state->applied;
  return result;
}

void open_snapshots::close(shard_id shard) {
  std::lock_guard lock(mutex_);
  for (auto* x : all_)
    if (x->shard == shard) {
      x->closing = true;
      std::lock_guard reading(x->mutex);
      x->close();
    }
}

void open_snapshots::close_all() {
  std::lock_guard lock(mutex_);
  for (auto* x : all_)
    x->closing = true;
  for (auto* x : all_) {
    std::lock_guard reading(x->mutex);
    x->close();
  }
}

void open_snapshots::remove(shard_snapshot::core& x) {
  std::lock_guard lock(mutex_);
  x.close();
  std::erase(all_, &x);
}

} // namespace greenroom::storage
