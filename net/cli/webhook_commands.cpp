// webhook list | replay: what webhooks have done, and pushing anew, by the REST API of a running node.
#include "net/cli/cli.hpp"
#include "net/cli/cluster_tables.hpp"
#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

/// The answer to one call as the admin that the flags say.
outcome<json> ask(const node_flags& flags, const config::sources& from, std::string_view method,
                  const std::string& path, const std::string& body) {
  auto to = endpoint_of(flags, from);
  if (!to)
    return to.error();
  auto who = sign_in(flags, *to);
  if (!who)
    return who.error();
  auto text = call(*to, method, path, body, who->token());
  if (!text)
    return text.error();
  auto answer = json::parse(*text, nullptr, false);
  if (!answer.is_object())
    return fail(errc::unavailable, to->authority() + " answers without JSON");
  return answer;
}

int list(const node_flags& flags, bool as_json, const config::sources& from) {
  auto answer = ask(flags, from, "GET", "/api/v1/webhooks", "");
  if (!answer)
    return complain(answer.error());
  if (as_json) {
    std::cout << answer->dump(2) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{
      {"WEBHOOK", "NODE", "PENDING", "LAG", "DELIVERIES", "EVENTS", "FAILURES", "LAST FAILURE"}};
  const auto all = answer->value("webhooks", json::array());
  for (const auto& w : all)
    rows.push_back({printable(text_of(w, "name")), printable(text_of(w, "node")),
                    std::to_string(number_of(w, "pending_rooms")) + (w.value("more", json()) == true ? "+" : ""),
                    std::to_string(number_of(w, "lag_ms") / 1'000) + " s", std::to_string(number_of(w, "deliveries")),
                    std::to_string(number_of(w, "events")), std::to_string(number_of(w, "failures")),
                    printable(text_of(w, "last_failure"))});
  std::cout << table_of(rows);
  return 0;
}

struct replay_flags {
  std::string hook, room;
  uint64_t seq = 0;
  uint64_t at = 0;
  bool as_json = false;
};

int replay(const node_flags& flags, const replay_flags& x, const config::sources& from) {
  json body{{"room", x.room}};
  if (x.seq != 0)
    body["seq"] = x.seq;
  else
    body["at"] = x.at;
  if (x.hook.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") != std::string::npos)
    return complain(fail(errc::bad_request, "hook: not a name"));
  auto answer = ask(flags, from, "POST", "/api/v1/webhooks/" + x.hook + "/replay", body.dump());
  if (!answer)
    return complain(answer.error());
  if (x.as_json)
    std::cout << answer->dump(2) << "\n";
  else
    std::cout << x.hook << " gets " << x.room << " from event " << number_of(*answer, "from") << " to "
              << number_of(*answer, "head") << " once more\n";
  return 0;
}

} // namespace

void add_webhook_commands(CLI::App& program, context& shared) {
  auto* group = program.add_subcommand("webhook", "webhooks of a running node; needs the token of an admin");
  group->require_subcommand(1);

  auto* listing = group->add_subcommand("list", "what each has done, and what is left to push, on each node");
  auto flags = add_node_flags(*listing, identity_flags::account);
  auto as_json = std::make_shared<bool>(false);
  listing->add_flag("--json", *as_json, "for programs");
  listing->callback([&shared, flags, as_json] {
    shared.run = [&shared, flags, as_json] { return list(*flags, *as_json, shared.from); };
  });

  auto* again = group->add_subcommand("replay", "push once more what a webhook has had of a room");
  auto to = add_node_flags(*again, identity_flags::account);
  auto x = std::make_shared<replay_flags>();
  again->add_option("WEBHOOK", x->hook, "its name")->required();
  again->add_option("ROOM", x->room, "the room")->required();
  auto* where = again->add_option_group("where");
  where->add_option("--seq", x->seq, "from this event on")->check(CLI::PositiveNumber);
  where->add_option("--at", x->at, "from this time on, in ms since 1970 UTC");
  where->require_option(1);
  again->add_flag("--json", x->as_json, "for programs");
  again->callback([&shared, to, x] { shared.run = [&shared, to, x] { return replay(*to, *x, shared.from); }; });
}

} // namespace greenroom::cli
