#include "net/cli/listing.hpp"

#include "net/cli/answer_tables.hpp"
#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>

namespace greenroom::cli {
namespace {

using nlohmann::json;

// What every kind of page can hold as nodes are by default; one that allows less says so.
constexpr uint64_t page_max = 50;
constexpr int64_t patience_ms = 60'000;

} // namespace

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

void add_page_flags(CLI::App& command, page_flags& into, bool by_seq) {
  command.add_option("--after", into.after,
                     by_seq ? "begin behind this event" : "begin where another list has ended: its \"next\"");
  auto* limit = command.add_option("--limit", into.limit, "at most so many, of as many pages as it takes");
  command.add_flag("--all", into.all, "all of them (default: one page)")->excludes(limit);
}

void print_entries(const std::vector<std::string_view>& columns, const std::vector<json>& entries, bool as_json) {
  if (!as_json) {
    std::cout << entries_text(columns, entries) << std::flush;
    return;
  }
  for (const auto& entry : entries)
    std::cout << entry.dump() << "\n";
  std::cout << std::flush;
}

http_reply ask_patiently(node_client& node, const std::string& path) {
  const auto end = now_ms() + patience_ms;
  while (true) {
    auto reply = node.ask("GET", path);
    if (reply.status != 429 || now_ms() > end)
      return reply;
    const auto wait = std::clamp<int64_t>(failure_of(reply).retry_after_ms, 100, patience_ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
  }
}

int list_all(node_client& node, const api_command& row, const api_request& first, const page_flags& wanted,
             bool as_json) {
  auto columns = row.columns;
  auto after = wanted.after;
  uint64_t left = wanted.limit;
  std::vector<json> table; // of people, whose columns have one width in all pages
  while (true) {
    auto path = first.path;
    if (!after.empty())
      path = with_query(std::move(path), "after", after);
    if (wanted.limit != 0)
      path = with_query(std::move(path), "limit", std::to_string(std::min(left, page_max)));
    const auto reply = ask_patiently(node, path);
    if (!reply.good())
      return tell_failure(reply, as_json);
    const auto answer = json::parse(reply.body, nullptr, false);
    const auto list = answer.is_object() ? answer.value(std::string(row.list), json()) : json();
    if (!list.is_array())
      return tell_failure(fail(errc::unavailable, "an answer without " + std::string(row.list)), as_json);
    std::vector<json> entries(list.begin(), list.end());
    if (as_json || columns.empty())
      print_entries(columns, entries, as_json);
    else
      table.insert(table.end(), entries.begin(), entries.end());
    after = row.paged == pages::cursor ? text_of(answer, "next")
            : answer.value("more", json()) == true && !entries.empty()
                ? std::to_string(number_of(entries.back(), "seq"))
                : "";
    left -= std::min<uint64_t>(left, entries.size());
    if (after.empty() || !(wanted.all || left > 0))
      break;
  }
  if (!as_json && !columns.empty())
    print_entries(columns, table, as_json);
  if (!after.empty() && as_json)
    std::cerr << json{{"next", after}}.dump() << "\n";
  else if (!after.empty())
    std::cerr << "there is more: --all, or --after '" << printable(after) << "'\n";
  return exit_done;
}

} // namespace greenroom::cli
