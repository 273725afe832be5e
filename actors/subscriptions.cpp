// The connection's streams of events: one cursor per room, live while it meets them, pulled while it is behind.
#include "actors/connection.hpp"
#include "actors/house.hpp"
#include "actors/tenancy.hpp"

#include <algorithm>

namespace greenroom::connection {

connection_actor::subscription* connection_actor::find(uint64_t relay) {
  auto i = std::lower_bound(subscriptions_.begin(), subscriptions_.end(), relay,
                            [](const subscription& s, uint64_t r) { return s.face->relay < r; });
  return i == subscriptions_.end() || i->face->relay != relay ? nullptr : &*i;
}

connection_actor::subscription* connection_actor::find(const room_id& room) {
  auto i = std::find_if(subscriptions_.begin(), subscriptions_.end(),
                        [&](const subscription& s) { return s.face->room == room; });
  return i == subscriptions_.end() ? nullptr : &*i;
}

void connection_actor::follow(const room_id& room, std::optional<position> from, bool named, bool goes_on,
                              uint64_t ended) {
  approaches_.push_back({++own_ticket_, room, named, false, false, from, goes_on, ended});
  subscribe(room, std::move(from), own_ticket_, goes_on);
}

void connection_actor::subscribe(const room_id& room, std::optional<position> from, uint64_t ticket, bool goes_on) {
  auto c = std::make_shared<const room::command>(
      room::command{room, as_caller(ticket), op::subscribe{room, std::move(from), goes_on}});
  tell(house_.shard_of(room), room::ask{std::move(c)});
}

std::optional<connection_actor::approach> connection_actor::arrive(uint64_t ticket) {
  auto i = std::find_if(approaches_.begin(), approaches_.end(), [&](const approach& a) { return a.ticket == ticket; });
  if (i == approaches_.end())
    return std::nullopt;
  auto a = std::move(*i);
  approaches_.erase(i);
  return a;
}

void connection_actor::miss(const approach& a) {
  if (missed_.size() < house_.limits_now()->subscriptions)
    missed_.push_back({a.room, a.from, a.goes_on, a.ended});
  look_after_soon();
}

void connection_actor::follow_missed() {
  for (auto& m : std::exchange(missed_, {}))
    if (!find(m.room))
      follow(m.room, std::move(m.from), m.goes_on, m.goes_on, m.ended);
}

/// Up to where the client has this room, where an event has ended its stream and the room is being asked whether it may
/// go on; else 0. An admission that was on its way meanwhile knows nothing of that.
uint64_t connection_actor::ended_at(const room_face& face) const {
  uint64_t seq = 0;
  auto note = [&](const auto& x) {
    if (x.ended != 0 && x.room == face.room && x.from->epoch == face.epoch)
      seq = std::max(seq, x.from->seq);
  };
  std::for_each(approaches_.begin(), approaches_.end(), note);
  std::for_each(missed_.begin(), missed_.end(), note);
  return seq;
}

bool connection_actor::is_awaited(const room_id& room) const {
  return std::any_of(approaches_.begin(), approaches_.end(),
                     [&](const approach& a) { return a.room == room && !a.cancelled; });
}

/// The connection listens by an admission that it no longer waits for. If it waits for another one of that room, this
/// one will do: giving it up now could take back what the next admission brings.
void connection_actor::listen_late(const stands& x) {
  const auto& room = x.face->room;
  if (x.where->head < ended_at(*x.face))
    return; // it may be over: that is being asked
  const bool was_missed = std::erase_if(missed_, [&](const missed& m) { return m.room == room; }) > 0;
  if ((was_missed || is_awaited(room)) && phase_ == phase::live) {
    if (auto& s = add_subscription(x); s.behind())
      pull(s);
  } else if (!find(x.face->relay)) {
    tell(house_.relay_lanes[here().index()], relay_lane::unlisten{this->id(), who_->user, x.face->relay});
  }
}

/// The answer of a room to a subscription, or to a look.
void connection_actor::receive(const stands& x) {
  if (phase_ == phase::over)
    return;
  if (x.ticket >= visit_tickets && x.ticket < own_tickets) {
    if (x.where && x.face) {
      if (phase_ == phase::greeting)
        add_subscription(x);
      else // hello has been answered without it
        listen_late(x);
    }
    visited(x.ticket - visit_tickets, x.where);
    return;
  }
  auto a = arrive(x.ticket);
  bool asked = x.ticket < visit_tickets;
  bool wanted = a && !a->cancelled;
  if (x.where && x.face) {
    if (wanted && x.where->head >= ended_at(*x.face))
      add_subscription(x);
    else // unsubscribed meanwhile, or answered as overdue
      listen_late(x);
  }
  auto* s = wanted && x.where && x.face ? find(x.face->relay) : nullptr;
  // Where the stream can't go on from where it was, the client is told before the next event.
  const bool goes_on_elsewhere = !asked && x.where && x.where->recovered == false;
  if (s && a->named && !goes_on_elsewhere && !std::exchange(s->named, true)) {
    --unnamed_;
    // Nothing was handed over by it: the client begins where the answer says, not where we did.
    s->cursor = std::max(x.where->cursor, ended_at(*x.face));
  }
  if (asked && land(x.ticket)) {
    auto id = static_cast<int64_t>(x.ticket);
    if (x.where) {
      bool recovered = x.where->recovered.value_or(false);
      auto seq = recovered ? x.where->head : s ? s->cursor : x.where->cursor; // after it the stream goes on
      respond(id, ok::any{ok::joined{x.where->epoch, seq, x.where->role, x.where->member_count, x.where->online_count,
                                     x.where->recovered}});
    } else {
      respond(id, x.where.error());
    }
  }
  if (wanted && !asked && is_transient(x.where))
    miss(*a);
  else if (a && a->ended != 0 && !x.where && !find(a->ended) && !is_awaited(a->room))
    // An earlier admission may have come to the lane since.
    tell(house_.relay_lanes[here().index()], relay_lane::unlisten{this->id(), who_->user, a->ended});
  if (s && phase_ == phase::live && s->behind())
    pull(*s);
  next_requests();
}

/// A room that is listened to already keeps its cursor: what was handed over is not repeated.
connection_actor::subscription& connection_actor::add_subscription(const stands& x) {
  if (auto* s = find(x.face->relay); s && s->face->epoch == x.face->epoch) {
    s->seen = std::max(s->seen, x.where->head);
    return *s;
  } else if (s) { // the room was made anew
    s->face = x.face;
    s->cursor = x.where->cursor;
    s->seen = x.where->head;
    return *s;
  }
  auto at = std::lower_bound(subscriptions_.begin(), subscriptions_.end(), x.face->relay,
                             [](const subscription& s, uint64_t r) { return s.face->relay < r; });
  subscription s;
  s.face = x.face;
  s.cursor = std::max(x.where->cursor, ended_at(*x.face)); // what was handed over is not repeated
  s.seen = x.where->head;
  if (phase_ == phase::live)
    ++unnamed_; // in a greeting they are counted when the answer is known
  return *subscriptions_.insert(at, std::move(s));
}

void connection_actor::drop(subscription& s) {
  unnamed_ -= s.named ? 0 : 1;
  tell(house_.relay_lanes[here().index()], relay_lane::unlisten{this->id(), who_->user, s.face->relay});
  subscriptions_.erase(subscriptions_.begin() + (&s - subscriptions_.data()));
}

void connection_actor::forget_unwanted(const room_id& room) { std::erase(unwanted_, room); }

/// An answer has named the room: no `subscribed` is needed any more.
void connection_actor::mark_named(const room_id& room) {
  if (auto* s = find(room); s && !std::exchange(s->named, true))
    --unnamed_;
}

void connection_actor::receive(const delivered& x) {
  const auto& p = *x.what;
  if (p.relay == 0) { // of a user who is watched, or was when it was said
    if (phase_ == phase::live && watches(p.presence->users.front().user))
      show(p);
    return;
  }
  auto* s = find(p.relay);
  if (!s || phase_ == phase::over)
    return;
  s->seen = std::max(s->seen, p.head);
  if (phase_ != phase::live)
    return; // what comes before hello's answer is pulled after it
  if (p.presence) {
    if (s->named)
      show(p);
    return;
  }
  if (p.ephemeral) {
    if (p.except != who_->user && s->named)
      write(p.ephemeral, delivery::ephemeral);
    return;
  }
  for (const auto& item : p.events)
    if (!hand_over(p.relay, *item.what, item.bytes))
      return;
  if (s->behind())
    pull(*s);
}

void connection_actor::on_loss() {
  house_.metrics.losses.add();
  receive(look_again{});
}

/// Each room is asked: somebody may have spoken there for the last time.
void connection_actor::receive(const look_again&) {
  for (auto& s : subscriptions_) {
    s.unsure = true;
    if (phase_ == phase::live)
      pull(s); // or, if a pull is under way, when it is answered; in a greeting, behind its answer
  }
}

void connection_actor::receive(const room::pulled& x) {
  auto* s = find(x.ticket);
  if (!s || phase_ != phase::live)
    return;
  s->pulling = false;
  if (x.refused) {
    drop(*s);
    return;
  }
  s->seen = std::max(s->seen, x.head);
  if (x.first > s->cursor + 1) { // retention was faster; where the stream goes on is said before the next event
    s->cursor = x.first - 1;
    unnamed_ += std::exchange(s->named, false) ? 1 : 0;
  }
  for (const auto& e : x.events)
    if (e->seq == s->cursor + 1 && !hand_over(x.ticket, *e, house_.encode.event(s->face->room, *e)))
      return;
  if (!s->behind())
    return;
  if (x.events.empty() && !s->unsure) { // the room could not answer: again in a while
    s->stuck = true;
    look_after_soon();
  } else {
    pull(*s);
  }
}

/// Passes one event on if it is the next one. False: no more of this room at present: the subscription or the
/// connection is over, or the outbox is full enough.
bool connection_actor::hand_over(uint64_t relay, const storage::event& e, const frame& bytes) {
  auto* s = find(relay);
  if (!s)
    return false;
  if (e.seq != s->cursor + 1)
    return true;          // had before, or of the future: `seen` knows, and a pull will bring it
  if (outbox_is_high()) { // the rest is pulled when the client has read
    s->seen = std::max(s->seen, e.seq);
    stick(*s);
    return false;
  }
  if (!std::exchange(s->named, true)) {
    --unnamed_;
    write(house_.encode.subscribed(s->face->room, {s->face->epoch, s->cursor}), delivery::reliable);
  }
  s->cursor = e.seq;
  house_.metrics.deliveries.add();
  write(bytes, delivery::reliable);
  if (phase_ == phase::over)
    return false;
  // One's own leaving is the last that is heard of a room, and who is no member hears none that is not public any more.
  // But the event may be an old one: only the room knows how things stand now.
  const bool own_end =
      e.kind == storage::event_kind::member && storage::ends_listening(e.change) && e.user == who_->user;
  const bool closed = e.kind == storage::event_kind::room && e.on;
  if (own_end || closed) {
    const position here_on{s->face->epoch, e.seq};
    const auto face = s->face;
    drop(*s);
    follow(face->room, here_on, true, true, face->relay);
    return false;
  }
  return true;
}

bool connection_actor::outbox_is_high() const {
  return socket_->queued_bytes() > house_.limits_now()->outbox_bytes / 2;
}

/// Goes on when the outbox has drained; if it does not for long, the client is too slow to keep.
void connection_actor::stick(subscription& s) {
  s.stuck = true;
  if (slow_since_ == 0)
    slow_since_ = house_.steady_ms();
  look_after_soon();
}

void connection_actor::receive(const drained&) {
  slow_since_ = 0;
  for (auto& s : subscriptions_)
    if (phase_ == phase::live && std::exchange(s.stuck, false))
      pull(s);
  next_requests();
}

void connection_actor::pull(subscription& s) {
  if (s.pulling)
    return;
  if (outbox_is_high()) {
    stick(s);
    return;
  }
  s.pulling = true;
  s.unsure = false;
  s.waits = 0;
  auto c = std::make_shared<const room::command>(
      room::command{s.face->room, as_caller(s.face->relay), room::pull{s.face->epoch, s.cursor, self()}});
  tell(house_.shard_of(s.face->room), room::ask{std::move(c)});
  look_after_soon();
}

/// The user is in a new room, by whatever device or invitation; or in one less, which the room's own event tells.
void connection_actor::receive(const user::listed& x) {
  room_count_ = x.rooms;
  if (!x.again)
    forget_unwanted(x.room);
  if (!x.joined || !opens(*who_, x.room))
    return;
  if (phase_ == phase::greeting) {
    greeting_->later.push_back(x);
    return;
  }
  if (phase_ != phase::live)
    return;
  if (auto* s = find(x.room); s && !x.again) {
    // It listened as a stranger and sits in the room now: those who ask see it online when it has come in once more.
    follow(x.room, position{s->face->epoch, s->cursor}, s->named, true);
    return;
  }
  if (!follows_all_ || find(x.room))
    return;
  if (x.again && std::find(unwanted_.begin(), unwanted_.end(), x.room) != unwanted_.end())
    return;
  bool on_its_way =
      std::any_of(approaches_.begin(), approaches_.end(), [&](const approach& a) { return a.room == x.room; });
  if (on_its_way || subscriptions_.size() >= house_.limits_now()->subscriptions)
    return;
  follow(x.room, x.since, false);
}

} // namespace greenroom::connection
