// The readers of what messages say of each other and of people: threads, and what somebody has not read yet.
#include "storage/reading.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/snapshot.h>

#include <set>

namespace greenroom::storage {

outcome<event_page> store::thread_after(const room_id& room, uint64_t target, uint64_t after, uint64_t head,
                                        size_t limit, size_t bytes, const user_id& reader) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ManagedSnapshot moment(&***db); // messages and how they stand must agree
  rocksdb::ReadOptions options;
  options.snapshot = moment.snapshot();
  const auto thread = keys::reply(room, target, 0);
  range replies(**db, keys::family::state, thread.substr(0, thread.size() - keys::seq_bytes), moment.snapshot());
  event_page page;
  size_t used = 0;
  for (replies->Seek(keys::reply(room, target, after + 1)); replies->Valid(); replies->Next()) {
    const auto seq = keys::seq_of(replies.rest());
    if (seq > head)
      break;
    auto e = get<event>(**db, keys::family::events, keys::event(room, seq), options);
    if (!e)
      return e.error();
    if (!*e)
      continue; // retention has dropped it
    auto state = get<message_state>(**db, keys::family::state, keys::state(room, seq), options);
    if (!state)
      return state.error();
    used += size_of(**e) + (*state ? (*state)->text.size() : 0);
    if (page.events.size() == limit || (used > bytes && !page.events.empty())) {
      page.more = true;
      break;
    }
    page.events.push_back(std::move(**e));
    if (!*state)
      continue;
    page.folded = std::max(page.folded, (*state)->changed);
    auto f = fold_of(seq, std::move(**state));
    if (!f.reactions.empty()) {
      auto own = get<own_reactions>(**db, keys::family::state, keys::reaction(room, reader, seq), options);
      if (!own)
        return own.error();
      if (*own)
        mark_own(f, **own);
    }
    page.folds.push_back(std::move(f));
  }
  if (auto good = replies.status(); !good)
    return good.error();
  return page;
}

outcome<room_counts> store::count(const room_id& room, const user_id& user, uint64_t read, uint64_t first,
                                  size_t most) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  room_counts result;
  // What retention has dropped can't be unread: then the count begins before the first event that is kept.
  if (const auto at = std::max(read, first); at > 0) {
    auto e = get<event>(**db, keys::family::events, keys::event(room, at), rocksdb::ReadOptions());
    if (!e)
      return e.error();
    if (*e)
      result.messages = (*e)->messages - (read < first && (*e)->kind == event_kind::message ? 1 : 0);
  }
  const auto from = std::max(read + 1, first);
  // A message that means the user by name and as one of all is one; one's own means everybody else.
  std::set<uint64_t> meant;
  for (auto who : {std::string_view(user.str()), everybody}) {
    auto whose = keys::mention(room, who, 0);
    range mentions(**db, keys::family::state, whose.substr(0, whose.size() - keys::seq_bytes));
    for (mentions->Seek(keys::mention(room, who, from)); mentions->Valid() && meant.size() < most; mentions->Next())
      if (mentions.value() != user.str())
        meant.insert(keys::seq_of(mentions.rest()));
    if (auto good = mentions.status(); !good)
      return good.error();
  }
  result.mentions = meant.size();
  return result;
}

outcome<std::vector<std::pair<uint64_t, thread_record>>> store::threads(const user_id& user, const room_id& room,
                                                                        uint64_t after, size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<std::pair<uint64_t, thread_record>> found;
  const auto first = keys::thread(user, room, after);
  range all(**db, keys::family::state, first.substr(0, first.size() - keys::seq_bytes));
  for (all->Seek(first); all->Valid() && found.size() < limit; all->Next()) {
    const auto target = keys::seq_of(all.rest());
    if (target <= after)
      continue;
    auto record = decode<thread_record>(all.value());
    if (!record)
      return record.error();
    found.emplace_back(target, std::move(*record));
  }
  if (auto good = all.status(); !good)
    return good.error();
  return found;
}

outcome<std::optional<thread_record>> store::load_thread(const user_id& user, const room_id& room,
                                                         uint64_t target) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  return get<thread_record>(**db, keys::family::state, keys::thread(user, room, target), rocksdb::ReadOptions());
}

} // namespace greenroom::storage
