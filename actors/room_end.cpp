// How history goes, and the room itself. What is old is dropped as one range, when the shard says that it is time; a
// room that was deleted tells its members' lists first, some members with each write, and then goes as a whole.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::due_entry;
using storage::event_kind;
using storage::member_change;
using storage::member_role;

constexpr int64_t ms_per_day = 86'400'000;
constexpr int64_t minute_ms = 60'000;
constexpr int64_t hooks_wait_ms = 10'000; // until a room that stays for a webhook is looked at again
constexpr size_t members_at_once = 500;   // whose lists are told with one write

bool sits_anybody(const std::map<user_id, storage::member_record>& members) {
  return std::any_of(members.begin(), members.end(), [](const auto& m) { return m.second.role != member_role::none; });
}

} // namespace

/// The same for everybody who asks within the period, so that it stands among what is due once. Rooms are spread over
/// it.
due_entry room_actor::next_retention() const {
  const auto period = int64_t{house_.config.rooms.retention_minutes} * minute_ms;
  const auto own = static_cast<int64_t>(content_of(room_.str(), {}, {}) % static_cast<uint64_t>(period));
  const auto now = house_.now_ms();
  return {(now - own + period) / period * period + own, room_, due_entry::kind::retention, {}, {}, {}};
}

void room_actor::drop_history(const command_ptr& c) {
  if (!present()) {
    end_at_last(c);
    return;
  }
  if (!keeps_some(*record_)) {
    strike_off(c, std::get<fall_due>(c->what).what);
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  const auto oldest = record_->history_days == 0 ? 0 : house_.now_ms() - int64_t{record_->history_days} * ms_per_day;
  const auto most = record_->history_events;
  const auto least = most != 0 && head_ >= most ? head_ - most + 1 : 0;
  tell(house_.reader_of(room_.shard()), reader::find_first{room_, oldest, record_->first, head_, least, self()});
}

void room_actor::receive(const first_found& x) {
  if (phase_ != phase::looking_up)
    return;
  auto c = std::exchange(looked_up_, nullptr);
  phase_ = phase::serving;
  if (const auto* back = std::get_if<replay>(&c->what)) {
    if (*x.what)
      set_back_to(c, *back, (*x.what)->at);
    else
      c->from.answer(x.what->error());
    go_on();
    return;
  }
  const auto& entry = std::get<fall_due>(c->what).what;
  if (*x.what && present()) {
    const auto& found = **x.what;
    const auto first = std::max(record_->first, found.first);
    auto batch = std::make_shared<storage::batch>(room_.shard());
    pending p;
    p.causes = {c};
    p.done = entry;
    p.later = next_retention();
    if (found.more)
      p.later->at = house_.now_ms();
    for (const auto& f : found.files)
      remove_file(*batch, p, f.id, f.owner);
    batch->erase(*p.done);
    batch->put(*p.later);
    if (first > record_->first) {
      batch->erase_events(room_, record_->first, first);
      record_->first = first;
      std::erase_if(record_->pins, [first](uint64_t seq) { return seq < first; });
      batch->put(room_, *record_);
      p.record = record_;
    }
    commit(std::move(batch), std::move(p));
  }
  std::erase_if(changing_, [](const auto& i) { return i.second.in_flight == 0; });
  go_on(); // what could not be read is asked for again
}

/// From here on there is no such room. Its data goes by and by.
void room_actor::end_room(const command_ptr& c) {
  auto next = *record_;
  auto e = next_event(event_kind::room, c->from.user);
  e.text = next.title;
  e.on = true; // whoever listens has to ask again, and will be told that there is no such room
  e.more.edit().settings = {next.kind, next.history_days, next.slow_ms, next.history_events, true, next.limits};
  next.deleted = e.seq;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  p.later = {house_.now_ms(), room_, due_entry::kind::retention, {}, {}, {}}; // wakes it after a crash
  batch->put(*p.later);
  batch->put(room_, next);
  record_ = std::move(next);
  p.record = record_;
  commit_keyed(c, once_of(*c, event_kind::room), std::move(batch), std::move(e), std::move(p));
}

/// The next step of a room that was deleted: some of its members' lists are told. Its listeners may read what they have
/// not seen yet until the last step.
void room_actor::clear_out() {
  if (!record_ || record_->deleted == 0 || !pending_.empty() || phase_ == phase::cold || !sits_anybody(members_))
    return;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  const due_entry step{0, room_, due_entry::kind::retention, {}, {}, {}};
  p.causes = {std::make_shared<const command>(command{room_, {}, fall_due{step}})};
  storage::event cause;
  cause.seq = record_->deleted;
  for (auto i = members_.begin(); i != members_.end() && p.effects.size() < members_at_once; i = members_.erase(i)) {
    if (i->second.role == member_role::none)
      continue;
    p.effects.push_back(effect_on(i->first, cause, member_change::left, member_role::none));
    batch->put(p.effects.back());
    batch->erase_member(room_, i->first);
  }
  commit(std::move(batch), std::move(p));
}

/// The last step, at the earliest when the shard asks for it: nothing of the room is left once all lists know. An
/// effect that came later than a new room of the same name would take that from them.
void room_actor::end_at_last(const command_ptr& c) {
  clear_out();
  const auto& open = rare_->uploads;
  const bool uploads = std::any_of(open.begin(), open.end(), [](const auto& u) { return u.second.token != 0; });
  if (sits_anybody(members_) || !pending_.empty() || uploads)
    return; // the shard asks again
  if (hooks_wait()) {
    auto batch = std::make_shared<storage::batch>(room_.shard());
    pending p;
    p.causes = {c};
    p.done = std::get<fall_due>(c->what).what;
    p.later = {house_.now_ms() + hooks_wait_ms, room_, due_entry::kind::retention, {}, {}};
    batch->erase(*p.done);
    batch->put(*p.later);
    commit(std::move(batch), std::move(p));
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  tell(house_.reader_of(room_.shard()), reader::list_files{room_, self()}); // and then for effects
}

void room_actor::receive(const effects_left& x) {
  if (phase_ != phase::looking_up)
    return;
  auto c = std::exchange(looked_up_, nullptr);
  phase_ = phase::serving;
  if (x.what && !*x.what && record_) {
    auto batch = std::make_shared<storage::batch>(room_.shard());
    erase_hooks(*batch);
    batch->erase_contents(room_);
    batch->erase(room_);
    pending p;
    p.causes = {c};
    p.done = std::get<fall_due>(c->what).what;
    p.ends_room = true;
    batch->erase(*p.done);
    commit(std::move(batch), std::move(p));
  }
  go_on();
}

} // namespace greenroom::room
