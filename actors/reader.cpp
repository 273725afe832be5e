#include "actors/reader.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::reader {
namespace {

/// What the store says of a failure names files: that is for the log, not for clients.
template <class T>
outcome<T> discreet(outcome<T> x) {
  if (x)
    return x;
  spdlog::warn("what=read_failed reason=\"{}\"", x.error().message);
  return fail(x.error().code, "the store can't be read at present");
}

template <class T>
std::shared_ptr<const T> share(T x) {
  return std::make_shared<const T>(std::move(x));
}

/// After a failed write nobody may build on what the store shows until it has been opened anew.
failure uncertain() { return fail(errc::unavailable, "the store is being opened again"); }

/// The store finds a hole between two events of a page; one at the edge only who knows where the page begins.
failure missing(const room_id& room, uint64_t seq) {
  return fail(errc::internal, "event " + std::to_string(seq) + " of room " + room.str() + " is missing");
}

} // namespace

reader_actor::reader_actor(caf::actor_config& cfg, house& in, uint32_t index)
    : detached_actor(cfg, actor_kind::reader, std::to_string(index), in.living), house_(in) {
  this->set_down_handler([this](const caf::down_msg& x) {
    std::erase_if(snapshots_, [&](const auto& s) { return s.second.whose == x.source; });
  });
}

reader_actor::behavior_type reader_actor::make_behavior() {
  return {
      [this](const load_room& x) {
        const auto& c = house_.config.rooms;
        using image = outcome<std::optional<storage::room_image>>;
        const auto events = std::min(c.ring_events, c.ring_loaded);
        tell(x.to,
             room_loaded{share(certain() ? discreet(house_.store.load_room(x.room, events, c.ring_bytes, x.with_hooks))
                                         : image{uncertain()})});
      },
      [this](const load_user& x) {
        using image = outcome<storage::user_image>;
        tell(x.to, user_loaded{share(certain() ? discreet(house_.store.load_user(x.user)) : image{uncertain()})});
      },
      [this](const load_effects& x) {
        tell(x.to, effects_loaded{share(house_.store.effects(x.shard, house_.config.rooms.effects))});
      },
      [this](const read_page& x) {
        tell(x.to, page_read{x.token, share(discreet(folded_page(x)))});
      },
      [this](const find_key& x) {
        tell(x.to, key_found{discreet(house_.store.find_key(x.room, x.key, storage::read_tier::disk))});
      },
      [this](const find_target& x) {
        tell(x.to, target_found{discreet(house_.store.find_key(x.room, x.key, storage::read_tier::disk)),
                                share(discreet(house_.store.load_target(x.room, x.seq, x.user, x.with_edits)))});
      },
      [this](const load_shard& x) {
        tell(x.to, shard_loaded{x.token, share(certain() ? shard(x) : uncertain())});
      },
      [this](const read_log& x) {
        tell(x.to, log_found{x.token, share(certain() ? log(x) : uncertain())});
      },
      [this](const read_snapshot& x) {
        auto piece = share(certain() ? next_piece(x) : uncertain());
        if (!*piece || (*piece)->last)
          snapshots_.erase(x.transfer);
        tell(x.to, snapshot_read{x.transfer, std::move(piece)});
      },
      [this](const drop_snapshot& x) { snapshots_.erase(x.transfer); },
      [this](const load_activity& x) {
        tell(x.to, activity_loaded{x.connection, x.ticket, share(discreet(house_.store.load_activity(x.user)))});
      },
      [this](const find_scheduled& x) {
        tell(x.to, scheduled_found{x.token, discreet(house_.store.find_key(x.room, x.key, storage::read_tier::disk)),
                                   share(discreet(scheduled(x)))});
      },
      [this](const count_unread& x) {
        tell(x.to, counted{x.token, discreet(house_.store.count(x.room, x.user, x.read, x.first, x.most))});
      },
      [this](const find_first& x) { tell(x.to, first_found{share(discreet(first(x)))}); },
      [this](const any_effects& x) { tell(x.to, effects_left{discreet(house_.store.has_effects(x.room))}); },
      [this](const load_due& x) {
        tell(x.to,
             due_loaded{x.token, share(certain() ? house_.store.due(x.shard, house_.config.rooms.due) : uncertain())});
      },
      [this](const read_hooked& x) { tell(x.to, hooked(x)); },
      [this](const load_hooked& x) {
        using rooms = outcome<std::vector<room_id>>;
        tell(x.to, hooked_rooms{x.hook, x.token,
                                share(certain() ? discreet(house_.store.hooked(x.shard, x.hook, x.after, x.limit))
                                                : rooms{uncertain()})});
      },
      [this](const load_thread& x) {
        auto found = discreet(house_.store.load_thread(x.user, x.room, x.target));
        using record = outcome<storage::thread_record>;
        tell(x.to,
             thread_loaded{x.token, found ? record{found->value_or(storage::thread_record{})} : record{found.error()}});
      },
      [this](const load_threads& x) {
        tell(x.to, threads_loaded{x.token, share(discreet(house_.store.threads(x.user, x.room, x.after, x.limit)))});
      },
      [this](const find_files& x) {
        tell(x.to, files_found{discreet(house_.store.find_key(x.room, x.key, storage::read_tier::disk)),
                               share(discreet(files(x)))});
      },
      [this](const list_files& x) {
        tell(x.to, files_listed{share(discreet(house_.store.files(x.room, files_at_once)))});
      },
      [this](const read_file& x) { x.from.answer(file(x)); },
      [this](const load_usage& x) {
        tell(x.to, usage_loaded{x.token, discreet(house_.store.load_usage(x.user, x.room, x.file))});
      },
      [this](const stop&) { this->quit(); },
  };
}

outcome<first_found::found> reader_actor::first(const find_first& x) const {
  auto seq = house_.store.seq_at(x.room, x.ts, x.first, x.head);
  if (!seq)
    return seq.error();
  first_found::found result;
  result.at = *seq;
  result.first = std::max({x.first, x.least, *seq});
  auto files = house_.store.attached(x.room, x.first, result.first, files_at_once);
  if (!files)
    return files.error();
  result.files = std::move(*files);
  if (result.files.size() < files_at_once)
    return result;
  // Up to the last message of which it is not sure that all are here.
  result.more = true;
  result.first = result.files.back().seq;
  std::erase_if(result.files, [&](const auto& f) { return f.seq >= result.first; });
  return result;
}

outcome<files_found::list> reader_actor::files(const find_files& x) const {
  files_found::list result;
  for (const auto& id : x.ids) {
    auto found = house_.store.load_file(x.room, id);
    if (!found)
      return found.error();
    result.push_back(std::move(*found));
  }
  return result;
}

/// Until it belongs to a message it is its owner's alone.
answer reader_actor::file(const read_file& x) const {
  using stage = storage::file_record::stage;
  auto found = discreet(house_.store.load_file(x.room, x.file));
  if (!found)
    return found.error();
  const auto missing = fail(errc::not_found, "attachment: no such attachment");
  if (!*found || ((*found)->at != stage::used && (*found)->owner != x.from.user))
    return missing;
  ok::file result{x.room, x.file, std::move(**found), nullptr};
  if (!x.chunk)
    return ok::any{std::move(result)};
  if (result.what->at == stage::uploading)
    return fail(errc::conflict, "attachment: its upload is not complete");
  auto bytes = discreet(house_.store.load_chunk(x.room, x.file, *x.chunk));
  if (!bytes)
    return bytes.error();
  if (!*bytes)
    return missing; // gone since, or there is no such chunk
  result.bytes = std::make_shared<const std::string>(std::move(**bytes));
  return ok::any{std::move(result)};
}

bool reader_actor::certain() const { return house_.store.healthy(); }

outcome<scheduled_found::list> reader_actor::scheduled(const find_scheduled& x) const {
  if (!x.one)
    return house_.store.scheduled(x.room, x.user, SIZE_MAX);
  auto found = house_.store.load_scheduled(x.room, *x.one);
  if (!found)
    return found.error();
  scheduled_found::list result;
  if (*found)
    result.emplace_back(*x.one, std::move(**found));
  return result;
}

/// Looks through a good part of the log at once, however few of its events are wanted.
hooked_page reader_actor::hooked(const read_hooked& x) const {
  constexpr size_t looked_through = 500;
  const auto after = std::max(x.what.after, x.what.first - 1);
  const auto events = [](outcome<std::vector<storage::event>> what) { return share(std::move(what)); };
  if (after >= x.what.head)
    return {x.what, events(std::vector<storage::event>{}), x.what.head};
  if (!certain())
    return {x.what, events(uncertain()), 0};
  auto found = discreet(house_.store.events_after(x.what.room, after, std::max(x.limit, looked_through), x.bytes));
  if (found && (found->events.empty() || found->events.front().seq != after + 1))
    return {x.what, events(missing(x.what.room, after + 1)), 0};
  if (!found)
    return {x.what, events(found.error()), 0};
  std::vector<storage::event> wanted;
  auto through = after;
  for (auto& e : found->events) {
    if (e.seq > x.what.head || wanted.size() >= x.limit)
      break;
    through = e.seq;
    if ((x.kinds & (1u << static_cast<unsigned>(e.kind))) != 0)
      wanted.push_back(std::move(e));
  }
  return {x.what, events(std::move(wanted)), through};
}

outcome<shard_loaded::found> reader_actor::shard(const load_shard& x) const {
  auto state = house_.store.load_shard(x.shard);
  if (!state)
    return state.error();
  shard_loaded::found result{*state, {}};
  if (state->installing)
    return result;
  auto tail = house_.store.log_after(x.shard, state->applied.index, SIZE_MAX, SIZE_MAX);
  if (!tail)
    return tail.error();
  result.tail = std::move(*tail);
  return result;
}

outcome<log_found::part> reader_actor::log(const read_log& x) const {
  auto state = house_.store.load_shard(x.shard);
  if (!state)
    return state.error();
  if (x.after == state->first.index) {
    auto entries = house_.store.log_after(x.shard, x.after, SIZE_MAX, x.bytes);
    if (!entries)
      return entries.error();
    return log_found::part{state->first, std::move(*entries)};
  }
  auto gone = fail(errc::not_found, "the log holds no entry " + std::to_string(x.after));
  if (x.after < state->first.index)
    return gone;
  // The entry itself comes along, for its epoch.
  auto entries = house_.store.log_after(x.shard, x.after - 1, SIZE_MAX, x.bytes);
  if (!entries)
    return entries.error();
  if (entries->empty())
    return gone;
  auto before = entries->front().at;
  entries->erase(entries->begin());
  if (entries->empty()) { // one entry as long as all that may be read; at least one that follows is wanted
    auto next = house_.store.log_after(x.shard, x.after, 1, x.bytes);
    if (!next)
      return next.error();
    *entries = std::move(*next);
  }
  return log_found::part{before, std::move(*entries)};
}

outcome<snapshot_read::piece> reader_actor::next_piece(const read_snapshot& x) {
  auto i = snapshots_.find(x.transfer);
  if (i == snapshots_.end()) {
    if (!x.first)
      return fail(errc::unavailable, "the snapshot has been dropped");
    if (auto bound = house_.config.cluster.snapshots; snapshots_.size() >= bound)
      return fail(errc::unavailable, "cluster.snapshots: " + std::to_string(bound) + " are open");
    auto opened = house_.store.snapshot(x.shard);
    if (!opened)
      return opened.error();
    i = snapshots_.emplace(x.transfer, open_snapshot{std::move(*opened), x.to.address()}).first;
    this->monitor(x.to);
  }
  auto chunk = i->second.what->next(x.bytes);
  if (!chunk)
    return chunk.error();
  return snapshot_read::piece{std::move(chunk->bytes), chunk->last, i->second.what->applied()};
}

outcome<storage::event_page> reader_actor::folded_page(const read_page& x) const {
  if (x.where == read_page::how::picked)
    return house_.store.pick(x.room, x.picks, x.head, x.limit, x.bytes, x.fold_for);
  if (x.where == read_page::how::thread)
    return house_.store.thread_after(x.room, x.target, x.seq, x.head, x.limit, x.bytes, x.fold_for);
  auto found = page(x);
  if (!found || x.fold_for.empty())
    return found;
  // Read after the events: what changed meanwhile is in it, and `folded` says up to where.
  auto newest_first = x.where == read_page::how::before;
  if (auto folded = house_.store.fold(x.room, x.fold_for, *found, x.bytes, newest_first); !folded)
    return folded.error();
  return found;
}

outcome<storage::event_page> reader_actor::page(const read_page& x) const {
  switch (x.where) {
  case read_page::how::after: {
    auto after = std::max(x.seq, x.first - 1);
    auto found = house_.store.events_after(x.room, after, x.limit, x.bytes);
    if (found && !found->events.empty() && found->events.front().seq != after + 1)
      return missing(x.room, after + 1);
    // The writer may be ahead of the room: what the room has not seen committed is not shown.
    if (found) {
      while (!found->events.empty() && found->events.back().seq > x.head)
        found->events.pop_back();
      found->more = !found->events.empty() && found->events.back().seq < x.head;
    }
    return found;
  }
  case read_page::how::before: {
    auto before = std::min(x.seq, x.head + 1);
    auto found = house_.store.events_before(x.room, before, x.limit, x.bytes);
    if (found && !found->events.empty() && found->events.back().seq != before - 1)
      return missing(x.room, before - 1);
    if (found) {
      auto kept = std::find_if(found->events.begin(), found->events.end(),
                               [&](const storage::event& e) { return e.seq >= x.first; });
      found->more = found->more && kept == found->events.begin() &&
                    (found->events.empty() || found->events.front().seq > x.first);
      found->events.erase(found->events.begin(), kept);
    }
    return found;
  }
  case read_page::how::around:
    return page_around(x, x.seq);
  case read_page::how::at: {
    auto seq = house_.store.seq_at(x.room, x.ts, x.first, x.head);
    if (!seq)
      return seq.error();
    auto from = x;
    from.where = read_page::how::after;
    from.seq = *seq - 1;
    return page(from);
  }
  case read_page::how::thread: // are folded while they are read
  case read_page::how::picked:
    break;
  }
  return fail(errc::internal, "history: unknown direction");
}

/// Half of the page before `seq`, the rest from it on; "more" speaks of the newer side.
outcome<storage::event_page> reader_actor::page_around(const read_page& x, uint64_t seq) const {
  auto older = x;
  older.where = read_page::how::before;
  older.seq = seq;
  older.limit = x.limit / 2;
  older.bytes = x.bytes / 2;
  auto result = older.limit == 0 ? outcome<storage::event_page>{storage::event_page{}} : page(older);
  if (!result)
    return result;
  auto newer = x;
  newer.where = read_page::how::after;
  newer.seq = std::max<uint64_t>(seq, 1) - 1;
  newer.limit = x.limit - static_cast<uint32_t>(result->events.size());
  newer.bytes = x.bytes - older.bytes;
  auto rest = page(newer);
  if (!rest)
    return rest;
  std::move(rest->events.begin(), rest->events.end(), std::back_inserter(result->events));
  result->more = rest->more;
  return result;
}

} // namespace greenroom::reader
