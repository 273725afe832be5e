#include "net/cli/node_client.hpp"

#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr int64_t fresh_ms = 60'000; // a token with less than this to live is renewed first

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : std::string(value);
}

std::string url_of(const endpoint& x) { return (x.tls ? "https://" : "http://") + x.authority(); }

bool is_fresh(const saved_session& x) { return x.expires_at_ms == 0 || x.expires_at_ms - now_ms() > fresh_ms; }

} // namespace

std::shared_ptr<client_flags> add_client_flags(CLI::App& command) {
  auto flags = std::make_shared<client_flags>();
  flags->node = add_node_flags(command, identity_flags::account);
  add_session_flags(command, *flags);
  return flags;
}

void add_session_flags(CLI::App& command, client_flags& into) {
  command.add_option("--session", into.session_path,
                     "file of the session that `greenroom login` keeps (default: ~/.config/greenroom/session.json)");
  command.add_flag("--json", into.json, "for programs: JSON, one object or one line for each; errors, too");
}

int with_node(const client_flags& flags, const config::sources& from, const std::function<int(node_client&)>& what) {
  http_reply refused;
  auto node = node_client::open(flags, from, refused);
  if (node)
    return what(*node);
  // Only who signs in by a password has asked by now.
  const bool asked = refused.status != 0 || !refused.body.empty();
  return asked && !refused.good() ? tell_failure(refused, flags.json) : tell_failure(node.error(), flags.json);
}

outcome<endpoint> server_of(const client_flags& flags, const config::sources& from,
                            const std::optional<saved_session>& saved, std::string& url) {
  node_flags node = *flags.node;
  if (node.url.empty())
    node.url = variable("GREENROOM_CLI_SERVER");
  const auto given = parse_url(node.url);
  const bool own = saved && (node.url.empty() || (given && url_of(*given) == saved->server));
  if (own) {
    node.url = saved->server;
    if (node.ca_file.empty() && !node.insecure) {
      node.ca_file = saved->ca_file;
      node.insecure = saved->insecure;
    }
  }
  auto to = endpoint_of(node, from);
  if (to)
    url = url_of(*to);
  return to;
}

outcome<saved_session> session_in(const http_reply& reply) {
  const auto grant = json::parse(reply.body, nullptr, false);
  saved_session out;
  out.token = text_of(grant, "token");
  if (out.token.empty())
    return fail(errc::unavailable, "an answer without a token");
  out.refresh_token = text_of(grant, "refresh_token");
  out.session = text_of(grant, "session");
  out.user = text_of(grant, "user");
  out.expires_at_ms = now_ms() + static_cast<int64_t>(number_of(grant, "expires_in")) * 1000;
  return out;
}

outcome<node_client> node_client::open(const client_flags& flags, const config::sources& from, http_reply& refused) {
  session_file file(flags.session_path.empty() ? session_file::usual_path() : flags.session_path);
  std::string token = flags.node->token;
  const bool by_flag = !token.empty() || !flags.node->user.empty();
  if (!by_flag)
    token = variable("GREENROOM_CLI_TOKEN");
  const bool by_session = !by_flag && token.empty();
  std::optional<saved_session> saved; // also says where the node is, whoever asks
  if (auto found = file.load())
    saved = std::move(*found);
  else if (by_session)
    return found.error();
  std::string url;
  auto to = server_of(flags, from, saved, url);
  if (!to)
    return to.error();
  node_client out(std::move(*to), std::move(url), std::move(file));
  if (!token.empty()) {
    out.token_ = std::move(token);
    return out;
  }
  if (by_flag) {
    std::string password = flags.node->password;
    if (password.empty())
      password = variable("GREENROOM_CLI_PASSWORD");
    if (password.empty()) {
      auto typed = ask_password(flags.node->user);
      if (!typed)
        return typed.error();
      password = std::move(*typed);
    }
    refused = exchange(out.to_, "POST", "/api/v1/auth",
                       json{{"user", flags.node->user}, {"password", password}, {"device", "greenroom"}}.dump(), {});
    if (!refused.good())
      return fail(errc::unauthenticated, "not signed in");
    auto session = session_in(refused);
    if (!session)
      return session.error();
    out.token_ = session->token;
    return out;
  }
  if (!saved)
    return fail(errc::unauthenticated,
                "nobody is logged in: `greenroom login NAME`, or --user, --token or GREENROOM_CLI_TOKEN");
  if (saved->server != out.url_)
    return fail(errc::unauthenticated, "logged in at " + saved->server + ", not at " + out.url_ +
                                           ": `greenroom login NAME --server " + out.url_ + "`");
  out.token_ = saved->token;
  out.saved_ = std::move(saved);
  return out;
}

http_reply node_client::ask(std::string_view method, std::string_view path, const std::string& body,
                            const std::string& key, const header_list& headers) {
  const bool renewable = saved_ && !saved_->refresh_token.empty();
  if (renewable && !is_fresh(*saved_))
    if (auto renewed = renew(); !renewed.good())
      return renewed;
  const auto shown = token_;
  auto reply = exchange(to_, method, path, body, shown, key, headers);
  if (reply.status != 401 || !renewable)
    return reply;
  // By our clock it was good. What it was refused for has not been done, so it may be asked again.
  if (auto renewed = renew(); !renewed.good())
    return renewed;
  return token_ == shown ? reply : exchange(to_, method, path, body, token_, key, headers);
}

http_reply node_client::renew() {
  const auto unreadable = [](const failure& why) { return http_reply{0, {}, why}; };
  auto held = file_.hold();
  if (!held)
    return unreadable(held.error());
  auto now = file_.load();
  if (!now)
    return unreadable(now.error());
  if (!*now)
    return unreadable(fail(errc::unauthenticated, "somebody has logged out meanwhile"));
  const bool renewed_by_another = (*now)->token != token_ && (*now)->server == saved_->server && is_fresh(**now);
  saved_ = **now;
  token_ = saved_->token;
  if (renewed_by_another || saved_->refresh_token.empty())
    return {200, {}};
  auto reply = exchange(to_, "POST", "/api/v1/auth/refresh", json{{"refresh_token", saved_->refresh_token}}.dump(), {});
  if (reply.status == 401) {
    // It has ended, or somebody else has used the token: it will never be good again.
    std::ignore = file_.remove();
    return reply;
  }
  if (!reply.good())
    return reply;
  auto next = session_in(reply);
  if (!next)
    return unreadable(next.error());
  if (!next->refresh_token.empty())
    saved_->refresh_token = next->refresh_token;
  saved_->token = token_ = next->token;
  saved_->expires_at_ms = next->expires_at_ms;
  if (auto kept = file_.save(*saved_); !kept)
    return unreadable(kept.error());
  return reply;
}

int tell_failure(const http_reply& reply, bool as_json, std::string_view key) {
  const auto why = failure_of(reply);
  if (reply.own)
    return tell_failure(why, as_json);
  const int code = reply.status == 0 ? exit_unreachable : exit_refused;
  if (as_json) {
    json out{{"code", reply.status == 0 ? "unreachable" : to_string(why.code)},
             {"message", why.message},
             {"retryable", reply.status == 0 || retryable(why.code)}};
    if (why.retry_after_ms != 0)
      out["retry_after_ms"] = why.retry_after_ms;
    if (!key.empty())
      out["key"] = key;
    std::cerr << json{{"error", out}}.dump() << "\n";
    return code;
  }
  std::cerr << "greenroom: " << why.message << "\n";
  // Whether it has been done is not known: under its key it may be asked again.
  if (reply.status == 0 && !key.empty())
    std::cerr << "greenroom: to try again: --key " << key << "\n";
  return code;
}

int tell_failure(const failure& why, bool as_json) {
  const bool usage = why.code == errc::bad_request;
  if (as_json)
    std::cerr << json{{"error",
                       {{"code", usage ? "usage" : to_string(why.code)},
                        {"message", why.message},
                        {"retryable", retryable(why.code)}}}}
                     .dump()
              << "\n";
  else
    std::cerr << "greenroom: " << why.message << "\n";
  return usage ? exit_usage : exit_refused;
}

} // namespace greenroom::cli
