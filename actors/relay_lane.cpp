#include "actors/relay_lane.hpp"

#include "actors/house.hpp"
#include "actors/session_page.hpp"

#include <algorithm>
#include <tuple>

namespace greenroom::relay_lane {

// Everything that waits here comes from relays and connections of this node, each with a bound of its own; that of the
// mailbox only keeps a stuck thread from growing without end.
relay_lane_actor::relay_lane_actor(caf::actor_config& cfg, house& in, lane& on)
    : lane_actor(cfg, on, actor_kind::relay_lane, std::to_string(on.index()), in.living,
                 in.config.scheduler.lane_mailbox),
      house_(in) {}

bool relay_lane_actor::may_drop(const caf::mailbox_element& e) const { return e.content().match_elements<fan_out>(); }

/// Of which rooms is not known.
void relay_lane_actor::on_loss() {
  house_.metrics.losses.add();
  for (const auto& [id, p] : present_)
    tell(p.to, look_again{});
}

void relay_lane_actor::receive(const enter& x) {
  auto& p = present_[x.connection];
  p.to = x.to;
  p.socket = x.socket;
  p.session = x.session;
}

void relay_lane_actor::receive(const leave& x) {
  present_.erase(x.connection);
  for (auto relay : x.relays)
    drop(relay, x.connection, x.user);
  for (const auto& user : x.watched)
    look_away(user, x.connection);
}

void relay_lane_actor::receive(const unlisten& x) { drop(x.relay, x.connection, x.user); }

// -- presence --------------------------------------------------------------------------------------------------------

void relay_lane_actor::receive(const appear& x) {
  auto i = present_.find(x.connection);
  if (i == present_.end())
    return;
  i->second.status = x.status;
  for (auto relay : x.relays)
    if (auto a = audiences_.find(relay); a != audiences_.end())
      tell(a->second.relay, appears{x.user, x.status});
}

/// Each lane tells a user's shard once, however many of its connections look.
void relay_lane_actor::receive(const watch& x) {
  auto i = present_.find(x.connection);
  if (i == present_.end())
    return;
  for (const auto& user : x.users) {
    auto& watching = watchers_[user];
    if (watching.empty())
      tell(house_.shard_of(user), shard::watched{user, here().index(), true});
    if (std::none_of(watching.begin(), watching.end(), [&](const watcher& w) { return w.connection == x.connection; }))
      watching.push_back({x.connection, i->second.to});
  }
  for (const auto& look : x.looks)
    tell(house_.shard_of(look->user), user::ask{look});
}

void relay_lane_actor::receive(const unwatch& x) {
  for (const auto& user : x.users)
    look_away(user, x.connection);
}

void relay_lane_actor::look_away(const user_id& user, uint64_t connection) {
  auto i = watchers_.find(user);
  if (i == watchers_.end())
    return;
  auto& watching = i->second;
  auto w = std::find_if(watching.begin(), watching.end(), [&](const watcher& x) { return x.connection == connection; });
  if (w == watching.end())
    return;
  std::swap(*w, watching.back());
  watching.pop_back();
  if (!watching.empty())
    return;
  watchers_.erase(i);
  tell(house_.shard_of(user), shard::watched{user, here().index(), false});
}

void relay_lane_actor::receive(const appeared& x) {
  for (const auto& a : *x.users) {
    auto i = watchers_.find(a.user);
    if (i == watchers_.end())
      continue;
    auto p = std::make_shared<publication>();
    auto news = std::make_shared<presence_news>();
    news->users.push_back(a);
    p->ephemeral = house_.encode.presence(*news);
    p->presence = std::move(news);
    for (const auto& w : i->second)
      tell(w.to, delivered{p});
  }
}

// -- rooms -----------------------------------------------------------------------------------------------------------

void relay_lane_actor::receive(const refuse& x) {
  if (auto i = present_.find(x.from.connection); i != present_.end())
    tell(i->second.to, stands{x.from.ticket, x.why, nullptr});
}

void relay_lane_actor::receive(const admit& x) {
  auto member = x.where.role != storage::member_role::none;
  auto i = present_.find(x.from.connection);
  if (i == present_.end()) {
    tell(x.relay, confirmed{here().index(), x.from.user, member, false, seen_as::online});
    return;
  }
  auto& room = audiences_[x.face->relay];
  room.relay = x.relay;
  const auto& to = i->second.to;
  bool entered = std::none_of(room.listeners.begin(), room.listeners.end(),
                              [&](const listener& l) { return l.id() == x.from.connection; });
  if (entered)
    room.listeners.push_back(to);
  tell(x.relay, confirmed{here().index(), x.from.user, member, entered, i->second.status});
  tell(to, stands{x.from.ticket, x.where, x.face});
}

void relay_lane_actor::drop(uint64_t relay, uint64_t connection, const user_id& user) {
  auto i = audiences_.find(relay);
  if (i == audiences_.end())
    return;
  auto& listeners = i->second.listeners;
  auto l = std::find_if(listeners.begin(), listeners.end(), [&](const listener& x) { return x.id() == connection; });
  if (l == listeners.end())
    return;
  *l = std::move(listeners.back()); // who comes first among listeners means nothing
  listeners.pop_back();
  tell(i->second.relay, gone{here().index(), user});
  if (listeners.empty())
    audiences_.erase(i);
}

void relay_lane_actor::receive(const fan_out& x) {
  auto i = audiences_.find(x.what->relay);
  if (i == audiences_.end())
    return;
  const auto& listeners = i->second.listeners;
  if (listeners.size() == 1) {
    tell(listeners.front(), delivered{x.what});
    return;
  }
  auto message = caf::make_message(delivered{x.what}); // one for all, instead of a copy each
  for (const auto& to : listeners)
    to->enqueue(nullptr, caf::make_message_id(), message, unit());
}

void relay_lane_actor::receive(const go_away& x) {
  for (const auto& [id, p] : present_)
    tell_ahead(p.to, x);
}

void relay_lane_actor::receive(const list& x) {
  ok::sessions found;
  for (const auto& [id, p] : present_) {
    if (!x.user.empty() && p.session->user != x.user)
      continue;
    found.list.push_back(*p.session);
    found.list.back().queued_bytes = p.socket->queued_bytes();
  }
  std::ignore = keep_page(found, x.after, x.limit); // whoever asks has looked at the cursor
  x.from.answer(ok::any{std::move(found)});
}

} // namespace greenroom::relay_lane
