#include "net/json.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace greenroom::net::json {
namespace {

// What stands after the backslash for each byte below 0x20 and for '"' and '\\'; 'u': \u00XX; 0: nothing to escape.
constexpr auto escapes = [] {
  std::array<char, 256> table{};
  for (size_t c = 0; c < 0x20; ++c)
    table[c] = 'u';
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

template <class Int>
void append_chars(std::string& out, Int value) {
  char digits[20];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

} // namespace

void append_string(std::string& out, std::string_view utf8) {
  constexpr char hex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0; // start of what is copied as it is
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    const char escape = escapes[c];
    if (escape == 0)
      continue;
    out.append(utf8, plain, i - plain);
    plain = i + 1;
    out += '\\';
    out += escape;
    if (escape == 'u') {
      out += "00";
      out += hex[c >> 4];
      out += hex[c & 15];
    }
  }
  out.append(utf8, plain);
  out += '"';
}

void append_integer(std::string& out, int64_t value) { append_chars(out, value); }
void append_integer(std::string& out, uint64_t value) { append_chars(out, value); }

void append_failure(std::string& out, const failure& why) {
  object o(out);
  o.text("code", to_string(why.code));
  o.text("message", why.message);
  o.flag("retryable", retryable(why.code));
  if (why.retry_after_ms != 0)
    o.integer("retry_after_ms", why.retry_after_ms);
}

std::optional<int64_t> peek_id(std::string_view text) noexcept {
  text = text.substr(0, 512);
  auto skip_space = [&](size_t i) {
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r'))
      ++i;
    return i;
  };
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == '"') {
      const size_t begin = ++i;
      while (i < text.size() && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
      if (i >= text.size())
        return std::nullopt;
      if (depth != 1 || text.substr(begin, i - begin) != "id")
        continue;
      const size_t colon = skip_space(i + 1);
      if (colon >= text.size() || text[colon] != ':')
        continue;
      const size_t first = skip_space(colon + 1);
      int64_t id = 0;
      auto [end, error] = std::from_chars(text.data() + first, text.data() + text.size(), id);
      // A number that goes on past the window or with a fraction is not an id.
      if (error != std::errc{} || end == text.data() + text.size() || *end == '.' || *end == 'e' || *end == 'E')
        return std::nullopt;
      return id >= 1 && static_cast<uint64_t>(id) <= integer_max ? std::optional(id) : std::nullopt;
    }
  }
  return std::nullopt;
}

} // namespace greenroom::net::json
