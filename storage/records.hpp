// records: what the store holds, as plain values, and their stored form. The key under which each of them stands is in
// the table of storage/README.md.
//
// The stored form is ours (a version byte, then fields in fixed order; integers as LEB128 varints, strings with their
// length before them) and does not depend on CAF. Decoding trusts nothing: a truncated or unknown record is an error,
// never a guess.
#pragma once

#include "config/ids.hpp"
#include "storage/event.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::storage {

/// The protocol's words: public, private, announce, direct.
std::string_view to_string(room_kind) noexcept;

/// A room's settings; what changes with every event is not here but follows from the log.
struct room_record {
  std::string epoch; // opaque, drawn when the room is created (again)
  room_kind kind = room_kind::public_;
  std::string title;
  user_id creator;
  int64_t created = 0;       // ms since 1970 UTC
  uint32_t history_days = 0; // 0: for ever
  uint64_t first = 1;        // lowest seq that is kept
  std::string topic;
  uint32_t slow_ms = 0;        // a member sends once in this time; 0: as often as limits allow
  std::vector<uint64_t> pins;  // seqs of messages, the one pinned last at the end
  uint64_t history_events = 0; // how many of the last events are kept; 0: all
  uint64_t deleted = 0; // seq of the event that said so: there is no such room any more, and its data is on its way out
  friend bool operator==(const room_record&, const room_record&) = default;
};

/// What few members have.
struct member_extras {
  uint64_t changed = 0;     // seq of the last member event about it; 0: `since`
  int64_t banned_until = 0; // ms since 1970 UTC; INT64_MAX: for ever; 0: not banned
  int64_t muted_until = 0;  // likewise
  friend bool operator==(const member_extras&, const member_extras&) = default;
};

/// In memory once for each member of each active room, so it is two words.
struct member_record {
  member_role role : 8 = member_role::none; // none: was a member once, or is banned
  uint64_t since : 56 = 0;                  // seq of the member event since which it is in the room, or is not
  rare<member_extras> more;

  /// Seq of the last member event about it.
  uint64_t changed() const noexcept { return more->changed != 0 ? more->changed : since; }
  friend bool operator==(const member_record&, const member_record&) = default;
};
static_assert(sizeof(member_record) == 16);

/// 16 bytes of BLAKE2b (RFC 7693) over user, a 0 byte and key, which may be of any length. One key space per (user,
/// room).
using key_hash = std::array<uint8_t, 16>;
key_hash hash_of(const user_id& user, std::string_view key);

/// What a key was used for; lives as long as its room.
struct key_record {
  static constexpr uint8_t scheduled = 100; // a send that is to be made at `ts`; seq is 0
  static constexpr uint8_t cancelled = 101; // one that won't be made
  uint8_t op = 0;                           // an event_kind, or one of those above
  uint64_t seq = 0;
  int64_t ts = 0;       // ms since 1970 UTC
  uint64_t content = 0; // digest of the request, to tell a repetition from a conflict
  friend bool operator==(const key_record&, const key_record&) = default;
};

/// Where a send stands that is to be made later.
struct scheduled_place {
  int64_t at = 0; // ms since 1970 UTC
  user_id user;
  key_hash key{};
  friend auto operator<=>(const scheduled_place&, const scheduled_place&) = default;
};

/// A send that is to be made at a time. What it says is read and judged then.
struct scheduled_send {
  int64_t at = 0; // ms since 1970 UTC
  std::string key;
  std::string text;
  std::string data;      // a JSON object as compact text, or empty
  uint64_t reply_to = 0; // 0: to nothing
  friend bool operator==(const scheduled_send&, const scheduled_send&) = default;
};

/// What a shard has to do at a time, without being asked.
struct due_entry {
  enum class kind : uint8_t { send = 's', retention = 'h' };
  int64_t at = 0; // ms since 1970 UTC
  room_id room;
  kind what = kind::send;
  user_id user;   // send
  key_hash key{}; // send
  friend auto operator<=>(const due_entry&, const due_entry&) = default;
};

/// How far a webhook has a room.
struct hook_record {
  uint64_t seq = 0;  // all that it wants up to here was delivered, or is not to be
  uint64_t turn = 0; // how often an operator has set that back
  bool open = false; // there may be more; then the room stands among those that are to be looked at, too
  friend bool operator==(const hook_record&, const hook_record&) = default;
};

/// An effect on another shard, in the same batch as its cause; sent until acknowledged, applied idempotently by
/// (room, epoch, seq, user).
struct effect_record {
  room_id room;
  std::string epoch;
  uint64_t seq = 0; // of the event that is the cause
  user_id user;     // whom it concerns
  member_change change = member_change::none;
  member_role role = member_role::none;
  room_kind kind = room_kind::public_;
  friend bool operator==(const effect_record&, const effect_record&) = default;
};

/// A room in a user's list: an index that can be rebuilt from the rooms.
struct listed_room {
  std::string epoch;
  room_kind kind = room_kind::public_;
  member_role role = member_role::none;
  uint64_t since = 0;     // seq of the effect applied last; an older one is void
  uint64_t read = 0;      // read position
  uint64_t delivered = 0; // up to which a device of the user has the room's events; never below `read`
  bool left = false;      // kept as a tombstone, so that a late effect of an older seq stays void
  friend bool operator==(const listed_room&, const listed_room&) = default;
};

/// What a room last said of itself to the inbox of a member: seconds old, minutes in a large room. For choosing among
/// many rooms; where one stands exactly only the room itself knows.
struct activity_record {
  std::string epoch;
  uint64_t seq = 0; // of the last event then
  int64_t ts = 0;   // and its time, ms since 1970 UTC
  friend bool operator==(const activity_record&, const activity_record&) = default;
};

/// How far a user has read the thread of one message.
struct thread_record {
  std::string epoch; // of the room
  uint64_t read = 0;
  friend bool operator==(const thread_record&, const thread_record&) = default;
};

/// What a user says of themselves.
struct profile_record {
  std::string name;    // to be shown instead of the id
  std::string avatar;  // where a picture is, in the client's words
  std::string fields;  // a JSON object as compact text, or empty
  int64_t changed = 0; // ms since 1970 UTC
  friend bool operator==(const profile_record&, const profile_record&) = default;
};

struct account_record {
  std::string password; // Argon2id (RFC 9106), in libsodium's text form; empty: none (a guest)
  int64_t created = 0;  // ms since 1970 UTC
  bool guest = false;
  bool admin = false;
  friend bool operator==(const account_record&, const account_record&) = default;
};

/// One login. The id is in the token as `sid`. Its refresh tokens follow one another, each made from the one before it
/// (actors/user_accounts.cpp); here are BLAKE2b-256 digests, of which none leads back to a token.
struct session_record {
  std::string device;
  int64_t created = 0;  // ms since 1970 UTC
  int64_t expires = 0;  // ms since 1970 UTC; the record goes afterwards
  std::string refresh;  // digest of the secret in the refresh token; empty: there is none
  bool revoked = false; // kept until it expires, so that its tokens stay refused
  std::string family;   // digest of what all these secrets begin with
  std::string previous; // digest of the secret before this one; empty: this is the first
  std::string salt;     // with the secret before this one, what this one was made from
  int64_t rotated = 0;  // when that was, ms since 1970 UTC
  friend bool operator==(const session_record&, const session_record&) = default;
};

// The stored forms. Nothing here bounds a text: what a client may say was checked on its way in (`limits`), and what is
// shorter is stored shorter. decode() fails with errc::internal, and names the record, if a byte is missing, is too
// many, or is no value of its field.
std::string encode(const event&);
std::string encode(const room_record&);
std::string encode(const member_record&);
std::string encode(const key_record&);
std::string encode(const effect_record&);
std::string encode(const listed_room&);
std::string encode(const activity_record&);
std::string encode(const thread_record&);
std::string encode(const profile_record&);
std::string encode(const scheduled_send&);
std::string encode(const hook_record&);
std::string encode(const account_record&);
std::string encode(const session_record&);
template <class Record>
outcome<Record> decode(std::string_view bytes);

} // namespace greenroom::storage
