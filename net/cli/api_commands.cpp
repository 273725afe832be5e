// The commands of the table: room, member, message, profile, session. Each asks once, or as often as it takes to have
// the pages that are wanted.
#include "net/cli/answer_tables.hpp"
#include "net/cli/api_command.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/cluster_tables.hpp"
#include "net/cli/listing.hpp"
#include "net/cli/node_client.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>
#include <iterator>

namespace greenroom::cli {
namespace {

using nlohmann::json;

/// What was typed for one row.
struct typed {
  std::map<std::string_view, std::string> texts; // where CLI11 puts it
  std::map<std::string_view, bool> flags;
  std::vector<std::pair<std::string_view, CLI::Option*>> options;
  std::shared_ptr<client_flags> client;
  page_flags page;

  given_values given() const {
    given_values out;
    for (const auto& [name, option] : options)
      if (option->count() > 0)
        out.emplace(name, texts.contains(name) ? texts.at(name) : std::string{});
    return out;
  }
};

std::string whole_input() {
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

int show_one(const api_command& row, const http_reply& reply, bool as_json) {
  const auto answer = reply.body.empty() ? json::object() : json::parse(reply.body, nullptr, false);
  if (!answer.is_object())
    return tell_failure(fail(errc::unavailable, "an answer that is no JSON object"), as_json);
  if (!row.list.empty()) {
    const auto found = answer.value(std::string(row.list), json::array());
    print_entries(row.columns, {found.begin(), found.end()}, as_json);
    return exit_done;
  }
  std::cout << (as_json ? answer.dump() + "\n" : object_text(answer));
  return exit_done;
}

int run(const api_command& row, const typed& x, const config::sources& from) {
  auto given = x.given();
  const bool as_json = x.client->json;
  for (const auto& p : row.parameters) {
    if (p.how != form::said)
      continue;
    const auto text = given.find(p.name);
    const bool alone = given.contains("--data") || given.contains("--attach"); // which may stand without a text
    const bool left_out = text == given.end() && !alone;
    if (left_out || (text != given.end() && text->second == "-"))
      given[p.name] = whole_input();
  }
  auto request = build_request(row, given, now_ms());
  if (!request)
    return tell_failure(request.error(), as_json);
  if (request->key.empty() && wants_key(row, given))
    request->key = random_id();
  return with_node(*x.client, from, [&](node_client& node) {
    if (row.paged != pages::none)
      return list_all(node, row, *request, x.page, as_json);
    const auto reply = node.ask(request->method, request->path, request->body, request->key);
    return reply.good() ? show_one(row, reply, as_json) : tell_failure(reply, as_json, request->key);
  });
}

void add_parameter(CLI::App& command, typed& into, const parameter& p) {
  const std::string name(p.name);
  const std::string help(p.help);
  CLI::Option* option = nullptr;
  if (p.how == form::flag)
    option = command.add_flag(name, into.flags[p.name], help);
  else
    option = command.add_option(name, into.texts[p.name], help);
  option->required(p.required);
  if (p.how == form::json)
    option->type_name("JSON");
  else if (!p.name.starts_with("--"))
    option->type_name(""); // its name says enough
  else if (p.how == form::number)
    option->type_name("NUMBER");
  else if (p.how == form::time)
    option->type_name("TIME");
  into.options.emplace_back(p.name, option);
}

/// As a program reads the table.
int show_commands(bool as_json) {
  std::vector<std::vector<std::string>> rows{{"command", "method", "path", "what"}};
  for (const auto& row : api_commands()) {
    const auto command = std::string(row.group) + " " + std::string(row.name);
    if (as_json)
      std::cout << json{{"command", command}, {"method", row.method}, {"path", row.path}, {"help", row.help}}.dump()
                << "\n";
    else
      rows.push_back({command, std::string(row.method), std::string(row.path), std::string(row.help)});
  }
  if (!as_json)
    std::cout << table_of(rows);
  return exit_done;
}

/// The group, which another file may have made before.
CLI::App& group_of(CLI::App& program, std::string_view name) {
  if (auto there = program.get_subcommands([&](const CLI::App* x) { return x->get_name() == name; }); !there.empty())
    return *there.front();
  auto* group = program.add_subcommand(std::string(name), std::string(about_group(name)));
  group->require_subcommand(1);
  return *group;
}

} // namespace

void add_api_commands(CLI::App& program, context& shared) {
  for (const auto& row : api_commands()) {
    auto* command = group_of(program, row.group).add_subcommand(std::string(row.name), std::string(row.help));
    auto x = std::make_shared<typed>();
    for (const auto& p : row.parameters)
      add_parameter(*command, *x, p);
    if (row.paged != pages::none)
      add_page_flags(*command, x->page, row.paged == pages::seq);
    x->client = add_client_flags(*command);
    command->callback([&shared, &row, x] { shared.run = [&shared, &row, x] { return run(row, *x, shared.from); }; });
  }
  add_history_command(group_of(program, "message"), shared);

  auto* commands = program.add_subcommand("commands", "which operation of REST each command is");
  auto as_json = std::make_shared<bool>(false);
  commands->add_flag("--json", *as_json, "for programs: one line for each");
  commands->callback([&shared, as_json] { shared.run = [as_json] { return show_commands(*as_json); }; });
}

} // namespace greenroom::cli
