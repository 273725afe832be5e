// keys: builds and checks the keys of the store, the only place that knows how they look. The table is in
// storage/README.md. Private to storage/ and its tests.
//
// Invariants
// - A key begins with the shard of its id, so that a shard is one range of keys.
// - An id is not empty and holds no 0 byte, so that no id's range reaches into another's. Breaking either of these is a
//   programmer's mistake: std::logic_error.
#pragma once

#include "storage/records.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::storage::keys {

/// What stands under a key; its second byte.
enum class tag : char {
  // Of a room.
  room = 'r',
  event = 'e',
  member = 'm',
  key = 'k',
  effect = 'x',
  state = 'f',    // of a message that was changed
  reaction = 'n', // of one user, to one message
  mention = 'q',  // of one user, or of everybody, in one message
  reply = 't',    // in the thread of one message
  scheduled = 'd',
  due = 'w',      // of several rooms, by time: its id is not what its key begins with
  hook = 'C',     // how far a webhook has the room
  hooked = 'B',   // a webhook has not got all of the room; by webhook, its id is not what its key begins with either
  file = 'b',     // an attachment
  chunk = 'c',    // of its content
  attached = 'j', // to which message it belongs
  // Of a user.
  account = 'a',
  session = 's',
  listed = 'l',
  activity = 'i',
  profile = 'o',
  presence = 'P',
  thread = 'h', // how far it has been read
  block = 'v',  // of one other user
  erasure = 'y',
  usage = 'u',  // what all attachments take
  charge = 'V', // what one of them does
  // Of a shard: its log and how far it is. Only in the family `log`, never in a batch or a snapshot.
  entry = 'g',
  positions = 'p',
  // Of this store alone, in the same family: what has yet to be scrubbed.
  trace = 'z',
};

/// The column families that the keys are spread over by their tag; each is tuned for how it is read (database.cpp).
enum class family : uint8_t { state = 0, events = 1, keys = 2, log = 3, files = 4 };
inline constexpr size_t family_count = 5;
/// Those that a shard's state is in; its log is not.
inline constexpr std::array state_families{family::state, family::events, family::keys, family::files};
/// With which the key of an event or of a log's entry ends.
inline constexpr size_t seq_bytes = 8;
/// An entry's key: shard, tag, index.
inline constexpr size_t entry_bytes = 2 + seq_bytes;
/// A key of an id, without the rest: shard, tag, an id of one byte, and a 0 byte.
inline constexpr size_t least_bytes = 4;
/// The names on disk.
inline constexpr std::array<const char*, family_count> family_names = {"default", "events", "keys", "log", "files"};

// One key each, in the shard of the id that comes first. An id that is empty or holds a 0 byte is std::logic_error, as
// said above; parsed ids never are, so a key stays below 150 bytes, and a session's below 50 and its
// name. Numbers are 8 bytes, big-endian, so that the order of the keys is that of the numbers.
std::string room(const room_id&);
std::string event(const room_id&, uint64_t seq);
std::string member(const room_id&, const user_id&);
std::string key(const room_id&, const key_hash&);
/// By seq first: what was caused first is found first.
/// `file` where it is about an attachment.
std::string effect(const room_id&, uint64_t seq, const user_id&, std::string_view file = {});
/// Behind which event `seq` and all later ones stand, and no earlier one; no event's key itself (see room_of in
/// database.cpp). REQUIRES: seq > 0.
std::string before_event(const room_id&, uint64_t seq);
std::string state(const room_id&, uint64_t seq);
/// By user first: a reader's own are found in one range.
std::string reaction(const room_id&, const user_id&, uint64_t seq);
/// By who is meant first. REQUIRES: `who` is a user's id, or everybody.
std::string mention(const room_id&, std::string_view who, uint64_t seq);
/// By the message first, whose thread it is.
std::string reply(const room_id&, uint64_t target, uint64_t seq);
/// By user first, then by time.
std::string scheduled(const room_id&, const scheduled_place&);
/// By time first.
std::string due(const due_entry&);
/// What a due entry's key says. nullopt: it is none.
std::optional<due_entry> read_due(std::string_view key);
// REQUIRES of all that take one: `file` is file_id_bytes long.
std::string file(const room_id&, std::string_view file);
std::string chunk(const room_id&, std::string_view file, uint64_t index);
/// By seq first; an empty `file` comes before all of that message.
std::string attached(const room_id&, uint64_t seq, std::string_view file);
std::string usage(const user_id&);
std::string charge(const user_id&, const room_id&, std::string_view file);
std::string hook(const room_id&, std::string_view name);
/// By the webhook first, whose name holds no 0 byte.
std::string hooked(std::string_view name, const room_id&);
/// Everything of one webhook in a shard, see hooked().
std::string all_hooked(shard_id, std::string_view name);
/// The room that such a key is about. nullopt: it is none.
std::optional<room_id> read_hooked(std::string_view key);
std::string account(const user_id&);
/// REQUIRES: !session.empty(). It may hold any bytes, as it ends the key.
std::string session(const user_id&, std::string_view session);
std::string listed(const user_id&, const room_id&);
std::string activity(const user_id&, const room_id&);
std::string profile(const user_id&);
std::string presence(const user_id&);
std::string thread(const user_id&, const room_id&, uint64_t target);
std::string block(const user_id&, const user_id& blocked);
std::string erasure(const user_id&);
/// In the family `log`; entry_bytes long. REQUIRES of all that take one: shard < shard_count; not checked.
std::string entry(shard_id, uint64_t index);
/// Before which nothing of entry `index` or of a later one stands, and which is no entry's key itself (see log_of in
/// database.cpp). REQUIRES: index > 0.
std::string before_entry(shard_id, uint64_t index);
std::string positions(shard_id);
/// Of what stood from `from` on, in that key's own family. `once` makes it another one each time.
std::string trace(std::string_view from, uint64_t once);
/// The `from` of a trace, without its shard. REQUIRES: `rest` is a trace's key behind shard and tag.
std::string_view traced(std::string_view rest) noexcept;
/// Whether this is the key of a shard's positions.
constexpr bool are_positions(std::string_view key) noexcept {
  return key.size() == 2 && key[1] == static_cast<char>(tag::positions);
}

/// Everything of one kind that an id owns: shard, tag, id and its 0 byte.
std::string prefix(const room_id&, tag);
std::string prefix(const user_id&, tag);
/// Everything of one kind in a shard.
std::string prefix(shard_id, tag);
/// Everything of a shard.
std::string prefix(shard_id);
/// The first key behind all that begin with `prefix`. REQUIRES: it has a byte below 0xff, as each that
/// begins with a shard.
std::string end_of(std::string prefix);

/// The seq in an event key, or the index in an entry's, behind its prefix. REQUIRES: `rest` is its seq_bytes, no more.
uint64_t seq_of(std::string_view rest) noexcept;

/// The family of a key that was built here. REQUIRES: key.size() >= 2.
family family_of(std::string_view key) noexcept;
/// Whether these bytes are a key of what a shard holds: a known tag, and an id that lives there; its log is not part of
/// that. For bytes from elsewhere.
bool belongs(std::string_view key, shard_id shard);

/// Whether the range [from, to) is of one kind and of one id in that shard, and not empty. For bytes from elsewhere.
bool spans(std::string_view from, std::string_view to, shard_id shard);

/// Where the schema's version stands, outside of every shard.
inline constexpr std::string_view schema = "\xffschema";

} // namespace greenroom::storage::keys
