#include "net/rest.hpp"

#include "net/http_text.hpp"
#include "net/io_threads.hpp"
#include "net/rest_call.hpp"

#include <algorithm>

namespace greenroom::net {
const rest::route rest::routes[] = {
    {"GET", "/", access::open, &rest::front_page},
    {"GET", "/livez", access::open, &rest::livez},
    {"GET", "/readyz", access::open, &rest::readyz},
    {"GET", "/metrics", access::open, &rest::show_metrics},
    {"GET", "/api/v1/openapi.json", access::open, &rest::show_openapi},
    {"GET", "/api/v1/asyncapi.json", access::open, &rest::show_asyncapi},
    {"POST", "/api/v1/auth", access::account, &rest::log_in},
    {"POST", "/api/v1/auth/register", access::account, &rest::register_user},
    {"POST", "/api/v1/auth/guest", access::account, &rest::guest},
    {"POST", "/api/v1/auth/refresh", access::open, &rest::refresh},
    {"DELETE", "/api/v1/auth", access::parting, &rest::log_out},
    {"GET", "/api/v1/sessions", access::token, &rest::list_sessions},
    {"DELETE", "/api/v1/sessions/*", access::parting, &rest::end_session},
    {"GET", "/api/v1/users/me", access::token, &rest::show_own_profile},
    {"PATCH", "/api/v1/users/me", access::token, &rest::change_profile},
    {"GET", "/api/v1/users/me/presence", access::token, &rest::show_own_presence},
    {"PUT", "/api/v1/users/me/presence", access::token, &rest::change_presence},
    {"GET", "/api/v1/users/*/presence", access::token, &rest::show_presence},
    {"DELETE", "/api/v1/users/me", access::token, &rest::erase_own},
    {"GET", "/api/v1/users/*", access::token, &rest::show_profile},
    {"DELETE", "/api/v1/users/*", access::token, &rest::erase_user},
    {"GET", "/api/v1/users/*/erasure", access::token, &rest::show_erasure},
    {"GET", "/api/v1/users/me/export", access::token, &rest::export_own},
    {"GET", "/api/v1/users/*/export", access::token, &rest::export_user},
    {"GET", "/api/v1/users/me/blocks", access::token, &rest::list_blocks},
    {"PUT", "/api/v1/users/me/blocks/*", access::token, &rest::block},
    {"DELETE", "/api/v1/users/me/blocks/*", access::token, &rest::unblock},
    {"POST", "/api/v1/users/*/messages", access::token, &rest::send_to_user},
    {"POST", "/api/v1/batch", access::token, &rest::batch},
    {"POST", "/api/v1/chat", access::token, &rest::chat},
    {"GET", "/api/v1/rooms", access::token, &rest::list_rooms},
    {"POST", "/api/v1/rooms", access::token, &rest::create_room},
    {"GET", "/api/v1/rooms/*", access::token, &rest::show_room},
    {"PATCH", "/api/v1/rooms/*", access::token, &rest::configure_room},
    {"DELETE", "/api/v1/rooms/*", access::token, &rest::delete_room},
    {"PUT", "/api/v1/rooms/*/topic", access::token, &rest::set_topic},
    {"GET", "/api/v1/rooms/*/pins", access::token, &rest::list_pins},
    {"PUT", "/api/v1/rooms/*/pins/*", access::token, &rest::pin},
    {"DELETE", "/api/v1/rooms/*/pins/*", access::token, &rest::unpin},
    {"GET", "/api/v1/rooms/*/events", access::token, &rest::list_events},
    {"PUT", "/api/v1/rooms/*/read", access::token, &rest::mark_read},
    {"PUT", "/api/v1/rooms/*/delivered", access::token, &rest::mark_delivered},
    {"PUT", "/api/v1/rooms/*/typing", access::token, &rest::show_typing},
    {"POST", "/api/v1/rooms/*/messages", access::token, &rest::send},
    {"GET", "/api/v1/rooms/*/messages/*", access::token, &rest::show_message},
    {"PATCH", "/api/v1/rooms/*/messages/*", access::token, &rest::edit},
    {"DELETE", "/api/v1/rooms/*/messages/*", access::token, &rest::revoke},
    {"PUT", "/api/v1/rooms/*/messages/*/reactions/*", access::token, &rest::react},
    {"DELETE", "/api/v1/rooms/*/messages/*/reactions/*", access::token, &rest::react},
    {"GET", "/api/v1/rooms/*/messages/*/replies", access::token, &rest::list_replies},
    {"GET", "/api/v1/rooms/*/scheduled", access::token, &rest::list_scheduled},
    {"DELETE", "/api/v1/rooms/*/scheduled/*", access::token, &rest::cancel},
    {"GET", "/api/v1/rooms/*/members", access::token, &rest::list_members},
    {"POST", "/api/v1/rooms/*/members/me", access::token, &rest::join},
    {"DELETE", "/api/v1/rooms/*/members/me", access::token, &rest::leave},
    {"PUT", "/api/v1/rooms/*/members/*", access::token, &rest::invite},
    {"PATCH", "/api/v1/rooms/*/members/*", access::token, &rest::set_role},
    {"DELETE", "/api/v1/rooms/*/members/*", access::token, &rest::kick},
    {"GET", "/api/v1/rooms/*/bans", access::token, &rest::list_bans},
    {"PUT", "/api/v1/rooms/*/bans/*", access::token, &rest::ban},
    {"DELETE", "/api/v1/rooms/*/bans/*", access::token, &rest::unban},
    {"GET", "/api/v1/rooms/*/mutes", access::token, &rest::list_mutes},
    {"PUT", "/api/v1/rooms/*/mutes/*", access::token, &rest::mute},
    {"DELETE", "/api/v1/rooms/*/mutes/*", access::token, &rest::unmute},
    {"POST", "/api/v1/rooms/*/attachments", access::token, &rest::begin_attachment},
    {"GET", "/api/v1/rooms/*/attachments/*", access::token, &rest::fetch_attachment},
    {"PATCH", "/api/v1/rooms/*/attachments/*", access::token, &rest::store_attachment},
    {"DELETE", "/api/v1/rooms/*/attachments/*", access::token, &rest::discard_attachment},
    {"GET", "/api/v1/rooms/*/attachments/*/info", access::token, &rest::show_attachment},
    {"GET", "/api/v1/webhooks", access::token, &rest::list_webhooks},
    {"POST", "/api/v1/webhooks/*/replay", access::token, &rest::replay},
};

rest::rest(const settings& config, const jwt_tokens& tokens, const json_encoder& encode, metrics& figures,
           rest_hooks hooks)
    : allowed_origins_(config.listen.allowed_origins), token_life_(config.auth.token_s),
      registration_(config.auth.registration), guests_(config.auth.guests),
      transfers_max_(config.attachments.transfers), tokens_(tokens), encode_(encode), figures_(figures),
      hooks_(std::move(hooks)) {}

void rest::handle(lane& on, http_request request, std::function<void(http_response)> done) {
  auto c = std::make_shared<rest_call>(on, std::move(request), std::move(done), figures_, hooks_.limits());
  allow_origin(*c);
  if (c->request.path.starts_with("/api/")) {
    const auto from = c->request.from.network;
    const auto now = steady_ms();
    if (auto why = hooks_.floods->banned(from, now))
      return c->refuse(*why);
    if (from && turned_down(c, flood::calls, hooks_.floods->call(*from, *c->bounds, now)))
      return;
    // Tokens and messages are nobody else's, caches included.
    c->more_headers.emplace_back("Cache-Control", "no-store");
  }
  dispatch(c);
}

void rest::dispatch(const call_ptr& c) {
  const auto& path = c->request.path;
  std::string methods;
  for (const auto& r : routes) {
    auto parts = match_path(r.pattern, path);
    if (!parts)
      continue;
    if (r.method != c->request.method) {
      methods.append(methods.empty() ? "" : ", ").append(r.method);
      if (r.method == "GET")
        methods.append(", HEAD"); // answered by the transport as a GET without its body
      continue;
    }
    if (auto decoded = c->decode_parts(*parts); !decoded)
      return c->refuse(decoded.error());
    return run(r, c);
  }
  if (c->request.method == "OPTIONS" && (!methods.empty() || path == "*"))
    return preflight(*c, methods);
  if (methods.empty())
    return c->refuse(fail(errc::not_found, "path: there is nothing here"));
  c->refuse(fail(errc::bad_request, "method: must be one of " + methods), 405, {"Allow", methods});
}

void rest::run(const route& r, const call_ptr& c) {
  if (r.needs == access::account) {
    // What can't succeed must not cost an attempt, nor make an account that nobody gets a token for.
    if (!tokens_.can_issue())
      return c->refuse(fail(errc::unsupported, "auth: tokens come from an outside identity provider"));
    if (const auto from = c->request.from.network) {
      const auto why = hooks_.floods->log_in(*from, *c->bounds, steady_ms());
      figures_.logins_refused.add(why ? 1 : 0);
      if (turned_down(c, flood::logins, why))
        return;
    }
  }
  if (r.needs == access::token || r.needs == access::parting) {
    auto token = bearer_token(c->request.header("authorization"));
    if (!token)
      return c->refuse(fail(errc::unauthenticated, "authorization: a bearer token is required"));
    auto who = tokens_.verify(*token);
    if (!who)
      return c->refuse(who.error());
    c->who = std::move(*who);
    auto& floods = *hooks_.floods;
    const auto now = steady_ms();
    if (auto why = floods.banned(c->who.user, now); why && r.needs != access::parting)
      return c->refuse(*why);
    if (turned_down(c, flood::calls, floods.call(floods.cell_of(c->who.user), *c->bounds, now)))
      return;
  }
  (this->*r.run)(c);
}

/// With `why` the call is refused, and that is counted against the user, or the address where none has shown a token.
bool rest::turned_down(const call_ptr& c, flood kind, const std::optional<failure>& why) {
  if (!why)
    return false;
  hooks_.floods->refused(kind, c->who.user, c->request.from.network, *c->bounds, steady_ms());
  c->refuse(*why);
  return true;
}

// Only listed origins may read answers; browsers enforce it. No cookies are used, so "*" gives nothing away that a
// token does not guard.
void rest::allow_origin(rest_call& c) const {
  const auto origin = c.request.header("origin");
  if (origin.empty() || allowed_origins_.empty())
    return;
  const bool all = std::find(allowed_origins_.begin(), allowed_origins_.end(), "*") != allowed_origins_.end();
  if (!all)
    c.more_headers.emplace_back("Vary", "Origin");
  if (!all && std::find(allowed_origins_.begin(), allowed_origins_.end(), origin) == allowed_origins_.end())
    return;
  c.more_headers.emplace_back("Access-Control-Allow-Origin", all ? std::string("*") : std::string(origin));
  c.more_headers.emplace_back("Access-Control-Expose-Headers",
                              "Retry-After, ETag, Content-Disposition, Content-Range, Location, Upload-Length, "
                              "Upload-Offset");
}

void rest::preflight(rest_call& c, const std::string& methods) const {
  http_response r;
  r.status = 204;
  const auto allowed = methods.empty() ? std::string("OPTIONS") : methods + ", OPTIONS";
  r.headers.emplace_back("Allow", allowed);
  if (!c.request.header("access-control-request-method").empty()) {
    r.headers.emplace_back("Access-Control-Allow-Methods", allowed);
    r.headers.emplace_back("Access-Control-Allow-Headers",
                           "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range, Traceparent, "
                           "Upload-Offset");
    r.headers.emplace_back("Access-Control-Max-Age", "600");
  }
  c.respond(std::move(r));
}

} // namespace greenroom::net
