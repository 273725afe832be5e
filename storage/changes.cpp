#include "storage/changes.hpp"

#include "storage/record_reader.hpp"

namespace greenroom::storage {
namespace {

/// Version 1 of a message's state knew no threads.
constexpr uint8_t state_version = 2;

} // namespace

std::string encode(const message_state& x) {
  auto out = start_record(32 + x.text.size() + 8 * x.edits.size() + 16 * x.reactions.size(), state_version);
  put_varint(out, x.changed);
  put_varint(out, x.edited);
  put_time(out, x.edited_ts);
  put_text(out, x.text);
  put_varint(out, x.revoked);
  put_varint(out, x.edits.size());
  for (auto seq : x.edits)
    put_varint(out, seq);
  put_varint(out, x.reactions.size());
  for (const auto& [emoji, count] : x.reactions) {
    put_text(out, emoji);
    put_varint(out, count);
  }
  put_varint(out, x.replies);
  put_varint(out, x.last_reply);
  return out;
}

template <>
outcome<message_state> decode<message_state>(std::string_view bytes) {
  record_reader in(bytes, "message state", state_version);
  message_state x;
  x.changed = in.varint();
  x.edited = in.varint();
  x.edited_ts = in.time();
  x.text = in.string();
  x.revoked = in.varint();
  for (auto n = in.count(); in.good() && n > 0; --n)
    x.edits.push_back(in.varint());
  for (auto n = in.count(); in.good() && n > 0; --n) {
    auto emoji = in.string();
    x.reactions.emplace_back(std::move(emoji), in.varint());
  }
  if (in.version() > 1) {
    x.replies = in.varint();
    x.last_reply = in.varint();
  }
  return in.finish(std::move(x));
}

std::string encode(const own_reactions& x) {
  auto out = start_record(24 + 8 * x.emojis.size());
  put_varint(out, x.changed);
  put_time(out, x.ts);
  put_varint(out, x.emojis.size());
  for (const auto& emoji : x.emojis)
    put_text(out, emoji);
  return out;
}

template <>
outcome<own_reactions> decode<own_reactions>(std::string_view bytes) {
  record_reader in(bytes, "reactions");
  own_reactions x;
  x.changed = in.varint();
  x.ts = in.time();
  for (auto n = in.count(); in.good() && n > 0; --n)
    x.emojis.push_back(in.string());
  return in.finish(std::move(x));
}

} // namespace greenroom::storage
