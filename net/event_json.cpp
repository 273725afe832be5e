#include "net/event_json.hpp"

namespace greenroom::net {

using json::append_array;
using json::append_string;
using json::object;

namespace {

void append(std::string& out, const std::vector<storage::message_fold::reaction>& reactions) {
  out += '{';
  for (const auto& r : reactions) {
    if (&r != &reactions.front())
      out += ',';
    append_string(out, r.emoji); // a client's word: not a name to be written as it is
    out += ':';
    object o(out);
    o.integer("count", r.count);
    if (r.mine)
      o.flag("mine", true);
  }
  out += '}';
}

} // namespace

/// Those that the room has.
void append_room_limits(object& o, const storage::room_limits& x) {
  if (!x.any())
    return;
  object limits(o.key("limits"));
  if (x.members != 0)
    limits.integer("members", x.members);
  if (x.text_bytes != 0)
    limits.integer("text_bytes", x.text_bytes);
  if (x.sends_per_s != 0)
    limits.integer("sends_per_s", x.sends_per_s);
}

std::string hex_of(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

void append_attachments(object& o, const std::vector<storage::attachment>& files) {
  auto& out = o.key("attachments");
  append_array(out, files, [&](const storage::attachment& file) {
    object a(out);
    a.text("id", file.id);
    a.text("name", file.name);
    a.text("type", file.type);
    a.integer("size", file.size);
    a.text("sha256", hex_of(file.sha256));
  });
}

void append(std::string& out, const room_id& room, const storage::event& e, const storage::message_fold* fold) {
  using storage::event_kind;
  const bool revoked = e.revoked || (fold != nullptr && fold->revoked);
  const bool edited = fold != nullptr && fold->edited != 0;
  object o(out);
  o.text("ev", to_string(e.kind));
  o.text("room", room.str());
  o.integer("seq", e.seq);
  o.integer("ts", e.ts);
  o.text("from", e.from.str());
  if (!e.key.empty())
    o.text("key", e.key);
  if (e.target != 0)
    o.integer("target", e.target);
  if (e.kind == event_kind::reaction) {
    o.text("emoji", e.text);
    o.flag("on", e.on);
  } else if (e.kind == event_kind::topic || e.kind == event_kind::room) {
    o.text("title", e.text);
  } else if (const auto& text = edited ? fold->text : e.text; !text.empty() && !revoked) {
    o.text("text", text);
  }
  if (!e.more->data.empty() && !revoked)
    o.raw("data", e.more->data);
  if (e.more->reply_to != 0)
    o.integer("reply_to", e.more->reply_to);
  if (!e.more->attachments.empty() && !revoked)
    append_attachments(o, e.more->attachments);
  if (!e.more->mentions.empty() && !revoked)
    append_array(o.key("mentions"), e.more->mentions, [&](const std::string& who) { append_string(out, who); });
  if (revoked)
    o.flag("revoked", true);
  if (edited && !revoked) {
    o.integer("edited", fold->edited);
    o.integer("edited_ts", fold->edited_ts);
  }
  if (fold != nullptr && !fold->reactions.empty() && !revoked)
    append(o.key("reactions"), fold->reactions);
  if (fold != nullptr && fold->replies != 0) {
    object replies(o.key("replies"));
    replies.integer("count", fold->replies);
    replies.integer("last", fold->last_reply);
  }
  if (e.kind == event_kind::member) {
    o.text("user", e.user.str());
    o.text("change", to_string(e.change));
    o.text("role", to_string(e.role));
    if (e.more->until != 0)
      o.integer("until", e.more->until);
    if (!e.more->reason.empty())
      o.text("reason", e.more->reason);
  }
  if (e.kind == event_kind::room) {
    o.text("kind", to_string(e.more->settings.kind));
    o.integer("history_days", e.more->settings.history_days);
    o.integer("slow_ms", e.more->settings.slow_ms);
    o.integer("history_events", e.more->settings.history_events);
    append_room_limits(o, e.more->settings.limits);
    if (e.more->settings.deleted)
      o.flag("deleted", true);
  }
}

} // namespace greenroom::net
