// field_reader: takes the fields of a JSON object one after another, each within its bounds, for op_reader. Private to
// it.
#pragma once

#include "net/json.hpp"
#include "net/op_reader.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace greenroom::net {

using json::value;

/// Bytes of a client's idempotency key, and of an epoch that it gives back.
inline constexpr size_t key_bytes_max = 64;
inline constexpr size_t epoch_bytes_max = 64;

inline bool is_control(unsigned char c) noexcept { return c < 0x20 || c == 0x7f; }

inline size_t characters(std::string_view utf8) noexcept {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

inline std::string over(uint64_t given, uint64_t most, std::string_view unit, std::string_view limit = {}) {
  std::string why = std::to_string(given);
  why.append(" ").append(unit).append(", at most ").append(std::to_string(most));
  if (!limit.empty())
    why.append(" (").append(limit).append(")");
  return why;
}

// Reads fields one after another and keeps the first thing that is wrong, so that the readers below can be written as
// if nothing ever were. After a failure the values mean nothing.
class field_reader {
public:
  field_reader(json::value object, const limits& in_force) : bounds(in_force), object_(object) {}

  const limits& bounds;

  void refuse(failure why) {
    if (!why_)
      why_ = std::move(why);
  }
  void refuse(errc code, std::string_view field, std::string_view why) {
    refuse(fail(code, std::string(field).append(": ").append(why)));
  }
  const std::optional<failure>& why() const noexcept { return why_; }

  /// Nothing: absent or null.
  value find(std::string_view field) const {
    auto found = object_.find(field);
    return found.is_null() ? value{} : found;
  }
  value required(std::string_view field) {
    auto found = find(field);
    if (!found)
      refuse(errc::bad_request, field, "required");
    return found;
  }

  std::string string(value given, std::string_view field, size_t bytes_max, std::string_view limit = {}) {
    if (!given)
      return {};
    auto text = given.text();
    if (!text) {
      refuse(errc::bad_request, field, "must be a string");
      return {};
    }
    if (text->size() > bytes_max) {
      refuse(errc::too_large, field, over(text->size(), bytes_max, "bytes", limit));
      return {};
    }
    return std::string(*text);
  }

  uint64_t integer(value given, std::string_view field, uint64_t least, uint64_t most = json::integer_max,
                   std::string_view limit = {}) {
    if (!given)
      return 0;
    auto number = given.whole();
    if (!number || *number < least || *number > json::integer_max) {
      refuse(errc::bad_request, field,
             "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
      return 0;
    }
    if (*number > most) {
      std::string why = "at most " + std::to_string(most);
      refuse(errc::too_large, field, limit.empty() ? why : why.append(" (").append(limit).append(")"));
      return 0;
    }
    return *number;
  }

  bool flag(value given, std::string_view field) {
    if (!given)
      return false;
    auto on = given.flag();
    if (!on)
      refuse(errc::bad_request, field, "must be true or false");
    return on.value_or(false);
  }

  /// Works for user_id and room_id.
  template <class Id>
  Id id(value given, std::string_view field) {
    // Longer than any id: what is wrong with it is said by parse(), not by the bound.
    auto text = string(given, field, 256);
    if (!given || why_)
      return {};
    auto parsed = Id::parse(text, field);
    if (!parsed) {
      refuse(std::move(parsed).error());
      return {};
    }
    return std::move(*parsed);
  }
  room_id room() { return id<room_id>(required("room"), "room"); }
  uint64_t target() { return integer(required("target"), "target", 1); }

  std::string key() {
    auto text = string(required("key"), "key", key_bytes_max);
    if (text.empty() || !std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e; }))
      refuse(errc::bad_request, "key", "must be 1 to " + std::to_string(key_bytes_max) + " visible ASCII characters");
    return text;
  }

  uint32_t page(uint32_t preset, uint32_t most, std::string_view limit) {
    auto given = find("limit");
    return given ? static_cast<uint32_t>(integer(given, "limit", 1, most, limit)) : std::min(preset, most);
  }

  std::optional<position> resume() {
    auto given = find("resume");
    if (!given)
      return std::nullopt;
    return place(given, "resume");
  }
  position place(value given, std::string_view field) {
    if (!given.is_object()) {
      refuse(errc::bad_request, field, "must be an object with epoch and seq");
      return {};
    }
    field_reader inner(given, bounds);
    position result{inner.string(inner.required("epoch"), "epoch", epoch_bytes_max),
                    inner.integer(inner.required("seq"), "seq", 0)};
    if (inner.why_)
      refuse(inner.why_->code, field, inner.why_->message);
    return result;
  }

  /// Of one line, for people.
  std::string line(std::string_view field, size_t bytes_max, std::string_view limit = {}) {
    auto text = string(find(field), field, bytes_max, limit);
    if (std::any_of(text.begin(), text.end(), is_control))
      refuse(errc::bad_request, field, "must hold no control characters");
    return text;
  }

  /// In canonical form. REQUIRES: it is there.
  std::string object(std::string_view field) {
    std::string text;
    if (auto given = find(field); !given.is_object())
      refuse(errc::bad_request, field, "must be an object");
    else
      given.append_canonical(text);
    if (text.size() > bounds.data_bytes)
      refuse(errc::too_large, field, over(text.size(), bounds.data_bytes, "bytes", "limits.data_bytes"));
    return text;
  }

  std::vector<std::string> attachments() {
    std::vector<std::string> ids;
    auto given = find("attachments");
    if (!given)
      return ids;
    if (!given.is_array())
      refuse(errc::bad_request, "attachments", "must be a list of ids");
    else if (given.size() > bounds.attachments_per_message)
      refuse(errc::too_large, "attachments",
             over(given.size(), bounds.attachments_per_message, "of them", "limits.attachments_per_message"));
    else
      given.each_element([&](value id) {
        const auto text = id.text().value_or("");
        if (!storage::is_file_id(text) || std::find(ids.begin(), ids.end(), text) != ids.end())
          refuse(errc::bad_request, "attachments", "each must be the id of another attachment");
        ids.emplace_back(text);
      });
    return ids;
  }

  std::optional<storage::room_kind> room_kind() {
    auto given = find("kind");
    if (!given)
      return std::nullopt;
    using enum storage::room_kind;
    for (auto kind : {public_, private_, announce})
      if (given.text() == to_string(kind))
        return kind;
    refuse(errc::bad_request, "kind", "must be \"public\", \"private\" or \"announce\"");
    return std::nullopt;
  }

  uint32_t history_days() {
    constexpr uint32_t most = 36'500; // a hundred years
    return static_cast<uint32_t>(integer(find("history_days"), "history_days", 0, most));
  }

  std::string device() {
    auto text = string(find("device"), "device", 4 * device_characters_max);
    if (characters(text) > device_characters_max)
      refuse(errc::too_large, "device", "at most " + std::to_string(device_characters_max) + " characters");
    if (std::any_of(text.begin(), text.end(), is_control))
      refuse(errc::bad_request, "device", "must hold no control characters");
    return text;
  }

private:
  const value object_;
  std::optional<failure> why_;
};

} // namespace greenroom::net
