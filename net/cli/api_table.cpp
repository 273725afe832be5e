// The table of commands: one row for each operation of REST that is a question and an answer in JSON.
#include "net/cli/api_command.hpp"

#include <utility>

namespace greenroom::cli {
namespace {

// -- what many rows have ----------------------------------------------------------------------------------------------

constexpr parameter room{"ROOM", place::path, {}, "the room's id", form::text, true};
constexpr parameter user{"USER", place::path, {}, "the user's name", form::text, true};
constexpr parameter file{"ID", place::path, {}, "the attachment's id", form::text, true};
constexpr parameter seq{"SEQ", place::path, {}, "the number of the message", form::number, true};
constexpr parameter said{"TEXT", place::body, "text", "what to say; left out or -: what stands in the input",
                         form::said};
constexpr parameter data{"--data", place::body, "data", "a JSON object that goes with it", form::json};
constexpr parameter reply_to{"--reply-to", place::body, "reply_to", "the message that it replies to", form::number};
constexpr parameter at{"--at", place::body, "at", "keep it, and send it then (+15m, 2026-11-23T10:00:00Z, ms)",
                       form::time};
constexpr parameter attached{"--attach", place::body, "attachments", "ids of attachments, with commas between them",
                             form::words};
constexpr parameter passing{"--ephemeral", place::body, "ephemeral", "only for those who listen now; it is not kept",
                            form::flag};
constexpr parameter key{"--key", place::key, {}, "under which a repetition is the same one (default: a new one)"};
constexpr parameter title{"--title", place::body, "title", "for people"};
constexpr parameter kind{"--kind", place::body, "kind", "public, private or announce"};
constexpr parameter history_days{"--history-days", place::body, "history_days", "how long events are kept; 0: for ever",
                                 form::number};
constexpr parameter until{"--until", place::body, "until", "its end (+2h, 2026-11-23T10:00:00Z, ms); else for ever",
                          form::time};
constexpr parameter reason{"--reason", place::body, "reason", "why; everybody in the room can read it"};
constexpr parameter reason_asked{"--reason", place::query, "reason", "why; everybody in the room can read it"};
constexpr parameter quiet{"--private", place::body, "private", "others are not told", form::flag};

using list = std::vector<parameter>;
using names = std::vector<std::string_view>;

/// A list of several pages.
api_command paged(api_command row, std::string_view of, pages how, names columns = {}) {
  row.list = of;
  row.paged = how;
  row.columns = std::move(columns);
  return row;
}

const names members{"user", "role", "online", "muted_until", "banned_until"};

} // namespace

const std::vector<api_command>& api_commands() {
  static const std::vector<api_command> rows{
      // -- rooms ------------------------------------------------------------------------------------------------------
      paged({"room", "list", "your rooms, what is unread in them, and the last event", "GET", "/rooms"}, "rooms",
            pages::cursor, {"room", "kind", "role", "seq", "read", "unread", "mentions", "last"}),
      {"room", "create", "make a room; you are its owner", "POST", "/rooms",
       list{{"ROOM", place::body, "room", "the room's id", form::text, true}, kind, title, history_days}},
      {"room", "show", "its settings, topic and pins", "GET", "/rooms/{ROOM}", list{room}},
      {"room", "set", "change its settings", "PATCH", "/rooms/{ROOM}",
       list{room,
            title,
            kind,
            history_days,
            {"--history-events", place::body, "history_events", "how many events are kept; 0: all", form::number},
            {"--slow-ms", place::body, "slow_ms", "pause between two messages of one member; 0: none", form::number},
            {"--limits", place::body, "limits",
             "what it allows where that is less than the node, all at once: {\"members\":9,\"text_bytes\":500}",
             form::json}}},
      {"room", "topic", "set its topic", "PUT", "/rooms/{ROOM}/topic",
       list{room, {"TOPIC", place::body, "title", "what it is about at the moment", form::said}}},
      {"room", "delete", "delete it with all that was said; there is no way back", "DELETE", "/rooms/{ROOM}",
       list{room}},
      {"room", "join", "become a member", "POST", "/rooms/{ROOM}/members/me", list{room}},
      {"room", "leave", "be one no longer", "DELETE", "/rooms/{ROOM}/members/me", list{room}},
      {"room", "read", "say how far you have read", "PUT", "/rooms/{ROOM}/read",
       list{room,
            {"SEQ", place::body, "seq", "the last event that you have read", form::number, true},
            {"--thread", place::body, "thread", "only in the thread of this message", form::number},
            quiet}},
      {"room", "delivered", "say what has reached you", "PUT", "/rooms/{ROOM}/delivered",
       list{room, {"SEQ", place::body, "seq", "the last event that has arrived", form::number, true}, quiet}},
      {"room", "typing", "show that you type, or do no longer", "PUT", "/rooms/{ROOM}/typing",
       list{room, {"ON", place::body, "on", "on or off", form::on_off, true}}},
      // -- members ----------------------------------------------------------------------------------------------------
      paged({"member", "list", "who is in a room", "GET", "/rooms/{ROOM}/members", list{room}}, "members",
            pages::cursor, {"user", "role", "online", "muted_until"}),
      {"member", "invite", "let somebody in", "PUT", "/rooms/{ROOM}/members/{USER}", list{room, user, reason}},
      {"member", "role", "give somebody a role", "PATCH", "/rooms/{ROOM}/members/{USER}",
       list{room, user, {"ROLE", place::body, "role", "guest, member, moderator or owner", form::text, true}, reason}},
      {"member", "kick", "remove somebody, who may come back", "DELETE", "/rooms/{ROOM}/members/{USER}",
       list{room, user, reason_asked}},
      {"member", "ban", "remove somebody, who may not come back", "PUT", "/rooms/{ROOM}/bans/{USER}",
       list{room, user, until, reason}},
      {"member", "unban", "lift a ban", "DELETE", "/rooms/{ROOM}/bans/{USER}", list{room, user, reason_asked}},
      paged({"member", "bans", "who is banned; for moderators", "GET", "/rooms/{ROOM}/bans", list{room}}, "members",
            pages::cursor, members),
      {"member", "mute", "let somebody read only", "PUT", "/rooms/{ROOM}/mutes/{USER}",
       list{room, user, until, reason}},
      {"member", "unmute", "let somebody speak again", "DELETE", "/rooms/{ROOM}/mutes/{USER}",
       list{room, user, reason_asked}},
      paged({"member", "mutes", "who is muted; for moderators", "GET", "/rooms/{ROOM}/mutes", list{room}}, "members",
            pages::cursor, members),
      // -- messages ---------------------------------------------------------------------------------------------------
      {"message", "send", "say something in a room", "POST", "/rooms/{ROOM}/messages",
       list{room, said, data, attached, reply_to, at, passing, key}},
      {"message", "to", "say something to somebody", "POST", "/users/{USER}/messages",
       list{user, said, data, attached, reply_to, at, passing, key}},
      {"message", "show", "one event, as it stands", "GET", "/rooms/{ROOM}/messages/{SEQ}", list{room, seq}, "events"},
      {"message", "edit", "replace your text", "PATCH", "/rooms/{ROOM}/messages/{SEQ}",
       list{room,
            seq,
            said,
            {"--base", place::body, "base", "the last edit that you have seen; another one since: refused",
             form::number},
            key}},
      {"message", "revoke", "take a message back: nobody can read it any more", "DELETE",
       "/rooms/{ROOM}/messages/{SEQ}", list{room, seq, key}},
      {"message", "react", "put an emoji on a message", "PUT", "/rooms/{ROOM}/messages/{SEQ}/reactions/{EMOJI}",
       list{room, seq, {"EMOJI", place::path, {}, "the emoji", form::text, true}, key}},
      {"message", "unreact", "take it off again", "DELETE", "/rooms/{ROOM}/messages/{SEQ}/reactions/{EMOJI}",
       list{room, seq, {"EMOJI", place::path, {}, "the emoji", form::text, true}, key}},
      paged({"message", "thread", "what replies to a message", "GET", "/rooms/{ROOM}/messages/{SEQ}/replies",
             list{room, seq}},
            "events", pages::seq),
      {"message", "pin", "pin a message", "PUT", "/rooms/{ROOM}/pins/{SEQ}", list{room, seq}},
      {"message", "unpin", "unpin it", "DELETE", "/rooms/{ROOM}/pins/{SEQ}", list{room, seq}},
      paged({"message", "pins", "what is pinned in a room", "GET", "/rooms/{ROOM}/pins", list{room}}, "events",
            pages::seq),
      paged({"message", "scheduled", "what you have kept for later, the next one first", "GET",
             "/rooms/{ROOM}/scheduled", list{room}},
            "sends", pages::cursor, {"key", "at", "text", "reply_to"}),
      {"message", "cancel", "take back what was to be sent later", "DELETE", "/rooms/{ROOM}/scheduled/{KEY}",
       list{room, {"KEY", place::path, {}, "the key under which it was sent", form::text, true}}},
      // -- people -----------------------------------------------------------------------------------------------------
      {"profile", "me", "what you say of yourself", "GET", "/users/me"},
      {"profile", "show", "what somebody says of themselves", "GET", "/users/{USER}", list{user}},
      {"profile", "set", "change what you say of yourself", "PATCH", "/users/me",
       list{{"--name", place::body, "name", "for people"},
            {"--avatar", place::body, "avatar", "where your picture is"},
            {"--fields", place::body, "fields", "a JSON object of your own", form::json}}},
      {"user", "block", "hear nothing more of somebody", "PUT", "/users/me/blocks/{USER}", list{user}},
      {"user", "unblock", "take that back", "DELETE", "/users/me/blocks/{USER}", list{user}},
      paged({"user", "blocks", "whom you have blocked", "GET", "/users/me/blocks"}, "blocks", pages::cursor,
            {"user", "since"}),
      {"user", "erasure", "the record of an account that was erased; for admins", "GET", "/users/{USER}/erasure",
       list{user}},
      {"presence", "me", "how you have chosen to appear", "GET", "/users/me/presence"},
      {"presence", "show", "how somebody appears to you", "GET", "/users/{USER}/presence", list{user}},
      {"presence", "set", "choose how you appear, on all your devices", "PUT", "/users/me/presence",
       list{{"--status", place::body, "status", "online, away, dnd or invisible"},
            {"--note", place::body, "note", "a line beside it"}}},
      {"attachment", "show", "what is known of it", "GET", "/rooms/{ROOM}/attachments/{ID}/info", list{room, file}},
      {"attachment", "delete", "remove one of yours that belongs to no message", "DELETE",
       "/rooms/{ROOM}/attachments/{ID}", list{room, file}},
      paged({"session", "list", "your live connections", "GET", "/sessions",
             list{{"--everybody", place::query, "all", "those of all users; for admins", form::flag}}},
            "sessions", pages::cursor, {"session", "user", "device", "node", "since", "queued_bytes"}),
      {"session", "end", "end one of your sessions: its tokens are worth nothing any more", "DELETE",
       "/sessions/{SESSION}", list{{"SESSION", place::path, {}, "its id, from the list", form::text, true}}},
      // -- operators --------------------------------------------------------------------------------------------------
      {"webhook", "list", "what each has done, and what is left to push, on each node; for admins", "GET", "/webhooks",
       list{}, "webhooks",
       names{"name", "node", "pending_rooms", "lag_ms", "deliveries", "events", "failures", "last_failure"}},
      {"webhook", "replay", "push once more what a webhook has had of a room; for admins", "POST",
       "/webhooks/{WEBHOOK}/replay",
       list{{"WEBHOOK", place::path, {}, "its name", form::text, true},
            {"ROOM", place::body, "room", "the room's id", form::text, true},
            {"--seq", place::body, "seq", "from this event on", form::number},
            {"--at", place::body, "at", "from this time on (2026-11-23T10:00:00Z, ms)", form::time}}},
  };
  return rows;
}

std::string_view about_group(std::string_view group) {
  constexpr std::pair<std::string_view, std::string_view> groups[] = {
      {"room", "rooms: make, join, read, settle"},
      {"member", "who is in a room, and moderation"},
      {"message", "say, read, change"},
      {"profile", "what people say of themselves"},
      {"user", "accounts: make one, block others, export and erase"},
      {"presence", "who is there, and how"},
      {"attachment", "files in rooms: send them, fetch them"},
      {"session", "your live connections"},
      {"webhook", "webhooks of a running node; needs the token of an admin"},
  };
  for (const auto& [name, help] : groups)
    if (name == group)
      return help;
  return {};
}

} // namespace greenroom::cli
