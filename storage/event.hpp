// event: what stands in a room's log, and its stored form. Other records are in records.hpp.
#pragma once

#include "config/ids.hpp"
#include "storage/rare.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::storage {

enum class room_kind : uint8_t { public_ = 1, private_ = 2, announce = 3, direct = 4 };
enum class member_role : uint8_t { none = 0, guest = 1, member = 2, moderator = 3, owner = 4 };
enum class event_kind : uint8_t {
  message = 1,
  edited = 2,
  revoked = 3,
  reaction = 4,
  member = 5,
  topic = 6,
  pinned = 7,
  unpinned = 8,
  room = 9, // its settings were changed
};
enum class member_change : uint8_t {
  none = 0,
  joined = 1,
  left = 2,
  invited = 3,
  kicked = 4,
  banned = 5,
  unbanned = 6,
  muted = 7,
  unmuted = 8,
  role = 9, // got another role
};
/// Whether somebody who listened hears nothing more afterwards.
constexpr bool ends_listening(member_change x) noexcept {
  return x == member_change::left || x == member_change::kicked || x == member_change::banned;
}

/// The protocol's words: none, guest, ...; message, edited, ...; joined, left.
std::string_view to_string(member_role) noexcept;
std::string_view to_string(event_kind) noexcept;
std::string_view to_string(member_change) noexcept;

/// Who is meant by `@room`. No user's name begins so.
inline constexpr std::string_view everybody = "@room";

/// What a room allows, where that is less than the node does. 0: as the node.
struct room_limits {
  uint32_t members = 0;
  uint32_t text_bytes = 0;
  uint32_t sends_per_s = 0; // of all members together
  bool any() const noexcept { return members != 0 || text_bytes != 0 || sends_per_s != 0; }
  friend bool operator==(const room_limits&, const room_limits&) = default;
};

/// What a room event says: all of it as it is from then on.
struct room_settings {
  room_kind kind = room_kind::public_;
  uint32_t history_days = 0;
  uint32_t slow_ms = 0;
  uint64_t history_events = 0;
  bool deleted = false;
  room_limits limits;
  friend bool operator==(const room_settings&, const room_settings&) = default;
};

/// A file that belongs to a message, as the message says it for good.
struct attachment {
  std::string id;
  std::string name; // what its owner calls it
  std::string type; // a media type
  uint64_t size = 0;
  std::string sha256; // 32 bytes
  friend bool operator==(const attachment&, const attachment&) = default;
};

/// What few events have.
struct event_extras {
  std::string data;      // a JSON object as compact text, or empty
  uint64_t reply_to = 0; // seq of another message; 0: of none
  std::vector<attachment> attachments;
  std::vector<std::string> mentions; // message: users, and everybody as `@room`; as the server read its text
  std::string reason;                // member: why, in the words of who did it
  int64_t until = 0;                 // member: when a ban or mute ends, ms since 1970 UTC; 0: never
  room_settings settings;            // room; its title is the text
  friend bool operator==(const event_extras&, const event_extras&) = default;
};

/// Everything durable that a client can see in a room. Once stored it changes in one way only: what has been revoked
/// loses its content. A field that its kind does not name is not stored.
struct event {
  event_kind kind = event_kind::message;
  bool revoked = false; // message, edited: its text and more are gone
  bool on = false;      // reaction: set, not taken back; room: from here on it is not public any more
  member_change change = member_change::none; // member
  member_role role = member_role::none;       // member
  uint64_t seq = 0;
  int64_t ts = 0;        // ms since 1970 UTC, never below that of the event before
  uint64_t messages = 0; // how many messages the log has held up to and with this event
  uint64_t target = 0;   // edited, revoked, reaction, pinned, unpinned: seq of the message that it is about
  user_id from;
  user_id user;            // member: whom it is about
  std::string key;         // message, edited, revoked, reaction: the client's idempotency key
  std::string text;        // message, edited: UTF-8; reaction: the emoji; topic: the topic; room: the title
  rare<event_extras> more; // message; member: reason and until; room: settings

  friend bool operator==(const event&, const event&) = default;
};

/// About the bytes that it takes in memory and on the wire, for bounds.
inline size_t size_of(const event& e) noexcept {
  size_t bytes = e.text.size() + e.more->data.size() + e.key.size() + 64;
  for (const auto& file : e.more->attachments)
    bytes += file.name.size() + file.type.size() + 192;
  return bytes;
}

} // namespace greenroom::storage
