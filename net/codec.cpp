#include "net/codec.hpp"

#include "net/event_json.hpp"
#include "net/hook_json.hpp"
#include "net/json.hpp"
#include "net/json_document.hpp"
#include "net/op_reader.hpp"
#include "net/user_json.hpp"
#include "net/ws_frame.hpp"

#include <algorithm>

namespace greenroom::net {
namespace {

using json::append_array;
using json::object;

// What a thread's buffers may keep: a rare long page must not hold on to its memory.
constexpr size_t kept_bytes = 256 * 1024;

// -- reading ----------------------------------------------------------------------------------------------------------

bool answered_without_id(std::string_view op) noexcept { return op == "typing" || op == "read" || op == "delivered"; }

// An unknown op is repeated in the answer only if it cannot garble a log or fill the frame.
std::string unknown(std::string_view op) {
  const bool printable =
      op.size() <= 32 && std::all_of(op.begin(), op.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return printable ? "op: " + std::string(op) + " is not served by this server" : "op: not served by this server";
}

// -- writing ----------------------------------------------------------------------------------------------------------

/// Lets `write` append JSON to a buffer that lives on, so that a frame costs one allocation of its exact size.
template <class Write>
frame make_frame(Write write) {
  thread_local std::string scratch;
  scratch.clear();
  write(scratch);
  auto result = ws_text(scratch);
  if (scratch.capacity() > kept_bytes)
    std::string().swap(scratch);
  return result;
}

void append_fields(object& o, const appearance& x) {
  o.text("user", x.user.str());
  o.text("status", to_string(x.status));
  if (!x.note.empty())
    o.text("note", x.note);
}

void append_fields(object& o, const ok::room_summary& x) {
  o.text("room", x.room.str());
  o.text("epoch", x.epoch);
  o.integer("seq", x.seq);
  o.integer("read", x.read);
  o.text("role", to_string(x.role));
  o.text("kind", to_string(x.kind));
  o.flag("subscribed", x.subscribed);
}

/// Whether it holds, and until when where that is known.
void append_sentence(object& o, std::string_view what, std::string_view until, int64_t ms) {
  if (ms != 0)
    o.flag(what, true);
  if (ms != 0 && ms != INT64_MAX)
    o.integer(until, ms);
}

/// Where the next page begins; a last page has no `next`.
void append_next(object& o, const std::string& next) {
  if (!next.empty())
    o.text("next", next);
}

void append(std::string& out, const ok::resumption& x) {
  object o(out);
  if (x.error) {
    object error(o.key("error"));
    error.text("code", to_string(x.error->code));
    error.text("message", x.error->message);
    return;
  }
  o.flag("recovered", x.recovered);
  o.text("epoch", x.epoch);
  o.integer("seq", x.seq);
}

/// The "ok" object of each kind of answer.
struct ok_writer {
  std::string& out;
  const std::function<const limits*()>& limits_in_force;

  void operator()(const ok::none&) const { object{out}; }
  void operator()(const ok::hello& x) const {
    const auto bounds = limits_in_force();
    object o(out);
    o.text("session", x.session);
    o.text("user", x.user.str());
    o.text("node", x.node);
    o.text("server", "greenroom/" GREENROOM_VERSION);
    o.integer("time", x.time);
    o.integer("ping_ms", bounds->ping_ms);
    o.integer("expires_at", x.expires_at);
    append_limits(o.key("limits"), *bounds);
    append_array(o.key("rooms"), x.rooms, [this](const ok::room_summary& room) {
      object r(out);
      append_fields(r, room);
    });
    o.flag("more", x.more);
    {
      object presence(o.key("presence"));
      presence.text("status", to_string(x.presence.status));
      if (!x.presence.note.empty())
        presence.text("note", x.presence.note);
    }
    object resumed(o.key("resumed"));
    for (auto& room : x.resumed)
      append(resumed.key(room.room.str()), room);
  }
  static void append_limits(std::string& to, const limits& x) {
    object o(to);
    o.integer("frame_bytes", x.frame_bytes);
    o.integer("message_bytes", x.message_bytes);
    o.integer("text_bytes", x.text_bytes);
    o.integer("data_bytes", x.data_bytes);
    o.integer("in_flight", x.in_flight);
    o.integer("sends_per_s", x.sends_per_s);
    o.integer("hello_rooms", x.hello_rooms);
    o.integer("subscriptions", x.subscriptions);
    o.integer("watched", x.watched);
    o.integer("resume_events", x.resume_events);
  }

  void operator()(const ok::refresh& x) const { object(out).integer("expires_at", x.expires_at); }
  void operator()(const ok::ping& x) const { object(out).integer("time", x.time); }
  void operator()(const ok::webhooks& x) const { append_webhooks(out, x); }
  void operator()(const ok::replay& x) const { append_replay(out, x); }

  void operator()(const ok::created& x) const {
    object o(out);
    o.text("room", x.room.str());
    o.text("epoch", x.epoch);
    o.integer("seq", x.seq);
  }

  void operator()(const ok::joined& x) const {
    object o(out);
    o.text("epoch", x.epoch);
    o.integer("seq", x.seq);
    o.text("role", to_string(x.role));
    o.integer("member_count", x.member_count);
    o.integer("online_count", x.online_count);
    if (x.recovered)
      o.flag("recovered", *x.recovered);
  }

  void operator()(const ok::left& x) const { object(out).integer("seq", x.seq); }
  void operator()(const ok::changed& x) const { object(out).integer("seq", x.seq); }
  void operator()(const ok::room& x) const {
    object o(out);
    o.text("room", x.room.str());
    o.text("epoch", x.what->epoch);
    o.integer("seq", x.seq);
    o.text("kind", to_string(x.what->kind));
    o.text("title", x.what->title);
    o.text("topic", x.what->topic);
    append_array(o.key("pins"), x.what->pins, [this](uint64_t seq) { out.append(std::to_string(seq)); });
    o.integer("history_days", x.what->history_days);
    o.integer("slow_ms", x.what->slow_ms);
    o.integer("history_events", x.what->history_events);
    append_room_limits(o, x.what->limits);
    o.integer("first", x.what->first);
    o.integer("created", x.what->created);
    if (!x.what->creator.empty())
      o.text("creator", x.what->creator.str());
    o.text("role", to_string(x.role));
    o.integer("member_count", x.member_count);
  }

  void operator()(const ok::sent& x) const {
    object o(out);
    o.text("room", x.room.str());
    o.text("epoch", x.epoch);
    o.integer("seq", x.seq);
    o.integer("ts", x.ts);
    {
      object stored(o.key("stored"));
      stored.integer("replicas", x.replicas);
      stored.integer("synced", x.synced);
    }
    if (x.duplicate)
      o.flag("duplicate", true);
  }

  void operator()(const ok::kept& x) const {
    object o(out);
    o.text("room", x.room.str());
    o.text("epoch", x.epoch);
    o.text("key", x.key);
    o.integer("at", x.at);
    if (x.duplicate)
      o.flag("duplicate", true);
  }

  void operator()(const ok::scheduled& x) const {
    object o(out);
    append_array(o.key("sends"), x.list, [&](const storage::scheduled_send& send) {
      object s(out);
      s.text("room", x.room.str());
      s.text("key", send.key);
      s.integer("at", send.at);
      if (!send.text.empty())
        s.text("text", send.text);
      if (!send.data.empty())
        s.raw("data", send.data);
      if (send.reply_to != 0)
        s.integer("reply_to", send.reply_to);
      if (!send.attachments.empty())
        append_attachments(s, send.attachments);
    });
    append_next(o, x.next);
  }

  void operator()(const ok::thread& x) const {
    object o(out);
    append_events(o, x.what);
    o.flag("more", x.what.more);
    o.text("epoch", x.what.epoch);
    o.integer("as_of", x.what.as_of);
    o.integer("read", x.read);
  }

  void append_events(object& o, const ok::page& x) const {
    auto fold = x.folds.begin(); // both are in order
    append_array(o.key("events"), x.events, [&](const storage::event& e) {
      while (fold != x.folds.end() && fold->seq < e.seq)
        ++fold;
      net::append(out, x.room, e, fold != x.folds.end() && fold->seq == e.seq ? &*fold : nullptr);
    });
  }
  void operator()(const ok::page& x) const {
    object o(out);
    append_events(o, x);
    o.flag("more", x.more);
    if (!x.epoch.empty()) // a direct room that nobody has used has none
      o.text("epoch", x.epoch);
    o.integer("first", x.first);
    o.integer("as_of", x.as_of);
  }

  void operator()(const ok::read& x) const { object(out).integer("seq", x.seq); }

  void operator()(const ok::profile& x) const {
    object o(out);
    o.text("user", x.user.str());
    o.text("name", x.what.name);
    o.text("avatar", x.what.avatar);
    o.raw("fields", x.what.fields.empty() ? "{}" : x.what.fields);
    if (x.what.changed != 0)
      o.integer("changed", x.what.changed);
  }

  void operator()(const ok::presence& x) const {
    object o(out);
    append_fields(o, x.what);
  }

  void operator()(const ok::watched& x) const {
    object o(out);
    append_array(o.key("users"), x.users, [this](const appearance& user) {
      object u(out);
      append_fields(u, user);
    });
  }

  void operator()(const ok::members& x) const {
    object o(out);
    append_array(o.key("members"), x.list, [this](const ok::member& member) {
      object m(out);
      m.text("user", member.user.str());
      m.text("role", to_string(member.role));
      m.flag("online", member.status != seen_as::offline);
      if (member.status == seen_as::away || member.status == seen_as::dnd)
        m.text("status", to_string(member.status));
      append_sentence(m, "muted", "muted_until", member.muted_until);
      append_sentence(m, "banned", "banned_until", member.banned_until);
    });
    append_next(o, x.next);
  }

  void operator()(const ok::rooms& x) const {
    object o(out);
    append_array(o.key("rooms"), x.list, [this](const ok::inbox_room& room) {
      object r(out);
      append_fields(r, room.summary);
      r.integer("unread", room.unread);
      r.integer("mentions", room.mentions);
      if (room.last)
        net::append(r.key("last"), room.summary.room, *room.last);
    });
    append_next(o, x.next);
  }

  void operator()(const ok::file& x) const {
    using stage = storage::file_record::stage;
    object o(out);
    o.text("room", x.room.str());
    o.text("id", x.id);
    o.text("user", x.what->owner.str());
    o.text("name", x.what->name);
    o.text("type", x.what->type);
    o.integer("size", x.what->size);
    o.integer("offset", x.what->received);
    o.integer("chunk_bytes", x.what->chunk_bytes);
    if (!x.what->sha256.empty())
      o.text("sha256", hex_of(x.what->sha256));
    o.flag("complete", x.what->at != stage::uploading);
    o.integer("created", x.what->created);
    if (x.what->at != stage::used)
      o.integer("expires_at", x.what->expires);
  }

  // The refresh token is for REST alone, which makes its answer with the signed token itself.
  void operator()(const ok::grant& x) const {
    object o(out);
    o.text("user", x.who.user.str());
    o.text("session", x.who.session);
    o.integer("expires_at", x.who.expires_at);
  }

  void operator()(const ok::about_events& x) const {
    append_user_part(out, x, [&](object& o) { append_events(o, x.what); });
  }
  template <class Part> // the others of user_json.hpp
  void operator()(const Part& x) const {
    append_user_part(out, x);
  }
  void operator()(const ok::sessions& x) const {
    object o(out);
    append_array(o.key("sessions"), x.list, [this](const ok::live_session& session) {
      object s(out);
      s.text("user", session.user.str());
      s.text("session", session.session);
      s.text("device", session.device);
      s.text("node", session.node);
      s.integer("since", session.since);
      s.integer("queued_bytes", session.queued_bytes);
    });
    append_next(o, x.next);
  }
};

} // namespace

std::variant<request, bad_frame> decode(std::string_view text, const limits& bounds) {
  if (text.size() > bounds.frame_bytes)
    return bad_frame{json::peek_id(text),
                     fail(errc::too_large, "frame: " + std::to_string(text.size()) + " bytes, at most " +
                                               std::to_string(bounds.frame_bytes) + " (limits.frame_bytes)")};
  thread_local json::document fields;
  fields.shrink(kept_bytes);
  if (auto parsed = fields.parse(text, bounds.json_depth); !parsed) {
    auto why = fail(parsed.error().code, "frame: " + parsed.error().message);
    const bool not_an_object = why.code == errc::bad_request;
    return bad_frame{not_an_object ? std::nullopt : json::peek_id(text), std::move(why), not_an_object};
  }

  std::optional<int64_t> id;
  if (auto given = fields.find("id"); given && !given.is_null()) {
    auto number = given.whole();
    if (!number || *number < 1 || *number > json::integer_max)
      return bad_frame{std::nullopt, fail(errc::bad_request, "id: must be an integer from 1 to 9007199254740991")};
    id = static_cast<int64_t>(*number);
  }
  auto op = fields.find("op").text();
  if (!op)
    return bad_frame{id, fail(errc::bad_request, "op: required, must be a string")};
  if (!knows_op(*op))
    return bad_frame{id, fail(errc::unsupported, unknown(*op))};
  if (!id && !answered_without_id(*op))
    return bad_frame{std::nullopt, fail(errc::bad_request, "id: required for " + std::string(*op))};
  auto what = read_op(*op, fields.root(), bounds);
  if (!what)
    return bad_frame{id, std::move(what).error()};
  return request{id, std::move(*what)};
}

frame json_encoder::answer(std::optional<int64_t> re, const greenroom::answer& what) const {
  return make_frame([&](std::string& out) {
    object o(out);
    if (re)
      o.integer("re", *re);
    else
      o.raw("re", "null");
    if (what)
      append(o.key("ok"), *what);
    else
      json::append_failure(o.key("error"), what.error());
  });
}

frame json_encoder::event(const room_id& room, const storage::event& e) const {
  return make_frame([&](std::string& out) { net::append(out, room, e); });
}

frame json_encoder::subscribed(const room_id& room, const position& from) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "subscribed");
    o.text("room", room.str());
    o.text("epoch", from.epoch);
    o.integer("seq", from.seq);
  });
}

frame json_encoder::typing(const room_id& room, const user_id& user, bool on) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "typing");
    o.text("room", room.str());
    o.text("user", user.str());
    o.flag("on", on);
  });
}

frame json_encoder::ephemeral(const room_id& room, const user_id& from, int64_t ts, std::string_view text,
                              std::string_view data) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "ephemeral");
    o.text("room", room.str());
    o.integer("ts", ts);
    o.text("from", from.str());
    if (!text.empty())
      o.text("text", text);
    if (!data.empty())
      o.raw("data", data);
  });
}

frame json_encoder::read(const room_id& room, const user_id& user, uint64_t seq, bool arrived) const {
  return make_frame([&](std::string& out) {
    object o(out);
    if (arrived)
      o.text("ev", "delivered");
    else
      o.text("ev", "read");
    o.text("room", room.str());
    o.text("user", user.str());
    o.integer("seq", seq);
  });
}

frame json_encoder::presence(const presence_news& news) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "presence");
    if (!news.rooms.empty())
      append_array(o.key("rooms"), news.rooms, [&](const room_presence& room) {
        object r(out);
        r.text("room", room.room.str());
        r.integer("online_count", room.online);
        if (room.whole)
          r.flag("all", true);
        if (!room.users.empty())
          append_array(r.key("users"), room.users, [&](const auto& user) {
            object u(out);
            u.text("user", user.first.str());
            u.text("status", to_string(user.second));
          });
      });
    if (!news.users.empty())
      append_array(o.key("users"), news.users, [&](const appearance& user) {
        object u(out);
        append_fields(u, user);
      });
    if (news.incomplete)
      o.flag("incomplete", true);
  });
}

frame json_encoder::signal(const user_id& from, std::string_view data) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "signal");
    o.text("from", from.str());
    o.raw("data", data);
  });
}

frame json_encoder::expiring(int64_t expires_at) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "expiring");
    o.integer("expires_at", expires_at);
  });
}

frame json_encoder::goaway(uint32_t reconnect_ms, std::string_view reason) const {
  return make_frame([&](std::string& out) {
    object o(out);
    o.text("ev", "goaway");
    o.integer("reconnect_ms", reconnect_ms);
    o.text("reason", reason);
  });
}

void append_event(std::string& out, const room_id& room, const storage::event& e) { append(out, room, e); }

std::string json_encoder::body(const ok::any& what) const {
  std::string out;
  append(out, what);
  return out;
}

void json_encoder::append(std::string& out, const ok::any& what) const { std::visit(ok_writer{out, limits_}, what); }

} // namespace greenroom::net
