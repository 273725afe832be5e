// user export | erase: what a node holds of an account, and its end.
#include "net/cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

const std::string users = "/api/v1/users/";

/// The endpoint and who asks; nothing was printed yet where it fails.
struct asker {
  endpoint to;
  credentials who;
};
outcome<asker> reach(const node_flags& flags, const config::sources& from) {
  auto to = endpoint_of(flags, from);
  if (!to)
    return std::move(to).error();
  auto who = sign_in(flags, *to);
  if (!who)
    return std::move(who).error();
  return asker{std::move(*to), std::move(*who)};
}

std::string path_of(const std::string& name, std::string_view rest = {}) {
  return users + (name.empty() ? "me" : name) + std::string(rest);
}

int print_json(const outcome<std::string>& body) {
  if (!body)
    return complain(body.error());
  std::cout << json::parse(*body, nullptr, false).dump(2) << "\n";
  return 0;
}

int do_export(const node_flags& flags, const std::string& name, const std::string& file, const config::sources& from) {
  auto node = reach(flags, from);
  if (!node)
    return complain(node.error());
  std::ofstream out;
  if (!file.empty()) {
    out.open(file, std::ios::binary | std::ios::trunc);
    if (!out)
      return complain(fail(errc::bad_request, "--output: cannot write " + file));
  }
  auto& to = file.empty() ? std::cout : static_cast<std::ostream&>(out);
  auto done = download(node->to, path_of(name, "/export"), node->who.token(), [&to](std::string_view piece) {
    to.write(piece.data(), static_cast<std::streamsize>(piece.size()));
  });
  to.flush();
  if (!done)
    return complain(done.error());
  return to ? 0 : complain(fail(errc::unavailable, "the export cannot be written"));
}

struct erasure_flags {
  std::string name;
  std::string reason;
  bool keep_messages = false;
  bool yes = false;
};

int do_erase(node_flags flags, const erasure_flags& how, const config::sources& from) {
  if (!flags.user.empty() && flags.password.empty()) { // it signs in, and is shown again
    auto typed = ask_password(flags.user);
    if (!typed)
      return complain(typed.error());
    flags.password = std::move(*typed);
  }
  auto node = reach(flags, from);
  if (!node)
    return complain(node.error());
  if (!how.yes) {
    std::cerr << "This erases " << (how.name.empty() ? "your account" : how.name)
              << " for good; nobody gets the name again. Type yes to go on: ";
    if (std::string line; !std::getline(std::cin, line) || line != "yes")
      return complain(fail(errc::bad_request, "nothing was erased"));
  }
  json body{{"keep_messages", how.keep_messages}};
  if (!how.reason.empty())
    body["reason"] = how.reason;
  if (how.name.empty() && !flags.password.empty())
    body["password"] = flags.password;
  return print_json(call(node->to, "DELETE", path_of(how.name), body.dump(), node->who.token()));
}

} // namespace

void add_user_data_commands(CLI::App& user, context& shared) {
  const auto add = [&](const std::string& name, const std::string& help) {
    auto* command = user.add_subcommand(name, help);
    return std::pair{command, add_node_flags(*command, identity_flags::account)};
  };

  {
    auto [command, flags] = add("export", "print all that there is about a user, as lines of JSON");
    auto name = std::make_shared<std::string>(), file = std::make_shared<std::string>();
    command->add_option("NAME", *name, "whose (default: your own); others need the token of an admin");
    command->add_option("--output", *file, "file to write to (default: the standard output)");
    command->callback([&shared, flags = flags, name, file] {
      shared.run = [&shared, flags, name, file] { return do_export(*flags, *name, *file, shared.from); };
    });
  }
  {
    auto [command, flags] = add("erase", "erase an account and what was said with it, for good");
    auto how = std::make_shared<erasure_flags>();
    command->add_option("NAME", how->name, "whose (default: your own); others need the token of an admin");
    command->add_option("--reason", how->reason, "stands in the record of it");
    command->add_flag("--keep-messages", how->keep_messages, "what was said stays, under a name that nobody has");
    command->add_flag("--yes", how->yes, "do not ask");
    command->callback([&shared, flags = flags, how] {
      shared.run = [&shared, flags, how] { return do_erase(*flags, *how, shared.from); };
    });
  }
}

} // namespace greenroom::cli
