// What each route of REST does; which ones there are stands in rest.cpp.
#include "net/api/documents.hpp"
#include "net/io_threads.hpp"
#include "net/json.hpp"
#include "net/metrics.hpp"
#include "net/op_reader.hpp"
#include "net/rest.hpp"
#include "net/rest_call.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

namespace greenroom::net {
namespace {

using presence = rest_call::presence;

// Argon2 takes any length; this one costs us nothing and is longer than anybody's.
constexpr size_t password_bytes_max = 1024;

http_response text_page(unsigned status, std::string text) {
  http_response r;
  r.status = status;
  r.content_type = "text/plain; charset=utf-8";
  r.body = std::move(text);
  return r;
}

/// 415 where only the content type was wrong; 0: the status of the code.
unsigned status_of(const failure& why) { return why.code == errc::unsupported ? 415 : 0; }

/// What was done before is not done anew; what will be done is only accepted.
unsigned status_of(const ok::any& what, unsigned usual) {
  if (const auto* sent = std::get_if<ok::sent>(&what))
    return sent->duplicate ? 200 : usual;
  if (const auto* kept = std::get_if<ok::kept>(&what))
    return kept->duplicate ? 200 : 202;
  return usual;
}

std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t number = 0;
  const auto* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, number) != std::from_chars_result{end, std::errc{}})
    return std::nullopt;
  return number;
}

/// The fields of a body with the room of the path among them.
outcome<json::document> with_room(outcome<json::document> fields, const call_ptr& c) {
  if (fields)
    fields->set("room", c->parts.at(0));
  return fields;
}

/// Likewise with the user of the path.
outcome<json::document> with_user(outcome<json::document> fields, const call_ptr& c) {
  fields = with_room(std::move(fields), c);
  if (fields)
    fields->set("user", c->parts.at(1));
  return fields;
}

/// Likewise with the message of the path. What is no number stays text, and is refused by whoever reads it.
outcome<json::document> with_target(outcome<json::document> fields, const call_ptr& c) {
  fields = with_room(std::move(fields), c);
  if (!fields)
    return fields;
  if (auto seq = number_in(c->parts.at(1)))
    fields->set("target", *seq);
  else
    fields->set("target", c->parts.at(1));
  return fields;
}

outcome<json::document> with_flag(std::string_view name, outcome<json::document> fields) {
  if (fields)
    fields->set_flag(name, true);
  return fields;
}

/// Members, or those who are banned or muted.
outcome<json::document> members_page(const call_ptr& c) { return with_room(c->query({{"after"}, {"limit", true}}), c); }

template <class Login>
outcome<account::any> read_login(const outcome<json::document>& fields) {
  if (!fields)
    return fields.error();
  auto user = read_user(*fields);
  if (!user)
    return std::move(user).error();
  auto password = read_secret(*fields, "password", password_bytes_max);
  if (!password)
    return std::move(password).error();
  auto device = read_device(*fields);
  if (!device)
    return std::move(device).error();
  return Login{std::move(*user), std::move(*password), std::move(*device)};
}

outcome<account::any> read_guest(const outcome<json::document>& fields) {
  if (!fields)
    return fields.error();
  auto device = read_device(*fields);
  if (!device)
    return std::move(device).error();
  return account::guest{std::move(*device)};
}

outcome<account::any> read_refresh(const outcome<json::document>& fields) {
  if (!fields)
    return fields.error();
  auto token = read_secret(*fields, "refresh_token", token_bytes_max);
  if (!token)
    return std::move(token).error();
  return account::refresh{std::move(*token)};
}

/// How long a token of this grant may live: the node may set an earlier end than the configuration.
std::chrono::seconds lifetime(const identity& who, std::chrono::seconds usual) {
  if (who.expires_at == 0)
    return usual;
  using namespace std::chrono;
  const auto left = milliseconds(who.expires_at) - duration_cast<milliseconds>(system_clock::now().time_since_epoch());
  return std::clamp(ceil<seconds>(left), seconds(0), usual);
}

} // namespace

// -- asking the node --------------------------------------------------------------------------------------------------

void rest::ask(const call_ptr& c, std::string_view op, const outcome<json::document>& fields, unsigned status) {
  if (!fields)
    return c->refuse(fields.error(), status_of(fields.error()));
  auto what = read_op(op, fields->root(), *c->bounds);
  if (!what)
    return c->refuse(what.error());
  if (auto why = held_back(c, *what))
    return c->refuse(*why);
  hooks_.perform(c->on, c->who, std::move(*what), [this, c, status](answer a) {
    if (!a)
      return c->pass_on(a.error());
    c->respond(status_of(*a, status), encode_.body(*a));
  });
}

/// Why the user may not do this now: it would be too often. Then that is counted.
std::optional<failure> rest::held_back(const call_ptr& c, const op::any& what) {
  auto& floods = *hooks_.floods;
  const auto cell = floods.cell_of(c->who.user);
  const auto kind = kind_of(what);
  const auto now = steady_ms();
  auto why = kind == flood::sends   ? floods.send(cell, *c->bounds, now)
             : kind == flood::joins ? floods.join(cell, *c->bounds, now)
                                    : std::nullopt;
  if (why)
    floods.refused(kind, c->who.user, c->request.from.network, *c->bounds, now);
  return why;
}

void rest::ask_keyed(const call_ptr& c, std::string_view op, outcome<json::document> fields, unsigned status) {
  const auto key = c->request.header("idempotency-key");
  if (key.empty())
    return c->refuse(fail(errc::bad_request, "idempotency-key: this header is required"));
  if (fields)
    fields->set("key", key);
  ask(c, op, fields, status);
}

/// What is ephemeral is not kept, so it needs no key.
void rest::ask_passing(const call_ptr& c, std::string_view op, outcome<json::document> fields) {
  if (fields && fields->find("ephemeral").flag().value_or(false))
    ask(c, op, fields);
  else
    ask_keyed(c, op, std::move(fields), 201);
}

void rest::ask_account(const call_ptr& c, account::any what, unsigned status) {
  hooks_.perform_account(c->on, c->who, std::move(what), [this, c, status](answer a) {
    if (!a)
      return c->pass_on(a.error());
    c->respond(status, status == 204 ? std::string{} : encode_.body(*a));
  });
}

void rest::sign_in(const call_ptr& c, outcome<account::any> what, unsigned status) {
  if (!what)
    return c->refuse(what.error(), status_of(what.error()));
  if (const auto* login = std::get_if<account::log_in>(&*what))
    if (auto why = hooks_.floods->banned(login->user, steady_ms()))
      return c->refuse(*why);
  hooks_.perform_account(c->on, {}, std::move(*what), [this, c, status](answer a) {
    if (!a) {
      // Who tries passwords of one account after the other, or of one too often, is known by the address only.
      if (a.error().code == errc::rate_limited)
        hooks_.floods->refused(flood::logins, {}, c->request.from.network, *c->bounds, steady_ms());
      return c->pass_on(a.error());
    }
    auto* grant = std::get_if<ok::grant>(&*a);
    if (grant == nullptr)
      return c->refuse(fail(errc::internal, "auth: not a grant"));
    const auto life = lifetime(grant->who, token_life_);
    auto token = tokens_.issue(grant->who, life);
    if (!token)
      return c->refuse(token.error());
    std::string body;
    {
      json::object o(body);
      o.text("token", *token);
      o.integer("expires_in", life.count());
      if (!grant->refresh_token.empty())
        o.text("refresh_token", grant->refresh_token);
      o.text("session", grant->who.session);
      o.text("user", grant->who.user.str());
    }
    c->respond(status, std::move(body));
  });
}

// -- health, figures, documents, front page --------------------------------------------------------------------------

void rest::front_page(const call_ptr& c) {
  c->respond(text_page(200, "Greenroom " GREENROOM_VERSION ", a chat server.\n\n"
                            "/ws        WebSocket, subprotocol greenroom.v1\n"
                            "/api/v1    REST: /api/v1/openapi.json, and /api/v1/asyncapi.json for the WebSocket\n"
                            "/livez     whether the process runs\n"
                            "/readyz    whether it serves requests\n"
                            "/metrics   figures for Prometheus\n"));
}

void rest::livez(const call_ptr& c) { c->respond(text_page(200, "ok\n")); }

void rest::readyz(const call_ptr& c) {
  if (hooks_.ready())
    return c->respond(text_page(200, "ready\n"));
  const bool draining = hooks_.draining && hooks_.draining();
  auto r = text_page(503, draining ? "draining: clients and shards go to other nodes, then this one stops\n"
                                   : "not ready\n");
  r.headers.emplace_back("Retry-After", "1");
  c->respond(std::move(r));
}

void rest::show_metrics(const call_ptr& c) {
  auto r = text_page(200, hooks_.metrics_text());
  r.content_type = metrics_content_type;
  c->respond(std::move(r));
}

void rest::show_openapi(const call_ptr& c) { c->respond(200, std::string(openapi_document)); }

void rest::show_asyncapi(const call_ptr& c) { c->respond(200, std::string(asyncapi_document)); }

// -- accounts and sessions --------------------------------------------------------------------------------------------

void rest::log_in(const call_ptr& c) { sign_in(c, read_login<account::log_in>(c->body(presence::required)), 200); }

void rest::register_user(const call_ptr& c) {
  if (!registration_)
    return c->refuse(fail(errc::forbidden, "auth.registration: accounts can't be registered here"));
  sign_in(c, read_login<account::register_user>(c->body(presence::required)), 201);
}

void rest::guest(const call_ptr& c) {
  if (!guests_)
    return c->refuse(fail(errc::forbidden, "auth.guests: nobody comes in without an account here"));
  sign_in(c, read_guest(c->body(presence::optional)), 201);
}

// Not throttled by address: a refresh token can't be guessed and costs no password hash.
void rest::refresh(const call_ptr& c) {
  if (!tokens_.can_issue()) // else the token would be spent, and nothing got for it
    return c->refuse(fail(errc::unsupported, "auth: tokens come from an outside identity provider"));
  sign_in(c, read_refresh(c->body(presence::required)), 200);
}

void rest::log_out(const call_ptr& c) { ask_account(c, account::end_session{}, 204); }

void rest::list_sessions(const call_ptr& c) {
  auto fields = c->query({{"all"}, {"after"}, {"limit", true}});
  if (!fields)
    return c->refuse(fields.error());
  const auto all = fields->find("all").text().value_or("false");
  if (all != "true" && all != "false")
    return c->refuse(fail(errc::bad_request, "all: must be true or false"));
  if (all == "true" && !c->who.admin)
    return c->refuse(fail(errc::forbidden, "all: only an admin sees the sessions of others"));
  auto page = read_session_page(*fields, *c->bounds);
  if (!page)
    return c->refuse(page.error());
  page->all = all == "true";
  ask_account(c, std::move(*page), 200);
}

void rest::end_session(const call_ptr& c) { ask_account(c, account::end_session{c->parts.at(0)}, 204); }

// -- rooms ------------------------------------------------------------------------------------------------------------

void rest::chat(const call_ptr& c) { ask(c, "history", c->body(presence::required)); }

void rest::list_rooms(const call_ptr& c) { ask(c, "rooms", c->query({{"after"}, {"limit", true}})); }

void rest::create_room(const call_ptr& c) { ask(c, "create", c->body(presence::required), 201); }

void rest::list_events(const call_ptr& c) {
  ask(c, "history",
      with_room(c->query({{"before", true}, {"after", true}, {"around", true}, {"at", true}, {"limit", true}}), c));
}

void rest::list_members(const call_ptr& c) { ask(c, "members", members_page(c)); }

void rest::join(const call_ptr& c) { ask(c, "join", with_room(c->query({}), c)); }

void rest::leave(const call_ptr& c) { ask(c, "leave", with_room(c->query({}), c)); }

void rest::show_room(const call_ptr& c) { ask(c, "room", with_room(c->query({}), c)); }

void rest::configure_room(const call_ptr& c) {
  auto fields = with_room(c->body(presence::required), c);
  // In a body it is easily overlooked, and there is no way back.
  if (auto gone = fields ? fields->find("delete") : json::value{}; gone && !gone.is_null())
    return c->refuse(fail(errc::bad_request, "delete: a room is deleted by the method DELETE"));
  ask(c, "room", fields);
}

void rest::delete_room(const call_ptr& c) { ask(c, "room", with_flag("delete", with_room(c->query({}), c))); }

void rest::set_topic(const call_ptr& c) { ask(c, "topic", with_room(c->body(presence::required), c)); }

void rest::list_pins(const call_ptr& c) { ask(c, "pins", with_room(c->query({{"after", true}, {"limit", true}}), c)); }

void rest::pin(const call_ptr& c) { ask(c, "pin", with_target(c->query({}), c)); }

void rest::unpin(const call_ptr& c) { ask(c, "unpin", with_target(c->query({}), c)); }

// -- users ------------------------------------------------------------------------------------------------------------

void rest::show_own_profile(const call_ptr& c) { ask(c, "profile", c->query({})); }

void rest::show_profile(const call_ptr& c) {
  auto fields = c->query({});
  if (fields)
    fields->set("user", c->parts.at(0));
  ask(c, "profile", fields);
}

void rest::show_own_presence(const call_ptr& c) { ask(c, "presence", c->query({})); }

void rest::show_presence(const call_ptr& c) {
  auto fields = c->query({});
  if (fields)
    fields->set("user", c->parts.at(0));
  ask(c, "presence", fields);
}

void rest::change_presence(const call_ptr& c) { ask(c, "presence", c->body(presence::required)); }

void rest::change_profile(const call_ptr& c) { ask(c, "profile", c->body(presence::required)); }

void rest::list_blocks(const call_ptr& c) { ask(c, "blocks", c->query({{"after"}, {"limit", true}})); }

void rest::block(const call_ptr& c) {
  auto fields = c->query({});
  if (fields)
    fields->set("user", c->parts.at(0));
  ask(c, "block", fields);
}

void rest::unblock(const call_ptr& c) {
  auto fields = c->query({});
  if (fields)
    fields->set("user", c->parts.at(0));
  ask(c, "unblock", fields);
}

// -- members ----------------------------------------------------------------------------------------------------------

void rest::invite(const call_ptr& c) { ask(c, "invite", with_user(c->body(presence::optional), c)); }

void rest::set_role(const call_ptr& c) { ask(c, "role", with_user(c->body(presence::required), c)); }

void rest::kick(const call_ptr& c) { ask(c, "kick", with_user(c->query({{"reason"}}), c)); }

void rest::list_bans(const call_ptr& c) { ask(c, "members", with_flag("banned", members_page(c))); }

void rest::ban(const call_ptr& c) { ask(c, "ban", with_user(c->body(presence::optional), c)); }

void rest::unban(const call_ptr& c) { ask(c, "unban", with_user(c->query({{"reason"}}), c)); }

void rest::list_mutes(const call_ptr& c) { ask(c, "members", with_flag("muted", members_page(c))); }

void rest::mute(const call_ptr& c) { ask(c, "mute", with_user(c->body(presence::optional), c)); }

void rest::unmute(const call_ptr& c) { ask(c, "unmute", with_user(c->query({{"reason"}}), c)); }

// -- messages ---------------------------------------------------------------------------------------------------------

void rest::send(const call_ptr& c) { ask_passing(c, "send", with_room(c->body(presence::required), c)); }

void rest::send_to_user(const call_ptr& c) {
  auto fields = c->body(presence::required);
  if (fields)
    fields->set("to", c->parts.at(0));
  ask_passing(c, "send", std::move(fields));
}

/// The page of history that holds this event and no other.
void rest::show_message(const call_ptr& c) {
  const auto seq = number_in(c->parts.at(1));
  if (!seq || *seq == 0 || *seq > json::integer_max)
    return c->refuse(fail(errc::bad_request, "target: must be an integer from 1 to 9007199254740991"));
  auto room = room_id::parse(c->parts.at(0), "room");
  if (!room)
    return c->refuse(room.error());
  op::history what{std::move(*room), op::history::from::after, *seq - 1, 0, 1};
  hooks_.perform(c->on, c->who, std::move(what), [this, c, seq = *seq](answer a) {
    if (!a)
      return c->pass_on(a.error());
    auto* page = std::get_if<ok::page>(&*a);
    if (page == nullptr || page->events.size() != 1 || page->events.front().seq != seq)
      return c->refuse(fail(errc::not_found, "target: no such event"));
    page->more = false; // there is nothing to go on to
    c->respond(200, encode_.body(*a));
  });
}

void rest::mark_read(const call_ptr& c) { ask(c, "read", with_room(c->body(presence::required), c)); }

void rest::mark_delivered(const call_ptr& c) { ask(c, "delivered", with_room(c->body(presence::required), c)); }

void rest::show_typing(const call_ptr& c) { ask(c, "typing", with_room(c->body(presence::required), c)); }

void rest::list_replies(const call_ptr& c) {
  ask(c, "thread", with_target(c->query({{"after", true}, {"limit", true}}), c));
}

void rest::list_scheduled(const call_ptr& c) {
  ask(c, "scheduled", with_room(c->query({{"after"}, {"limit", true}}), c));
}

void rest::cancel(const call_ptr& c) {
  auto fields = with_room(c->query({}), c);
  if (fields)
    fields->set("key", c->parts.at(1));
  ask(c, "cancel", fields);
}

void rest::edit(const call_ptr& c) { ask_keyed(c, "edit", with_target(c->body(presence::required), c), 200); }

void rest::revoke(const call_ptr& c) { ask_keyed(c, "revoke", with_target(c->query({}), c), 200); }

void rest::react(const call_ptr& c) {
  auto fields = with_target(c->query({}), c);
  if (fields) {
    fields->set("emoji", c->parts.at(2));
    fields->set_flag("on", c->request.method == "PUT");
  }
  ask_keyed(c, "react", std::move(fields), 200);
}

} // namespace greenroom::net
