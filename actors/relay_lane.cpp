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

void relay_lane_actor::receive(const enter& x) { present_[x.connection] = {x.to, x.socket, x.session}; }

void relay_lane_actor::receive(const leave& x) {
  present_.erase(x.connection);
  for (auto relay : x.relays)
    drop(relay, x.connection, x.user);
}

void relay_lane_actor::receive(const unlisten& x) { drop(x.relay, x.connection, x.user); }

void relay_lane_actor::receive(const refuse& x) {
  if (auto i = present_.find(x.from.connection); i != present_.end())
    tell(i->second.to, stands{x.from.ticket, x.why, nullptr});
}

void relay_lane_actor::receive(const admit& x) {
  auto member = x.where.role != storage::member_role::none;
  auto i = present_.find(x.from.connection);
  if (i == present_.end()) {
    tell(x.relay, confirmed{here().index(), x.from.user, member, false});
    return;
  }
  auto& room = audiences_[x.face->relay];
  room.relay = x.relay;
  const auto& to = i->second.to;
  bool entered = std::none_of(room.listeners.begin(), room.listeners.end(),
                              [&](const listener& l) { return l.id() == x.from.connection; });
  if (entered)
    room.listeners.push_back(to);
  tell(x.relay, confirmed{here().index(), x.from.user, member, entered});
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
