// batch, api: for what the other commands are too many, or too few.
#include "net/cli/api_command.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/node_client.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

struct batch_flags {
  std::shared_ptr<client_flags> client;
  std::string file = "-";
  bool stop = false;
  uint64_t size = 50; // limits.batch_operations, as it is by default
};

struct api_flags {
  std::shared_ptr<client_flags> client;
  std::string method;
  std::string path;
  std::string body;
  std::string key;
};

outcome<std::string> text_of_file(const std::string& name) {
  if (name == "-")
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(name, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file)
    return fail(errc::bad_request, name + ": can't be read");
  return text;
}

/// An array, or an object in each line. Fails with bad_request, naming the line.
outcome<std::vector<std::string>> operations_in(const std::string& text) {
  std::vector<std::string> out;
  if (const auto all = json::parse(text, nullptr, false); all.is_array()) {
    for (const auto& one : all)
      out.push_back(one.dump());
    return out;
  }
  std::istringstream lines(text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    if (!json::parse(line, nullptr, false).is_object())
      return fail(errc::bad_request, "line " + std::to_string(number) + ": must be a JSON object");
    out.push_back(std::move(line));
  }
  return out;
}

int run_batch(const batch_flags& flags, const config::sources& from) {
  const bool as_json = flags.client->json;
  auto text = text_of_file(flags.file);
  if (!text)
    return tell_failure(text.error(), as_json);
  auto operations = operations_in(*text);
  if (!operations)
    return tell_failure(operations.error(), as_json);
  return with_node(*flags.client, from, [&](node_client& node) {
    bool all_done = true;
    for (size_t done = 0; done < operations->size(); done += flags.size) {
      std::string body;
      for (size_t i = done; i < std::min<size_t>(operations->size(), done + flags.size); ++i)
        body += (body.empty() ? "" : ",") + (*operations)[i];
      body = "{\"operations\":[" + body + "]" + (flags.stop ? ",\"on_error\":\"stop\"" : "") + "}";
      const auto reply = node.ask("POST", "/api/v1/batch", body);
      if (!reply.good())
        return tell_failure(reply, as_json);
      const auto answer = json::parse(reply.body, nullptr, false);
      const auto answers = answer.is_object() ? answer.value("answers", json()) : json();
      for (const auto& one : answers) {
        std::cout << one.dump() << "\n";
        all_done = all_done && !one.contains("error");
      }
      std::cout << std::flush;
      if (flags.stop && !all_done)
        break;
    }
    return all_done ? exit_done : exit_refused;
  });
}

int run_api(const api_flags& flags, const config::sources& from) {
  auto body = flags.body.empty() || flags.body == "-" ? outcome<std::string>(std::string{}) : flags.body;
  if (flags.body == "-")
    body = text_of_file("-");
  if (!body)
    return tell_failure(body.error(), flags.client->json);
  const auto path = flags.path.starts_with("/api/") || flags.path == "/livez" || flags.path == "/readyz" ||
                            flags.path == "/metrics" || flags.path == "/"
                        ? flags.path
                        : "/api/v1" + (flags.path.starts_with('/') ? flags.path : "/" + flags.path);
  auto method = flags.method;
  std::transform(method.begin(), method.end(), method.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return with_node(*flags.client, from, [&](node_client& node) {
    const auto reply = node.ask(method, path, *body, flags.key);
    if (!reply.good())
      return tell_failure(reply, flags.client->json, flags.key);
    std::cout << reply.body << (reply.body.empty() || reply.body.ends_with('\n') ? "" : "\n");
    return exit_done;
  });
}

} // namespace

void add_batch_commands(CLI::App& program, context& shared) {
  auto* batch = program.add_subcommand("batch", "many operations in few requests, in order, each with its own answer");
  auto many = std::make_shared<batch_flags>();
  batch->add_option("FILE", many->file, "one JSON object per line, as frames of the protocol; -: the input")
      ->capture_default_str();
  batch->add_flag("--stop", many->stop, "leave the rest undone when one is refused");
  batch->add_option("--size", many->size, "operations per request")->check(CLI::Range(1, 1000))->capture_default_str();
  many->client = add_client_flags(*batch);
  batch->callback([&shared, many] { shared.run = [&shared, many] { return run_batch(*many, shared.from); }; });

  auto* api = program.add_subcommand("api", "any request to REST, for what has no command of its own");
  auto one = std::make_shared<api_flags>();
  api->add_option("METHOD", one->method, "GET, POST, PUT, PATCH or DELETE")->required();
  api->add_option("PATH", one->path, "below /api/v1, with its query")->required();
  api->add_option("BODY", one->body, "JSON; -: the input");
  api->add_option("--key", one->key, "the Idempotency-Key");
  one->client = add_client_flags(*api);
  api->callback([&shared, one] { shared.run = [&shared, one] { return run_api(*one, shared.from); }; });
}

} // namespace greenroom::cli
