#include "net/cli/answer_tables.hpp"

#include "net/cli/cluster_tables.hpp"
#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr std::string_view times[] = {"at",         "banned_until", "changed",     "created", "edited_ts",
                                      "expires_at", "since",        "muted_until", "ts",      "until"};

} // namespace

std::string cell_of(std::string_view field, const json& value) {
  if (value.is_null())
    return "-";
  if (value.is_string())
    return value.get_ref<const std::string&>().empty() ? "-" : value.get<std::string>();
  if (value.is_boolean())
    return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer() && std::find(std::begin(times), std::end(times), field) != std::end(times))
    return clock_of(value.get<uint64_t>());
  if (value.is_object() && value.contains("ev"))
    return line_of(value);
  return value.dump();
}

std::string object_text(const json& object) {
  if (!object.is_object() || object.empty())
    return "done\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& [field, value] : object.items())
    rows.push_back({field, cell_of(field, value)});
  return table_of(rows);
}

std::string entries_text(const std::vector<std::string_view>& columns, const std::vector<json>& entries) {
  if (columns.empty()) {
    std::string out;
    for (const auto& event : entries)
      out += line_of(event) + "\n";
    return out;
  }
  std::vector<std::vector<std::string>> rows(1);
  for (auto column : columns)
    rows.front().emplace_back(column);
  for (const auto& entry : entries) {
    auto& row = rows.emplace_back();
    for (auto column : columns)
      row.push_back(entry.is_object() ? cell_of(column, entry.value(std::string(column), json())) : "?");
  }
  return table_of(rows);
}

} // namespace greenroom::cli
