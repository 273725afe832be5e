#include "net/user_json.hpp"

namespace greenroom::net {
namespace {

using json::append_array;
using json::object;

void append_blocks(object& o, std::string& out, const std::vector<std::pair<user_id, int64_t>>& list) {
  append_array(o.key("blocks"), list, [&out](const auto& block) {
    object b(out);
    b.text("user", block.first.str());
    b.integer("since", block.second);
  });
}

void append_fields(object& o, const storage::erasure_record& x) {
  o.text("by", x.by.str());
  o.integer("asked", x.asked);
  if (!x.reason.empty())
    o.text("reason", x.reason);
  o.flag("keep_messages", x.keep_messages);
  o.integer("rooms", x.rooms);
  o.integer("messages", x.messages);
  if (x.completed != 0)
    o.integer("completed", x.completed);
}

} // namespace

void append_user_part(std::string& out, const ok::blocks& x) {
  object o(out);
  append_blocks(o, out, x.list);
  if (!x.next.empty())
    o.text("next", x.next);
}

void append_user_part(std::string& out, const ok::erasure& x) {
  object o(out);
  o.text("user", x.user.str());
  append_fields(o, x.what);
  o.integer("rooms_left", x.rooms_left);
}

void append_user_part(std::string& out, const ok::about_user& x) {
  object o(out);
  o.text("part", "user");
  o.text("user", x.user.str());
  if (x.what->account) {
    object a(o.key("account"));
    a.integer("created", x.what->account->created);
    a.flag("guest", x.what->account->guest);
    a.flag("admin", x.what->account->admin);
  }
  if (x.what->profile) {
    object p(o.key("profile"));
    p.text("name", x.what->profile->name);
    p.text("avatar", x.what->profile->avatar);
    p.raw("fields", x.what->profile->fields.empty() ? "{}" : x.what->profile->fields);
    p.integer("changed", x.what->profile->changed);
  }
  if (x.what->presence) {
    object p(o.key("presence"));
    p.text("status", to_string(x.what->presence->status));
    p.text("note", x.what->presence->note);
    p.integer("changed", x.what->presence->changed);
  }
  append_array(o.key("sessions"), x.what->sessions, [&out](const auto& session) {
    object s(out);
    s.text("session", session.first);
    s.text("device", session.second.device);
    s.integer("created", session.second.created);
    s.integer("expires", session.second.expires);
    if (session.second.rotated != 0)
      s.integer("refreshed", session.second.rotated);
    s.flag("revoked", session.second.revoked);
  });
  append_blocks(o, out, x.what->blocks);
  if (x.what->erasure) {
    object e(o.key("erasure"));
    append_fields(e, *x.what->erasure);
  }
}

void append_user_part(std::string& out, const ok::about_rooms& x) {
  object o(out);
  o.text("part", "rooms");
  append_array(o.key("rooms"), x.list, [&out](const auto& room) {
    object r(out);
    r.text("room", room.first.str());
    r.text("epoch", room.second.epoch);
    r.text("kind", to_string(room.second.kind));
    r.text("role", to_string(room.second.role));
    r.integer("since", room.second.since);
    r.integer("read", room.second.read);
    r.integer("delivered", room.second.delivered);
    r.flag("left", room.second.left);
  });
}

void append_user_part(std::string& out, const ok::about_threads& x) {
  object o(out);
  o.text("part", "threads");
  o.text("room", x.room.str());
  append_array(o.key("threads"), x.list, [&out](const auto& thread) {
    object t(out);
    t.integer("target", thread.first);
    t.integer("read", thread.second);
  });
}

void append_user_part(std::string& out, const ok::about_events& x, const std::function<void(object&)>& events) {
  object o(out);
  o.text("part", "events");
  o.text("room", x.what.room.str());
  o.text("epoch", x.what.epoch);
  o.text("role", to_string(x.role));
  // As in a list of members: without a time, for ever.
  for (auto [what, until, ms] :
       {std::tuple{"muted", "muted_until", x.muted_until}, std::tuple{"banned", "banned_until", x.banned_until}}) {
    if (ms != 0)
      o.flag(what, true);
    if (ms != 0 && ms != INT64_MAX)
      o.integer(until, ms);
  }
  events(o);
  append_array(o.key("mentions"), x.mentions, [&out](const ok::about_events::mention& mention) {
    object m(out);
    m.integer("seq", mention.seq);
    m.integer("ts", mention.ts);
    m.text("from", mention.from.str());
  });
}

} // namespace greenroom::net
