// What is done to the room itself: its topic, its pins, its settings.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::event_kind;

} // namespace

/// REQUIRES: something differs. One batch: the event and the record.
void room_actor::change_settings(const command_ptr& c, storage::room_record next, storage::event e) {
  const bool kept_all = !keeps_some(*record_);
  record_ = std::move(next);
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->put(room_, *record_);
  pending p;
  p.record = record_;
  if (kept_all && keeps_some(*record_)) {
    p.later = next_retention();
    batch->put(*p.later);
  }
  const auto kind = e.kind;
  commit_keyed(c, once_of(*c, kind), std::move(batch), std::move(e), std::move(p));
}

void room_actor::topic(const command_ptr& c, const op::topic& x) {
  if (auto why = refusal(c->from.user, action::pin)) {
    c->from.answer(std::move(*why));
  } else if (drawn_ == 0) { // the first event of a direct room wakes both users, and a message is what does it
    c->from.refuse(errc::not_found, "room: nothing has been said in it");
  } else if (record_->topic == x.title) {
    stands_already(c, drawn_);
  } else {
    auto next = *record_;
    next.topic = x.title;
    auto e = next_event(event_kind::topic, c->from.user);
    e.text = x.title;
    change_settings(c, std::move(next), std::move(e));
  }
}

void room_actor::change_with(const command_ptr& c, const op::pin& x, const storage::target_image&) {
  const bool was = std::find(record_->pins.begin(), record_->pins.end(), x.target) != record_->pins.end();
  if (was == x.on) {
    stands_already(c, drawn_);
    return;
  }
  if (auto bound = house_.limits_now()->pins_per_room; x.on && record_->pins.size() >= bound) {
    c->from.refuse(errc::too_large, "limits.pins_per_room: " + std::to_string(bound));
    return;
  }
  auto next = *record_;
  if (x.on)
    next.pins.push_back(x.target);
  else
    std::erase(next.pins, x.target);
  auto e = next_event(x.on ? event_kind::pinned : event_kind::unpinned, c->from.user);
  e.target = x.target;
  change_settings(c, std::move(next), std::move(e));
}

void room_actor::configure(const command_ptr& c, const op::configure& x) {
  if (auto why = refusal(c->from.user, x.changes() ? action::configure : action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (!present()) {
    c->from.refuse(errc::not_found, "room: nothing has been said in it");
    return;
  }
  if (!x.changes()) {
    finish(c, head_);
    return;
  }
  if (x.remove) {
    end_room(c);
    return;
  }
  auto next = *record_;
  next.title = x.title.value_or(next.title);
  next.kind = x.kind.value_or(next.kind);
  next.history_days = x.history_days.value_or(next.history_days);
  next.slow_ms = x.slow_ms.value_or(next.slow_ms);
  next.history_events = x.history_events.value_or(next.history_events);
  next.limits = x.limits.value_or(next.limits);
  if (next == *record_) {
    stands_already(c, drawn_);
    return;
  }
  auto e = next_event(event_kind::room, c->from.user);
  e.text = next.title;
  e.on = record_->kind == storage::room_kind::public_ && next.kind != storage::room_kind::public_;
  e.more.edit().settings = {next.kind, next.history_days, next.slow_ms, next.history_events, false, next.limits};
  change_settings(c, std::move(next), std::move(e));
}

} // namespace greenroom::room
