// The readers of the store. Each takes the gate shared for as long as it needs RocksDB, at most one page long.
#include "storage/reading.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/db.h>
#include <rocksdb/snapshot.h>

#include <algorithm>
#include <deque>

namespace greenroom::storage {
namespace {

/// Collects events from where the iterator stands, in its direction, until the page is full.
class page_builder {
public:
  page_builder(size_t limit, size_t bytes) : limit_(limit), bytes_(bytes) {}

  /// False: it is full, and this event is not in it.
  outcome<bool> add(const range& log) {
    auto size = log.value().size();
    if (page_.events.size() >= limit_ || (!page_.events.empty() && used_ + size > bytes_)) {
      page_.more = true;
      return false;
    }
    auto next = event_at(log);
    if (!next)
      return next.error();
    // A hole would be passed on to clients as if it were the whole log.
    if (!page_.events.empty() && std::max(next->seq, last_) - std::min(next->seq, last_) != 1)
      return fail(errc::internal,
                  "storage: a gap in the log between " + std::to_string(last_) + " and " + std::to_string(next->seq));
    used_ += size;
    last_ = next->seq;
    page_.events.push_back(std::move(*next));
    return true;
  }

  event_page take() && { return std::move(page_); }

private:
  size_t limit_, bytes_, used_ = 0;
  uint64_t last_ = 0;
  event_page page_;
};

/// The same page as by going back, read forward, which costs RocksDB a fraction: in memory each step back is a search
/// of its own. nullopt: not all of it is there, or it has too many bytes, so that its beginning has to be found.
outcome<std::optional<event_page>> read_forward(range& log, const room_id& room, uint64_t before, size_t limit,
                                                size_t bytes) {
  const auto oldest = before > limit ? before - limit : 1;
  page_builder page(limit, bytes);
  bool more = false;
  uint64_t last = 0;
  log->Seek(keys::event(room, std::max<uint64_t>(oldest, 2) - 1));
  if (log->Valid() && keys::seq_of(log.rest()) < oldest) {
    more = true;
    log->Next();
  }
  for (; log->Valid() && (last = keys::seq_of(log.rest())) < before; log->Next()) {
    auto added = page.add(log);
    if (!added)
      return added.error();
    if (!*added)
      return std::optional<event_page>{};
    if (last == before - 1)
      break; // what follows is not even looked at
  }
  if (auto good = log.status(); !good)
    return good.error();
  if (last != before - 1)
    return std::optional<event_page>{};
  auto found = std::move(page).take();
  found.more = more;
  return std::optional<event_page>{std::move(found)};
}

} // namespace

outcome<open_database> store::impl::read() const {
  if (!closing) {
    std::shared_lock lock(gate, std::try_to_lock);
    if (lock && db)
      return open_database{std::move(lock), db.get()};
  }
  return fail(errc::unavailable, "storage: the store is being reopened");
}

outcome<std::optional<room_image>> store::load_room(const room_id& room, size_t recent_events, size_t recent_bytes,
                                                    bool with_hooks) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  // Record, members and head must be of one moment.
  rocksdb::ManagedSnapshot moment(&***db);
  rocksdb::ReadOptions options;
  options.snapshot = moment.snapshot();
  auto record = get<room_record>(**db, keys::family::state, keys::room(room), options);
  if (!record)
    return record.error();
  if (!*record)
    return std::optional<room_image>{};
  room_image image;
  image.record = std::move(**record);

  range members(**db, keys::family::state, keys::prefix(room, keys::tag::member), moment.snapshot());
  auto scanned = scan<member_record>(members, [&](std::string_view user, member_record&& x) {
    image.members.emplace_back(user_id::trusted(std::string(user)), x);
    return true;
  });
  if (!scanned)
    return scanned.error();

  if (with_hooks) {
    range hooks(**db, keys::family::state, keys::prefix(room, keys::tag::hook), moment.snapshot());
    scanned = scan<hook_record>(hooks, [&](std::string_view name, hook_record&& x) {
      image.hooks.emplace_back(std::string(name), x);
      return true;
    });
    if (!scanned)
      return scanned.error();
  }

  range log(**db, keys::family::events, keys::prefix(room, keys::tag::event), moment.snapshot());
  log->SeekToLast();
  if (log->Valid()) {
    auto last = event_at(log);
    if (!last)
      return last.error();
    image.head = last->seq;
    image.head_ts = last->ts;
    image.messages = last->messages;
  }
  // When retention has dropped every event, the seqs below `first` are used up all the same.
  if (image.record.first > 0 && image.head < image.record.first - 1)
    image.head = image.messages = image.record.first - 1; // as many messages at most
  size_t used = 0;
  for (; log->Valid() && image.recent.size() < recent_events; log->Prev()) {
    used += log.value().size();
    if (used > recent_bytes)
      break;
    auto next = event_at(log);
    if (!next)
      return next.error();
    if (next->seq < image.record.first)
      break;
    image.recent.push_back(std::move(*next));
  }
  if (auto good = log.status(); !good)
    return good.error();
  std::reverse(image.recent.begin(), image.recent.end());
  return std::optional<room_image>{std::move(image)};
}

outcome<user_image> store::load_user(const user_id& user) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ManagedSnapshot moment(&***db);
  rocksdb::ReadOptions options;
  options.snapshot = moment.snapshot();
  user_image image;
  auto account = get<account_record>(**db, keys::family::state, keys::account(user), options);
  if (!account)
    return account.error();
  image.account = std::move(*account);
  auto profile = get<profile_record>(**db, keys::family::state, keys::profile(user), options);
  if (!profile)
    return profile.error();
  image.profile = std::move(*profile);
  auto presence = get<presence_record>(**db, keys::family::state, keys::presence(user), options);
  if (!presence)
    return presence.error();
  image.presence = std::move(*presence);
  auto erasure = get<erasure_record>(**db, keys::family::state, keys::erasure(user), options);
  if (!erasure)
    return erasure.error();
  image.erasure = std::move(*erasure);

  range sessions(**db, keys::family::state, keys::prefix(user, keys::tag::session), moment.snapshot());
  auto scanned = scan<session_record>(sessions, [&](std::string_view id, session_record&& x) {
    image.sessions.emplace_back(id, std::move(x));
    return true;
  });
  if (!scanned)
    return scanned.error();

  range rooms(**db, keys::family::state, keys::prefix(user, keys::tag::listed), moment.snapshot());
  scanned = scan<listed_room>(rooms, [&](std::string_view id, listed_room&& x) {
    image.rooms.emplace_back(room_id::trusted(std::string(id)), std::move(x));
    return true;
  });
  if (!scanned)
    return scanned.error();

  range blocks(**db, keys::family::state, keys::prefix(user, keys::tag::block), moment.snapshot());
  scanned = scan<block_record>(blocks, [&](std::string_view id, block_record&& x) {
    image.blocks.emplace_back(user_id::trusted(std::string(id)), x);
    return true;
  });
  if (!scanned)
    return scanned.error();
  return image;
}

outcome<std::vector<std::pair<room_id, activity_record>>> store::load_activity(const user_id& user) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<std::pair<room_id, activity_record>> found;
  range rooms(**db, keys::family::state, keys::prefix(user, keys::tag::activity));
  auto scanned = scan<activity_record>(rooms, [&](std::string_view id, activity_record&& x) {
    found.emplace_back(room_id::trusted(std::string(id)), std::move(x));
    return true;
  });
  if (!scanned)
    return scanned.error();
  return found;
}

outcome<event_page> store::events_after(const room_id& room, uint64_t after, size_t limit, size_t bytes) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  if (after == UINT64_MAX)
    return event_page{};
  range log(**db, keys::family::events, keys::prefix(room, keys::tag::event));
  page_builder page(limit, bytes);
  for (log->Seek(keys::event(room, after + 1)); log->Valid(); log->Next()) {
    auto added = page.add(log);
    if (!added)
      return added.error();
    if (!*added)
      break;
  }
  if (auto good = log.status(); !good)
    return good.error();
  return std::move(page).take();
}

outcome<event_page> store::events_before(const room_id& room, uint64_t before, size_t limit, size_t bytes) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  if (before <= 1 || limit == 0)
    return event_page{};
  range log(**db, keys::family::events, keys::prefix(room, keys::tag::event));
  auto found = read_forward(log, room, before, limit, bytes);
  if (!found)
    return found.error();
  if (*found)
    return std::move(**found);
  page_builder page(limit, bytes);
  for (log->SeekForPrev(keys::event(room, before - 1)); log->Valid(); log->Prev()) {
    auto added = page.add(log);
    if (!added)
      return added.error();
    if (!*added)
      break;
  }
  if (auto good = log.status(); !good)
    return good.error();
  auto result = std::move(page).take();
  std::reverse(result.events.begin(), result.events.end());
  return result;
}

outcome<void> store::fold(const room_id& room, const user_id& reader, event_page& page, size_t bytes,
                          bool newest_first) const {
  if (page.events.empty())
    return {};
  auto db = impl_->read();
  if (!db)
    return db.error();
  const auto first = page.events.front().seq;
  const auto last = page.events.back().seq;
  rocksdb::ManagedSnapshot moment(&***db); // counts and one's own must agree
  range states(**db, keys::family::state, keys::prefix(room, keys::tag::state), moment.snapshot());
  size_t used = 0;
  std::deque<size_t> sizes; // of the folds
  for (states->Seek(keys::state(room, first)); states->Valid(); states->Next()) {
    const auto seq = keys::seq_of(states.rest());
    if (seq > last)
      break;
    auto state = decode<message_state>(states.value());
    if (!state)
      return state.error();
    sizes.push_back(states.value().size());
    used += sizes.back();
    page.folded = std::max(page.folded, state->changed);
    page.folds.push_back(fold_of(seq, std::move(*state)));
  }
  if (auto good = states.status(); !good)
    return good.error();
  if (page.folds.empty())
    return {};

  auto mine = keys::prefix(room, keys::tag::reaction) + reader.str() + '\0';
  range own(**db, keys::family::state, mine, moment.snapshot());
  auto f = page.folds.begin();
  for (own->Seek(keys::reaction(room, reader, first)); own->Valid(); own->Next()) {
    const auto seq = keys::seq_of(own.rest());
    while (f != page.folds.end() && f->seq < seq)
      ++f;
    if (f == page.folds.end())
      break;
    auto record = decode<own_reactions>(own.value());
    if (!record)
      return record.error();
    page.folded = std::max(page.folded, record->changed);
    if (f->seq == seq)
      mark_own(*f, *record);
  }
  if (auto good = own.status(); !good)
    return good.error();

  // What was revoked between the two looks at the store is told by none of its edits either.
  for (auto& e : page.events) {
    auto of = std::lower_bound(page.folds.begin(), page.folds.end(), e.target,
                               [](const message_fold& x, uint64_t seq) { return x.seq < seq; });
    if (e.kind == event_kind::edited && of != page.folds.end() && of->seq == e.target && of->revoked) {
      e.text.clear();
      e.revoked = true;
    }
    used += size_of(e);
  }
  while (used > bytes && page.events.size() > 1) {
    const auto& gone = newest_first ? page.events.front() : page.events.back();
    used -= size_of(gone);
    if (const auto& of_it = newest_first ? page.folds.front() : page.folds.back(); of_it.seq == gone.seq) {
      used -= newest_first ? sizes.front() : sizes.back();
      page.folds.erase(newest_first ? page.folds.begin() : page.folds.end() - 1);
      sizes.erase(newest_first ? sizes.begin() : sizes.end() - 1);
    }
    page.events.erase(newest_first ? page.events.begin() : page.events.end() - 1);
    page.more = true;
    if (page.folds.empty())
      break;
  }
  return {};
}

outcome<target_image> store::load_target(const room_id& room, uint64_t seq, const user_id& user,
                                         bool with_edits) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  // All of one moment: the writer may be at work on the next change.
  rocksdb::ManagedSnapshot moment(&***db);
  rocksdb::ReadOptions options;
  options.snapshot = moment.snapshot();
  target_image image;
  auto what = get<event>(**db, keys::family::events, keys::event(room, seq), options);
  if (!what)
    return what.error();
  image.what = std::move(*what);
  auto state = get<message_state>(**db, keys::family::state, keys::state(room, seq), options);
  if (!state)
    return state.error();
  if (*state)
    image.state = std::move(**state);
  auto own = get<own_reactions>(**db, keys::family::state, keys::reaction(room, user, seq), options);
  if (!own)
    return own.error();
  if (*own)
    image.own = std::move(**own);
  for (auto edit : with_edits ? image.state.edits : std::vector<uint64_t>{}) {
    auto edited = get<event>(**db, keys::family::events, keys::event(room, edit), options);
    if (!edited)
      return edited.error();
    if (*edited) // else retention has dropped it
      image.edits.push_back(std::move(**edited));
  }
  return image;
}

outcome<uint64_t> store::seq_at(const room_id& room, int64_t ts, uint64_t first, uint64_t head) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  // Invariant: everything below `first` is older than `ts`, nothing above `last` is.
  auto last = head;
  while (first <= last) {
    auto middle = first + (last - first) / 2;
    auto found = get<event>(**db, keys::family::events, keys::event(room, middle), rocksdb::ReadOptions());
    if (!found)
      return found.error();
    if (!*found)
      return fail(errc::internal, "storage: event " + std::to_string(middle) + " is missing");
    if ((*found)->ts < ts) {
      first = middle + 1;
    } else if (middle == 0) {
      return uint64_t{0};
    } else {
      last = middle - 1;
    }
  }
  return first;
}

outcome<lookup> store::find_block(const user_id& user, const user_id& other) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ReadOptions options;
  options.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice value;
  auto status = (**db)->Get(options, (*db)->family(keys::family::state), keys::block(user, other), &value);
  if (status.ok())
    return lookup::found;
  if (status.IsNotFound())
    return lookup::absent;
  if (status.IsIncomplete())
    return lookup::would_block;
  return to_failure("can't look up a block", status);
}

outcome<std::pair<lookup, key_record>> store::find_key(const room_id& room, const key_hash& key, read_tier tier) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ReadOptions options;
  if (tier == read_tier::cached)
    options.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice value;
  auto status = (**db)->Get(options, (*db)->family(keys::family::keys), keys::key(room, key), &value);
  if (status.IsNotFound())
    return std::pair{lookup::absent, key_record{}};
  if (status.IsIncomplete())
    return std::pair{lookup::would_block, key_record{}};
  if (!status.ok())
    return to_failure("can't look up a key", status);
  auto record = decode<key_record>(value.ToStringView());
  if (!record)
    return record.error();
  return std::pair{lookup::found, *record};
}

outcome<std::vector<effect_record>> store::effects(shard_id shard, size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<effect_record> result;
  if (limit == 0)
    return result;
  range all(**db, keys::family::state, keys::prefix(shard, keys::tag::effect));
  auto scanned = scan<effect_record>(all, [&](std::string_view, effect_record&& x) {
    result.push_back(std::move(x));
    return result.size() < limit;
  });
  if (!scanned)
    return scanned.error();
  return result;
}

std::vector<std::pair<std::string, uint64_t>> store::figures() const {
  auto db = impl_->read();
  if (!db)
    return {};
  std::vector<std::pair<std::string, uint64_t>> result;
  auto add = [&](const char* name, const std::string& property) {
    uint64_t value = 0;
    if ((**db)->GetAggregatedIntProperty(property, &value))
      result.emplace_back(name, value);
  };
  add("sst_bytes", rocksdb::DB::Properties::kLiveSstFilesSize);
  add("memtable_bytes", rocksdb::DB::Properties::kCurSizeAllMemTables);
  add("table_reader_bytes", rocksdb::DB::Properties::kEstimateTableReadersMem);
  add("pending_compaction_bytes", rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
  add("keys_estimated", rocksdb::DB::Properties::kEstimateNumKeys);
  // Of the whole database: any one family answers for all.
  auto add_global = [&](const char* name, const std::string& property) {
    uint64_t value = 0;
    if ((**db)->GetIntProperty(property, &value))
      result.emplace_back(name, value);
  };
  add_global("block_cache_bytes", rocksdb::DB::Properties::kBlockCacheUsage);
  add_global("flushes_running", rocksdb::DB::Properties::kNumRunningFlushes);
  add_global("compactions_running", rocksdb::DB::Properties::kNumRunningCompactions);
  add_global("background_errors", rocksdb::DB::Properties::kBackgroundErrors);
  add_global("write_stopped", rocksdb::DB::Properties::kIsWriteStopped);
  return result;
}

} // namespace greenroom::storage
