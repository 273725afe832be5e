#include "actors/cluster/survey.hpp"

#include "actors/house.hpp"
#include "actors/session_page.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace greenroom::cluster::survey {
namespace {

/// What a message begins with.
std::string about(bool hooks) { return hooks ? "webhooks: " : "sessions: "; }

failure unreachable(bool hooks, const std::string& node) {
  return fail(errc::unavailable, about(hooks) + "node " + node + " can't be asked for its own at the moment");
}

bool post(const peer_ptr& to, const survey_letter& x) {
  return to->post(channel::bulk, {survey_mailbox, std::make_shared<const std::string>(encode(x))});
}

} // namespace

survey_actor::survey_actor(caf::actor_config& cfg, house& in, host& on)
    : hosted_actor(cfg, on, actor_kind::survey, {}, in.living), house_(in) {}

// -- for this node ---------------------------------------------------------------------------------------------------

bool survey_actor::may_begin(const caller& from, bool hooks) const {
  if (!house_.cluster->lease_holds()) {
    from.refuse(errc::unavailable, about(hooks) + "the node has lost touch with its cluster");
    return false;
  }
  if (auto bound = house_.config.cluster.surveys; asks_.size() >= bound) {
    from.refuse(errc::unavailable, "cluster.surveys: " + std::to_string(bound) + " are under way");
    return false;
  }
  return true;
}

void survey_actor::receive(const survey_ask& x) {
  if (!may_begin(x.from, false))
    return;
  auto of_all = std::count_if(asks_.begin(), asks_.end(), [](const auto& a) { return a.second.of_all; });
  if (auto bound = house_.config.cluster.surveys_of_all; x.user.empty() && of_all >= bound) {
    x.from.refuse(errc::unavailable, "cluster.surveys_of_all: " + std::to_string(bound) + " are under way");
    return;
  }
  begin({x.from, x.user.empty(), known_, {}, house_.steady_ms()}, list_there{++next_ticket_, x.user, x.after, x.limit});
}

void survey_actor::receive(const survey_hooks& x) {
  if (may_begin(x.from, true))
    begin({x.from, false, known_, {}, house_.steady_ms(), true}, hooks_asked_there{++next_ticket_});
}

/// REQUIRES: `what` has the last ticket.
void survey_actor::begin(open_ask a, const survey_letter& what) {
  for (const auto& node : known_) {
    auto p = peers_.find(node);
    if (p == peers_.end() || !post(p->second, what)) {
      a.from.answer(unreachable(a.of_hooks, node));
      return;
    }
  }
  if (!a.missing.empty())
    asks_.emplace(next_ticket_, std::move(a));
  else if (a.of_hooks)
    a.from.answer(ok::any{ok::webhooks{}});
  else
    a.from.answer(ok::any{ok::sessions{}});
}

void survey_actor::take(const peer_ptr& from, const hooks_there& x) {
  auto i = asks_.find(x.ticket);
  if (i == asks_.end() || !i->second.missing.contains(from->name))
    return; // too late
  auto& all = i->second.hooks.list;
  all.insert(all.end(), x.list.begin(), x.list.end());
  heard_all(from->name, x.ticket, i->second);
}

void survey_actor::take(const peer_ptr& from, const sessions_there& x) {
  auto i = asks_.find(x.ticket);
  if (i == asks_.end() || !i->second.missing.contains(from->name))
    return; // too late
  auto& a = i->second;
  a.found.list.insert(a.found.list.end(), x.list.begin(), x.list.end());
  if (x.last)
    heard_all(from->name, x.ticket, a);
}

void survey_actor::heard_all(const std::string& node, uint64_t ticket, open_ask& a) {
  a.missing.erase(node);
  if (!a.missing.empty())
    return;
  if (a.of_hooks)
    a.from.answer(ok::any{std::move(a.hooks)});
  else
    a.from.answer(ok::any{std::move(a.found)});
  asks_.erase(ticket);
}

/// A node that is gone has no connections any more; but whether it is, only etcd knows, a little later.
void survey_actor::lost(const std::string& node) {
  std::erase_if(asks_, [&](const auto& a) {
    bool waits = a.second.missing.contains(node);
    if (waits)
      a.second.from.answer(unreachable(a.second.of_hooks, node));
    return waits;
  });
}

// -- for another node ------------------------------------------------------------------------------------------------

void survey_actor::take(const peer_ptr& from, const list_there& x) {
  if (guests_.size() >= house_.config.cluster.surveys)
    return; // answered by the limit of time
  auto ticket = ++next_ticket_;
  guests_.emplace(ticket, guest{from, x.ticket, house_.relay_lanes.size(), {}, house_.steady_ms(), x.after, x.limit});
  caller here;
  here.to = caf::actor_cast<asker>(self());
  here.ticket = ticket;
  for (const auto& l : house_.relay_lanes)
    tell(l, relay_lane::list{here, x.user, x.after, x.limit});
}

void survey_actor::take(const peer_ptr& from, const hooks_asked_there& x) {
  if (guests_.size() >= house_.config.cluster.surveys)
    return; // as above
  auto ticket = ++next_ticket_;
  guests_.emplace(ticket, guest{from, x.ticket, 1, {}, house_.steady_ms(), {}, 0});
  caller here;
  here.to = caf::actor_cast<asker>(self());
  here.ticket = ticket;
  tell(house_.pusher, pusher::list{here});
}

void survey_actor::receive(const reply& x) {
  auto i = guests_.find(x.ticket);
  if (const auto* hooks = x.what ? std::get_if<ok::webhooks>(&*x.what) : nullptr; hooks && i != guests_.end()) {
    post(i->second.from, hooks_there{i->second.ticket, hooks->list});
    guests_.erase(i);
    return;
  }
  const auto* found = x.what ? std::get_if<ok::sessions>(&*x.what) : nullptr;
  if (i == guests_.end() || !found)
    return;
  auto& g = i->second;
  g.found.list.insert(g.found.list.end(), found->list.begin(), found->list.end());
  if (--g.missing > 0)
    return;
  std::ignore = keep_page(g.found, g.after, g.limit); // whoever asks has looked at the cursor
  send(g);
  guests_.erase(i);
}

void survey_actor::send(const guest& g) const {
  const auto& all = g.found.list;
  size_t sent = 0;
  do {
    auto count = std::min(letter_sessions, all.size() - sent);
    auto first = all.begin() + static_cast<std::ptrdiff_t>(sent);
    sent += count;
    post(g.from, sessions_there{g.ticket, {first, first + static_cast<std::ptrdiff_t>(count)}, sent == all.size()});
  } while (sent < all.size());
}

// -- other nodes, and time -------------------------------------------------------------------------------------------

void survey_actor::receive(const survey_know& x) {
  known_ = *x.nodes;
  known_.erase(house_.config.node.name);
}

void survey_actor::receive(const peer_up& x) { peers_[x.who->name] = x.who; }

void survey_actor::receive(const peer_down& x) {
  auto p = peers_.find(x.who->name);
  if (p == peers_.end() || p->second != x.who)
    return;
  peers_.erase(p);
  std::erase_if(guests_, [&](const auto& g) { return g.second.from == x.who; });
  lost(x.who->name);
}

void survey_actor::receive(const arrived& x) {
  auto p = peers_.find(x.from->name);
  if (p == peers_.end() || p->second != x.from)
    return; // of a link that has ended
  auto letter = read_survey_letter(*x.what);
  if (!letter) {
    spdlog::error("what=letter_unreadable from={} mailbox=survey", x.from->name);
    return;
  }
  std::visit([&](const auto& l) { take(x.from, l); }, *letter);
}

void survey_actor::receive(const survey_tick&) {
  auto oldest = house_.steady_ms() - house_.limits_now()->request_ms;
  auto is_late = [&](const auto& x) { return x.second.since < oldest; };
  std::erase_if(guests_, is_late);
  std::erase_if(asks_, [&](const auto& a) {
    if (is_late(a))
      a.second.from.answer(unreachable(a.second.of_hooks, *a.second.missing.begin()));
    return is_late(a);
  });
}

} // namespace greenroom::cluster::survey
