#include "actors/connection.hpp"

#include "actors/house.hpp"
#include "actors/tenancy.hpp"

#include <algorithm>

namespace greenroom::connection {
namespace {

constexpr uint64_t care_ms = 1'000;
constexpr uint8_t pull_waits = 10;     // in care_ms
constexpr int64_t warning_ms = 60'000; // `expiring` comes that long before the token ends
constexpr size_t once_characters = 16;

class actor_client : public client {
public:
  explicit actor_client(handle to) : to_(std::move(to)) {}
  void receive(request r) override { tell(to_, incoming{std::make_shared<const request>(std::move(r))}); }
  void receive(bad_frame f) override { tell(to_, garbled{std::move(f)}); }
  void drained() override { tell(to_, connection::drained{}); }
  void closed() override { tell(std::exchange(to_, handle{}), gone{}); }

private:
  handle to_;
};

} // namespace

std::unique_ptr<client> make_client(handle to) { return std::make_unique<actor_client>(std::move(to)); }

connection_actor::connection_actor(caf::actor_config& cfg, house& in, lane& on, std::shared_ptr<transport> socket,
                                   std::optional<identity> who, std::optional<network_id> from)
    : lane_actor(cfg, on, actor_kind::connection, {}, in.living, in.config.scheduler.connection_mailbox), house_(in),
      socket_(std::move(socket)), who_(std::move(who)), from_(from), care_([this] { look_after(); }),
      expiry_([this] { expire(); }) {
  here().timers().arm(care_, house_.limits_now()->hello_ms);
}

// -- requests --------------------------------------------------------------------------------------------------------

void connection_actor::receive(const incoming& x) {
  if (phase_ == phase::over)
    return;
  if (waiting_.empty() && has_room()) {
    process(x.what); // the usual way
    return;
  }
  waiting_.push_back(x.what);
  next_requests();
}

bool connection_actor::has_room() const {
  return phase_ != phase::greeting && phase_ != phase::over && in_flight_.size() < house_.limits_now()->in_flight &&
         !outbox_is_high();
}

/// Takes what waits, as far as the window and the outbox allow; beyond it, the socket is not read.
void connection_actor::next_requests() {
  while (!waiting_.empty() && has_room()) {
    auto r = std::move(waiting_.front());
    waiting_.pop_front();
    process(r);
  }
  if (auto hold = !waiting_.empty(); hold != holding_ && phase_ != phase::over)
    socket_->hold(holding_ = hold);
}

void connection_actor::process(const request_ptr& r) {
  house_.metrics.frames_in.add();
  if (r->id) {
    auto same = [&](const flight& f) { return f.id == *r->id; };
    if (std::any_of(in_flight_.begin(), in_flight_.end(), same)) {
      refuse(*r, errc::bad_request, "id: a request with this id is still in flight");
      return;
    }
  }
  if (!admit(*r))
    return;
  bool is_hello = std::holds_alternative<op::hello>(r->what);
  if (phase_ == phase::silent) {
    if (is_hello)
      hello(r);
    else
      refuse(*r, errc::unauthenticated, "hello comes first");
  } else if (is_hello) {
    refuse(*r, errc::bad_request, "op: hello was said before");
  } else if (auto why = closed_to(*who_, r->what)) {
    refuse(*r, why->code, std::move(why->message));
  } else {
    perform(*r);
  }
}

void connection_actor::perform(const client_request& r) {
  std::visit(overloaded{
                 [](const op::hello&) {},
                 [&](const op::refresh& x) { refresh(r, x); },
                 [&](const op::ping&) { respond(r.id, ok::any{ok::ping{house_.now_ms()}}); },
                 [&](const op::unsubscribe& x) { unsubscribe(r, x); },
                 [&](const op::send& x) { send(r, x); },
                 [&](const op::join& x) { listen(r, x.room); },
                 [&](const op::subscribe& x) { listen(r, x.room); },
                 [&](const op::create& x) {
                   if (!may_have_one_more(r, x.room))
                     return;
                   approaches_.push_back({static_cast<uint64_t>(*r.id), x.room, true, false, true});
                   ask_room(r, x.room, x);
                 },
                 [&](const op::leave& x) { ask_room(r, x.room, x); },
                 [&](const op::edit& x) { ask_room(r, x.room, x); },
                 [&](const op::revoke& x) { ask_room(r, x.room, x); },
                 [&](const op::react& x) { ask_room(r, x.room, x); },
                 [&](const op::moderate& x) { ask_room(r, x.room, x); },
                 [&](const op::topic& x) { ask_room(r, x.room, x); },
                 [&](const op::pin& x) { ask_room(r, x.room, x); },
                 [&](const op::configure& x) { ask_room(r, x.room, x); },
                 [&](const op::history& x) { ask_room(r, x.room, x); },
                 [&](const op::thread& x) { ask_user(r, x); },
                 [&](const op::scheduled& x) { ask_room(r, x.room, x); },
                 [&](const op::cancel& x) { ask_room(r, x.room, x); },
                 [&](const op::read& x) { ask_room(r, x.room, x); },
                 [&](const op::typing& x) { ask_room(r, x.room, x); },
                 [&](const op::members& x) { ask_room(r, x.room, x); },
                 [&](const op::pins& x) { ask_room(r, x.room, x); },
                 [&](const op::rooms& x) { ask_user(r, x); },
                 [&](const op::block& x) { ask_user(r, x); },
                 [&](const op::blocks& x) { ask_user(r, x); },
                 [&](const op::profile& x) { ask_user(r, x, x.user ? &*x.user : nullptr); },
                 [&](const op::presence& x) { ask_user(r, x, x.user ? &*x.user : nullptr); },
                 [&](const op::watch& x) { watch(r, x); },
                 [&](const op::unwatch& x) { unwatch(r, x); },
                 [&](const op::signal& x) { ask_user(r, x, &x.to); },
                 [&](const auto&) { refuse(r, errc::unsupported, "op: for REST only"); },
             },
             r.what);
}

void connection_actor::refresh(const client_request& r, const op::refresh& x) {
  auto found = house_.tokens.verify(x.token);
  if (!found) {
    respond(r.id, found.error());
    return;
  }
  if (found->user != who_->user) {
    refuse(r, errc::unauthenticated, "token: of another user");
    return;
  }
  bool other_session = found->session != who_->session;
  who_ = *found;
  set_expiry();
  for (size_t i = subscriptions_.size(); i-- > 0;)
    if (!opens(*who_, subscriptions_[i].face->room))
      drop(subscriptions_[i]);
  if (other_session) { // so that its revocation ends this connection, too
    auto session = std::make_shared<ok::live_session>(*session_);
    session->session = who_->session;
    session_ = std::move(session);
    tell(house_.relay_lanes[here().index()], relay_lane::enter{this->id(), self(), socket_, session_});
    auto arrive = std::make_shared<const user::command>(
        user::command{who_->user, as_caller(0), user::arrive{this->id(), who_->session, self()}});
    tell(house_.shard_of(who_->user), user::ask{std::move(arrive)});
  }
  respond(r.id, ok::any{ok::refresh{who_->expires_at}});
}

void connection_actor::listen(const client_request& r, const room_id& room) {
  auto bound = house_.limits_now()->subscriptions;
  if (subscriptions_.size() >= bound && !find(room)) {
    refuse(r, errc::too_large, "limits.subscriptions: " + std::to_string(bound) + " rooms per connection");
    return;
  }
  bool joins = std::holds_alternative<op::join>(r.what);
  if (joins && !may_have_one_more(r, room))
    return;
  take_off(r);
  approaches_.push_back({static_cast<uint64_t>(*r.id), room, true, false, joins});
  auto c = std::make_shared<room::command>(room::command{room, as_caller(static_cast<uint64_t>(*r.id)), op::join{}});
  if (const auto* j = std::get_if<op::join>(&r.what))
    c->what = *j;
  else
    c->what = std::get<op::subscribe>(r.what);
  tell(house_.shard_of(room), room::ask{std::move(c)});
}

/// limits.rooms_per_user, as far as this connection knows; a room that it listens to is none more.
bool connection_actor::may_have_one_more(const client_request& r, const room_id& room) {
  auto bound = house_.limits_now()->rooms_per_user;
  auto coming = static_cast<size_t>(
      std::count_if(approaches_.begin(), approaches_.end(), [](const approach& a) { return a.joins; }));
  if (room_count_ + coming < bound || find(room))
    return true;
  refuse(r, errc::too_large, "limits.rooms_per_user: " + std::to_string(bound));
  return false;
}

void connection_actor::unsubscribe(const client_request& r, const op::unsubscribe& x) {
  for (auto& a : approaches_)
    a.cancelled = a.cancelled || a.room == x.room;
  std::erase_if(missed_, [&](const missed& m) { return m.room == x.room; });
  if (auto* s = find(x.room))
    drop(*s);
  if (follows_all_) {
    forget_unwanted(x.room);
    if (unwanted_.size() >= house_.limits_now()->subscriptions)
      unwanted_.erase(unwanted_.begin());
    unwanted_.push_back(x.room);
  }
  respond(r.id, ok::any{ok::none{}});
}

void connection_actor::send(const client_request& r, const op::send& x) {
  if (!x.to) {
    ask_room(r, *x.room, x);
  } else if (*x.to == who_->user) {
    refuse(r, errc::bad_request, "to: yourself");
  } else {
    ask_room(r, room_id::direct(who_->user, *x.to), x);
  }
}

/// A send costs a token here, and one of the user's, whose devices share them; a join likewise.
bool connection_actor::admit(const client_request& r) {
  const auto& l = *house_.limits_now();
  const auto now = house_.steady_ms();
  const auto kind = phase_ == phase::live ? kind_of(r.what) : flood::requests;
  std::optional<failure> why;
  if (kind == flood::sends) {
    if (auto wait = sends_.take(sends_of_connection(l), now); wait != 0)
      why = too_often("limits.sends_per_s", l.sends_per_s, "sends per second per connection", wait);
    else
      why = house_.floods.send(user_cell_, l, now);
  } else if (auto wait = requests_.take(requests_of_connection(l), now); wait != 0) {
    why = too_often("limits.requests_per_s", l.requests_per_s, "requests per second per connection", wait);
  } else if (kind == flood::joins) {
    why = house_.floods.join(user_cell_, l, now);
  }
  if (why)
    turn_down(r.id, kind, *why);
  return !why;
}

/// The answer says when to try again. Who does not wait, or is known from another connection not to, has to go.
void connection_actor::turn_down(std::optional<int64_t> id, flood kind, const failure& why) {
  const auto& l = *house_.limits_now();
  const auto now = house_.steady_ms();
  const auto user = who_ ? who_->user : user_id{};
  if (id)
    respond(id, why);
  if (house_.floods.refused(kind, user, from_, l, now))
    close(close_code::flooding, "limits.flood_refusals");
  else if (house_.floods.banned(user, now))
    close(close_code::flooding, "limits.ban_s");
}

void connection_actor::take_off(const client_request& r) {
  if (r.id)
    in_flight_.push_back({*r.id, house_.steady_ms()});
  look_after_soon();
}

template <class Operation>
void connection_actor::ask_room(const client_request& r, const room_id& room, Operation what) {
  take_off(r);
  auto c = std::make_shared<room::command>(
      room::command{room, as_caller(r.id ? static_cast<uint64_t>(*r.id) : 0), std::move(what)});
  if (room::changes_room(*c))
    c->once = house_.random_text(once_characters);
  tell(house_.shard_of(room), room::ask{std::move(c)});
}

void connection_actor::ask_user(const client_request& r, decltype(user::command::what) what, const user_id* other) {
  take_off(r);
  const auto& whom = other ? *other : who_->user;
  auto c = std::make_shared<const user::command>(
      user::command{whom, as_caller(static_cast<uint64_t>(*r.id)), std::move(what)});
  tell(house_.shard_of(whom), user::ask{std::move(c)});
}

caller connection_actor::as_caller(uint64_t ticket) {
  caller c;
  if (ticket != 0)
    c.to = self();
  c.ticket = ticket;
  if (who_)
    c.user = who_->user;
  c.connection = this->id();
  c.lane = here().index();
  return c;
}

void connection_actor::receive(const garbled& x) {
  if (phase_ == phase::over)
    return;
  const auto& l = *house_.limits_now();
  if (auto wait = requests_.take(requests_of_connection(l), house_.steady_ms()); wait != 0) {
    turn_down(x.what.id, flood::requests,
              too_often("limits.requests_per_s", l.requests_per_s, "requests per second per connection", wait));
    return;
  }
  respond(x.what.id, x.what.why);
  if (x.what.not_an_object && ++bad_frames_ > l.bad_frames)
    close(close_code::bad_frames, "limits.bad_frames: too many frames that are no JSON object");
}

// -- answers ---------------------------------------------------------------------------------------------------------

bool connection_actor::flies(uint64_t ticket) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [&](const flight& f) { return f.id == static_cast<int64_t>(ticket); });
}

/// Takes the request out of the window. False: it was answered already (its deadline passed), or never asked.
bool connection_actor::land(uint64_t ticket) {
  auto i = std::find_if(in_flight_.begin(), in_flight_.end(),
                        [&](const flight& f) { return f.id == static_cast<int64_t>(ticket); });
  if (i == in_flight_.end())
    return false;
  *i = in_flight_.back();
  in_flight_.pop_back();
  return true;
}

void connection_actor::receive(const reply& x) {
  if (x.ticket >= visit_tickets) { // a room that could not even be asked
    if (!x.what)
      receive(stands{x.ticket, x.what.error(), nullptr});
    return;
  }
  if (x.ticket >= look_tickets) {
    looked(x.ticket, x.what);
    return;
  }
  if (const auto* allowed = x.what ? std::get_if<ok::watched>(&*x.what) : nullptr) {
    if (phase_ != phase::over && flies(x.ticket))
      look_at(static_cast<int64_t>(x.ticket), *allowed);
    return;
  }
  auto arrived = arrive(x.ticket);
  if (phase_ == phase::over || !land(x.ticket))
    return;
  auto id = static_cast<int64_t>(x.ticket);
  forget_watch(id);
  if (const auto* page = x.what ? std::get_if<ok::rooms>(&*x.what) : nullptr) {
    auto mine = *page; // only this connection knows what it listens to, and what its token opens
    keep_open(*who_, mine);
    for (auto& r : mine.list)
      r.summary.subscribed = find(r.summary.room) != nullptr;
    respond(id, ok::any{std::move(mine)});
  } else {
    respond(id, x.what);
  }
  if (x.what) {
    const auto* created = std::get_if<ok::created>(&*x.what);
    if (created && follows_all_ && !(arrived && arrived->cancelled)) {
      // The answer has named the room; what comes after the event that it tells follows.
      follow(created->room, position{created->epoch, created->seq}, true);
    }
    if (const auto* sent = std::get_if<ok::sent>(&*x.what); sent && unnamed_ > 0)
      mark_named(sent->room);
  }
  next_requests();
}

void connection_actor::respond(std::optional<int64_t> re, const answer& what) {
  if (phase_ == phase::over)
    return;
  if (!what)
    house_.metrics.error(what.error().code);
  write(house_.encode.answer(re, what), delivery::reliable);
}

void connection_actor::refuse(const client_request& r, errc code, std::string message) {
  if (r.id)
    respond(r.id, fail(code, std::move(message)));
}

void connection_actor::write(const frame& bytes, delivery how) {
  if (phase_ != phase::over && !socket_->write(bytes, how))
    close(close_code::slow_consumer, "limits.outbox_bytes: the client does not read");
}

// -- time and the end ------------------------------------------------------------------------------------------------

void connection_actor::look_after_soon() {
  if (!care_.armed())
    here().timers().arm(care_, care_ms);
}

/// The hello deadline; while greeting that of the rooms; later the deadlines of requests, pulls that got stuck, rooms
/// that could not be reached.
void connection_actor::look_after() {
  if (phase_ == phase::over)
    return;
  if (phase_ == phase::greeting) {
    greet_without();
    return;
  }
  if (phase_ != phase::live) {
    close(close_code::no_hello, "limits.hello_ms: no hello in time");
    return;
  }
  follow_missed();
  auto late = house_.steady_ms() - house_.limits_now()->request_ms;
  std::vector<int64_t> overdue;
  for (const auto& f : in_flight_)
    if (f.since < late)
      overdue.push_back(f.id);
  for (auto id : overdue) {
    land(static_cast<uint64_t>(id));
    arrive(static_cast<uint64_t>(id));
    forget_watch(id);
    respond(id, fail(errc::unavailable, "limits.request_ms: no answer in time"));
  }
  if (slow_since_ != 0 && house_.steady_ms() - slow_since_ > house_.limits_now()->slow_ms) {
    close(close_code::slow_consumer, "limits.slow_ms: the client does not read");
    return;
  }
  bool stuck = false;
  for (auto& s : subscriptions_) {
    if (s.pulling && ++s.waits > pull_waits)
      s.pulling = false, s.stuck = true; // the room died over it
    if (std::exchange(s.stuck, false))
      pull(s);
    stuck = stuck || s.stuck || s.pulling;
  }
  if (!overdue.empty())
    next_requests();
  show_backlog();
  if ((stuck || slow_since_ != 0 || !in_flight_.empty() || has_backlog()) && phase_ == phase::live)
    here().timers().arm(care_, care_ms);
}

void connection_actor::set_expiry() {
  warned_ = false;
  await_end();
}

/// The next of: the warning, the token's end, the time by which a client that was told to go should have gone.
void connection_actor::await_end() {
  auto wait = who_->expires_at - house_.now_ms() - (warned_ ? 0 : warning_ms);
  if (leave_by_ != 0)
    wait = std::min(wait, leave_by_ - house_.steady_ms());
  here().timers().arm(expiry_, static_cast<uint64_t>(std::max<int64_t>(wait, 0)));
}

void connection_actor::expire() {
  auto left = who_->expires_at - house_.now_ms();
  if (left <= 0) {
    close(close_code::token_invalid, "the token has expired");
    return;
  }
  if (leave_by_ != 0 && house_.steady_ms() >= leave_by_) {
    close(close_code::draining, "the node drains");
    return;
  }
  if (left <= warning_ms && !std::exchange(warned_, true))
    write(house_.encode.expiring(who_->expires_at), delivery::reliable);
  if (phase_ != phase::over)
    await_end();
}

/// Everybody who is asked to come back elsewhere is given a time of his own, so that the other nodes get them one by
/// one. The times are the multiples of the golden ratio, modulo the span: they lie evenly, however many there are in
/// the end, and those who come while the node drains fall between the others.
void connection_actor::receive(const go_away& x) {
  if (x.at_once) {
    close(close_code::draining, "the node has lost touch with its cluster");
    return;
  }
  if (phase_ != phase::live || leave_by_ != 0)
    return;                                  // who is still greeting is told after that
  constexpr uint32_t golden = 2'654'435'769; // 2^32 over the golden ratio
  const uint64_t place = uint32_t{house_.sent_away.fetch_add(1, std::memory_order_relaxed) * golden};
  const auto span = std::max<int64_t>( // what is left of it, for those who come late
      house_.drains_since + house_.config.cluster.drain_spread_ms - house_.steady_ms(), 0);
  const auto after = static_cast<uint32_t>(place * static_cast<uint64_t>(span) >> 32);
  leave_by_ = house_.steady_ms() + after + house_.config.cluster.drain_grace_ms;
  write(house_.encode.goaway(after, "the node drains"), delivery::reliable);
  if (phase_ == phase::live)
    await_end();
}

void connection_actor::close(close_code code, std::string_view reason) {
  if (phase_ == phase::over)
    return;
  phase_ = phase::over;
  care_.cancel();
  expiry_.cancel();
  socket_->close(code, reason);
}

bool connection_actor::may_drop(const caf::mailbox_element& e) const { return e.content().match_elements<delivered>(); }

/// The client is none the wiser: to it the node has gone, so it comes back and resumes.
void connection_actor::on_failure() {
  close(close_code::shutdown, "the server made a mistake with this connection");
  end();
}

void connection_actor::on_exit() {
  care_.cancel(); // here, on the lane's thread: the last handle may be dropped on another
  expiry_.cancel();
}

void connection_actor::end() {
  phase_ = phase::over;
  if (session_) {
    relay_lane::leave leave{this->id(), who_->user, {}, presence_ ? presence_->watched : std::vector<user_id>{}};
    for (const auto& s : subscriptions_)
      leave.relays.push_back(s.face->relay);
    tell(house_.relay_lanes[here().index()], std::move(leave));
    auto depart = std::make_shared<const user::command>(user::command{who_->user, caller{}, user::depart{this->id()}});
    tell(house_.shard_of(who_->user), user::ask{std::move(depart)});
  }
  socket_.reset();
  quit();
}

} // namespace greenroom::connection
