// The connection's part in presence: whom it watches, what it tells its client of them and of its rooms, and how its
// own user wants to be seen; signals.
#include "actors/connection.hpp"
#include "actors/house.hpp"

#include <algorithm>

namespace greenroom::connection {
namespace {

constexpr size_t news_per_event = 100; // users and rooms in one event made from the backlog
constexpr size_t quiet_share = 8;      // over this part of limits.outbox_bytes, presence waits

} // namespace

connection_actor::presence_state& connection_actor::presence() {
  if (!presence_)
    presence_ = std::make_unique<presence_state>();
  return *presence_;
}

// -- watching --------------------------------------------------------------------------------------------------------

/// The own user says who may be seen at all; then each of them is asked, after the lane has begun to listen for
/// changes: so what changes meanwhile comes as an event.
void connection_actor::watch(const client_request& r, const op::watch& x) {
  auto all = presence().watched;
  for (const auto& user : x.users)
    if (auto at = std::lower_bound(all.begin(), all.end(), user); at == all.end() || *at != user)
      all.insert(at, user);
  if (auto bound = house_.limits_now()->watched; all.size() > bound) {
    refuse(r, errc::too_large, "limits.watched: " + std::to_string(bound) + " users per connection");
    return;
  }
  ask_user(r, x);
}

void connection_actor::unwatch(const client_request& r, const op::unwatch& x) {
  if (presence_) {
    for (const auto& user : x.users) {
      std::erase(presence_->watched, user);
      presence_->backlog.forget(user);
    }
    tell(house_.relay_lanes[here().index()], relay_lane::unwatch{this->id(), x.users});
  }
  respond(r.id, ok::any{ok::none{}});
}

void connection_actor::look_at(int64_t id, const ok::watched& allowed) {
  auto& p = presence();
  watch_request w{id, p.next_look, allowed, 0};
  relay_lane::watch begin{this->id(), {}};
  const auto is_hidden = [&](const user_id& user) {
    return std::find(allowed.hidden.begin(), allowed.hidden.end(), user) != allowed.hidden.end();
  };
  for (const auto& a : allowed.users) {
    if (is_hidden(a.user))
      continue;
    ++w.missing;
    begin.users.push_back(a.user);
    if (auto at = std::lower_bound(p.watched.begin(), p.watched.end(), a.user); at == p.watched.end() || *at != a.user)
      p.watched.insert(at, a.user);
  }
  tell(house_.relay_lanes[here().index()], std::move(begin));
  for (const auto& a : allowed.users) {
    const auto ticket = p.next_look++;
    if (is_hidden(a.user))
      continue;
    auto look = std::make_shared<const user::command>(
        user::command{a.user, as_caller(ticket), op::presence{a.user, std::nullopt, std::nullopt}});
    tell(house_.shard_of(a.user), user::ask{std::move(look)});
  }
  if (w.missing == 0) {
    land(static_cast<uint64_t>(id));
    respond(id, ok::any{std::move(w.found)});
  } else {
    p.requests.push_back(std::move(w));
  }
}

void connection_actor::looked(uint64_t ticket, const answer& what) {
  if (!presence_ || phase_ == phase::over)
    return;
  auto& all = presence_->requests;
  auto w = std::find_if(all.begin(), all.end(), [&](const watch_request& x) {
    return ticket >= x.first && ticket - x.first < x.found.users.size();
  });
  if (w == all.end())
    return;
  if (const auto* found = what ? std::get_if<ok::presence>(&*what) : nullptr) {
    auto& a = w->found.users[ticket - w->first];
    a = found->what;
    if (found->hidden)
      look_away(a.user);
    if (--w->missing > 0)
      return;
  }
  auto done = std::move(*w);
  all.erase(w);
  if (!land(static_cast<uint64_t>(done.id)))
    return;
  if (what)
    respond(done.id, ok::any{std::move(done.found)});
  else
    respond(done.id, what.error());
  next_requests();
}

void connection_actor::forget_watches(const std::vector<int64_t>& overdue) {
  if (presence_)
    std::erase_if(presence_->requests, [&](const watch_request& w) {
      return std::find(overdue.begin(), overdue.end(), w.id) != overdue.end();
    });
}

bool connection_actor::look_away(const user_id& user) {
  if (!presence_ || std::erase(presence_->watched, user) == 0)
    return false;
  presence_->backlog.forget(user);
  tell(house_.relay_lanes[here().index()], relay_lane::unwatch{this->id(), {user}});
  return true;
}

/// Told as if they had gone.
void connection_actor::receive(const user::vanished& x) {
  if (look_away(x.whom) && phase_ == phase::live)
    write(house_.encode.presence({{}, {{x.whom, seen_as::offline, {}}}}), delivery::ephemeral);
}

// -- what the client is told -----------------------------------------------------------------------------------------

/// Presence never delays messages: not only is it dropped first, it is not even begun while much waits.
bool connection_actor::may_show() {
  const auto& l = *house_.limits_now();
  return l.presence_per_s > 0 && socket_->queued_bytes() <= l.outbox_bytes / quiet_share &&
         shown_.take({l.presence_per_s, 1'000, l.presence_per_s}, house_.steady_ms()) == 0;
}

void connection_actor::show(const publication& p) {
  if (house_.limits_now()->presence_per_s == 0)
    return;
  if (!has_backlog() && may_show()) {
    write(p.ephemeral, delivery::ephemeral);
    return;
  }
  if (!presence().backlog.add(*p.presence, house_.limits_now()->presence_held))
    house_.metrics.presence_dropped.add();
  look_after_soon();
}

void connection_actor::show_backlog() {
  const auto is_wanted = [this](const room_id& room) {
    const auto* s = find(room);
    return s && s->named;
  };
  while (has_backlog() && phase_ == phase::live && may_show())
    if (auto news = presence_->backlog.take(news_per_event, is_wanted); !news.rooms.empty() || !news.users.empty())
      write(house_.encode.presence(news), delivery::ephemeral);
}

// -- oneself ---------------------------------------------------------------------------------------------------------

/// Rooms see whoever listens, and so must know how. True: it is not what it was.
bool connection_actor::be_seen(const appearance& own) {
  const bool other_status = std::exchange(own_, own.status) != own.status;
  bool other_note = false;
  if (presence_ || !own.note.empty())
    other_note = std::exchange(presence().note, own.note) != own.note;
  if (other_status) {
    relay_lane::appear x{this->id(), who_->user, own_ == seen_as::invisible ? seen_as::offline : own_, {}};
    for (const auto& s : subscriptions_)
      x.relays.push_back(s.face->relay);
    tell(house_.relay_lanes[here().index()], std::move(x));
  }
  return other_status || other_note;
}

/// Each device of a user learns what was chosen on another one.
void connection_actor::receive(const user::shown& x) {
  if (phase_ == phase::greeting)
    greeting_->presence = x.presence;
  if (phase_ != phase::greeting && phase_ != phase::live)
    return;
  if (be_seen(x.presence) && phase_ == phase::live)
    write(house_.encode.presence({{}, {x.presence}}), delivery::ephemeral);
}

void connection_actor::receive(const user::signalled& x) {
  if (phase_ == phase::live && (x.device.empty() || x.device == session_->device))
    write(house_.encode.signal(x.from, x.data), delivery::ephemeral);
}

} // namespace greenroom::connection
