// json: writing JSON by appending to a string. It is hot (every event and every answer is encoded once), so it goes
// without a document tree. Reading is in json_document.hpp. What clients say and hear is JSON in net/ only.
#pragma once

#include "config/outcome.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::net::json {

/// The greatest integer that every JSON reader represents exactly (RFC 8259 section 6): 2^53 - 1.
inline constexpr uint64_t integer_max = (uint64_t{1} << 53) - 1;

/// Appends `utf8` as a JSON string. REQUIRES: valid UTF-8; everything that reaches Greenroom was checked on its way in.
void append_string(std::string& out, std::string_view utf8);
void append_integer(std::string& out, int64_t value);
void append_integer(std::string& out, uint64_t value);

/// Writes one object: the braces with its own life, commas between its fields. Keys are our own words, which need no
/// escaping.
class object {
public:
  explicit object(std::string& out) : out_(out) { out_ += '{'; }
  ~object() { out_ += '}'; }
  object(const object&) = delete;
  object& operator=(const object&) = delete;

  /// Opens a field; the caller appends its value to the same string.
  std::string& key(std::string_view name) {
    out_ += first_ ? "\"" : ",\"";
    first_ = false;
    out_ += name;
    out_ += "\":";
    return out_;
  }
  void text(std::string_view name, std::string_view value) { append_string(key(name), value); }
  template <std::integral Int>
  void integer(std::string_view name, Int value) {
    if constexpr (std::signed_integral<Int>)
      append_integer(key(name), static_cast<int64_t>(value));
    else
      append_integer(key(name), static_cast<uint64_t>(value));
  }
  void flag(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
  /// `value` is JSON text already.
  void raw(std::string_view name, std::string_view value) { key(name) += value; }

private:
  std::string& out_;
  bool first_ = true;
};

/// Writes an array with one call of `write(element)` per element.
template <class Range, class Write>
void append_array(std::string& out, const Range& range, Write write) {
  out += '[';
  bool first = true;
  for (const auto& element : range) {
    if (!first)
      out += ',';
    first = false;
    write(element);
  }
  out += ']';
}

/// Appends what stands behind "error": {"code","message","retryable"} and, where it is said, "retry_after_ms".
void append_failure(std::string& out, const failure& why);

/// The member "id" of an object that is not worth parsing, if it is a valid request id within the first 512 bytes.
std::optional<int64_t> peek_id(std::string_view text) noexcept;

} // namespace greenroom::net::json
