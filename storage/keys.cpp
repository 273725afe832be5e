#include "storage/keys.hpp"

#include <algorithm>
#include <stdexcept>

namespace greenroom::storage::keys {
namespace {

std::string begin(std::string_view id, shard_id shard, tag kind, size_t rest) {
  if (id.empty() || id.find('\0') != std::string_view::npos)
    throw std::logic_error("storage: an id in a key is empty or holds a 0 byte");
  std::string out;
  out.reserve(2 + id.size() + 1 + rest);
  out.push_back(static_cast<char>(shard));
  out.push_back(static_cast<char>(kind));
  out.append(id);
  out.push_back('\0');
  return out;
}

std::string begin(const room_id& room, tag kind, size_t rest) { return begin(room.str(), room.shard(), kind, rest); }
std::string begin(const user_id& user, tag kind, size_t rest) { return begin(user.str(), user.shard(), kind, rest); }

/// Big-endian, so that the order of the keys is the order of the log.
void put_seq(std::string& out, uint64_t seq) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(seq >> shift));
}

void put_id(std::string& out, std::string_view id) {
  if (id.empty())
    throw std::logic_error("storage: an id in a key is empty");
  out.append(id);
}

void put_hash(std::string& out, const key_hash& hash) {
  out.append(reinterpret_cast<const char*>(hash.data()), hash.size());
}

/// In a due entry's key, behind shard, tag and time.
constexpr size_t due_room_at = 2 + seq_bytes;

} // namespace

std::string room(const room_id& id) { return begin(id, tag::room, 0); }

std::string event(const room_id& id, uint64_t seq) {
  auto out = begin(id, tag::event, seq_bytes);
  put_seq(out, seq);
  return out;
}

std::string before_event(const room_id& id, uint64_t seq) {
  return event(id, seq - 1).append(seq_bytes + 1, '\xff'); // no 0 byte stands where an event's key has one
}

std::string member(const room_id& id, const user_id& user) {
  auto out = begin(id, tag::member, user.str().size());
  put_id(out, user.str());
  return out;
}

std::string key(const room_id& id, const key_hash& hash) {
  auto out = begin(id, tag::key, hash.size());
  put_hash(out, hash);
  return out;
}

std::string effect(const room_id& id, uint64_t seq, const user_id& user, std::string_view file) {
  auto out = begin(id, tag::effect, seq_bytes + user.str().size() + 1 + file.size());
  put_seq(out, seq);
  put_id(out, user.str());
  if (!file.empty()) {
    out.push_back('\0');
    out.append(file);
  }
  return out;
}

std::string state(const room_id& id, uint64_t seq) {
  auto out = begin(id, tag::state, seq_bytes);
  put_seq(out, seq);
  return out;
}

std::string reaction(const room_id& id, const user_id& user, uint64_t seq) {
  auto out = begin(id, tag::reaction, user.str().size() + 1 + seq_bytes);
  put_id(out, user.str());
  out.push_back('\0');
  put_seq(out, seq);
  return out;
}

std::string mention(const room_id& id, std::string_view who, uint64_t seq) {
  auto out = begin(id, tag::mention, who.size() + 1 + seq_bytes);
  put_id(out, who);
  out.push_back('\0');
  put_seq(out, seq);
  return out;
}

std::string reply(const room_id& id, uint64_t target, uint64_t seq) {
  auto out = begin(id, tag::reply, 2 * seq_bytes);
  put_seq(out, target);
  put_seq(out, seq);
  return out;
}

std::string scheduled(const room_id& id, const scheduled_place& place) {
  auto out = begin(id, tag::scheduled, place.user.str().size() + 1 + seq_bytes + place.key.size());
  put_id(out, place.user.str());
  out.push_back('\0');
  put_seq(out, static_cast<uint64_t>(place.at));
  put_hash(out, place.key);
  return out;
}

std::string due(const due_entry& x) {
  auto out = prefix(x.room.shard(), tag::due);
  put_seq(out, static_cast<uint64_t>(x.at));
  put_id(out, x.room.str());
  out.push_back('\0');
  out.push_back(static_cast<char>(x.what));
  if (x.what == due_entry::kind::send) {
    put_hash(out, x.key);
    put_id(out, x.user.str());
  } else if (x.what == due_entry::kind::file) {
    put_id(out, x.file);
  }
  return out;
}

std::optional<due_entry> read_due(std::string_view key) {
  const auto end = key.size() > due_room_at ? key.find('\0', due_room_at) : std::string_view::npos;
  if (end == std::string_view::npos || key[1] != static_cast<char>(tag::due) || key.size() < end + 2)
    return std::nullopt;
  due_entry x;
  x.at = static_cast<int64_t>(seq_of(key.substr(2, seq_bytes)));
  auto room = room_id::parse(key.substr(due_room_at, end - due_room_at));
  if (!room)
    return std::nullopt;
  x.room = std::move(*room);
  x.what = static_cast<due_entry::kind>(key[end + 1]);
  auto rest = key.substr(end + 2);
  if (x.what == due_entry::kind::retention || x.what == due_entry::kind::errand)
    return rest.empty() ? std::optional(std::move(x)) : std::nullopt;
  if (x.what == due_entry::kind::file) {
    x.file = rest;
    return is_file_id(rest) ? std::optional(std::move(x)) : std::nullopt;
  }
  if (x.what != due_entry::kind::send || rest.size() <= x.key.size())
    return std::nullopt;
  std::copy_n(rest.begin(), x.key.size(), x.key.begin());
  auto user = user_id::parse(rest.substr(x.key.size()));
  if (!user)
    return std::nullopt;
  x.user = std::move(*user);
  return x;
}

std::string file(const room_id& id, std::string_view file) { return begin(id, tag::file, file.size()).append(file); }

std::string chunk(const room_id& id, std::string_view file, uint64_t index) {
  auto out = begin(id, tag::chunk, file.size() + seq_bytes).append(file);
  put_seq(out, index);
  return out;
}

std::string attached(const room_id& id, uint64_t seq, std::string_view file) {
  auto out = begin(id, tag::attached, seq_bytes + file.size());
  put_seq(out, seq);
  return out.append(file);
}

std::string usage(const user_id& id) { return begin(id, tag::usage, 0); }

std::string charge(const user_id& id, const room_id& room, std::string_view file) {
  auto out = begin(id, tag::charge, room.str().size() + 1 + file.size());
  put_id(out, room.str());
  out.push_back('\0');
  return out.append(file);
}

std::string hook(const room_id& id, std::string_view name) {
  auto out = begin(id, tag::hook, name.size());
  put_id(out, name);
  return out;
}

std::string all_hooked(shard_id shard, std::string_view name) {
  auto out = prefix(shard, tag::hooked);
  put_id(out, name);
  out.push_back('\0');
  return out;
}

std::string hooked(std::string_view name, const room_id& room) {
  auto out = all_hooked(room.shard(), name);
  put_id(out, room.str());
  return out;
}

std::optional<room_id> read_hooked(std::string_view key) {
  const auto end = key.size() > 2 ? key.find('\0', 2) : std::string_view::npos;
  if (end == std::string_view::npos || end == 2 || key[1] != static_cast<char>(tag::hooked))
    return std::nullopt;
  auto room = room_id::parse(key.substr(end + 1));
  return room ? std::optional(std::move(*room)) : std::nullopt;
}

std::string account(const user_id& id) { return begin(id, tag::account, 0); }

std::string session(const user_id& id, std::string_view session) {
  auto out = begin(id, tag::session, session.size());
  put_id(out, session);
  return out;
}

std::string listed(const user_id& id, const room_id& room) {
  auto out = begin(id, tag::listed, room.str().size());
  put_id(out, room.str());
  return out;
}

std::string activity(const user_id& id, const room_id& room) {
  auto out = begin(id, tag::activity, room.str().size());
  put_id(out, room.str());
  return out;
}

std::string profile(const user_id& id) { return begin(id, tag::profile, 0); }
std::string presence(const user_id& id) { return begin(id, tag::presence, 0); }

std::string thread(const user_id& id, const room_id& room, uint64_t target) {
  auto out = begin(id, tag::thread, room.str().size() + 1 + seq_bytes);
  put_id(out, room.str());
  out.push_back('\0');
  put_seq(out, target);
  return out;
}

std::string block(const user_id& id, const user_id& blocked) {
  auto out = begin(id, tag::block, blocked.str().size());
  put_id(out, blocked.str());
  return out;
}

std::string erasure(const user_id& id) { return begin(id, tag::erasure, 0); }

std::string entry(shard_id shard, uint64_t index) {
  auto out = prefix(shard, tag::entry);
  put_seq(out, index);
  return out;
}

std::string before_entry(shard_id shard, uint64_t index) { return entry(shard, index - 1) + '\0'; }

std::string positions(shard_id shard) { return prefix(shard, tag::positions); }

std::string trace(std::string_view from, uint64_t once) {
  auto out = prefix(static_cast<shard_id>(from.front()), tag::trace).append(from.substr(1));
  put_seq(out, once);
  return out;
}

std::string_view traced(std::string_view rest) noexcept {
  return rest.substr(0, rest.size() - std::min(rest.size(), seq_bytes));
}

std::string prefix(const room_id& id, tag kind) { return begin(id, kind, 0); }
std::string prefix(const user_id& id, tag kind) { return begin(id, kind, 0); }
std::string prefix(shard_id shard, tag kind) { return {static_cast<char>(shard), static_cast<char>(kind)}; }

std::string prefix(shard_id shard) { return std::string(1, static_cast<char>(shard)); }

std::string end_of(std::string prefix) {
  while (prefix.back() == '\xff') // as a seq may end
    prefix.pop_back();
  ++prefix.back();
  return prefix;
}

uint64_t seq_of(std::string_view rest) noexcept {
  uint64_t seq = 0;
  for (char byte : rest)
    seq = seq << 8 | static_cast<uint8_t>(byte);
  return seq;
}

family family_of(std::string_view key) noexcept {
  switch (static_cast<tag>(key[1])) {
  case tag::event:
    return family::events;
  case tag::key:
    return family::keys;
  case tag::entry:
  case tag::positions:
  case tag::trace:
    return family::log;
  case tag::chunk:
    return family::files;
  default:
    return family::state;
  }
}

bool belongs(std::string_view key, shard_id shard) {
  if (key.size() < 2 || static_cast<shard_id>(key[0]) != shard)
    return false;
  if (key[1] == static_cast<char>(tag::due)) {
    auto entry = read_due(key);
    return entry && entry->room.shard() == shard;
  }
  if (key[1] == static_cast<char>(tag::hooked)) {
    auto room = read_hooked(key);
    return room && room->shard() == shard;
  }
  auto end = key.find('\0', 2);
  if (end == std::string_view::npos || end == 2 || shard_of(key.substr(2, end - 2)) != shard)
    return false;
  auto rest = key.size() - end - 1;
  switch (static_cast<tag>(key[1])) {
  case tag::room:
  case tag::account:
  case tag::profile:
  case tag::presence:
  case tag::erasure:
  case tag::usage:
    return rest == 0;
  case tag::file:
    return rest == file_id_bytes;
  case tag::chunk:
  case tag::attached:
    return rest == seq_bytes + file_id_bytes;
  case tag::charge:
    return rest > 1 + file_id_bytes;
  case tag::event:
  case tag::state:
    return rest == seq_bytes;
  case tag::reaction:
  case tag::mention:
  case tag::thread:
    return rest > seq_bytes + 1;
  case tag::reply:
    return rest == 2 * seq_bytes;
  case tag::scheduled:
    return rest > 1 + seq_bytes + std::tuple_size_v<key_hash>;
  case tag::key:
    return rest == std::tuple_size_v<key_hash>;
  case tag::effect:
    return rest > seq_bytes;
  case tag::member:
  case tag::session:
  case tag::listed:
  case tag::activity:
  case tag::block:
  case tag::hook:
    return rest > 0;
  case tag::hooked: // seen to above, as is
  case tag::due:
  case tag::entry:
  case tag::positions:
  case tag::trace:
    return false;
  }
  return false;
}

bool spans(std::string_view from, std::string_view to, shard_id shard) {
  if (from.size() < 2 || to.size() < 2 || from >= to || from.substr(0, 2) != to.substr(0, 2) ||
      static_cast<shard_id>(from[0]) != shard)
    return false;
  switch (static_cast<tag>(from[1])) {
  case tag::event:
  case tag::member:
  case tag::key:
  case tag::state:
  case tag::reaction:
  case tag::mention:
  case tag::reply:
  case tag::scheduled:
  case tag::thread:
  case tag::account:
  case tag::session:
  case tag::profile:
  case tag::presence:
  case tag::listed:
  case tag::activity:
  case tag::block:
  case tag::file:
  case tag::chunk:
  case tag::attached:
  case tag::hook:
    break;
  default:
    return false; // of these, nothing is ever erased by the range
  }
  const auto end = from.find('\0', 2);
  if (end == std::string_view::npos || end == 2 || shard_of(from.substr(2, end - 2)) != shard)
    return false;
  auto last = std::string(from.substr(0, end + 1));
  return to <= end_of(std::move(last)); // its id's range ends there
}

} // namespace greenroom::storage::keys
