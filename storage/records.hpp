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
  room_limits limits;
  friend bool operator==(const room_record&, const room_record&) = default;
};

/// What few members have.
struct member_extras {
  uint64_t changed = 0;     // seq of the last member event about it; 0: `since`
  int64_t banned_until = 0; // ms since 1970 UTC; INT64_MAX: for ever; 0: not banned
  int64_t muted_until = 0;  // likewise
  // In a direct room.
  bool blocks = false;        // wants to hear nothing of the other one
  uint64_t block_version = 0; // of the word of the user's shard about that; an older one is void
  bool erased = false;        // the account is gone: nothing more can be said to it
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
  std::vector<attachment> attachments = {};
  friend bool operator==(const scheduled_send&, const scheduled_send&) = default;
};

/// What a shard has to do at a time, without being asked.
struct due_entry {
  enum class kind : uint8_t { send = 's', retention = 'h', errand = 'u', file = 'b' };
  int64_t at = 0; // ms since 1970 UTC
  room_id room;   // errand: the user's id, who has something to do; user ids are room ids, too
  kind what = kind::send;
  user_id user;          // send
  key_hash key{};        // send
  std::string file = {}; // file: it goes, if it belongs to no message by then
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
  // Where it is about an attachment, `seq` is 0 when it was begun and 1 when it has gone, and there is no change of
  // membership.
  std::string file = {}; // empty: about membership
  uint64_t bytes = 0;    // that it takes from now on; 0: it is gone
  int64_t at = 0;        // when it was begun, ms since 1970 UTC
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

/// Characters of an attachment's id, drawn from [a-z2-7]: 160 bits that nobody can guess.
inline constexpr size_t file_id_bytes = 32;
bool is_file_id(std::string_view text) noexcept;
/// The largest piece of an attachment's content that is stored under one key.
inline constexpr uint32_t chunk_bytes_max = 256 * 1024;

/// An attachment, from the moment on when its upload was begun.
struct file_record {
  enum class stage : uint8_t { uploading = 1, complete = 2, used = 3 };
  stage at = stage::uploading;
  user_id owner;
  std::string name;
  std::string type;
  uint64_t size = 0;
  uint64_t received = 0;    // of these; whole chunks, until it is complete
  uint32_t chunk_bytes = 0; // of each chunk but the last
  std::string sha256;       // 32 bytes; while it is uploaded, what it is to be; empty: not said
  std::string digest;       // uploading: of what has been received, so that any node can go on
  int64_t created = 0;      // ms since 1970 UTC
  int64_t expires = 0;      // when it goes, unless it is used
  friend bool operator==(const file_record&, const file_record&) = default;
};

/// What all attachments of a user take, wherever they are.
struct usage_record {
  uint64_t bytes = 0;
  uint64_t files = 0;
  /// Those that went soon after they had been begun, and until when to remember: what is told twice of their beginning
  /// may come late.
  std::vector<std::pair<std::string, int64_t>> gone;
  friend bool operator==(const usage_record&, const usage_record&) = default;
};

/// To which message an attachment belongs.
struct attached_file {
  uint64_t seq = 0;
  std::string id;
  user_id owner;
  friend bool operator==(const attached_file&, const attached_file&) = default;
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

/// How a user wants to be seen by others while connected.
enum class presence_status : uint8_t { online = 0, away = 1, dnd = 2, invisible = 3 };
std::string_view to_string(presence_status) noexcept;

/// What a user has chosen, kept so that whoever is invisible stays so on the next connection.
struct presence_record {
  presence_status status = presence_status::online;
  std::string note;    // of one line, shown beside it
  int64_t changed = 0; // ms since 1970 UTC
  friend bool operator==(const presence_record&, const presence_record&) = default;
};

/// Whom a user has blocked. Of one that was taken back it stays until the direct room has been told.
struct block_record {
  bool on = true;
  int64_t since = 0;    // ms since 1970 UTC
  uint64_t version = 0; // grows with each change, so that the room knows the last one
  bool told = false;    // the direct room knows
  friend bool operator==(const block_record&, const block_record&) = default;
};

/// That an account was erased, or is being erased. Stays for ever: the name is not given out again.
struct erasure_record {
  int64_t asked = 0;          // ms since 1970 UTC
  user_id by;                 // the user, or an admin
  std::string reason;         // in the words of who asked
  bool keep_messages = false; // what was said stays, under a name that nobody has
  int64_t completed = 0;      // ms since 1970 UTC; 0: under way
  uint64_t rooms = 0;         // that were seen to
  uint64_t messages = 0;      // that were revoked
  friend bool operator==(const erasure_record&, const erasure_record&) = default;
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
std::string encode(const presence_record&);
std::string encode(const scheduled_send&);
std::string encode(const block_record&);
std::string encode(const erasure_record&);
std::string encode(const file_record&);
std::string encode(const usage_record&);
std::string encode(const hook_record&);
std::string encode(const account_record&);
std::string encode(const session_record&);
template <class Record>
outcome<Record> decode(std::string_view bytes);

} // namespace greenroom::storage
