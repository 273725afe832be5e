// user register | login | sessions: accounts, by the REST API of a running node.
#include "net/cli/api_command.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

outcome<std::string> new_password(const std::string& user) {
  auto first = ask_password(user);
  if (!first)
    return first;
  auto second = ask_password(user + " again");
  if (second && *first != *second)
    return fail(errc::bad_request, "the passwords differ");
  return second;
}

int print_grant(const outcome<credentials>& got) {
  if (!got)
    return complain(got.error());
  std::cout << json{{"token", got->token()},
                    {"expires_in", got->expires_in_s()},
                    {"refresh_token", got->refresh_token()},
                    {"session", got->session()}}
                   .dump(2)
            << "\n";
  return 0;
}

int do_register(node_flags flags, const config::sources& from) {
  auto to = endpoint_of(flags, from);
  if (!to)
    return complain(to.error());
  if (flags.password.empty()) {
    auto password = new_password(flags.user);
    if (!password)
      return complain(password.error());
    flags.password = std::move(*password);
  }
  if (auto got = credentials::register_account(*to, flags.user, flags.password); !got)
    return complain(got.error());
  std::cout << "registered " << flags.user << "\n";
  return 0;
}

int log_in(const node_flags& flags, const config::sources& from) {
  auto to = endpoint_of(flags, from);
  if (!to)
    return complain(to.error());
  return print_grant(sign_in(flags, *to));
}

int list_sessions(const node_flags& flags, bool all, const config::sources& from) {
  auto to = endpoint_of(flags, from);
  if (!to)
    return complain(to.error());
  auto who = sign_in(flags, *to);
  if (!who)
    return complain(who.error());
  size_t live = 0;
  const std::string first = all ? "/api/v1/sessions?all=true" : "/api/v1/sessions";
  for (auto path = first; !path.empty();) {
    auto body = call(*to, "GET", path, "", who->token());
    if (!body)
      return complain(body.error());
    const auto answer = json::parse(*body, nullptr, false);
    if (!answer.is_object() || !answer.value("sessions", json()).is_array())
      return complain(fail(errc::unavailable, to->authority() + " answers without a list of sessions"));
    for (const auto& session : answer["sessions"])
      std::cout << printable(text_of(session, "session")) << "  " << printable(text_of(session, "user")) << "  "
                << printable(text_of(session, "device")) << "  on " << printable(text_of(session, "node")) << " since "
                << clock_of(number_of(session, "since")) << ", " << number_of(session, "queued_bytes")
                << " bytes queued\n";
    live += answer["sessions"].size();
    const auto next = text_of(answer, "next");
    path = next.empty() ? "" : with_query(first, "after", next);
  }
  std::cout << live << " live\n";
  return 0;
}

} // namespace

void add_user_commands(CLI::App& program, context& shared) {
  auto* user = program.add_subcommand("user", "accounts on a running node");
  user->require_subcommand(1);

  // The name stands without a flag here: `greenroom user register alice`.
  const auto named = [&shared, user](const std::string& name, const std::string& help, auto does) {
    auto* command = user->add_subcommand(name, help);
    auto flags = add_node_flags(*command, identity_flags::none);
    command->add_option("NAME", flags->user, "name of the account")->required();
    command->add_option("--password", flags->password,
                        "its password (others on this machine may see it; else it is asked)");
    command->callback(
        [&shared, flags, does] { shared.run = [&shared, flags, does] { return does(*flags, shared.from); }; });
  };
  named("register", "make an account", do_register);
  named("login", "sign in, and print the tokens as JSON", log_in);

  auto* sessions = user->add_subcommand("sessions", "list your live connections");
  auto flags = add_node_flags(*sessions, identity_flags::account);
  auto all = std::make_shared<bool>(false);
  sessions->add_flag("--all", *all, "those of all users; needs the token of an admin");
  sessions->callback([&shared, flags, all] {
    shared.run = [&shared, flags, all] { return list_sessions(*flags, *all, shared.from); };
  });
  add_user_data_commands(*user, shared);
}

} // namespace greenroom::cli
