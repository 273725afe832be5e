// The readers of what messages say of each other and of people: threads, and what somebody has not read yet.
#include "storage/reading.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/snapshot.h>

#include <set>

namespace greenroom::storage {
namespace {

/// A page of messages from here and there in one room, each as it stands; all of one moment, as messages and how they
/// stand must agree.
class message_picker {
public:
  message_picker(const database& db, const room_id& room, const user_id& reader, size_t limit, size_t bytes)
      : db_(db), moment_(&*db), room_(room), reader_(reader), limit_(limit), bytes_(bytes) {
    at_.snapshot = moment_.snapshot();
  }
  const rocksdb::Snapshot* moment() const { return at_.snapshot; }

  /// False: the page is full, and there is more. What is not kept any more is passed over.
  outcome<bool> add(uint64_t seq) {
    auto e = get<event>(db_, keys::family::events, keys::event(room_, seq), at_);
    if (!e)
      return e.error();
    if (!*e)
      return true;
    auto state = get<message_state>(db_, keys::family::state, keys::state(room_, seq), at_);
    if (!state)
      return state.error();
    used_ += size_of(**e) + (*state ? (*state)->text.size() : 0);
    if (page_.events.size() == limit_ || (used_ > bytes_ && !page_.events.empty())) {
      page_.more = true;
      return false;
    }
    page_.events.push_back(std::move(**e));
    if (!*state)
      return true;
    page_.folded = std::max(page_.folded, (*state)->changed);
    auto f = fold_of(seq, std::move(**state));
    if (!f.reactions.empty()) {
      auto own = get<own_reactions>(db_, keys::family::state, keys::reaction(room_, reader_, seq), at_);
      if (!own)
        return own.error();
      if (*own)
        mark_own(f, **own);
    }
    page_.folds.push_back(std::move(f));
    return true;
  }
  event_page take() && { return std::move(page_); }

private:
  const database& db_;
  rocksdb::ManagedSnapshot moment_;
  rocksdb::ReadOptions at_;
  const room_id& room_;
  const user_id& reader_;
  const size_t limit_;
  const size_t bytes_;
  event_page page_;
  size_t used_ = 0;
};

} // namespace

outcome<event_page> store::thread_after(const room_id& room, uint64_t target, uint64_t after, uint64_t head,
                                        size_t limit, size_t bytes, const user_id& reader) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  message_picker page(**db, room, reader, limit, bytes);
  const auto thread = keys::reply(room, target, 0);
  range replies(**db, keys::family::state, thread.substr(0, thread.size() - keys::seq_bytes), page.moment());
  for (replies->Seek(keys::reply(room, target, after + 1)); replies->Valid(); replies->Next()) {
    const auto seq = keys::seq_of(replies.rest());
    if (seq > head)
      break;
    auto added = page.add(seq);
    if (!added)
      return added.error();
    if (!*added)
      break;
  }
  if (auto good = replies.status(); !good)
    return good.error();
  return std::move(page).take();
}

outcome<event_page> store::pick(const room_id& room, const std::vector<uint64_t>& seqs, uint64_t head, size_t limit,
                                size_t bytes, const user_id& reader) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  message_picker page(**db, room, reader, limit, bytes);
  for (auto seq : seqs) {
    auto added = seq <= head ? page.add(seq) : outcome<bool>{true};
    if (!added)
      return added.error();
    if (!*added)
      break;
  }
  return std::move(page).take();
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
