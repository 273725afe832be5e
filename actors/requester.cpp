#include "actors/requester.hpp"

#include "actors/house.hpp"
#include "actors/session_page.hpp"
#include "actors/tenancy.hpp"

namespace greenroom::requester {
namespace {

constexpr uint64_t sweep_ms = 1'000;
constexpr size_t once_characters = 16;
constexpr size_t guest_characters = 16; // 80 bits: two guests never meet

bool is_one_more_room(const decltype(call::what)& what) {
  const auto* x = std::get_if<op::any>(&what);
  return x && (std::holds_alternative<op::create>(*x) || std::holds_alternative<op::join>(*x));
}

} // namespace

requester_actor::requester_actor(caf::actor_config& cfg, house& in, lane& on)
    : lane_actor(cfg, on, actor_kind::requester, std::to_string(on.index()), in.living, unbounded), house_(in),
      sweep_([this] { sweep(); }) {}

void requester_actor::receive(const stop&) {
  for (auto& [ticket, c] : std::exchange(calls_, {}))
    c.what->done(fail(errc::unavailable, "the server is going down"));
  quit();
}

void requester_actor::on_exit() { sweep_.cancel(); }

caller requester_actor::as_caller(uint64_t ticket, const user_id& user) {
  caller c;
  c.to = self();
  c.ticket = ticket;
  c.user = user;
  return c;
}

void requester_actor::receive(const perform& x) {
  if (auto bound = house_.limits_now()->rest_requests; calls_.size() >= bound) {
    house_.metrics.error(errc::unavailable);
    x.what->done(fail(errc::unavailable, "limits.rest_requests: " + std::to_string(bound) + " are under way"));
    return;
  }
  auto ticket = ++next_ticket_;
  auto& c = calls_[ticket];
  c.what = x.what;
  c.deadline = house_.steady_ms() + house_.limits_now()->request_ms;
  if (!sweep_.armed())
    here().timers().arm(sweep_, sweep_ms);
  if (x.what->who.user.empty())
    go(ticket, c); // not signed in: register, log in, guest, refresh
  else
    ask_user(ticket, x.what->who.user, user::vouch{x.what->who.session, is_one_more_room(x.what->what)});
}

void requester_actor::go(uint64_t ticket, open_call& c) {
  c.vouched = true;
  auto what = c.what; // stays while finish() erases the call
  std::visit([&](const auto& x) { go(ticket, c, x); }, what->what);
}

void requester_actor::go(uint64_t ticket, open_call& c, const op::any& what) {
  if (auto why = closed_to(c.what->who, what)) {
    finish(ticket, std::move(*why));
    return;
  }
  const auto& who = c.what->who.user;
  auto ask_room = [&](const room_id& room, auto x) {
    auto command = std::make_shared<room::command>(room::command{room, as_caller(ticket, who), std::move(x)});
    if (room::changes_room(*command))
      command->once = house_.random_text(once_characters);
    tell(house_.shard_of(room), room::ask{std::move(command)});
  };
  auto ask_about = [&](const user_id& whom, auto x) {
    auto asked = std::make_shared<const user::command>(user::command{whom, as_caller(ticket, who), std::move(x)});
    tell(house_.shard_of(whom), user::ask{std::move(asked)});
  };
  std::visit(overloaded{
                 [&](const op::create& x) { ask_room(x.room, x); },
                 [&](const op::join& x) { ask_room(x.room, x); },
                 [&](const op::leave& x) { ask_room(x.room, x); },
                 [&](const op::edit& x) { ask_room(x.room, x); },
                 [&](const op::revoke& x) { ask_room(x.room, x); },
                 [&](const op::react& x) { ask_room(x.room, x); },
                 [&](const op::moderate& x) { ask_room(x.room, x); },
                 [&](const op::topic& x) { ask_room(x.room, x); },
                 [&](const op::pin& x) { ask_room(x.room, x); },
                 [&](const op::configure& x) { ask_room(x.room, x); },
                 [&](const op::history& x) { ask_room(x.room, x); },
                 [&](const op::thread& x) { ask_user(ticket, who, x); },
                 [&](const op::scheduled& x) { ask_room(x.room, x); },
                 [&](const op::cancel& x) { ask_room(x.room, x); },
                 [&](const op::read& x) { ask_room(x.room, x); },
                 [&](const op::members& x) { ask_room(x.room, x); },
                 [&](const op::pins& x) { ask_room(x.room, x); },
                 [&](const op::typing& x) { ask_room(x.room, x); },
                 [&](const op::upload& x) {
                   auto drawn = x;
                   drawn.file = house_.random_text(storage::file_id_bytes);
                   ask_room(x.room, std::move(drawn));
                 },
                 [&](const op::store& x) { ask_room(x.room, x); },
                 [&](const op::fetch& x) { ask_room(x.room, x); },
                 [&](const op::discard& x) { ask_room(x.room, x); },
                 [&](const op::send& x) {
                   if (x.room)
                     ask_room(*x.room, x);
                   else if (*x.to == who)
                     finish(ticket, fail(errc::bad_request, "to: yourself"));
                   else
                     ask_room(room_id::direct(who, *x.to), x);
                 },
                 [&](const op::rooms& x) { ask_user(ticket, who, x); },
                 [&](const op::block& x) { ask_user(ticket, who, x); },
                 [&](const op::blocks& x) { ask_user(ticket, who, x); },
                 [&](const op::profile& x) { ask_about(x.user.value_or(who), x); },
                 [&](const op::presence& x) { ask_about(x.user.value_or(who), x); },
                 [&](const auto&) { finish(ticket, fail(errc::unsupported, "op: needs a WebSocket connection")); },
             },
             what);
}

void requester_actor::go(uint64_t ticket, open_call& c, const account::any& what) {
  std::visit(overloaded{
                 [&](const account::register_user& x) { ask_user(ticket, x.user, x); },
                 [&](const account::log_in& x) { ask_user(ticket, x.user, x); },
                 [&](const account::guest& x) {
                   ask_user(ticket, user_id::trusted("guest-" + house_.random_text(guest_characters)), x);
                 },
                 [&](const account::refresh& x) {
                   auto user = user_id::parse(x.refresh_token.substr(0, x.refresh_token.find(':')), "refresh_token");
                   if (user)
                     ask_user(ticket, *user, x);
                   else
                     finish(ticket, fail(errc::unauthenticated, "refresh_token: unknown, expired or revoked"));
                 },
                 [&](const account::end_session& x) {
                   const auto& who = c.what->who;
                   bool own = x.session.empty() || x.session == who.session;
                   auto end = user::end_session{own ? who.session : x.session, own ? who.expires_at : 0};
                   tell_ahead(house_.shard_of(who.user), user_command(ticket, who.user, std::move(end)));
                 },
                 [&](const account::list_sessions& x) { list(ticket, c, x); },
                 [&](const account::erase& x) { erase(ticket, c, x); },
                 [&](const account::show_erasure& x) {
                   if (c.what->who.admin)
                     ask_user(ticket, x.user, x);
                   else
                     finish(ticket, fail(errc::forbidden, "user: only an admin sees what was erased"));
                 },
                 [&](const account::look_into& x) { look_into(ticket, c, x); },
             },
             what);
}

/// Oneself, or for admins anybody. Who asks stands in the record of it.
void requester_actor::erase(uint64_t ticket, open_call& c, const account::erase& x) {
  const auto& who = c.what->who;
  const bool own = x.user == who.user;
  if (!own && !who.admin) {
    finish(ticket, fail(errc::forbidden, "user: only an admin erases others"));
    return;
  }
  const auto age = house_.now_ms() - who.issued_at;
  const bool fresh = !own || (who.issued_at != 0 && age < int64_t{house_.config.auth.fresh_s} * 1'000);
  auto asked =
      std::make_shared<const user::command>(user::command{x.user, as_caller(ticket, who.user), user::erase{x, fresh}});
  tell(house_.shard_of(x.user), user::ask{std::move(asked)});
}

/// The user's own shard has most of it; what is in a room, the room says. Of one tenant's rooms nothing is told to
/// whoever shows a token of another's.
void requester_actor::look_into(uint64_t ticket, open_call& c, const account::look_into& x) {
  using part = account::look_into::part;
  if (x.user != c.what->who.user && !c.what->who.admin) {
    finish(ticket, fail(errc::forbidden, "user: only an admin sees all that there is about others"));
    return;
  }
  const bool is_of_room = x.what == part::threads || x.what == part::scheduled || x.what == part::events;
  if (is_of_room && !opens(c.what->who, x.room)) { // as if there were no such room
    finish(ticket, fail(errc::not_found, "room: the token does not open its namespace"));
    return;
  }
  auto ask_room = [&](auto what) {
    auto asked =
        std::make_shared<const room::command>(room::command{x.room, as_caller(ticket, x.user), std::move(what)});
    tell(house_.shard_of(x.room), room::ask{std::move(asked)});
  };
  if (x.what == part::events)
    ask_room(room::gather{x.seq});
  else if (x.what == part::scheduled)
    ask_room(op::scheduled{x.room, {}, UINT32_MAX, true});
  else
    tell(house_.shard_of(x.user), user::ask{std::make_shared<const user::command>(
                                      user::command{x.user, as_caller(ticket, c.what->who.user), x})});
}

void requester_actor::go(uint64_t ticket, open_call& c, const admin::any& what) {
  const auto& who = c.what->who;
  if (!who.admin) {
    finish(ticket, fail(errc::forbidden, "webhooks: for admins"));
    return;
  }
  std::visit(overloaded{
                 [&](const admin::webhooks&) {
                   tell(house_.pusher, pusher::list{as_caller(ticket, who.user)});
                   if (house_.cluster) {
                     ++c.missing;
                     tell(house_.cluster->survey, cluster::survey_hooks{as_caller(ticket, who.user)});
                   }
                 },
                 [&](const admin::replay& x) {
                   auto asked = std::make_shared<const room::command>(
                       room::command{x.room, as_caller(ticket, who.user), room::replay{x.hook, x.seq, x.ts}});
                   tell(house_.shard_of(x.room), room::ask{std::move(asked)});
                 },
             },
             what);
}

/// Each lane knows its connections; other nodes are asked by the survey.
void requester_actor::list(uint64_t ticket, open_call& c, const account::list_sessions& x) {
  const auto& who = c.what->who;
  if (x.all && !who.admin) {
    finish(ticket, fail(errc::forbidden, "all: for admins"));
    return;
  }
  if (auto good = keep_page(c.sessions, x.after, x.limit); !good) {
    finish(ticket, good.error());
    return;
  }
  const auto whose = x.all ? user_id{} : who.user;
  const auto enough = x.limit + 1; // one more says that there is more
  c.missing = house_.relay_lanes.size();
  for (const auto& l : house_.relay_lanes)
    tell(l, relay_lane::list{as_caller(ticket, who.user), whose, x.after, enough});
  if (house_.cluster) {
    ++c.missing;
    tell(house_.cluster->survey, cluster::survey_ask{as_caller(ticket, who.user), whose, x.after, enough});
  }
}

template <class Command>
user::ask requester_actor::user_command(uint64_t ticket, const user_id& user, Command what) {
  return {std::make_shared<const user::command>(user::command{user, as_caller(ticket, user), std::move(what)})};
}

template <class Command>
void requester_actor::ask_user(uint64_t ticket, const user_id& user, Command what) {
  tell(house_.shard_of(user), user_command(ticket, user, std::move(what)));
}

void requester_actor::receive(const reply& x) {
  auto i = calls_.find(x.ticket);
  if (i == calls_.end())
    return; // too late
  auto& c = i->second;
  if (x.what && !c.vouched) {
    go(x.ticket, c);
    return;
  }
  if (const auto* page = x.what ? std::get_if<ok::rooms>(&*x.what) : nullptr) {
    auto open = *page;
    keep_open(c.what->who, open);
    finish(x.ticket, ok::any{std::move(open)});
    return;
  }
  if (const auto* page = x.what ? std::get_if<ok::about_rooms>(&*x.what) : nullptr) {
    auto open = *page;
    keep_open(c.what->who, open);
    finish(x.ticket, ok::any{std::move(open)});
    return;
  }
  if (const auto* w = x.what ? std::get_if<ok::webhooks>(&*x.what) : nullptr) {
    auto& all = c.webhooks.list;
    all.insert(all.end(), w->list.begin(), w->list.end());
    if (--c.missing == 0)
      finish(x.ticket, ok::any{std::move(c.webhooks)});
    return;
  }
  const auto* s = x.what ? std::get_if<ok::sessions>(&*x.what) : nullptr;
  if (!s) {
    finish(x.ticket, x.what);
    return;
  }
  c.sessions.list.insert(c.sessions.list.end(), s->list.begin(), s->list.end());
  if (--c.missing > 0)
    return;
  const auto& asked = std::get<account::list_sessions>(std::get<account::any>(c.what->what));
  std::ignore = keep_page(c.sessions, {}, asked.limit);
  finish(x.ticket, ok::any{std::move(c.sessions)});
}

void requester_actor::finish(uint64_t ticket, answer what) {
  auto i = calls_.find(ticket);
  if (i == calls_.end())
    return;
  auto c = std::move(i->second.what);
  calls_.erase(i);
  if (!what)
    house_.metrics.error(what.error().code);
  c->done(std::move(what));
}

void requester_actor::sweep() {
  auto now = house_.steady_ms();
  std::vector<uint64_t> late;
  for (const auto& [ticket, c] : calls_)
    if (c.deadline < now)
      late.push_back(ticket);
  for (auto ticket : late)
    finish(ticket, fail(errc::unavailable, "limits.request_ms: no answer in time"));
  if (!calls_.empty())
    here().timers().arm(sweep_, sweep_ms);
}

} // namespace greenroom::requester
