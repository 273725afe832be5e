#include "storage/event.hpp"

#include "storage/record_reader.hpp"

namespace greenroom::storage {
namespace {

/// Version 1 had the same fields for every kind, and none of what changes messages; version 2 did not count them; up to
/// version 3 there were no limits of rooms, and no attachments, but a place for their ids.
constexpr uint8_t event_version = 4;

// Which parts of a message follow.
constexpr uint8_t has_data = 1;
constexpr uint8_t has_reply_to = 2;
constexpr uint8_t has_attachments = 4;
constexpr uint8_t is_revoked = 8;
constexpr uint8_t has_mentions = 16;
constexpr uint8_t all_parts = has_data | has_reply_to | has_attachments | is_revoked | has_mentions;

void put_texts(std::string& out, const std::vector<std::string>& texts) {
  put_varint(out, texts.size());
  for (const auto& text : texts)
    put_text(out, text);
}

void read_texts(record_reader& in, std::vector<std::string>& texts) {
  for (auto n = in.count(); in.good() && n > 0; --n)
    texts.push_back(in.string());
}

void put_attachments(std::string& out, const std::vector<attachment>& files) {
  put_varint(out, files.size());
  for (const auto& file : files) {
    put_text(out, file.id);
    put_text(out, file.name);
    put_text(out, file.type);
    put_varint(out, file.size);
    put_text(out, file.sha256);
  }
}

void read_attachments(record_reader& in, std::vector<attachment>& files) {
  for (auto n = in.count(); in.good() && n > 0; --n) {
    attachment file;
    file.id = in.string();
    if (in.version() > 3) {
      file.name = in.string();
      file.type = in.string();
      file.size = in.varint();
      file.sha256 = in.string();
    }
    files.push_back(std::move(file));
  }
}

void put_message(std::string& out, const event& x) {
  const auto& more = *x.more;
  uint8_t parts = 0;
  parts |= more.data.empty() ? 0 : has_data;
  parts |= more.reply_to == 0 ? 0 : has_reply_to;
  parts |= more.attachments.empty() ? 0 : has_attachments;
  parts |= x.revoked ? is_revoked : 0;
  parts |= more.mentions.empty() ? 0 : has_mentions;
  out.push_back(static_cast<char>(parts));
  put_text(out, x.key);
  put_text(out, x.text);
  if (parts & has_data)
    put_text(out, more.data);
  if (parts & has_reply_to)
    put_varint(out, more.reply_to);
  if (parts & has_attachments)
    put_attachments(out, more.attachments);
  if (parts & has_mentions)
    put_texts(out, more.mentions);
}

void read_message(record_reader& in, event& x) {
  auto parts = in.byte();
  if ((parts & ~all_parts) != 0)
    in.fail();
  x.revoked = (parts & is_revoked) != 0;
  x.key = in.string();
  x.text = in.string();
  // A part that is there and empty was not written by us.
  if (parts & has_data && (x.more.edit().data = in.string()).empty())
    in.fail();
  if (parts & has_reply_to && (x.more.edit().reply_to = in.varint()) == 0)
    in.fail();
  // A list that is there and empty, likewise.
  if (parts & has_attachments) {
    read_attachments(in, x.more.edit().attachments);
    if (x.more->attachments.empty())
      in.fail();
  }
  if (parts & has_mentions) {
    read_texts(in, x.more.edit().mentions);
    if (x.more->mentions.empty())
      in.fail();
  }
}

void read_version_1(record_reader& in, event& x) {
  x.key = in.string();
  x.text = in.string();
  if (auto data = in.string(); !data.empty())
    x.more.edit().data = std::move(data);
  if (auto reply_to = in.varint(); reply_to != 0)
    x.more.edit().reply_to = reply_to;
  std::vector<attachment> attachments;
  read_attachments(in, attachments);
  if (!attachments.empty())
    x.more.edit().attachments = std::move(attachments);
  x.user = in.user_or_none();
  x.change = in.change();
  x.role = in.role();
}

} // namespace

std::string encode(const event& x) {
  auto out = start_record(48 + x.key.size() + x.text.size() + x.more->data.size(), event_version);
  put_enum(out, x.kind);
  put_varint(out, x.seq);
  put_time(out, x.ts);
  put_text(out, x.from.str());
  put_varint(out, x.messages);
  switch (x.kind) {
  case event_kind::message:
    put_message(out, x);
    break;
  case event_kind::edited:
    put_varint(out, x.target);
    put_text(out, x.key);
    put_flag(out, x.revoked);
    put_text(out, x.text);
    break;
  case event_kind::revoked:
    put_varint(out, x.target);
    put_text(out, x.key);
    break;
  case event_kind::reaction:
    put_varint(out, x.target);
    put_text(out, x.key);
    put_flag(out, x.on);
    put_text(out, x.text);
    break;
  case event_kind::member:
    put_text(out, x.user.str());
    put_enum(out, x.change);
    put_enum(out, x.role);
    put_text(out, x.more->reason);
    put_time(out, x.more->until);
    break;
  case event_kind::topic:
    put_text(out, x.text);
    break;
  case event_kind::pinned:
  case event_kind::unpinned:
    put_varint(out, x.target);
    break;
  case event_kind::room:
    put_text(out, x.text);
    put_enum(out, x.more->settings.kind);
    put_varint(out, x.more->settings.history_days);
    put_varint(out, x.more->settings.slow_ms);
    put_flag(out, x.on);
    put_varint(out, x.more->settings.history_events);
    put_flag(out, x.more->settings.deleted);
    put_limits(out, x.more->settings.limits);
    break;
  }
  return out;
}

template <>
outcome<event> decode<event>(std::string_view bytes) {
  record_reader in(bytes, "event", event_version);
  event x;
  x.kind = in.one_of(event_kind::message, event_kind::room);
  x.seq = in.varint();
  x.ts = in.time();
  x.from = in.user_or_none();
  // What was not counted counts one each, whatever it was: as unread counts did then.
  x.messages = in.version() > 2 ? in.varint() : x.seq;
  if (in.version() == 1) {
    read_version_1(in, x);
    return in.finish(std::move(x));
  }
  switch (x.kind) {
  case event_kind::message:
    read_message(in, x);
    break;
  case event_kind::edited:
    x.target = in.varint();
    x.key = in.string();
    x.revoked = in.flag();
    x.text = in.string();
    break;
  case event_kind::revoked:
    x.target = in.varint();
    x.key = in.string();
    break;
  case event_kind::reaction:
    x.target = in.varint();
    x.key = in.string();
    x.on = in.flag();
    x.text = in.string();
    break;
  case event_kind::member:
    x.user = in.user_or_none();
    x.change = in.change();
    x.role = in.role();
    if (auto reason = in.string(); !reason.empty())
      x.more.edit().reason = std::move(reason);
    if (auto until = in.time(); until != 0)
      x.more.edit().until = until;
    break;
  case event_kind::topic:
    x.text = in.string();
    break;
  case event_kind::pinned:
  case event_kind::unpinned:
    x.target = in.varint();
    break;
  case event_kind::room:
    x.text = in.string();
    x.more.edit().settings.kind = in.kind();
    x.more.edit().settings.history_days = in.varint32();
    x.more.edit().settings.slow_ms = in.varint32();
    x.on = in.flag();
    if (in.version() > 2) {
      x.more.edit().settings.history_events = in.varint();
      x.more.edit().settings.deleted = in.flag();
    }
    if (in.version() > 3)
      x.more.edit().settings.limits = in.limits();
    break;
  }
  return in.finish(std::move(x));
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
  case event_kind::room:
    return "room";
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
  case member_change::invited:
    return "invited";
  case member_change::kicked:
    return "kicked";
  case member_change::banned:
    return "banned";
  case member_change::unbanned:
    return "unbanned";
  case member_change::muted:
    return "muted";
  case member_change::unmuted:
    return "unmuted";
  case member_change::role:
    return "role";
  }
  return "unknown";
}

} // namespace greenroom::storage
