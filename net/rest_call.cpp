#include "net/rest_call.hpp"

#include "net/http_text.hpp"
#include "net/json.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace greenroom::net {
namespace {

bool is_json(std::string_view content_type) {
  constexpr std::string_view wanted = "application/json";
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ') || content_type.ends_with('\t'))
    content_type.remove_suffix(1);
  return std::equal(content_type.begin(), content_type.end(), wanted.begin(), wanted.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; });
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// RFC 3986 section 2.1; '+' is itself in a path.
std::optional<std::string> decode_segment(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
      return std::nullopt;
    out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return out;
}

// The trace id of a W3C traceparent, `00-<32 hex>-<16 hex>-<2 hex>` in lower case, not all zeros; empty: none.
std::string_view trace_id(std::string_view traceparent) {
  constexpr std::string_view form = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  // A later version may be longer, after another dash.
  if (traceparent.size() < form.size() || (traceparent.size() > form.size() && traceparent[form.size()] != '-'))
    return {};
  for (size_t i = 0; i < form.size(); ++i)
    if (form[i] == '-'
            ? traceparent[i] != '-'
            : hex_digit(traceparent[i]) < 0 || traceparent[i] < '0' || (traceparent[i] >= 'A' && traceparent[i] <= 'F'))
      return {};
  const auto id = traceparent.substr(3, 32);
  return traceparent.starts_with("ff") || id.find_first_not_of('0') == std::string_view::npos ? std::string_view{} : id;
}

// A path comes from outside: cut, and nothing in it may look like a line or a field of the log.
std::string printable(std::string_view text, size_t bytes_max) {
  std::string out(text.substr(0, bytes_max));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c <= 0x20 || c >= 0x7f || c == '"' || c == '\\'; }, '?');
  return out;
}

} // namespace

std::optional<std::vector<std::string_view>> match_path(std::string_view pattern, std::string_view path) {
  std::vector<std::string_view> captured;
  while (true) {
    const auto pattern_end = pattern.find('/');
    const auto path_end = path.find('/');
    const auto wanted = pattern.substr(0, pattern_end);
    const auto given = path.substr(0, path_end);
    if (wanted == "*" ? given.empty() : wanted != given)
      return std::nullopt;
    if (wanted == "*")
      captured.push_back(given);
    if ((pattern_end == std::string_view::npos) != (path_end == std::string_view::npos))
      return std::nullopt;
    if (pattern_end == std::string_view::npos)
      return captured;
    pattern.remove_prefix(pattern_end + 1);
    path.remove_prefix(path_end + 1);
  }
}

rest_call::rest_call(lane& home, http_request asked, std::function<void(http_response)> done, metrics& figures,
                     std::shared_ptr<const limits> in_force)
    : on(home), request(std::move(asked)), bounds(std::move(in_force)), done_(std::move(done)), figures_(figures) {}

outcome<void> rest_call::decode_parts(const std::vector<std::string_view>& encoded) {
  for (auto part : encoded) {
    auto decoded = decode_segment(part);
    if (!decoded)
      return fail(errc::bad_request, "path: a broken percent escape");
    if (!is_utf8(*decoded))
      return fail(errc::bad_request, "path: must be UTF-8");
    parts.push_back(std::move(*decoded));
  }
  return {};
}

outcome<json::document> rest_call::body(presence needed) const {
  if (request.body.empty() && needed == presence::optional)
    return json::document{};
  if (request.body.size() > bounds->body_bytes)
    return fail(errc::too_large, "body: " + std::to_string(request.body.size()) + " bytes, at most " +
                                     std::to_string(bounds->body_bytes) + " (limits.body_bytes)");
  if (!is_json(request.header("content-type")))
    return fail(errc::unsupported, "content-type: must be application/json");
  json::document fields;
  if (auto parsed = fields.parse(request.body, bounds->json_depth); !parsed)
    return fail(parsed.error().code, "body: " + parsed.error().message);
  return fields;
}

outcome<json::document> rest_call::query(std::initializer_list<query_field> fields) const {
  json::document out;
  for (auto& [name, value] : request.query) {
    auto field = std::find_if(fields.begin(), fields.end(), [&](const query_field& f) { return f.name == name; });
    if (field == fields.end())
      continue; // unknown ones are ignored, as unknown fields of a body are
    if (!is_utf8(value))
      return fail(errc::bad_request, name + ": must be UTF-8");
    if (out.find(name))
      return fail(errc::bad_request, name + ": given more than once");
    uint64_t number = 0;
    const auto* end = value.data() + value.size();
    // What is no number stays text, and is refused by whoever reads the field.
    if (field->number && std::from_chars(value.data(), end, number) == std::from_chars_result{end, std::errc{}})
      out.set(name, number);
    else
      out.set(name, value);
  }
  return out;
}

void rest_call::respond(unsigned status, std::string json) {
  http_response r;
  r.status = status;
  r.body = std::move(json);
  respond(std::move(r));
}

void rest_call::respond(http_response r) {
  auto done = std::exchange(done_, nullptr);
  if (!done)
    return;
  r.headers.insert(r.headers.end(), more_headers.begin(), more_headers.end());
  log(r.status);
  done(std::move(r));
}

void rest_call::refuse(const failure& why, unsigned status, std::pair<std::string, std::string> header) {
  figures_.error(why.code);
  respond_failure(why, status != 0 ? status : http_status(why.code), std::move(header));
}

void rest_call::respond_failure(const failure& why, unsigned status, std::pair<std::string, std::string> header) {
  http_response r;
  r.status = status;
  {
    json::object o(r.body);
    json::append_failure(o.key("error"), why);
  }
  if (!header.first.empty())
    r.headers.push_back(std::move(header));
  if (r.status == 401)
    r.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (r.status == 429 || r.status == 503)
    r.headers.emplace_back("Retry-After", retry_after(why.retry_after_ms));
  respond(std::move(r));
}

void rest_call::log(unsigned status) const {
  if (!spdlog::should_log(spdlog::level::debug))
    return;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun_);
  spdlog::debug("what=http method={} path={} status={} us={} user={} trace={}", printable(request.method, 16),
                printable(request.path, 200), status, took.count(), who.user.str(),
                trace_id(request.header("traceparent")));
}

} // namespace greenroom::net
