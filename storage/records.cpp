#include "storage/records.hpp"

#include "storage/record_reader.hpp"

#include <sodium.h>

namespace greenroom::storage {
namespace {

// Fields have been added to these.
constexpr uint8_t room_version = 4;
constexpr uint8_t member_version = 3;
constexpr uint8_t session_version = 2;
constexpr uint8_t effect_version = 2;
constexpr uint8_t scheduled_version = 2;
/// A room can't have as many events: clients count to 2^53 - 1.
constexpr uint64_t max_since = (uint64_t{1} << 56) - 1;

} // namespace

std::string_view to_string(presence_status x) noexcept {
  switch (x) {
  case presence_status::online:
    return "online";
  case presence_status::away:
    return "away";
  case presence_status::dnd:
    return "dnd";
  case presence_status::invisible:
    return "invisible";
  }
  return "";
}

std::string_view to_string(room_kind x) noexcept {
  switch (x) {
  case room_kind::public_:
    return "public";
  case room_kind::private_:
    return "private";
  case room_kind::announce:
    return "announce";
  case room_kind::direct:
    return "direct";
  }
  return "unknown";
}

key_hash hash_of(const user_id& user, std::string_view key) {
  // sodium_init() picks the implementation for this processor; it may be called again and by several threads.
  static const int ready = sodium_init();
  if (ready < 0)
    throw std::runtime_error("libsodium can't be initialised");
  key_hash result;
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, result.size());
  // The 0 byte, which no user id holds, keeps ("a", "bc") and ("ab", "c") apart.
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(user.str().c_str()), user.str().size() + 1);
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  crypto_generichash_final(&state, result.data(), result.size());
  return result;
}

// -- room -------------------------------------------------------------------------------------------------------------
std::string encode(const room_record& x) {
  auto out = start_record(64 + x.title.size() + x.topic.size(), room_version);
  put_text(out, x.epoch);
  put_enum(out, x.kind);
  put_text(out, x.title);
  put_text(out, x.creator.str());
  put_time(out, x.created);
  put_varint(out, x.history_days);
  put_varint(out, x.first);
  put_text(out, x.topic);
  put_varint(out, x.slow_ms);
  put_varint(out, x.pins.size());
  for (auto seq : x.pins)
    put_varint(out, seq);
  put_varint(out, x.history_events);
  put_varint(out, x.deleted);
  put_limits(out, x.limits);
  return out;
}

template <>
outcome<room_record> decode<room_record>(std::string_view bytes) {
  record_reader in(bytes, "room", room_version);
  room_record x;
  x.epoch = in.string();
  x.kind = in.kind();
  x.title = in.string();
  x.creator = in.user_or_none();
  x.created = in.time();
  x.history_days = in.varint32();
  x.first = in.varint();
  if (in.version() > 1) {
    x.topic = in.string();
    x.slow_ms = in.varint32();
    for (auto n = in.count(); in.good() && n > 0; --n)
      x.pins.push_back(in.varint());
  }
  if (in.version() > 2) {
    x.history_events = in.varint();
    x.deleted = in.varint();
  }
  if (in.version() > 3)
    x.limits = in.limits();
  return in.finish(std::move(x));
}

// -- member -----------------------------------------------------------------------------------------------------------
std::string encode(const member_record& x) {
  auto out = start_record(32, member_version);
  put_enum(out, x.role);
  put_varint(out, x.since);
  put_varint(out, x.more->changed);
  put_time(out, x.more->banned_until);
  put_time(out, x.more->muted_until);
  put_flag(out, x.more->blocks);
  put_varint(out, x.more->block_version);
  put_flag(out, x.more->erased);
  return out;
}

template <>
outcome<member_record> decode<member_record>(std::string_view bytes) {
  record_reader in(bytes, "member", member_version);
  member_record x;
  x.role = in.role();
  const auto since = in.varint();
  x.since = since & max_since;
  if (since > max_since)
    in.fail();
  if (in.version() > 1) {
    member_extras more;
    more.changed = in.varint();
    more.banned_until = in.time();
    more.muted_until = in.time();
    if (in.version() > 2) {
      more.blocks = in.flag();
      more.block_version = in.varint();
      more.erased = in.flag();
    }
    if (more != member_extras{})
      x.more.edit() = more;
  }
  return in.finish(std::move(x));
}

// -- key --------------------------------------------------------------------------------------------------------------
std::string encode(const key_record& x) {
  auto out = start_record(32);
  out.push_back(static_cast<char>(x.op));
  put_varint(out, x.seq);
  put_time(out, x.ts);
  put_varint(out, x.content);
  return out;
}

template <>
outcome<key_record> decode<key_record>(std::string_view bytes) {
  record_reader in(bytes, "key");
  key_record x;
  x.op = in.byte();
  x.seq = in.varint();
  x.ts = in.time();
  x.content = in.varint();
  return in.finish(std::move(x));
}

// -- effect -----------------------------------------------------------------------------------------------------------
std::string encode(const effect_record& x) {
  auto out = start_record(128, effect_version);
  put_text(out, x.room.str());
  put_text(out, x.epoch);
  put_varint(out, x.seq);
  put_text(out, x.user.str());
  put_enum(out, x.change);
  put_enum(out, x.role);
  put_enum(out, x.kind);
  put_text(out, x.file);
  put_varint(out, x.bytes);
  put_time(out, x.at);
  return out;
}

template <>
outcome<effect_record> decode<effect_record>(std::string_view bytes) {
  record_reader in(bytes, "effect", effect_version);
  effect_record x;
  x.room = in.room();
  x.epoch = in.string();
  x.seq = in.varint();
  x.user = in.user();
  x.change = in.change();
  x.role = in.role();
  x.kind = in.kind();
  if (in.version() > 1) {
    x.file = in.string();
    x.bytes = in.varint();
    x.at = in.time();
  }
  return in.finish(std::move(x));
}

// -- a room in a user's list ------------------------------------------------------------------------------------------
constexpr uint8_t listed_version = 2; // version 1 had no delivered position

std::string encode(const listed_room& x) {
  auto out = start_record(48, listed_version);
  put_text(out, x.epoch);
  put_enum(out, x.kind);
  put_enum(out, x.role);
  put_varint(out, x.since);
  put_varint(out, x.read);
  put_flag(out, x.left);
  put_varint(out, x.delivered);
  return out;
}

template <>
outcome<listed_room> decode<listed_room>(std::string_view bytes) {
  record_reader in(bytes, "listed room", listed_version);
  listed_room x;
  x.epoch = in.string();
  x.kind = in.kind();
  x.role = in.role();
  x.since = in.varint();
  x.read = in.varint();
  x.left = in.flag();
  x.delivered = in.version() > 1 ? in.varint() : x.read;
  return in.finish(std::move(x));
}

// -- a room's activity in a user's inbox ------------------------------------------------------------------------------
std::string encode(const activity_record& x) {
  auto out = start_record(32);
  put_text(out, x.epoch);
  put_varint(out, x.seq);
  put_time(out, x.ts);
  return out;
}

template <>
outcome<activity_record> decode<activity_record>(std::string_view bytes) {
  record_reader in(bytes, "activity");
  activity_record x;
  x.epoch = in.string();
  x.seq = in.varint();
  x.ts = in.time();
  return in.finish(std::move(x));
}

// -- profile ----------------------------------------------------------------------------------------------------------
std::string encode(const profile_record& x) {
  auto out = start_record(32 + x.name.size() + x.avatar.size() + x.fields.size());
  put_text(out, x.name);
  put_text(out, x.avatar);
  put_text(out, x.fields);
  put_time(out, x.changed);
  return out;
}

template <>
outcome<profile_record> decode<profile_record>(std::string_view bytes) {
  record_reader in(bytes, "profile");
  profile_record x;
  x.name = in.string();
  x.avatar = in.string();
  x.fields = in.string();
  x.changed = in.time();
  return in.finish(std::move(x));
}

// -- presence ---------------------------------------------------------------------------------------------------------
std::string encode(const presence_record& x) {
  auto out = start_record(16 + x.note.size());
  put_enum(out, x.status);
  put_text(out, x.note);
  put_time(out, x.changed);
  return out;
}

template <>
outcome<presence_record> decode<presence_record>(std::string_view bytes) {
  record_reader in(bytes, "presence");
  presence_record x;
  x.status = in.one_of(presence_status::online, presence_status::invisible);
  x.note = in.string();
  x.changed = in.time();
  return in.finish(std::move(x));
}

// -- thread -----------------------------------------------------------------------------------------------------------
std::string encode(const thread_record& x) {
  auto out = start_record(24);
  put_text(out, x.epoch);
  put_varint(out, x.read);
  return out;
}

template <>
outcome<thread_record> decode<thread_record>(std::string_view bytes) {
  record_reader in(bytes, "thread");
  thread_record x;
  x.epoch = in.string();
  x.read = in.varint();
  return in.finish(std::move(x));
}

// -- scheduled send ---------------------------------------------------------------------------------------------------
std::string encode(const scheduled_send& x) {
  auto out = start_record(32 + x.key.size() + x.text.size() + x.data.size(), scheduled_version);
  put_time(out, x.at);
  put_text(out, x.key);
  put_text(out, x.text);
  put_text(out, x.data);
  put_varint(out, x.reply_to);
  put_varint(out, x.attachments.size());
  for (const auto& file : x.attachments) {
    put_text(out, file.id);
    put_text(out, file.name);
    put_text(out, file.type);
    put_varint(out, file.size);
    put_text(out, file.sha256);
  }
  return out;
}

template <>
outcome<scheduled_send> decode<scheduled_send>(std::string_view bytes) {
  record_reader in(bytes, "scheduled send", scheduled_version);
  scheduled_send x;
  x.at = in.time();
  x.key = in.string();
  x.text = in.string();
  x.data = in.string();
  x.reply_to = in.varint();
  for (auto n = in.version() > 1 ? in.count() : 0; in.good() && n > 0; --n) {
    attachment file;
    file.id = in.string();
    file.name = in.string();
    file.type = in.string();
    file.size = in.varint();
    file.sha256 = in.string();
    x.attachments.push_back(std::move(file));
  }
  return in.finish(std::move(x));
}

// -- attachments ------------------------------------------------------------------------------------------------------
bool is_file_id(std::string_view text) noexcept {
  return text.size() == file_id_bytes && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == text.npos;
}

std::string encode(const file_record& x) {
  auto out = start_record(160 + x.name.size() + x.type.size());
  put_enum(out, x.at);
  put_text(out, x.owner.str());
  put_text(out, x.name);
  put_text(out, x.type);
  put_varint(out, x.size);
  put_varint(out, x.received);
  put_varint(out, x.chunk_bytes);
  put_text(out, x.sha256);
  put_text(out, x.digest);
  put_time(out, x.created);
  put_time(out, x.expires);
  return out;
}

template <>
outcome<file_record> decode<file_record>(std::string_view bytes) {
  record_reader in(bytes, "attachment");
  file_record x;
  x.at = in.one_of(file_record::stage::uploading, file_record::stage::used);
  x.owner = in.user();
  x.name = in.string();
  x.type = in.string();
  x.size = in.varint();
  x.received = in.varint();
  x.chunk_bytes = in.varint32();
  x.sha256 = in.string();
  x.digest = in.string();
  x.created = in.time();
  x.expires = in.time();
  if (x.chunk_bytes == 0 || x.chunk_bytes > chunk_bytes_max || x.received > x.size)
    in.fail();
  return in.finish(std::move(x));
}

std::string encode(const usage_record& x) {
  auto out = start_record(32 + x.gone.size() * (file_id_bytes + 8));
  put_varint(out, x.bytes);
  put_varint(out, x.files);
  put_varint(out, x.gone.size());
  for (const auto& [id, until] : x.gone) {
    put_text(out, id);
    put_time(out, until);
  }
  return out;
}

template <>
outcome<usage_record> decode<usage_record>(std::string_view bytes) {
  record_reader in(bytes, "usage");
  usage_record x;
  x.bytes = in.varint();
  x.files = in.varint();
  for (auto n = in.count(); in.good() && n > 0; --n) {
    auto id = in.string();
    x.gone.emplace_back(std::move(id), in.time());
  }
  return in.finish(std::move(x));
}

// -- block ------------------------------------------------------------------------------------------------------------
std::string encode(const block_record& x) {
  auto out = start_record(24);
  put_flag(out, x.on);
  put_time(out, x.since);
  put_varint(out, x.version);
  put_flag(out, x.told);
  return out;
}

template <>
outcome<block_record> decode<block_record>(std::string_view bytes) {
  record_reader in(bytes, "block");
  block_record x;
  x.on = in.flag();
  x.since = in.time();
  x.version = in.varint();
  x.told = in.flag();
  return in.finish(std::move(x));
}

// -- erasure ----------------------------------------------------------------------------------------------------------
std::string encode(const erasure_record& x) {
  auto out = start_record(64 + x.reason.size());
  put_time(out, x.asked);
  put_text(out, x.by.str());
  put_text(out, x.reason);
  put_flag(out, x.keep_messages);
  put_time(out, x.completed);
  put_varint(out, x.rooms);
  put_varint(out, x.messages);
  return out;
}

template <>
outcome<erasure_record> decode<erasure_record>(std::string_view bytes) {
  record_reader in(bytes, "erasure");
  erasure_record x;
  x.asked = in.time();
  x.by = in.user();
  x.reason = in.string();
  x.keep_messages = in.flag();
  x.completed = in.time();
  x.rooms = in.varint();
  x.messages = in.varint();
  return in.finish(std::move(x));
}

// -- webhook ----------------------------------------------------------------------------------------------------------
std::string encode(const hook_record& x) {
  auto out = start_record(16);
  put_varint(out, x.seq);
  put_varint(out, x.turn);
  put_varint(out, x.open ? 1 : 0);
  return out;
}

template <>
outcome<hook_record> decode<hook_record>(std::string_view bytes) {
  record_reader in(bytes, "webhook");
  hook_record x;
  x.seq = in.varint();
  x.turn = in.varint();
  const auto open = in.varint();
  if (open > 1)
    in.fail();
  x.open = open == 1;
  return in.finish(std::move(x));
}

// -- account ----------------------------------------------------------------------------------------------------------
std::string encode(const account_record& x) {
  auto out = start_record(16 + x.password.size());
  put_text(out, x.password);
  put_time(out, x.created);
  put_flag(out, x.guest);
  put_flag(out, x.admin);
  return out;
}

template <>
outcome<account_record> decode<account_record>(std::string_view bytes) {
  record_reader in(bytes, "account");
  account_record x;
  x.password = in.string();
  x.created = in.time();
  x.guest = in.flag();
  x.admin = in.flag();
  return in.finish(std::move(x));
}

// -- session ----------------------------------------------------------------------------------------------------------
std::string encode(const session_record& x) {
  auto out = start_record(48 + x.device.size() + x.refresh.size() + x.family.size() + x.previous.size() + x.salt.size(),
                          session_version);
  put_text(out, x.device);
  put_time(out, x.created);
  put_time(out, x.expires);
  put_text(out, x.refresh);
  put_flag(out, x.revoked);
  put_text(out, x.family);
  put_text(out, x.previous);
  put_text(out, x.salt);
  put_time(out, x.rotated);
  return out;
}

template <>
outcome<session_record> decode<session_record>(std::string_view bytes) {
  record_reader in(bytes, "session", session_version);
  session_record x;
  x.device = in.string();
  x.created = in.time();
  x.expires = in.time();
  x.refresh = in.string();
  x.revoked = in.flag();
  if (in.version() > 1) {
    x.family = in.string();
    x.previous = in.string();
    x.salt = in.string();
    x.rotated = in.time();
  } else {
    x.family = x.refresh; // the one token of the session was never replaced: all that follow begin with it
  }
  return in.finish(std::move(x));
}

} // namespace greenroom::storage
