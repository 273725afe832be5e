// login, logout, whoami: a session that is kept between commands.
#include "net/cli/answer_tables.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/node_client.hpp"
#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

struct login_flags {
  client_flags client;
  std::string password;
  std::string token;
  std::string device = "greenroom";
  bool registers = false;
  bool guest = false;
};

void print(const json& object, bool as_json) { std::cout << (as_json ? object.dump() + "\n" : object_text(object)); }

json about(const saved_session& x) {
  json out{{"user", x.user}, {"server", x.server}, {"renewable", !x.refresh_token.empty()}};
  if (!x.session.empty())
    out["session"] = x.session;
  if (x.expires_at_ms != 0)
    out["expires_at"] = x.expires_at_ms;
  return out;
}

outcome<std::string> password_of(const login_flags& flags, const std::string& user) {
  if (!flags.password.empty())
    return flags.password;
  if (const char* set = std::getenv("GREENROOM_CLI_PASSWORD"); set != nullptr && *set != '\0')
    return std::string(set);
  auto first = ask_password(user);
  if (!first || !flags.registers)
    return first;
  auto second = ask_password(user + " again");
  if (second && *first != *second)
    return fail(errc::bad_request, "the passwords differ");
  return second;
}

int log_in(const login_flags& flags, const config::sources& from) {
  const bool as_json = flags.client.json;
  const auto& node = *flags.client.node;
  if (node.user.empty() && !flags.guest && flags.token.empty())
    return tell_failure(fail(errc::bad_request, "who are you? Give a NAME, --guest or --token"), as_json);
  std::string url;
  auto to = server_of(flags.client, from, std::nullopt, url);
  if (!to)
    return tell_failure(to.error(), as_json);
  saved_session session;
  if (!flags.token.empty()) {
    auto reply = exchange(*to, "GET", "/api/v1/users/me", {}, flags.token);
    if (!reply.good())
      return tell_failure(reply, as_json);
    session.user = text_of(json::parse(reply.body, nullptr, false), "user");
    session.token = flags.token;
  } else {
    json body{{"device", flags.device}};
    if (!flags.guest) {
      auto password = password_of(flags, node.user);
      if (!password)
        return tell_failure(password.error(), as_json);
      body["user"] = node.user;
      body["password"] = *password;
    }
    const auto path = flags.guest ? "/api/v1/auth/guest" : flags.registers ? "/api/v1/auth/register" : "/api/v1/auth";
    auto reply = exchange(*to, "POST", path, body.dump(), {});
    if (!reply.good())
      return tell_failure(reply, as_json);
    auto got = session_in(reply);
    if (!got)
      return tell_failure(got.error(), as_json);
    session = std::move(*got);
  }
  session.server = url;
  if (!node.ca_file.empty()) // the next command may be given in another folder
    session.ca_file = std::filesystem::absolute(node.ca_file).string();
  session.insecure = node.insecure;
  const session_file file(flags.client.session_path.empty() ? session_file::usual_path() : flags.client.session_path);
  if (auto kept = file.save(session); !kept)
    return tell_failure(kept.error(), as_json);
  print(about(session), as_json);
  return exit_done;
}

int log_out(const client_flags& flags, bool forget, const config::sources& from) {
  const session_file file(flags.session_path.empty() ? session_file::usual_path() : flags.session_path);
  if (!forget) {
    const int done = with_node(flags, from, [&](node_client& node) {
      const auto reply = node.ask("DELETE", "/api/v1/auth");
      // A session that has ended already is no trouble.
      return reply.good() || reply.status == 401 ? exit_done : tell_failure(reply, flags.json);
    });
    if (done != exit_done)
      return done;
  }
  if (auto gone = file.remove(); !gone)
    return tell_failure(gone.error(), flags.json);
  print(json::object(), flags.json);
  return exit_done;
}

int say_who(const client_flags& flags, const config::sources& from) {
  return with_node(flags, from, [&](node_client& node) {
    const auto reply = node.ask("GET", "/api/v1/users/me");
    if (!reply.good())
      return tell_failure(reply, flags.json);
    saved_session shown = node.saved().value_or(saved_session{});
    shown.user = text_of(json::parse(reply.body, nullptr, false), "user");
    shown.server = node.server();
    print(about(shown), flags.json);
    return exit_done;
  });
}

} // namespace

void add_login_commands(CLI::App& program, context& shared) {
  auto* login = program.add_subcommand("login", "sign in, and stay so for the commands that follow");
  auto flags = std::make_shared<login_flags>();
  flags->client.node = add_node_flags(*login, identity_flags::none);
  auto* name = login->add_option("NAME", flags->client.node->user, "name of the account");
  login->add_option("--password", flags->password,
                    "its password (others on this machine may see it; else GREENROOM_CLI_PASSWORD, or it is asked)");
  login->add_flag("--register", flags->registers, "make the account first")->needs(name);
  auto* guest = login->add_flag("--guest", flags->guest, "come without an account")->excludes(name);
  login->add_option("--token", flags->token, "a token from elsewhere; it can't be renewed")
      ->excludes(name)
      ->excludes(guest);
  login->add_option("--device", flags->device, "how this device is listed among your sessions")->capture_default_str();
  add_session_flags(*login, flags->client);
  login->callback([&shared, flags] { shared.run = [&shared, flags] { return log_in(*flags, shared.from); }; });

  auto* logout = program.add_subcommand("logout", "end the session, on all nodes, and forget it");
  auto forget = std::make_shared<bool>(false);
  logout->add_flag("--forget", *forget, "forget it only: no node is asked");
  auto leaving = add_client_flags(*logout);
  logout->callback([&shared, leaving, forget] {
    shared.run = [&shared, leaving, forget] { return log_out(*leaving, *forget, shared.from); };
  });

  auto* who = program.add_subcommand("whoami", "who is logged in, and where");
  auto asking = add_client_flags(*who);
  who->callback([&shared, asking] { shared.run = [&shared, asking] { return say_who(*asking, shared.from); }; });
}

} // namespace greenroom::cli
