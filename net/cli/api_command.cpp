#include "net/cli/api_command.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <utility>
#include <variant>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr std::string_view root = "/api/v1";

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number out = 0;
  const auto* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, out) != std::from_chars_result{end, std::errc{}})
    return std::nullopt;
  return out;
}

failure wrong(const parameter& p, std::string_view why) {
  return fail(errc::bad_request, std::string(p.name) + ": " + std::string(why));
}

/// Or what is wrong with it.
using typed_value = std::variant<json, failure>;

typed_value value_of(const parameter& p, const std::string& typed, int64_t now_ms) {
  switch (p.how) {
  case form::text:
  case form::said:
    return json(typed);
  case form::number:
    if (auto number = number_in<uint64_t>(typed))
      return json(*number);
    return wrong(p, "must be a number");
  case form::time: {
    auto ms = parse_time(typed, now_ms);
    if (!ms)
      return wrong(p, ms.error().message);
    return json(*ms);
  }
  case form::json: {
    auto object = json::parse(typed, nullptr, false);
    if (!object.is_object())
      return wrong(p, "must be a JSON object");
    return object;
  }
  case form::flag:
    return json(true);
  case form::on_off:
    if (typed != "on" && typed != "off")
      return wrong(p, "must be on or off");
    return json(typed == "on");
  case form::words: {
    auto list = json::array();
    for (std::string_view rest = typed; !rest.empty();) {
      const auto end = std::min(rest.find(','), rest.size());
      list.push_back(std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return list;
  }
  }
  return wrong(p, "can't be read");
}

/// 2026-11-23, or with T10:00:00Z.
std::optional<int64_t> date_in(std::string_view text) {
  std::tm parts{};
  const std::string whole(text);
  const char* end = ::strptime(whole.c_str(), "%Y-%m-%d", &parts);
  if (end != nullptr && *end == 'T')
    end = ::strptime(end, "T%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0')
    return std::nullopt;
  return int64_t{::timegm(&parts)} * 1000;
}

} // namespace

std::string escaped(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else
      out.append({'%', hex[byte >> 4U], hex[byte & 15U]});
  }
  return out;
}

std::string with_query(std::string path, std::string_view name, std::string_view value) {
  path += path.find('?') == std::string::npos ? '?' : '&';
  return path.append(name).append("=").append(escaped(value));
}

outcome<int64_t> parse_time(std::string_view text, int64_t now_ms) {
  const auto unreadable = fail(errc::bad_request, "must be ms since 1970 UTC, 2026-11-23T10:00:00Z, or a time from now "
                                                  "like +90s, +15m, +2h or +7d");
  if (text.starts_with('+') && text.size() > 2) {
    const auto count = number_in<uint32_t>(text.substr(1, text.size() - 2));
    const int64_t unit_s = text.back() == 's'   ? 1
                           : text.back() == 'm' ? 60
                           : text.back() == 'h' ? 3'600
                           : text.back() == 'd' ? 86'400
                                                : 0;
    if (!count || unit_s == 0)
      return unreadable;
    return now_ms + int64_t{*count} * unit_s * 1000;
  }
  if (auto ms = number_in<int64_t>(text); ms && *ms >= 0)
    return *ms;
  if (auto date = date_in(text))
    return *date;
  return unreadable;
}

bool wants_key(const api_command& row, const given_values& given) {
  if (given.contains("--ephemeral"))
    return false;
  for (const auto& p : row.parameters)
    if (p.where == place::key)
      return true;
  return false;
}

outcome<api_request> build_request(const api_command& row, const given_values& given, int64_t now_ms) {
  api_request out{std::string(row.method), std::string(root) + std::string(row.path), {}, {}};
  json body = json::object();
  bool has_body = false;
  std::vector<std::pair<std::string_view, std::string>> query;
  for (const auto& p : row.parameters) {
    has_body = has_body || p.where == place::body;
    const auto typed = given.find(p.name);
    if (typed == given.end())
      continue;
    auto found = value_of(p, typed->second, now_ms);
    if (auto* why = std::get_if<failure>(&found))
      return std::move(*why);
    auto& value = std::get<json>(found);
    const auto text = value.is_string() ? value.get<std::string>() : value.dump();
    switch (p.where) {
    case place::path: {
      const auto mark = "{" + std::string(p.name) + "}";
      const auto at = out.path.find(mark);
      if (text.empty() || at == std::string::npos)
        return wrong(p, "must not be empty");
      out.path.replace(at, mark.size(), escaped(text));
      break;
    }
    case place::query:
      query.emplace_back(p.field, text);
      break;
    case place::body:
      body[std::string(p.field)] = std::move(value);
      break;
    case place::key:
      out.key = text;
      break;
    }
  }
  for (const auto& [name, value] : query)
    out.path = with_query(std::move(out.path), name, value);
  if (has_body)
    out.body = body.dump();
  return out;
}

} // namespace greenroom::cli
