// api command: what the table of commands is made of, and how a row and what was typed become one request. Pure.
//
// A row is one operation of REST. Another operation gets a command by another row in api_table.cpp: nothing else has
// to be written, unless what it sends or answers is no JSON.
#pragma once

#include "config/outcome.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cli {

/// Where a value goes.
enum class place : uint8_t { path, query, body, key };

/// How it is typed.
enum class form : uint8_t {
  text,
  said,   // text; left out or "-": the whole input, without its last line feed
  number, // not negative
  time,   // parse_time
  json,   // an object
  flag,   // nothing: that it is there says true
  on_off, // "on" or "off"
  words,  // with commas between them
};

/// One value. With a name in capitals it is an argument, in the order of the row; with dashes an option.
struct parameter {
  std::string_view name;
  place where = place::body;
  std::string_view field; // empty: in the path, by its name
  std::string_view help;
  form how = form::text;
  bool required = false;
};

/// How an answer of several pages goes on.
enum class pages : uint8_t {
  none,
  cursor, // by `next`, which is given as `after`
  seq,    // while `more`, by the last one's `seq`, which is given as `after`
};

struct api_command {
  std::string_view group;
  std::string_view name;
  std::string_view help;
  std::string_view method;
  std::string_view path; // below /api/v1, with {NAME} for what is typed
  std::vector<parameter> parameters = {};
  std::string_view list = {};                 // the field that holds the entries; empty: the answer is one object
  std::vector<std::string_view> columns = {}; // of the entries' table; none: they are events
  pages paged = pages::none;
};

/// By group, in the order of help.
const std::vector<api_command>& api_commands();
/// What a group is about.
std::string_view about_group(std::string_view group);

/// What was typed, by the name of the parameter; a flag has an empty text.
using given_values = std::map<std::string_view, std::string>;

struct api_request {
  std::string method;
  std::string path; // whole, with its query
  std::string body; // JSON, or empty
  std::string key;  // empty: none
};

/// REQUIRES: what is required was given, and so was what was said. Fails with bad_request, naming the parameter.
outcome<api_request> build_request(const api_command& row, const given_values& given, int64_t now_ms);

/// Whether the request of this row carries an idempotency key, given what was typed.
bool wants_key(const api_command& row, const given_values& given);

/// One segment of a path, or a value of a query (RFC 3986 section 2.1).
std::string escaped(std::string_view text);
/// With another parameter in its query.
std::string with_query(std::string path, std::string_view name, std::string_view value);

/// ms since 1970 UTC: "1764000000000", "+90s", "+15m", "+2h", "+7d", "2026-11-23", "2026-11-23T10:00:00Z". Fails with
/// bad_request.
outcome<int64_t> parse_time(std::string_view text, int64_t now_ms);

} // namespace greenroom::cli
