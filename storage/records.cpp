#include "storage/records.hpp"

#include "storage/coding.hpp"

#include <sodium.h>

namespace greenroom::storage {
namespace {

/// The first byte of every stored record. A record of another form gets another version, and decode() learns both.
constexpr uint8_t record_version = 1;

std::string start(size_t size_hint) {
  std::string out;
  out.reserve(size_hint);
  out.push_back(static_cast<char>(record_version));
  return out;
}

template <class Enum>
void put_enum(std::string& out, Enum value) {
  out.push_back(static_cast<char>(value));
}

/// Times are counted from 1970, and older ones are possible in theory only; as 64 bits they survive all the same.
void put_time(std::string& out, int64_t ms) { put_varint(out, static_cast<uint64_t>(ms)); }

/// byte_reader with the words of our records.
class record_reader : public byte_reader {
public:
  record_reader(std::string_view bytes, const char* what) : byte_reader(bytes), what_(what) {
    if (byte() != record_version)
      fail();
  }

  template <class Enum>
  Enum one_of(Enum least, Enum greatest) noexcept {
    auto value = byte();
    if (value >= static_cast<uint8_t>(least) && value <= static_cast<uint8_t>(greatest))
      return static_cast<Enum>(value);
    fail();
    return least;
  }

  room_kind kind() noexcept { return one_of(room_kind::public_, room_kind::direct); }
  member_role role() noexcept { return one_of(member_role::none, member_role::owner); }
  member_change change() noexcept { return one_of(member_change::none, member_change::left); }
  int64_t time() noexcept { return static_cast<int64_t>(varint()); }
  std::string string() { return std::string(text()); }

  user_id user() {
    auto parsed = user_id::parse(text());
    return parsed ? std::move(*parsed) : (fail(), user_id{});
  }
  user_id user_or_none() {
    auto bytes = text();
    if (bytes.empty())
      return {};
    auto parsed = user_id::parse(bytes);
    return parsed ? std::move(*parsed) : (fail(), user_id{});
  }
  room_id room() {
    auto parsed = room_id::parse(text());
    return parsed ? std::move(*parsed) : (fail(), room_id{});
  }

  template <class Record>
  outcome<Record> finish(Record&& record) {
    if (!finished())
      return greenroom::fail(errc::internal, std::string("storage: not a valid ") + what_ + " record");
    return std::move(record);
  }

  using byte_reader::fail;

private:
  const char* what_;
};

} // namespace

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

std::string_view to_string(member_role x) noexcept {
  switch (x) {
  case member_role::none:
    return "none";
  case member_role::guest:
    return "guest";
  case member_role::member:
    return "member";
  case member_role::moderator:
    return "moderator";
  case member_role::owner:
    return "owner";
  }
  return "unknown";
}

std::string_view to_string(event_kind x) noexcept {
  switch (x) {
  case event_kind::message:
    return "message";
  case event_kind::edited:
    return "edited";
  case event_kind::revoked:
    return "revoked";
  case event_kind::reaction:
    return "reaction";
  case event_kind::member:
    return "member";
  case event_kind::topic:
    return "topic";
  case event_kind::pinned:
    return "pinned";
  case event_kind::unpinned:
    return "unpinned";
  }
  return "unknown";
}

std::string_view to_string(member_change x) noexcept {
  switch (x) {
  case member_change::none:
    return "none";
  case member_change::joined:
    return "joined";
  case member_change::left:
    return "left";
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

// -- event ------------------------------------------------------------------------------------------------------------
std::string encode(const event& x) {
  auto out = start(48 + x.key.size() + x.text.size() + x.data.size());
  put_enum(out, x.kind);
  put_varint(out, x.seq);
  put_time(out, x.ts);
  put_text(out, x.from.str());
  put_text(out, x.key);
  put_text(out, x.text);
  put_text(out, x.data);
  put_varint(out, x.reply_to);
  put_varint(out, x.attachments.size());
  for (auto& attachment : x.attachments)
    put_text(out, attachment);
  put_text(out, x.user.str());
  put_enum(out, x.change);
  put_enum(out, x.role);
  return out;
}

template <>
outcome<event> decode<event>(std::string_view bytes) {
  record_reader in(bytes, "event");
  event x;
  x.kind = in.one_of(event_kind::message, event_kind::unpinned);
  x.seq = in.varint();
  x.ts = in.time();
  x.from = in.user_or_none();
  x.key = in.string();
  x.text = in.string();
  x.data = in.string();
  x.reply_to = in.varint();
  auto attachments = in.varint();
  // Each takes a byte at least: a count beyond that is a lie, and must not reserve memory.
  if (attachments > in.left())
    in.fail();
  for (uint64_t i = 0; in.good() && i < attachments; ++i)
    x.attachments.push_back(in.string());
  x.user = in.user_or_none();
  x.change = in.change();
  x.role = in.role();
  return in.finish(std::move(x));
}

// -- room -------------------------------------------------------------------------------------------------------------
std::string encode(const room_record& x) {
  auto out = start(64 + x.title.size());
  put_text(out, x.epoch);
  put_enum(out, x.kind);
  put_text(out, x.title);
  put_text(out, x.creator.str());
  put_time(out, x.created);
  put_varint(out, x.history_days);
  put_varint(out, x.first);
  return out;
}

template <>
outcome<room_record> decode<room_record>(std::string_view bytes) {
  record_reader in(bytes, "room");
  room_record x;
  x.epoch = in.string();
  x.kind = in.kind();
  x.title = in.string();
  x.creator = in.user_or_none();
  x.created = in.time();
  x.history_days = in.varint32();
  x.first = in.varint();
  return in.finish(std::move(x));
}

// -- member -----------------------------------------------------------------------------------------------------------
std::string encode(const member_record& x) {
  auto out = start(12);
  put_enum(out, x.role);
  put_varint(out, x.since);
  return out;
}

template <>
outcome<member_record> decode<member_record>(std::string_view bytes) {
  record_reader in(bytes, "member");
  member_record x;
  x.role = in.role();
  x.since = in.varint();
  return in.finish(std::move(x));
}

// -- key --------------------------------------------------------------------------------------------------------------
std::string encode(const key_record& x) {
  auto out = start(32);
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
  auto out = start(128);
  put_text(out, x.room.str());
  put_text(out, x.epoch);
  put_varint(out, x.seq);
  put_text(out, x.user.str());
  put_enum(out, x.change);
  put_enum(out, x.role);
  put_enum(out, x.kind);
  return out;
}

template <>
outcome<effect_record> decode<effect_record>(std::string_view bytes) {
  record_reader in(bytes, "effect");
  effect_record x;
  x.room = in.room();
  x.epoch = in.string();
  x.seq = in.varint();
  x.user = in.user();
  x.change = in.change();
  x.role = in.role();
  x.kind = in.kind();
  return in.finish(std::move(x));
}

// -- a room in a user's list ------------------------------------------------------------------------------------------
std::string encode(const listed_room& x) {
  auto out = start(48);
  put_text(out, x.epoch);
  put_enum(out, x.kind);
  put_enum(out, x.role);
  put_varint(out, x.since);
  put_varint(out, x.read);
  put_flag(out, x.left);
  return out;
}

template <>
outcome<listed_room> decode<listed_room>(std::string_view bytes) {
  record_reader in(bytes, "listed room");
  listed_room x;
  x.epoch = in.string();
  x.kind = in.kind();
  x.role = in.role();
  x.since = in.varint();
  x.read = in.varint();
  x.left = in.flag();
  return in.finish(std::move(x));
}

// -- a room's activity in a user's inbox ------------------------------------------------------------------------------
std::string encode(const activity_record& x) {
  auto out = start(32);
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

// -- account ----------------------------------------------------------------------------------------------------------
std::string encode(const account_record& x) {
  auto out = start(16 + x.password.size());
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
  auto out = start(32 + x.device.size() + x.refresh.size());
  put_text(out, x.device);
  put_time(out, x.created);
  put_time(out, x.expires);
  put_text(out, x.refresh);
  put_flag(out, x.revoked);
  return out;
}

template <>
outcome<session_record> decode<session_record>(std::string_view bytes) {
  record_reader in(bytes, "session");
  session_record x;
  x.device = in.string();
  x.created = in.time();
  x.expires = in.time();
  x.refresh = in.string();
  x.revoked = in.flag();
  return in.finish(std::move(x));
}

} // namespace greenroom::storage
