// How a room comes into being, and who sits in it: create, join and leave, each with its effect on the user's own list.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {

using storage::event_kind;
using storage::member_change;
using storage::member_role;
using storage::room_kind;

namespace {

storage::member_record without_role(storage::member_record seat) {
  seat.role = member_role::none;
  return seat;
}

constexpr size_t epoch_characters = 10;
// A `create` that its maker repeats within this time is the same one. Once it is over, `exists` is the better answer.
// What another node repeats is the same one whatever the clocks of the two say.
constexpr int64_t repetition_ms = 600'000;

} // namespace

/// Carries no key, and request ids are not remembered; so what the room knows of its making tells a repetition.
void room_actor::create(const command_ptr& c, const op::create& x) {
  if (room_.is_direct()) {
    c->from.refuse(errc::bad_request, "room: a direct room exists without being created");
    return;
  }
  bool as_made = present() && record_->kind == x.kind && record_->title == x.title &&
                 record_->history_days == x.history_days && house_.now_ms() - record_->created < repetition_ms;
  bool own = present() && record_->creator == c->from.user && (c->from.retried || as_made);
  if (own) {
    repeat(c, 1);
    return;
  }
  if (present()) {
    c->from.refuse(errc::exists, "room: " + room_.str() + " exists already");
    return;
  }
  if (record_) {
    c->from.refuse(errc::unavailable, "room: the one of this name that was deleted is still being cleared out");
    return;
  }
  auto record = draw_record(x.kind, c->from.user);
  record.title = x.title;
  record.history_days = x.history_days;
  storage::member_record seat;
  seat.role = member_role::owner;
  change_member(c, c->from.user, member_change::joined, seat, {}, std::move(record));
}

void room_actor::join(const command_ptr& c, const op::join& x) {
  if (room_.is_direct()) {
    // Its two users are in it from the start: joining is listening.
    subscribe(c, op::subscribe{x.room, x.resume});
    return;
  }
  if (!present()) {
    refuse_listener(c->from, fail(errc::not_found, "room: no such room"));
    return;
  }
  if (auto m = members_.find(c->from.user); m != members_.end() && m->second.role != member_role::none) {
    // Whoever is on the way in already is answered together with the first request.
    auto on_the_way = [&](const pending& p) { return p.what && p.what->seq == m->second.since; };
    if (auto p = std::find_if(pending_.begin(), pending_.end(), on_the_way); p != pending_.end())
      p->causes.push_back(c);
    else
      let_in(c->from, x.resume);
    return;
  }
  if (auto why = refusal(c->from.user, action::join)) {
    refuse_listener(c->from, std::move(*why));
    return;
  }
  if (auto why = is_full()) {
    refuse_listener(c->from, std::move(*why));
    return;
  }
  storage::member_record seat;
  if (auto m = members_.find(c->from.user); m != members_.end())
    seat = m->second; // who was muted and left comes back muted
  seat.role = member_role::member;
  change_member(c, c->from.user, member_change::joined, seat);
}

/// The least of what the node, the tenant and the room allow.
std::optional<failure> room_actor::is_full() const {
  if (const auto bound = house_.limits_now()->members_per_room; member_count_ >= bound)
    return fail(errc::too_large, "limits.members_per_room: " + std::to_string(bound));
  if (const auto bound = tenant_ ? tenant_->limits.members_per_room : 0; bound != 0 && member_count_ >= bound)
    return fail(errc::too_large, "tenant.members_per_room: " + std::to_string(bound));
  if (const auto bound = record_->limits.members; bound != 0 && member_count_ >= bound)
    return fail(errc::too_large, "room: " + std::to_string(bound) + " members (limits.members of the room)");
  return std::nullopt;
}

void room_actor::leave(const command_ptr& c, const op::leave& x) {
  if (room_.is_direct() && x.erased)
    part(c);
  else if (room_.is_direct())
    c->from.refuse(errc::forbidden, "room: a direct room can't be left");
  else if (!present())
    c->from.refuse(errc::not_found, "room: no such room");
  else if (auto m = members_.find(c->from.user); m != members_.end() && m->second.role == member_role::none)
    repeat(c, m->second.since); // leaving again makes no event
  else if (role_of(c->from.user) == member_role::none)
    c->from.refuse(errc::not_member, "room: you are not a member");
  else {
    pass_on_ownership(c->from.user);
    change_member(c, c->from.user, member_change::left, without_role(members_.at(c->from.user)));
  }
}

/// Before the last owner leaves: to the eldest moderator, else the eldest member, else the eldest guest. It is an event
/// of its own in front of the departure, so that no crash leaves a room without an owner.
void room_actor::pass_on_ownership(const user_id& from) {
  if (role_of(from) != member_role::owner)
    return;
  auto heir = members_.end();
  for (auto i = members_.begin(); i != members_.end(); ++i) {
    const auto& seat = i->second;
    if (i->first == from || seat.role == member_role::none)
      continue;
    if (seat.role == member_role::owner)
      return; // there is another one
    if (heir == members_.end() || seat.role > heir->second.role ||
        (seat.role == heir->second.role && seat.since < heir->second.since))
      heir = i;
  }
  if (heir == members_.end())
    return; // nobody is left
  command made{room_, {}, op::moderate{room_, op::moderate::act::role, heir->first, 0, member_role::owner, {}}};
  made.from.user = from;
  auto seat = heir->second;
  seat.role = member_role::owner;
  change_member(std::make_shared<const command>(std::move(made)), heir->first, member_change::role, seat);
}

/// The answer to what `seq` has done already, or is about to: the first one may have got lost, or is still to come.
void room_actor::repeat(const command_ptr& c, uint64_t seq) {
  auto is_it = [&](const pending& p) { return p.what && p.what->seq == seq; };
  if (auto p = std::find_if(pending_.begin(), pending_.end(), is_it); p != pending_.end())
    p->causes.push_back(c);
  else if (auto i = awaiting_effects_.find(seq); i != awaiting_effects_.end())
    i->second.push_back(c);
  else
    finish(c, seq);
}

/// One batch: the event, the seat, the effect on the user's list, and the room itself if it is new.
void room_actor::change_member(const command_ptr& c, const user_id& user, member_change change,
                               storage::member_record next, sentence why, std::optional<storage::room_record> created) {
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  const bool was_created = created.has_value();
  if (created) {
    record_ = std::move(created);
    batch->put(room_, *record_);
    if (keeps_some(*record_)) {
      p.later = next_retention();
      batch->put(*p.later);
    }
  }
  auto e = next_event(event_kind::member, c->from.user);
  e.user = user;
  e.change = change;
  e.role = next.role;
  if (!why.reason.empty())
    e.more.edit().reason = std::move(why.reason);
  if (why.until != 0)
    e.more.edit().until = why.until;
  auto& seat = members_[user];
  const bool was = seat.role != member_role::none;
  const bool is = next.role != member_role::none;
  if (was != is || change == member_change::banned)
    next.since = e.seq;
  if (next.since != e.seq || next.more)
    next.more.edit().changed = e.seq;
  member_count_ += (is ? 1 : 0) - (was ? 1 : 0);
  if (was_created)
    p.record = record_;
  if (seat.role != next.role) {
    p.effects = {effect_on(user, e, change, next.role)};
    batch->put(p.effects.front());
  }
  seat = next;
  batch->put(room_, user, seat);
  commit_keyed(c, once_of(*c, event_kind::member), std::move(batch), std::move(e), std::move(p));
}

// -- after the commit ------------------------------------------------------------------------------------------------

void room_actor::receive(const effect_done& x) {
  if (auto i = awaiting_effects_.find(x.seq); i != awaiting_effects_.end()) {
    auto causes = std::move(i->second);
    awaiting_effects_.erase(i);
    for (const auto& c : causes)
      finish(c, x.seq);
  }
  try_to_end();
}

/// These are durable; only the users' lists lag behind, and the shard sees to them.
void room_actor::finish_awaiting() {
  for (const auto& [seq, causes] : std::exchange(awaiting_effects_, {}))
    for (const auto& c : causes)
      finish(c, seq);
  if (rare_->begun.empty())
    return;
  for (const auto& [file, b] : std::exchange(rare_.edit().begun, {}))
    for (const auto& c : b.causes)
      refuse(*c, fail(errc::unavailable, "attachment: the quota could not be asked; try again"));
}

/// The answer to a change of membership that is durable and known to the user's list.
void room_actor::finish(const command_ptr& c, uint64_t seq) {
  if (std::holds_alternative<op::create>(c->what))
    c->from.answer(ok::any{ok::created{room_, record_->epoch, seq}});
  else if (std::holds_alternative<op::leave>(c->what))
    c->from.answer(ok::any{ok::left{seq}});
  else if (std::holds_alternative<op::moderate>(c->what) || std::holds_alternative<op::topic>(c->what) ||
           std::holds_alternative<op::pin>(c->what) || std::holds_alternative<shun>(c->what))
    c->from.answer(ok::any{ok::changed{seq}});
  else if (const auto* u = std::get_if<op::upload>(&c->what))
    begun(c, *u);
  else if (std::holds_alternative<op::cancel>(c->what) || std::holds_alternative<op::discard>(c->what))
    c->from.answer(ok::any{ok::none{}});
  else if (const auto* back = std::get_if<replay>(&c->what))
    c->from.answer(ok::any{ok::replay{back->hook, room_, seq, head_}});
  else if (const auto* r = std::get_if<op::configure>(&c->what); r && r->remove)
    c->from.answer(ok::any{ok::changed{seq}});
  else if (r)
    c->from.answer(ok::any{ok::room{room_, seq, role_of(c->from.user), member_count_, shown_}});
  else if (const auto* j = std::get_if<op::join>(&c->what); j && role_of(c->from.user) == member_role::none)
    refuse_listener(c->from, fail(errc::not_member, "room: you have been removed since"));
  else if (j)
    let_in(c->from, j->resume, seq);
  else if (const auto* s = std::get_if<op::subscribe>(&c->what))
    let_in(c->from, s->resume);
}

// -- pieces ----------------------------------------------------------------------------------------------------------

storage::room_record room_actor::draw_record(room_kind kind, const user_id& creator) const {
  storage::room_record r;
  r.epoch = house_.random_text(epoch_characters);
  r.kind = kind;
  r.creator = creator;
  r.created = house_.now_ms();
  return r;
}

/// A direct room becomes durable when it is first needed; both users sit in it from then on.
void room_actor::establish_direct(storage::batch& batch) {
  record_ = draw_record(room_kind::direct, user_id{});
  batch.put(room_, *record_);
  auto [a, b] = room_.peers();
  for (const auto& peer : {a, b}) {
    members_[peer].role = member_role::member;
    members_[peer].since = 1;
    batch.put(room_, peer, members_[peer]);
  }
  member_count_ = 2;
}

storage::effect_record room_actor::effect_on(const user_id& user, const storage::event& cause, member_change change,
                                             member_role role) const {
  return {room_, record_->epoch, cause.seq, user, change, role, record_->kind};
}

} // namespace greenroom::room
