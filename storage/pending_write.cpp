#include "storage/pending_write.hpp"

#include "storage/log_records.hpp"

#include <rocksdb/db.h>

#include <algorithm>
#include <stdexcept>

namespace greenroom::storage {
namespace {

// The key of an entry, the head of its value, and RocksDB's own marks.
constexpr size_t entry_overhead_bytes = 32;
constexpr size_t batch_overhead_bytes = 64;

void require(bool held, const char* what) {
  if (!held)
    throw std::logic_error(std::string("storage: ") + what);
}

failure refuse(shard_id shard, const char* why) {
  return fail(errc::internal, "storage: shard " + std::to_string(shard) + ": " + why);
}

} // namespace

pending_write::pending_write(const database& db, known_shards& known, size_t bytes)
    : db_(db), known_(known), batch_(bytes + batch_overhead_bytes) {}

outcome<void> pending_write::add(const batch* x) {
  require(x != nullptr, "no batch");
  // Asked without touch(): a single node has no logs, and a commit for a thousand rooms should not copy that.
  auto shard = x->shard();
  if (!known_[shard] || touched_[shard])
    if (auto touched = touch(shard); !touched)
      return touched.error();
  auto& now = touched_[shard] ? touched_[shard]->state : known_[shard]->state;
  require(now == shard_state{}, "a batch beside the log of its shard");
  synced_ = takes_space_ = true;
  x->replay(*this);
  return {};
}

outcome<void> pending_write::add(const append_entry& x) {
  auto touched = touch_ready(x.shard, "append to a shard that is installing");
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  auto& at = x.entry.at;
  require(x.entry.batch != nullptr, "an entry without a batch");
  require(at.index == shard.state.last.index + 1, "an entry that does not follow the last one");
  require(at.epoch != 0 && at.epoch >= shard.state.last.epoch, "an entry of an epoch that is over");
  auto key = keys::entry(x.shard, at.index);
  auto head = encode_entry_head(at);
  rocksdb::Slice key_part(key);
  std::array<rocksdb::Slice, 2> value_parts{rocksdb::Slice(head), rocksdb::Slice(*x.entry.batch)};
  written_[static_cast<size_t>(keys::family::log)] = true;
  note(batch_.Put(db_.family(keys::family::log), rocksdb::SliceParts(&key_part, 1),
                  rocksdb::SliceParts(value_parts.data(), value_parts.size())));
  shard.state.last = at;
  shard.appended.push_back(at);
  synced_ = takes_space_ = true;
  return {};
}

outcome<void> pending_write::add(const cut_log& x) {
  auto touched = touch_ready(x.shard, "cut the log of a shard that is installing");
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  auto& state = shard.state;
  require(x.after >= state.applied.index, "cut off what has been applied");
  synced_ = true;
  if (x.after >= state.last.index)
    return {};
  auto last = position_of(x.shard, shard, x.after);
  if (!last)
    return last.error();
  erase_entries(x.shard, x.after + 1, state.last.index + 1);
  auto gone = std::min<uint64_t>(shard.appended.size(), state.last.index - x.after);
  shard.appended.resize(shard.appended.size() - gone);
  state.last = *last;
  shard.positions_changed = true; // so that a log that is cut to nothing is a log all the same, see clustered()
  return {};
}

outcome<void> pending_write::add(const apply_entry& x) {
  auto touched = touch_ready(x.shard, "apply to a shard that is installing");
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  auto& at = x.entry.at;
  require(x.entry.batch != nullptr, "an entry without a batch");
  require(at.index == shard.state.applied.index + 1, "apply an entry out of order");
  require(at.index <= shard.state.last.index && at <= shard.state.last && at.epoch >= shard.state.applied.epoch,
          "apply what is not in the log");
  if (!x.entry.batch->empty()) {
    if (auto replayed = batch::replay(*x.entry.batch, x.shard, *this); !replayed)
      return replayed;
  }
  shard.state.applied = at;
  shard.positions_changed = true;
  takes_space_ = true;
  return {};
}

outcome<void> pending_write::add(const trim_log& x) {
  auto touched = touch_ready(x.shard, "trim the log of a shard that is installing");
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  require(x.upto <= shard.state.applied.index, "trim what has not been applied");
  if (x.upto <= shard.state.first.index)
    return {};
  auto first = position_of(x.shard, shard, x.upto);
  if (!first)
    return first.error();
  erase_entries(x.shard, shard.state.first.index + 1, x.upto + 1);
  shard.state.first = *first;
  shard.positions_changed = true;
  return {};
}

outcome<void> pending_write::add(const found_log& x) {
  auto touched = touch_ready(x.shard, "found a shard that is installing");
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  synced_ = true;
  if (shard.state != shard_state{})
    return {};
  shard.state.first = shard.state.last = shard.state.applied = {1, 1};
  shard.positions_changed = true;
  takes_space_ = true;
  return {};
}

outcome<void> pending_write::add(const install_begin& x) {
  auto touched = touch(x.shard);
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  auto all = keys::prefix(x.shard);
  for (auto family : keys::state_families)
    delete_range(family, all, keys::end_of(all));
  // What the shard held may hold what was revoked or erased since, without a trace here: the snapshot won't tell.
  using keys::tag;
  for (auto kind : {tag::event, tag::state, tag::scheduled, tag::room, tag::member, tag::file, tag::chunk, tag::account,
                    tag::session, tag::profile, tag::presence, tag::listed, tag::activity, tag::thread, tag::block})
    leave_trace(keys::prefix(x.shard, kind), keys::end_of(keys::prefix(x.shard, kind)));
  auto entries = keys::prefix(x.shard, keys::tag::entry);
  delete_range(keys::family::log, entries, keys::end_of(entries));
  shard.state = {};
  shard.state.installing = true;
  shard.incoming.emplace();
  shard.appended.clear();
  shard.positions_changed = true;
  dropped_.push_back(x.shard);
  synced_ = true;
  return {};
}

outcome<void> pending_write::add(const install_chunk& x) {
  auto touched = touch(x.shard);
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  require(shard.state.installing, "a chunk for a shard that is not installing");
  require(x.bytes != nullptr, "no chunk");
  if (!shard.incoming)
    return refuse(x.shard, "a chunk of a snapshot that was broken off here");
  auto& incoming = *shard.incoming;
  auto head = read_chunk(*x.bytes, x.shard, [this](std::string_view key, std::string_view value) { put(key, value); });
  if (!head)
    return head.error();
  if (incoming.complete || head->follows != incoming.token || (incoming.begun && head->applied != incoming.applied))
    return refuse(x.shard, "a chunk of a snapshot that does not follow the one before it");
  incoming = {true, head->last, head->applied, std::string(head->token)};
  takes_space_ = true;
  return {};
}

outcome<void> pending_write::add(const install_end& x) {
  auto touched = touch(x.shard);
  if (!touched)
    return touched.error();
  auto& shard = **touched;
  require(shard.state.installing, "an end of an installation that was not begun");
  if (!shard.incoming || !shard.incoming->complete || shard.incoming->applied != x.applied)
    return refuse(x.shard, "the snapshot that is to be done with has not come in whole");
  shard.state = {x.applied, x.applied, x.applied, false};
  shard.incoming.reset();
  shard.positions_changed = true;
  synced_ = takes_space_ = true;
  return {};
}

size_t pending_write::size_of(const mutation& x) {
  return std::visit(overloaded{[](const batch* one) { return one != nullptr ? one->bytes().size() : 0; },
                               [](const install_chunk& one) { return one.bytes ? one.bytes->size() : 0; },
                               [](const auto& one) {
                                 if constexpr (requires { one.entry; })
                                   return entry_overhead_bytes + (one.entry.batch ? one.entry.batch->size() : 0);
                                 return entry_overhead_bytes;
                               }},
                    x);
}

outcome<rocksdb::WriteBatch*> pending_write::finish() {
  for (unsigned i = 0; i < shard_count; ++i)
    if (touched_[i] && touched_[i]->positions_changed)
      put(keys::positions(static_cast<shard_id>(i)), encode_positions(touched_[i]->state));
  if (!status_.ok())
    return to_failure("can't put a write together", status_);
  return &batch_;
}

void pending_write::take_effect() {
  for (unsigned i = 0; i < shard_count; ++i)
    if (touched_[i])
      known_[i] = static_cast<known_shard&&>(*touched_[i]);
}

outcome<pending_write::touched_shard*> pending_write::touch(shard_id which) {
  require(which < shard_count, "a shard that does not exist");
  auto& touched = touched_[which];
  if (!touched) {
    auto& known = known_[which];
    if (!known) {
      auto state = read_shard(db_, which, nullptr);
      if (!state)
        return state.error();
      known.emplace();
      known->state = *state;
    }
    touched = std::make_unique<touched_shard>();
    static_cast<known_shard&>(*touched) = *known;
  }
  return touched.get();
}

outcome<pending_write::touched_shard*> pending_write::touch_ready(shard_id which, const char* what) {
  auto touched = touch(which);
  if (touched)
    require(!(*touched)->state.installing, what);
  return touched;
}

/// The epoch of an entry is read only when a log is cut or trimmed in its middle.
outcome<log_position> pending_write::position_of(shard_id which, const touched_shard& x, uint64_t index) const {
  for (auto& known : {x.state.first, x.state.applied, x.state.last})
    if (known.index == index)
      return known;
  if (auto back = x.state.last.index - index; back < x.appended.size())
    return x.appended[x.appended.size() - 1 - back];
  rocksdb::PinnableSlice value;
  auto status = db_->Get(rocksdb::ReadOptions(), db_.family(keys::family::log), keys::entry(which, index), &value);
  if (status.IsNotFound())
    return refuse(which, ("entry " + std::to_string(index) + " is missing").c_str());
  if (!status.ok())
    return to_failure("can't read an entry of a log", status);
  auto entry = decode_entry(value.ToStringView());
  if (!entry)
    return entry.error();
  return log_position{entry->epoch, index};
}

void pending_write::put(std::string_view key, std::string_view value) {
  const auto family = keys::family_of(key);
  written_[static_cast<size_t>(family)] = true;
  note(batch_.Put(db_.family(family), key, value));
}

void pending_write::erase(std::string_view key) { note(batch_.Delete(db_.family(keys::family_of(key)), key)); }

void pending_write::erase_range(std::string_view from, std::string_view to) {
  const auto family = keys::family_of(from);
  if (family == keys::family::files) // most rooms have none
    delete_range(family, from, to);
  else
    note(batch_.DeleteRange(db_.family(family), from, to));
  leave_trace(from, to);
}

/// Only where something is: a compaction that finds tombstones of ranges and nothing else makes an empty table, and
/// RocksDB aborts if the disk fails at just that (see "What is durable", 6).
void pending_write::delete_range(keys::family family, std::string_view from, std::string_view to) {
  if (!written_[static_cast<size_t>(family)]) {
    const rocksdb::Slice lower(from), upper(to);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &lower;
    options.iterate_upper_bound = &upper;
    options.fill_cache = false;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, db_.family(family)));
    it->SeekToFirst();
    if (!it->Valid() && it->status().ok())
      return;
  }
  note(batch_.DeleteRange(db_.family(family), from, to));
}

void pending_write::replace(std::string_view key, std::string_view value) {
  put(key, value);
  leave_trace(key, {}); // of one key
}

/// Each is a key of its own: one that is being followed may not be taken for one that comes meanwhile.
void pending_write::leave_trace(std::string_view from, std::string_view to) {
  put(keys::trace(from, db_->GetLatestSequenceNumber()), to);
}

void pending_write::erase_entries(shard_id which, uint64_t from, uint64_t to) {
  note(batch_.DeleteRange(db_.family(keys::family::log), keys::before_entry(which, from),
                          keys::before_entry(which, to)));
}

void pending_write::note(const rocksdb::Status& status) {
  if (!status.ok())
    status_ = status;
}

} // namespace greenroom::storage
