// The readers of what is to be done later: sends that are scheduled, and when each shard has to act.
#include "storage/reading.hpp"
#include "storage/store_impl.hpp"

namespace greenroom::storage {

outcome<std::vector<std::pair<scheduled_place, scheduled_send>>>
store::scheduled(const room_id& room, const user_id& user, size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<std::pair<scheduled_place, scheduled_send>> result;
  range all(**db, keys::family::state, keys::prefix(room, keys::tag::scheduled) + user.str() + '\0');
  if (limit == 0)
    return result;
  auto scanned = scan<scheduled_send>(all, [&](std::string_view rest, scheduled_send&& x) {
    scheduled_place place;
    place.at = x.at;
    place.user = user;
    if (auto key = rest.substr(std::min(rest.size(), keys::seq_bytes)); key.size() == place.key.size())
      std::copy(key.begin(), key.end(), place.key.begin());
    result.emplace_back(std::move(place), std::move(x));
    return result.size() < limit;
  });
  if (!scanned)
    return scanned.error();
  return result;
}

outcome<std::optional<scheduled_send>> store::load_scheduled(const room_id& room, const scheduled_place& place) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  return get<scheduled_send>(**db, keys::family::state, keys::scheduled(room, place), rocksdb::ReadOptions());
}

outcome<bool> store::has_effects(const room_id& room) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  range all(**db, keys::family::state, keys::prefix(room, keys::tag::effect));
  all->SeekToFirst();
  const bool any = all->Valid();
  if (auto good = all.status(); !good)
    return good.error();
  return any;
}

outcome<std::vector<room_id>> store::hooked(shard_id shard, std::string_view hook, std::string_view after,
                                            size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<room_id> result;
  const auto prefix = keys::all_hooked(shard, hook);
  range all(**db, keys::family::state, prefix,
            prefix + std::string(after) + (after.empty() ? "" : std::string(1, '\0')), nullptr);
  for (all->SeekToFirst(); all->Valid() && result.size() < limit; all->Next()) {
    auto room = keys::read_hooked(all.key());
    if (!room)
      return fail(errc::internal, "storage: not a valid entry of a webhook");
    result.push_back(std::move(*room));
  }
  if (auto good = all.status(); !good)
    return good.error();
  return result;
}

outcome<std::vector<due_entry>> store::due(shard_id shard, size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<due_entry> result;
  range all(**db, keys::family::state, keys::prefix(shard, keys::tag::due));
  for (all->SeekToFirst(); all->Valid() && result.size() < limit; all->Next()) {
    auto entry = keys::read_due(all.key());
    if (!entry)
      return fail(errc::internal, "storage: not a valid due entry");
    result.push_back(std::move(*entry));
  }
  if (auto good = all.status(); !good)
    return good.error();
  return result;
}

} // namespace greenroom::storage
