// The connection's part in presence: whom it watches, what it tells its client of them and of its rooms, and how its
// own user wants to be seen; signals.
#include "actors/connection.hpp"
#include "actors/house.hpp"

#include <algorithm>

namespace greenroom::connection {
namespace {

constexpr size_t news_per_event = 100; // users and rooms in one event made from the backlog
constexpr size_t names_per_request = 10;
constexpr size_t quiet_share = 8; // over this part of limits.outbox_bytes, presence waits

} // namespace

connection_actor::presence_state& connection_actor::presence() {
  if (!presence_)
    presence_ = std::make_unique<presence_state>();
  return *presence_;
}

// -- watching --------------------------------------------------------------------------------------------------------

bool connection_actor::watches(const user_id& user) const {
  return presence_ && std::binary_search(presence_->watched.begin(), presence_->watched.end(), user);
}

/// The own user says who may be seen at all; then each of them is asked, after the lane has begun to listen for
/// changes: so what changes meanwhile comes as an event.
void connection_actor::watch(const client_request& r, const op::watch& x) {
  auto& p = presence();
  const auto& l = *house_.limits_now();
  std::vector<user_id> wanted = x.users;
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  // With those of requests that are under way.
  std::vector<user_id> all = p.watched;
  all.insert(all.end(), wanted.begin(), wanted.end());
  for (const auto& w : p.requests)
    all.insert(all.end(), w.wanted.begin(), w.wanted.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (all.size() > l.watched) {
    refuse(r, errc::too_large, "limits.watched: " + std::to_string(l.watched) + " users per connection");
    return;
  }
  // Each is asked, wherever they are: many names are many requests.
  requests_.spend(requests_of_connection(l), house_.steady_ms(), x.users.size() / names_per_request);
  p.requests.push_back({*r.id, std::move(wanted), 0, {}, {}, 0});
  ask_user(r, x);
}

void connection_actor::unwatch(const client_request& r, const op::unwatch& x) {
  if (presence_) {
    for (const auto& user : x.users) {
      std::erase(presence_->watched, user);
      presence_->backlog.forget(user);
      for (auto& w : presence_->requests)
        std::erase(w.wanted, user); // whatever was asked for before
    }
    tell(house_.relay_lanes[here().index()], relay_lane::unwatch{this->id(), x.users});
  }
  respond(r.id, ok::any{ok::none{}});
}

void connection_actor::look_at(int64_t id, const ok::watched& allowed) {
  auto& p = presence();
  auto w = std::find_if(p.requests.begin(), p.requests.end(), [&](const watch_request& x) { return x.id == id; });
  if (w == p.requests.end() || w->first != 0)
    return;
  const auto wanted = std::exchange(w->wanted, {});
  w->first = p.next_look;
  w->found = allowed;
  w->looks.resize(allowed.users.size());
  p.next_look += allowed.users.size();
  relay_lane::watch begin{this->id(), {}, {}};
  for (size_t i = 0; i < allowed.users.size(); ++i) {
    const auto& user = allowed.users[i].user;
    if (!std::binary_search(wanted.begin(), wanted.end(), user) ||
        std::find(allowed.hidden.begin(), allowed.hidden.end(), user) != allowed.hidden.end())
      continue;
    auto at = std::lower_bound(p.watched.begin(), p.watched.end(), user);
    const bool is_new = at == p.watched.end() || *at != user;
    if (is_new)
      p.watched.insert(at, user);
    w->looks[i] = {true, is_new};
    ++w->missing;
    begin.users.push_back(user);
    begin.looks.push_back(std::make_shared<const user::command>(
        user::command{user, as_caller(w->first + i), op::presence{user, std::nullopt, std::nullopt}}));
  }
  if (w->missing > 0) {
    tell(house_.relay_lanes[here().index()], std::move(begin));
    return;
  }
  auto found = std::move(w->found);
  p.requests.erase(w);
  if (!land(static_cast<uint64_t>(id)))
    return;
  respond(id, ok::any{std::move(found)});
  next_requests();
}

void connection_actor::looked(uint64_t ticket, const answer& what) {
  if (!presence_ || phase_ == phase::over)
    return;
  auto& all = presence_->requests;
  auto w = std::find_if(all.begin(), all.end(), [&](const watch_request& x) {
    return x.first != 0 && ticket >= x.first && ticket - x.first < x.looks.size();
  });
  if (w == all.end() || !std::exchange(w->looks[ticket - w->first].open, false))
    return;
  if (const auto* found = what ? std::get_if<ok::presence>(&*what) : nullptr) {
    auto& a = w->found.users[ticket - w->first];
    a = found->what;
    for (auto& other : all)
      if (auto* look = &other != &*w ? other.look_at(a.user) : nullptr)
        look->is_new = false; // the client is told of this one, whatever becomes of the others
    if (found->hidden)
      look_away(a.user);
    if (--w->missing > 0)
      return;
  } else {
    w->looks[ticket - w->first].open = true; // nobody has said that they may be seen
  }
  auto done = std::move(*w);
  all.erase(w);
  end_looks(done);
  if (!land(static_cast<uint64_t>(done.id)))
    return;
  if (what)
    respond(done.id, ok::any{std::move(done.found)});
  else
    respond(done.id, what.error());
  next_requests();
}

/// Of a request that has failed, and is not listed any more: who has not said that they may be seen is not watched,
/// unless another request still asks.
void connection_actor::end_looks(const watch_request& w) {
  for (size_t i = 0; i < w.looks.size(); ++i) {
    if (!w.looks[i].open || !w.looks[i].is_new)
      continue;
    const auto& user = w.found.users[i].user;
    watch_request::look* heir = nullptr;
    for (auto& other : presence_->requests)
      if (auto* look = other.look_at(user); look && look->open)
        heir = look;
    if (heir)
      heir->is_new = true;
    else
      look_away(user);
  }
}

void connection_actor::forget_watch(int64_t id) {
  if (!presence_)
    return;
  auto& all = presence_->requests;
  auto w = std::find_if(all.begin(), all.end(), [&](const watch_request& x) { return x.id == id; });
  if (w == all.end())
    return;
  auto done = std::move(*w);
  all.erase(w);
  end_looks(done);
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
    if (auto news = presence_->backlog.take(news_per_event, is_wanted);
        !news.rooms.empty() || !news.users.empty() || news.incomplete)
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
