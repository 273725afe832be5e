// answer tables: what a node answers, as tables for people. Trusts nothing in it, as show.hpp.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cli {

/// One value in a cell: times as 2026-11-23T10:00:00Z, events as lines, what is absent as "-".
std::string cell_of(std::string_view field, const nlohmann::json& value);

/// A line for each field.
std::string object_text(const nlohmann::json& object);

/// A heading and a line for each entry; without columns the entries are events.
std::string entries_text(const std::vector<std::string_view>& columns, const std::vector<nlohmann::json>& entries);

} // namespace greenroom::cli
