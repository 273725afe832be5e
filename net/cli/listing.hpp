// listing: lists of several pages, fetched page after page and shown as they come.
#pragma once

#include "net/cli/api_command.hpp"
#include "net/cli/node_client.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cli {

struct page_flags {
  std::string after;  // where the last page ended
  uint64_t limit = 0; // entries; 0: one page, as long as the node makes it
  bool all = false;
};
/// Adds --after, --limit and --all.
void add_page_flags(CLI::App& command, page_flags& into, bool by_seq);

/// Of this machine.
int64_t now_ms();

/// As a table, or a line of JSON for each.
void print_entries(const std::vector<std::string_view>& columns, const std::vector<nlohmann::json>& entries,
                   bool as_json);

/// Asks until there are as many entries as wanted, waiting where the node says that it is too often, and prints them
/// page by page. Where more are left, says on the error output how to go on. Answers the exit code.
int list_all(node_client& node, const api_command& row, const api_request& first, const page_flags& wanted,
             bool as_json);

/// One request that only looks, so that it may be repeated: waits and asks again while the node says that it is too
/// often, for at most a minute.
http_reply ask_patiently(node_client& node, const std::string& path);

} // namespace greenroom::cli
