#include "net/http_text.hpp"

#include "net/json.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>

namespace greenroom::net {
namespace {

std::string_view reason(unsigned status) {
  switch (status) {
  case 200:
    return "OK";
  case 201:
    return "Created";
  case 202:
    return "Accepted";
  case 206:
    return "Partial Content";
  case 204:
    return "No Content";
  case 304:
    return "Not Modified";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 409:
    return "Conflict";
  case 411:
    return "Length Required";
  case 412:
    return "Precondition Failed";
  case 413:
    return "Content Too Large";
  case 415:
    return "Unsupported Media Type";
  case 416:
    return "Range Not Satisfiable";
  case 426:
    return "Upgrade Required";
  case 429:
    return "Too Many Requests";
  case 431:
    return "Request Header Fields Too Large";
  case 500:
    return "Internal Server Error";
  case 501:
    return "Not Implemented";
  case 503:
    return "Service Unavailable";
  case 505:
    return "HTTP Version Not Supported";
  }
  return status < 400 ? "OK" : "Error";
}

bool same_letters(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
           return std::tolower(x) == std::tolower(y);
         });
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t'))
    s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t'))
    s.remove_suffix(1);
  return s;
}

/// Calls `f` with each element of a comma-separated header until it returns true; whether it did.
template <class F>
bool any_element(std::string_view list, F f) {
  while (true) {
    const auto comma = list.find(',');
    if (const auto element = trim(list.substr(0, comma)); !element.empty() && f(element))
      return true;
    if (comma == std::string_view::npos)
      return false;
    list.remove_prefix(comma + 1);
  }
}

bool contains(std::string_view list, std::string_view what) {
  return any_element(list, [&](std::string_view x) { return same_letters(x, what); });
}

bool one_line(std::string_view s) {
  return std::none_of(s.begin(), s.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool unescape(std::string_view from, std::string& to) {
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == '+') {
      to += ' ';
    } else if (from[i] != '%') {
      to += from[i];
    } else {
      if (from.size() - i < 3 || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
        return false;
      to += static_cast<char>(hex(from[i + 1]) * 16 + hex(from[i + 2]));
      i += 2;
    }
  }
  return true;
}

// 16 bytes in base64: 22 letters, of which the last carries only four bits, and the padding.
bool is_websocket_key(std::string_view key) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.substr(22) == "==" &&
         key.substr(0, 22).find_first_not_of(letters) == std::string_view::npos && letters.find(key[21]) % 16 == 0;
}

/// `host[:port]` without the port that the scheme implies.
std::string_view without_port(std::string_view authority, std::string_view port) {
  return authority.ends_with(port) ? authority.substr(0, authority.size() - port.size()) : authority;
}

bool origin_allowed(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed) {
  if (!allowed.empty())
    return std::any_of(allowed.begin(), allowed.end(),
                       [&](const std::string& x) { return x == "*" || same_letters(x, origin); });
  for (auto [scheme, port] : {std::pair<std::string_view, std::string_view>{"http://", ":80"}, {"https://", ":443"}})
    if (origin.size() > scheme.size() && same_letters(origin.substr(0, scheme.size()), scheme))
      return same_letters(without_port(origin.substr(scheme.size()), port), without_port(host, port));
  return false;
}

std::string http_date() {
  const auto now = std::time(nullptr);
  std::tm parts;
  gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

} // namespace

http_response error_response(unsigned status, errc code, std::string_view message) {
  http_response r;
  r.status = status;
  r.body =
      nlohmann::json{{"error", {{"code", to_string(code)}, {"message", message}, {"retryable", retryable(code)}}}}.dump(
          -1, ' ', false, nlohmann::json::error_handler_t::replace);
  return r;
}

http_response error_response(const failure& why) {
  http_response r;
  r.status = http_status(why.code);
  {
    json::object o(r.body);
    json::append_failure(o.key("error"), why);
  }
  if (why.retry_after_ms != 0)
    r.headers.emplace_back("Retry-After", retry_after(why.retry_after_ms));
  return r;
}

std::string retry_after(uint32_t ms) { return std::to_string(std::max<uint64_t>(1, (uint64_t{ms} + 999) / 1000)); }

std::string format_response(const http_response& r, bool keep_alive, bool body, bool chunked) {
  std::string out;
  out.reserve(256 + r.body.size());
  out.append("HTTP/1.1 ").append(std::to_string(r.status)).append(" ").append(reason(r.status));
  auto add = [&out](std::string_view name, std::string_view value) {
    out.append("\r\n").append(name).append(": ").append(value);
  };
  add("Server", "greenroom");
  add("Date", http_date());
  if (r.status >= 200 && r.status != 204 && r.status != 304) {
    if ((!r.body.empty() || r.source || r.length.value_or(0) > 0) && one_line(r.content_type))
      add("Content-Type", r.content_type);
    if (!r.source || r.length)
      add("Content-Length", std::to_string(r.length.value_or(r.body.size())));
    else if (chunked)
      add("Transfer-Encoding", "chunked");
  }
  for (auto& [name, value] : r.headers)
    if (one_line(name) && one_line(value))
      add(name, value);
  if (!keep_alive)
    add("Connection", "close");
  out.append("\r\n\r\n");
  if (body && r.status != 204 && r.status != 304)
    out.append(r.body);
  return out;
}

std::string format_chunk(const http_piece& x) {
  std::string out;
  if (!x.bytes.empty()) {
    std::array<char, 2 * sizeof(size_t)> size;
    const auto end = std::to_chars(size.begin(), size.end(), x.bytes.size(), 16).ptr;
    out.append(size.data(), end).append("\r\n").append(x.bytes).append("\r\n");
  }
  if (x.last)
    out.append("0\r\n\r\n");
  return out;
}

bool split_target(std::string_view target, http_request& into) {
  if (target == "*" && into.method == "OPTIONS") {
    into.path = "*";
    return true;
  }
  for (std::string_view scheme : {"http://", "https://"})
    if (target.size() > scheme.size() && same_letters(target.substr(0, scheme.size()), scheme)) {
      target.remove_prefix(scheme.size());
      const auto end = target.find_first_of("/?");
      target.remove_prefix(end == std::string_view::npos ? target.size() : end);
      if (target.empty() || target.front() != '/')
        return false;
      break;
    }
  if (target.empty() || target.front() != '/' || target.find('#') != std::string_view::npos)
    return false;
  const auto mark = target.find('?');
  into.path = target.substr(0, mark);
  if (mark == std::string_view::npos)
    return true;
  for (auto rest = target.substr(mark + 1); !rest.empty();) {
    const auto end = rest.find('&');
    const auto pair = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (pair.empty())
      continue;
    const auto equals = pair.find('=');
    std::string name, value;
    if (!unescape(pair.substr(0, equals), name) ||
        (equals != std::string_view::npos && !unescape(pair.substr(equals + 1), value)))
      return false;
    into.query.emplace_back(std::move(name), std::move(value));
  }
  return true;
}

bool asks_for_websocket(const http_request& r) { return contains(r.header("upgrade"), "websocket"); }

std::optional<http_response> refuse_upgrade(const http_request& r, const std::vector<std::string>& allowed_origins,
                                            bool& with_subprotocol) {
  auto bad = [](std::string_view message) { return error_response(400, errc::bad_request, message); };
  if (r.method != "GET")
    return bad("an upgrade to WebSocket is a GET request");
  if (!contains(r.header("connection"), "upgrade"))
    return bad("Connection: must name upgrade");
  if (r.header("sec-websocket-version") != "13") {
    auto answer = error_response(426, errc::unsupported, "Sec-WebSocket-Version: must be 13");
    answer.headers.emplace_back("Sec-WebSocket-Version", "13");
    answer.headers.emplace_back("Upgrade", "websocket");
    return answer;
  }
  if (!is_websocket_key(r.header("sec-websocket-key")))
    return bad("Sec-WebSocket-Key: must be 16 bytes in base64");
  const auto offered = r.header("sec-websocket-protocol");
  with_subprotocol = any_element(offered, [](std::string_view x) { return x == subprotocol; });
  if (!with_subprotocol && r.headers.contains("sec-websocket-protocol"))
    return bad("Sec-WebSocket-Protocol: this server speaks greenroom.v1");
  if (r.headers.contains("origin") && !origin_allowed(r.header("origin"), r.header("host"), allowed_origins))
    return error_response(403, errc::forbidden, "Origin: not in listen.allowed_origins");
  return std::nullopt;
}

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() <= scheme.size() || !same_letters(authorization.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return trim(authorization.substr(scheme.size()));
}

bool is_utf8(std::string_view text) noexcept {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || length > text.size() - i)
      return false;
    uint32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto c = static_cast<unsigned char>(text[i + k]);
      if ((c & 0xc0) != 0x80)
        return false;
      point = point << 6 | (c & 0x3fu);
    }
    constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[length] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
      return false;
    i += length;
  }
  return true;
}

bool ends_within_code_point(std::string_view text) noexcept {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xc0) == 0x80)
      continue; // a following byte: look for the one that leads
    const size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return length > back;
  }
  return false;
}

} // namespace greenroom::net
