// The connection's first act: hello. The user is asked for its rooms, each room that hello is about is attached to or
// looked at, then one answer says how all of them stand; only afterwards events flow.
#include "actors/connection.hpp"
#include "actors/house.hpp"
#include "actors/tenancy.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace greenroom::connection {

void connection_actor::hello(const request_ptr& r) {
  const auto& x = std::get<op::hello>(r->what);
  if (x.token) {
    auto found = house_.tokens.verify(*x.token);
    if (found && who_ && found->user != who_->user)
      found = fail(errc::unauthenticated, "token: of another user than the upgrade request's");
    if (!found) {
      respond(r->id, found.error());
      close(close_code::token_invalid, "the token is not valid");
      return;
    }
    who_ = *found;
  } else if (!who_) {
    respond(r->id, fail(errc::unauthenticated, "token: missing"));
    close(close_code::token_invalid, "no token");
    return;
  }
  if (auto why = house_.floods.banned(who_->user, house_.steady_ms())) {
    respond(r->id, *why);
    close(close_code::flooding, "limits.ban_s");
    return;
  }
  user_cell_ = house_.floods.cell_of(who_->user);
  phase_ = phase::greeting;
  greeting_ = std::make_unique<greeting>();
  greeting_->hello = r;
  wait_for_greeting();
  follows_all_ = x.subscribe == op::hello::scope::all;
  auto session = std::make_shared<ok::live_session>();
  session->user = who_->user;
  session->session = who_->session;
  session->device = x.device;
  session->node = house_.config.node.name;
  session->since = house_.now_ms();
  session_ = std::move(session);
  tell(house_.relay_lanes[here().index()], relay_lane::enter{this->id(), self(), socket_, session_});
  auto arrive = std::make_shared<const user::command>(
      user::command{who_->user, as_caller(0), user::arrive{this->id(), who_->session, self()}});
  tell(house_.shard_of(who_->user), user::ask{std::move(arrive)});
}

void connection_actor::receive(const user::welcome& x) {
  if (phase_ == phase::live) { // after a refresh with another session
    if (!x.rooms && x.rooms.error().code != errc::unavailable)
      close(x.otherwise, x.rooms.error().message);
    return;
  }
  if (phase_ != phase::greeting)
    return;
  if (!x.rooms) {
    fail_greeting(x.rooms.error(), x.otherwise);
    return;
  }
  room_count_ = x.rooms->size();
  greeting_->presence = x.presence;
  be_seen(x.presence);
  plan(*x.rooms);
  start_visits();
}

/// A room that does not answer must not keep anybody from all the others: half of what a request may take is what the
/// rooms have to say where they stand.
void connection_actor::wait_for_greeting() { here().timers().arm(care_, house_.limits_now()->request_ms / 2); }

/// Some have not answered. They are left out, and listened to when they do.
void connection_actor::greet_without() {
  auto why = fail(errc::unavailable, "limits.request_ms: no answer in time");
  if (greeting_->visits.empty()) { // not even the user
    fail_greeting(why, close_code::shutdown);
    return;
  }
  for (auto& v : greeting_->visits)
    if (!v.found)
      v.found = why;
  finish_greeting();
}

/// Not now: the client may say hello again. Not ever: the connection closes and says why.
void connection_actor::fail_greeting(const failure& why, close_code code) {
  respond(greeting_->hello->id, why);
  greeting_.reset();
  phase_ = phase::silent;
  if (why.code != errc::unavailable) {
    close(code, why.message);
    return;
  }
  here().timers().arm(care_, house_.limits_now()->hello_ms);
  next_requests();
}

/// Which rooms to attach to, which only to look at.
void connection_actor::plan(const std::vector<std::pair<room_id, storage::listed_room>>& rooms) {
  auto& g = *greeting_;
  const auto& x = std::get<op::hello>(g.hello->what);
  std::unordered_map<room_id, position> resume(x.resume.begin(), x.resume.end());
  std::unordered_set<room_id> asked(x.rooms.begin(), x.rooms.end());
  auto take_resume = [&](const room_id& room) {
    auto found = resume.extract(room);
    return found ? std::optional{std::move(found.mapped())} : std::nullopt;
  };
  // Of more rooms than that the most recently active ones, which come first.
  auto l = house_.limits_now();
  auto bound = std::min<size_t>(rooms.size(), follows_all_ ? l->subscriptions : l->hello_rooms);
  for (const auto& [room, entry] : rooms) {
    if (!opens(*who_, room))
      continue;
    bool chosen = bound > 0;
    bound -= chosen ? 1 : 0;
    auto from = take_resume(room);
    bool named = asked.erase(room) > 0;
    if (chosen || named || from)
      g.visits.push_back({room, entry, std::move(from), (follows_all_ && chosen) || named, std::nullopt});
  }
  const auto listed = static_cast<size_t>(
      std::count_if(rooms.begin(), rooms.end(), [this](const auto& r) { return opens(*who_, r.first); }));
  g.more = g.visits.size() < listed;
  // Rooms that the user is in no more, or never was; or that this token does not open.
  const auto found = [&](const room_id& room) {
    return opens(*who_, room) ? std::nullopt : std::optional<outcome<standing>>(closed_room());
  };
  for (const auto& room : x.rooms)
    if (asked.erase(room) > 0)
      g.visits.push_back({room, std::nullopt, take_resume(room), true, found(room)});
  for (const auto& [room, p] : x.resume)
    if (resume.erase(room) > 0)
      g.visits.push_back({room, std::nullopt, p, false, found(room)});
}

void connection_actor::start_visits() {
  auto& g = *greeting_;
  g.missing = 0;
  for (size_t i = 0; i < g.visits.size(); ++i) {
    const auto& v = g.visits[i];
    if (v.found)
      continue;
    ++g.missing;
    if (v.attach) {
      subscribe(v.room, v.resume, visit_tickets + i);
    } else {
      auto c = std::make_shared<const room::command>(
          room::command{v.room, as_caller(visit_tickets + i), room::peek{v.resume, std::nullopt, self()}});
      tell(house_.shard_of(v.room), room::ask{std::move(c)});
    }
  }
  if (g.missing == 0)
    finish_greeting();
}

void connection_actor::visited(size_t index, const outcome<standing>& found) {
  if (phase_ != phase::greeting || index >= greeting_->visits.size() || greeting_->visits[index].found)
    return;
  greeting_->visits[index].found = found;
  if (--greeting_->missing == 0)
    finish_greeting();
}

void connection_actor::finish_greeting() {
  auto g = std::move(greeting_);
  phase_ = phase::live;
  signs().rename(who_->user.str());
  ok::hello answer;
  answer.session = who_->session;
  answer.user = who_->user;
  answer.node = house_.config.node.name;
  answer.time = house_.now_ms();
  answer.expires_at = who_->expires_at;
  answer.presence = std::move(g->presence);
  for (const auto& v : g->visits) {
    if (v.resume) {
      ok::resumption r;
      r.room = v.room;
      if (*v.found) {
        r.epoch = (*v.found)->epoch;
        r.seq = (*v.found)->head;
        // Who does not listen gets nothing afterwards, so nothing is recovered.
        r.recovered = v.attach && (*v.found)->recovered.value_or(false);
      } else {
        r.error = v.found->error();
      }
      answer.resumed.push_back(std::move(r));
    }
    if (!*v.found || (!v.entry && !v.attach))
      continue;
    const auto& s = **v.found;
    answer.rooms.push_back({v.room, s.epoch, s.head, v.entry ? v.entry->read : 0, s.role, s.kind, v.attach, s.head_ts});
  }
  std::stable_sort(answer.rooms.begin(), answer.rooms.end(), [](const auto& a, const auto& b) { return a.ts > b.ts; });
  answer.more = g->more;
  if (auto bound = house_.limits_now()->hello_rooms; answer.rooms.size() > bound) {
    answer.rooms.resize(bound);
    answer.more = true;
  }
  std::unordered_set<room_id> named;
  for (const auto& r : answer.rooms)
    named.insert(r.room);
  for (const auto& r : answer.resumed)
    named.insert(r.room);
  for (auto& s : subscriptions_) {
    s.named = named.contains(s.face->room);
    unnamed_ += s.named ? 0 : 1;
  }
  set_expiry();
  respond(g->hello->id, ok::any{std::move(answer)});
  if (house_.draining())
    receive(go_away{});
  care_.cancel();
  for (const auto& v : g->visits)
    if (v.attach && is_transient(*v.found))
      miss({0, v.room, false, false, false, v.resume, false, 0});
  // By index: handing over may drop a subscription.
  for (size_t i = 0; i < subscriptions_.size(); ++i)
    if (subscriptions_[i].behind())
      pull(subscriptions_[i]);
  for (const auto& l : g->later)
    receive(l);
  next_requests();
}

} // namespace greenroom::connection
