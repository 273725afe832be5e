#include "net/op_reader.hpp"

#include "net/field_reader.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace greenroom::net {
namespace {

constexpr size_t emoji_bytes_max = 64; // families and flags are sequences of many code points
constexpr uint32_t slow_ms_max = 86'400'000;
constexpr size_t reason_bytes_max = 256;
constexpr size_t password_bytes_max = 1'024;
constexpr size_t profile_name_bytes_max = 256;
constexpr size_t profile_avatar_bytes_max = 1'024;
constexpr size_t cursor_bytes_max = 512;
constexpr size_t file_name_bytes_max = 255;
constexpr size_t file_type_bytes_max = 127;

int hex_digit(char c) noexcept { return c <= '9' ? c - '0' : c - 'a' + 10; }

// RFC 9110 section 8.3.1; without parameters.
bool is_media_type(std::string_view text) noexcept {
  const auto slash = text.find('/');
  const auto is_token = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789!#$&^_.+-") == part.npos;
  };
  return slash != text.npos && is_token(text.substr(0, slash)) && is_token(text.substr(slash + 1));
}

// -- one reader per op ------------------------------------------------------------------------------------------------

void read_resume(field_reader& in, op::hello& x, std::string_view name, value at) {
  auto room = room_id::parse(name, "resume");
  if (!room)
    in.refuse(std::move(room).error());
  else
    x.resume.emplace_back(std::move(*room), in.place(at, "resume." + std::string(name)));
}

op::any read_hello(field_reader& in) {
  op::hello x;
  if (auto token = in.find("token"))
    x.token = in.string(token, "token", token_bytes_max);
  x.device = in.device();
  if (auto resume = in.find("resume")) {
    if (!resume.is_object()) {
      in.refuse(errc::bad_request, "resume", "must be an object of rooms");
    } else if (resume.size() > in.bounds.subscriptions) {
      in.refuse(errc::too_large, "resume",
                over(resume.size(), in.bounds.subscriptions, "rooms", "limits.subscriptions"));
    } else {
      x.resume.reserve(resume.size());
      resume.each_member([&](std::string_view name, value at) { read_resume(in, x, name, at); });
      // Of a room that is named more than once the last one counts.
      auto by_room = [](const auto& a, const auto& b) { return a.first < b.first; };
      std::stable_sort(x.resume.begin(), x.resume.end(), by_room);
      auto last = std::unique(x.resume.rbegin(), x.resume.rend(),
                              [](const auto& a, const auto& b) { return a.first == b.first; });
      x.resume.erase(x.resume.begin(), last.base());
    }
  }
  if (auto wanted = in.find("subscribe")) {
    if (wanted.text() == "all") {
      x.subscribe = op::hello::scope::all;
    } else if (wanted.text() == "none") {
      x.subscribe = op::hello::scope::none;
    } else if (!wanted.is_array()) {
      in.refuse(errc::bad_request, "subscribe", "must be \"all\", \"none\" or a list of rooms");
    } else if (wanted.size() > in.bounds.subscriptions) {
      in.refuse(errc::too_large, "subscribe",
                over(wanted.size(), in.bounds.subscriptions, "rooms", "limits.subscriptions"));
    } else {
      x.subscribe = op::hello::scope::list;
      x.rooms.reserve(wanted.size());
      wanted.each_element([&](value room) { x.rooms.push_back(in.id<room_id>(room, "subscribe")); });
    }
  }
  return x;
}

op::any read_refresh(field_reader& in) {
  return op::refresh{in.string(in.required("token"), "token", token_bytes_max)};
}

op::any read_ping(field_reader&) { return op::ping{}; }

op::any read_create(field_reader& in) {
  op::create x;
  x.room = in.room();
  if (x.room.is_direct())
    in.refuse(errc::bad_request, "room", "a direct room exists without being created");
  x.kind = in.room_kind().value_or(x.kind);
  x.title = in.line("title", title_bytes_max);
  x.history_days = in.history_days();
  return x;
}

op::any read_join(field_reader& in) { return op::join{in.room(), in.resume()}; }
op::any read_leave(field_reader& in) { return op::leave{in.room()}; }
op::any read_subscribe(field_reader& in) { return op::subscribe{in.room(), in.resume()}; }
op::any read_unsubscribe(field_reader& in) { return op::unsubscribe{in.room()}; }

op::any read_send(field_reader& in) {
  op::send x;
  x.ephemeral = in.flag(in.find("ephemeral"), "ephemeral");
  auto room = in.find("room");
  auto to = in.find("to");
  if (static_cast<bool>(room) == static_cast<bool>(to))
    in.refuse(errc::bad_request, "room", "exactly one of room and to is required");
  if (room)
    x.room = in.id<room_id>(room, "room");
  if (to)
    x.to = in.id<user_id>(to, "to");

  if (!x.ephemeral)
    x.key = in.key();
  x.text = in.string(in.find("text"), "text", in.bounds.text_bytes, "limits.text_bytes");
  if (in.find("data"))
    x.data = in.object("data");
  x.attachments = in.attachments();
  if (x.text.empty() && x.data.empty() && x.attachments.empty())
    in.refuse(errc::bad_request, "text", "must not be empty without data and attachments");
  x.reply_to = in.integer(in.find("reply_to"), "reply_to", 1);
  x.at = static_cast<int64_t>(in.integer(in.find("at"), "at", 1));
  if (x.ephemeral && x.reply_to != 0)
    in.refuse(errc::bad_request, "reply_to", "not with ephemeral, which is in no thread");
  if (x.ephemeral && !x.attachments.empty())
    in.refuse(errc::bad_request, "attachments", "not with ephemeral, which is not kept");
  if (x.ephemeral && x.at != 0)
    in.refuse(errc::bad_request, "at", "not with ephemeral, which is not kept");
  return x;
}

op::any read_edit(field_reader& in) {
  op::edit x;
  x.room = in.room();
  x.target = in.target();
  x.key = in.key();
  x.text = in.string(in.required("text"), "text", in.bounds.text_bytes, "limits.text_bytes");
  if (x.text.empty())
    in.refuse(errc::bad_request, "text", "must not be empty; revoke takes a message back");
  if (auto base = in.find("base"))
    x.base = in.integer(base, "base", 0);
  return x;
}

op::any read_revoke(field_reader& in) {
  op::revoke x;
  x.room = in.room();
  x.target = in.target();
  x.key = in.key();
  return x;
}

op::any read_react(field_reader& in) {
  op::react x;
  x.room = in.room();
  x.target = in.target();
  x.key = in.key();
  x.emoji = in.string(in.required("emoji"), "emoji", emoji_bytes_max);
  auto is_plain = [](unsigned char c) { return c > 0x20 && c != 0x7f; };
  if (x.emoji.empty() || !std::all_of(x.emoji.begin(), x.emoji.end(), is_plain))
    in.refuse(errc::bad_request, "emoji",
              "must be 1 to " + std::to_string(emoji_bytes_max) + " bytes without spaces and control characters");
  x.on = in.flag(in.required("on"), "on");
  return x;
}

template <op::moderate::act What>
op::any read_moderate(field_reader& in) {
  using act = op::moderate::act;
  op::moderate x;
  x.what = What;
  x.room = in.room();
  x.user = in.id<user_id>(in.required("user"), "user");
  x.reason = in.line("reason", reason_bytes_max);
  if constexpr (What == act::ban || What == act::mute)
    x.until = static_cast<int64_t>(in.integer(in.find("until"), "until", 1));
  if constexpr (What == act::role) {
    using enum storage::member_role;
    auto given = in.required("role");
    for (auto role : {guest, member, moderator, owner})
      if (given && given.text() == to_string(role))
        x.role = role;
    if (x.role == none)
      in.refuse(errc::bad_request, "role", "must be \"guest\", \"member\", \"moderator\" or \"owner\"");
  }
  return x;
}

op::any read_topic(field_reader& in) {
  op::topic x;
  x.room = in.room();
  in.required("title");
  x.title = in.line("title", title_bytes_max);
  return x;
}

template <bool On>
op::any read_pin(field_reader& in) {
  return op::pin{in.room(), in.target(), On};
}

/// All of them at once: what is left out is as the node allows.
storage::room_limits read_limits(field_reader& in, value given) {
  storage::room_limits x;
  if (!given.is_object()) {
    in.refuse(errc::bad_request, "limits", "must be an object");
    return x;
  }
  auto limit = [&](std::string_view name) {
    return static_cast<uint32_t>(in.integer(given.find(name), "limits." + std::string(name), 1, UINT32_MAX));
  };
  x.members = limit("members");
  x.text_bytes = limit("text_bytes");
  x.sends_per_s = limit("sends_per_s");
  return x;
}

op::any read_room(field_reader& in) {
  op::configure x;
  x.room = in.room();
  if (in.find("title"))
    x.title = in.line("title", title_bytes_max);
  x.kind = in.room_kind();
  if (in.find("history_days"))
    x.history_days = in.history_days();
  if (auto slow = in.find("slow_ms"))
    x.slow_ms = static_cast<uint32_t>(in.integer(slow, "slow_ms", 0, slow_ms_max));
  if (auto most = in.find("history_events"))
    x.history_events = in.integer(most, "history_events", 0);
  if (auto limits = in.find("limits"))
    x.limits = read_limits(in, limits);
  const bool changes = x.changes();
  x.remove = in.flag(in.find("delete"), "delete");
  if (x.remove && changes)
    in.refuse(errc::bad_request, "delete", "nothing else may be given with it");
  return x;
}

op::any read_history(field_reader& in) {
  op::history x;
  x.room = in.room();
  x.limit = in.page(x.limit, in.bounds.history_page, "limits.history_page");
  using from = op::history::from;
  constexpr std::pair<std::string_view, from> places[] = {
      {"before", from::before}, {"after", from::after}, {"around", from::around}, {"at", from::at}};
  bool found = false;
  for (auto [field, where] : places) {
    auto given = in.find(field);
    if (!given)
      continue;
    if (std::exchange(found, true))
      in.refuse(errc::bad_request, field, "only one of before, after, around and at may be given");
    x.where = where;
    const auto number = in.integer(given, field, where == from::before || where == from::around ? 1 : 0);
    if (where == from::at)
      x.ts = static_cast<int64_t>(number);
    else
      x.seq = number;
  }
  return x;
}

op::any read_read(field_reader& in) {
  op::read x;
  x.room = in.room();
  x.seq = in.integer(in.required("seq"), "seq", 1);
  x.thread = in.integer(in.find("thread"), "thread", 1);
  x.quiet = in.flag(in.find("private"), "private");
  return x;
}

op::any read_delivered(field_reader& in) {
  op::read x;
  x.room = in.room();
  x.seq = in.integer(in.required("seq"), "seq", 1);
  x.arrived = true;
  x.quiet = in.flag(in.find("private"), "private");
  return x;
}

op::any read_profile(field_reader& in) {
  op::profile x;
  if (auto user = in.find("user"))
    x.user = in.id<user_id>(user, "user");
  if (in.find("name"))
    x.name = in.line("name", profile_name_bytes_max);
  if (in.find("avatar"))
    x.avatar = in.line("avatar", profile_avatar_bytes_max);
  if (in.find("fields"))
    x.fields = in.object("fields");
  if (x.user && x.changes())
    in.refuse(errc::bad_request, "user", "only one's own profile can be changed, without naming oneself");
  return x;
}

op::any read_presence(field_reader& in) {
  using storage::presence_status;
  op::presence x;
  if (auto user = in.find("user"))
    x.user = in.id<user_id>(user, "user");
  if (auto status = in.find("status")) {
    for (auto s : {presence_status::online, presence_status::away, presence_status::dnd, presence_status::invisible})
      if (status.text() == to_string(s))
        x.status = s;
    if (!x.status)
      in.refuse(errc::bad_request, "status", "must be online, away, dnd or invisible");
  }
  if (in.find("note"))
    x.note = in.line("note", in.bounds.note_bytes, "limits.note_bytes");
  if (x.user && x.changes())
    in.refuse(errc::bad_request, "user", "only one's own presence can be changed, without naming oneself");
  return x;
}

std::vector<user_id> read_users(field_reader& in, value given) {
  std::vector<user_id> users;
  if (!given)
    return users;
  if (!given.is_array()) {
    in.refuse(errc::bad_request, "users", "must be a list of users");
  } else if (given.size() > in.bounds.watched) {
    in.refuse(errc::too_large, "users", over(given.size(), in.bounds.watched, "users", "limits.watched"));
  } else {
    given.each_element([&](value user) { users.push_back(in.id<user_id>(user, "users")); });
    std::sort(users.begin(), users.end());
    users.erase(std::unique(users.begin(), users.end()), users.end());
  }
  return users;
}

op::any read_watch(field_reader& in) { return op::watch{read_users(in, in.required("users"))}; }
op::any read_unwatch(field_reader& in) { return op::unwatch{read_users(in, in.required("users"))}; }

op::any read_signal(field_reader& in) {
  op::signal x;
  x.to = in.id<user_id>(in.required("to"), "to");
  x.device = in.device();
  in.required("data");
  x.data = in.object("data");
  return x;
}

op::any read_thread(field_reader& in) {
  op::thread x;
  x.room = in.room();
  x.target = in.target();
  x.after = in.integer(in.find("after"), "after", 0);
  x.limit = in.page(x.limit, in.bounds.history_page, "limits.history_page");
  return x;
}

op::any read_scheduled(field_reader& in) {
  op::scheduled x;
  x.room = in.room();
  x.after = in.string(in.find("after"), "after", cursor_bytes_max);
  x.limit = in.page(x.limit, std::max(1U, in.bounds.scheduled_per_room), "limits.scheduled_per_room");
  return x;
}

op::any read_cancel(field_reader& in) { return op::cancel{in.room(), in.key()}; }

op::any read_typing(field_reader& in) { return op::typing{in.room(), in.flag(in.required("on"), "on")}; }

op::any read_members(field_reader& in) {
  op::members x;
  x.room = in.room();
  x.after = in.id<user_id>(in.find("after"), "after").str();
  x.limit = in.page(x.limit, in.bounds.members_page, "limits.members_page");
  x.banned = in.flag(in.find("banned"), "banned");
  x.muted = in.flag(in.find("muted"), "muted");
  if (x.banned && x.muted)
    in.refuse(errc::bad_request, "muted", "not with banned");
  return x;
}

op::any read_pins(field_reader& in) {
  op::pins x;
  x.room = in.room();
  x.after = in.integer(in.find("after"), "after", 0);
  x.limit = in.page(x.limit, in.bounds.history_page, "limits.history_page");
  return x;
}

op::any read_rooms(field_reader& in) {
  op::rooms x;
  x.after = in.id<room_id>(in.find("after"), "after").str();
  x.limit = in.page(x.limit, in.bounds.rooms_page, "limits.rooms_page");
  return x;
}

template <bool On>
op::any read_block(field_reader& in) {
  return op::block{in.id<user_id>(in.required("user"), "user"), On};
}

op::any read_blocks(field_reader& in) {
  op::blocks x;
  x.after = in.id<user_id>(in.find("after"), "after").str();
  x.limit = in.page(x.limit, in.bounds.members_page, "limits.members_page");
  return x;
}

constexpr std::array<std::pair<std::string_view, op::any (*)(field_reader&)>, 41> readers{{
    {"send", read_send},
    {"react", read_react},
    {"edit", read_edit},
    {"revoke", read_revoke},
    {"read", read_read},
    {"delivered", read_delivered},
    {"profile", read_profile},
    {"presence", read_presence},
    {"watch", read_watch},
    {"unwatch", read_unwatch},
    {"signal", read_signal},
    {"typing", read_typing},
    {"ping", read_ping},
    {"history", read_history},
    {"thread", read_thread},
    {"scheduled", read_scheduled},
    {"cancel", read_cancel},
    {"join", read_join},
    {"subscribe", read_subscribe},
    {"hello", read_hello},
    {"refresh", read_refresh},
    {"leave", read_leave},
    {"unsubscribe", read_unsubscribe},
    {"create", read_create},
    {"members", read_members},
    {"rooms", read_rooms},
    {"room", read_room},
    {"topic", read_topic},
    {"pin", read_pin<true>},
    {"unpin", read_pin<false>},
    {"pins", read_pins},
    {"invite", read_moderate<op::moderate::act::invite>},
    {"kick", read_moderate<op::moderate::act::kick>},
    {"ban", read_moderate<op::moderate::act::ban>},
    {"unban", read_moderate<op::moderate::act::unban>},
    {"mute", read_moderate<op::moderate::act::mute>},
    {"unmute", read_moderate<op::moderate::act::unmute>},
    {"role", read_moderate<op::moderate::act::role>},
    {"block", read_block<true>},
    {"unblock", read_block<false>},
    {"blocks", read_blocks},
}};

auto find_reader(std::string_view op) noexcept {
  return std::find_if(readers.begin(), readers.end(), [op](const auto& r) { return r.first == op; });
}

} // namespace

bool knows_op(std::string_view op) noexcept { return find_reader(op) != readers.end(); }

outcome<op::any> read_op(std::string_view op, json::value fields, const limits& bounds) {
  auto reader = find_reader(op);
  if (reader == readers.end())
    return fail(errc::unsupported, "op: not served by this server");
  field_reader in(fields, bounds);
  auto result = reader->second(in);
  if (in.why())
    return *in.why();
  return result;
}

// What REST reads outside of any op.
template <class Read>
auto read_one(const json::document& fields, Read read, const limits& bounds = {})
    -> outcome<decltype(read(std::declval<field_reader&>()))> {
  field_reader in(fields.root(), bounds);
  auto result = read(in);
  if (in.why())
    return *in.why();
  return result;
}

outcome<op::upload> read_upload(const json::document& fields) {
  return read_one(fields, [](field_reader& in) {
    op::upload x;
    in.required("name");
    x.name = in.line("name", file_name_bytes_max);
    if (x.name.empty())
      in.refuse(errc::bad_request, "name", "must not be empty");
    x.size = in.integer(in.required("size"), "size", 1);
    x.type = in.string(in.find("type"), "type", file_type_bytes_max);
    if (x.type.empty())
      x.type = "application/octet-stream";
    else if (!is_media_type(x.type))
      in.refuse(errc::bad_request, "type", "must be a media type in lower case, without parameters");
    if (auto given = in.find("sha256")) {
      const auto text = in.string(given, "sha256", 64);
      for (size_t i = 0; i + 1 < text.size(); i += 2)
        x.sha256 += static_cast<char>(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
      if (text.size() != 64 || text.find_first_not_of("0123456789abcdef") != text.npos)
        in.refuse(errc::bad_request, "sha256", "must be 64 hex digits in lower case");
    }
    return x;
  });
}

outcome<std::string> read_device(const json::document& fields) {
  return read_one(fields, [](field_reader& in) { return in.device(); });
}

outcome<account::list_sessions> read_session_page(const json::document& fields, const limits& bounds) {
  return read_one(
      fields,
      [&](field_reader& in) {
        account::list_sessions x;
        x.after = in.string(in.find("after"), "after", cursor_bytes_max);
        x.limit = in.page(x.limit, bounds.sessions_page, "limits.sessions_page");
        return x;
      },
      bounds);
}

outcome<user_id> read_user(const json::document& fields) {
  return read_one(fields, [](field_reader& in) { return in.id<user_id>(in.required("user"), "user"); });
}

outcome<account::erase> read_erasure(const json::document& fields) {
  return read_one(fields, [](field_reader& in) {
    account::erase x;
    x.password = in.string(in.find("password"), "password", password_bytes_max);
    x.reason = in.line("reason", reason_bytes_max);
    x.keep_messages = in.flag(in.find("keep_messages"), "keep_messages");
    return x;
  });
}

outcome<std::string> read_secret(const json::document& fields, std::string_view field, size_t bytes_max) {
  return read_one(fields, [&](field_reader& in) {
    auto result = in.string(in.required(field), field, bytes_max);
    if (result.empty())
      in.refuse(errc::bad_request, field, "must not be empty");
    return result;
  });
}

} // namespace greenroom::net
