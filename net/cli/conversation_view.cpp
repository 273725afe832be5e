// conversation, its visible half: what commands ask for, what is heard, and how much of it the person has seen.
#include "config/ids.hpp"
#include "net/cli/conversation.hpp"
#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr unsigned history_max = 200;
constexpr uint64_t leave_max_ms = 3'600'000;

constexpr std::string_view help = "/history [n]  the latest n events\n"
                                  "/who          who is a member\n"
                                  "/rooms        your rooms\n"
                                  "/join ROOM    go to another room\n"
                                  "/to USER TEXT say something to one user\n"
                                  "/quit         leave, when all is acknowledged\n"
                                  "//text        say /text";

/// The word before the first blank, and what stands behind it without the blanks around.
std::pair<std::string_view, std::string_view> cut(std::string_view text) {
  const auto blank = std::min(text.find(' '), text.size());
  auto rest = text.substr(blank);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  rest.remove_suffix(rest.size() - (rest.find_last_not_of(' ') + 1));
  return {text.substr(0, blank), rest};
}

} // namespace

// -- commands ---------------------------------------------------------------------------------------------------------

void conversation::command(std::string_view text) {
  const auto [word, rest] = cut(text.substr(1));
  if (word == "quit")
    return quit();
  if (word == "help")
    return outside_.notice(std::string(help));
  if (word == "to") {
    const auto [user, words] = cut(rest);
    if (user.empty() || words.empty())
      return outside_.notice("/to USER TEXT");
    waiting_.push_back({outside_.new_key(), "", std::string(user), std::string(words)});
    return say_next();
  }
  if (word == "join") {
    if (rest.empty())
      return outside_.notice("/join ROOM");
    const auto room = room_id::parse(rest, "/join");
    return room ? go(room->str()) : outside_.notice(room.error().message);
  }
  if (!inside_) {
    held_.emplace_back(text);
    if ((!welcome_ && !moving_) || held_.size() > commands_held_max)
      drop_held();
    return;
  }
  if (word == "who")
    return show_members();
  if (word == "rooms")
    return show_rooms();
  if (word == "history") {
    unsigned count = history_default;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (!rest.empty() && (error != std::errc{} || end != rest.data() + rest.size() || count == 0))
      return outside_.notice("/history takes a number from 1 to " + std::to_string(history_max));
    return show_history(std::min(count, history_max));
  }
  outside_.notice("no such command; /help lists them");
}

void conversation::run_held() {
  for (const auto& line : std::exchange(held_, {}))
    typed(line);
}

void conversation::drop_held() {
  for (const auto& line : std::exchange(held_, {}))
    outside_.notice((welcome_ ? "not in " + room_ + "; " : "not connected; ") + printable(line) + " was not done");
}

void conversation::show_history(unsigned count) {
  json frame = {{"op", "history"}, {"room", room_}, {"limit", count}};
  if (const auto at = places_.find(room_); at != places_.end())
    frame["before"] = at->second.seq + 1;
  request(std::move(frame), [this, room = room_](const json& answer) {
    if (answer.contains("error")) {
      // A direct room without a word in it has no history yet.
      if (error_code(answer) != "not_found" || !room.starts_with('@'))
        show_failure("history", answer);
    } else {
      for (const auto& event : answer["ok"].value("events", json::array()))
        show(line_of(event));
      // What has come since we asked is shown, too.
      if (const auto at = places_.find(room); at != places_.end())
        shown_up_to(room, at->second.seq);
    }
  });
}

void conversation::show_members() {
  request({{"op", "members"}, {"room", room_}, {"limit", 200}}, [this, room = room_](const json& answer) {
    if (answer.contains("error"))
      show_failure("members", answer);
    else
      show(members_line(room, answer["ok"]));
  });
}

void conversation::show_rooms() {
  request({{"op", "rooms"}, {"limit", 100}}, [this](const json& answer) {
    if (answer.contains("error"))
      return show_failure("rooms", answer);
    for (const auto& room : answer["ok"].value("rooms", json::array())) {
      // The server learns of what was shown a moment later, and our own lines may be on their way to us.
      const auto at = places_.find(text_of(room, "room"));
      const bool all_shown = at != places_.end() && at->second.shown >= at->second.seq;
      show(room_line(room, all_shown ? 0 : number_of(room, "unread")));
    }
  });
}

// -- hearing ----------------------------------------------------------------------------------------------------------

void conversation::happened(const json& event) {
  const auto kind = text_of(event, "ev");
  const auto room = text_of(event, "room");
  const auto seq = number_of(event, "seq");
  if (kind == "subscribed") {
    listening_.insert(room);
    return put_place(room, event);
  }
  if (kind == "expiring")
    return outside_.renew_token();
  if (kind == "goaway") {
    moving_ = true;
    return outside_.leave_after(
        static_cast<uint32_t>(std::min<uint64_t>(number_of(event, "reconnect_ms"), leave_max_ms)));
  }
  if (kind == "read" || kind == "typing" || seq == 0)
    return;
  if (auto at = places_.find(room); at != places_.end()) {
    if (seq <= at->second.seq)
      return outside_.notice("mistake of the server: " + printable(room) + " " + std::to_string(seq) + " came again");
    if (seq != at->second.seq + 1)
      outside_.notice("mistake of the server: " + printable(room) + " goes from " + std::to_string(at->second.seq) +
                      " to " + std::to_string(seq));
    at->second.seq = seq;
  }
  // On the way in nothing is shown yet: the history that entering asks for goes up to our place.
  if (been_here_ || room != room_) {
    show(line_of(event));
    // Of a room that was not entered here, something may stand before it that was never shown.
    if (const auto at = places_.find(room); at != places_.end() && at->second.shown + 1 == seq)
      shown_up_to(room, seq);
  }
  end_if_done();
}

void conversation::shown_up_to(const std::string& room, uint64_t seq) {
  auto& at = places_[room];
  at.shown = std::max(at.shown, seq);
  if (!raw_ && at.shown > at.told && !std::exchange(marking_, true))
    outside_.mark_read_soon();
}

void conversation::mark_read() {
  marking_ = false;
  mark_all_read();
}

/// Whether there was anything to tell.
bool conversation::mark_all_read() {
  bool any = false;
  for (auto& [room, at] : places_) {
    if (raw_ || !welcome_ || at.shown <= at.told)
      continue;
    any = true;
    // Taken for told at once: a read position that gets lost is mended by the next one, and shows as unread till then.
    at.told = at.shown;
    request({{"op", "read"}, {"room", room}, {"seq", at.shown}}, [](const json&) {});
  }
  return any;
}

void conversation::show(const std::string& text) {
  if (!raw_)
    outside_.show(text);
}

void conversation::show_failure(std::string_view what, const json& frame) {
  const auto& error = frame.at("error");
  outside_.notice(printable(what) + ": " + printable(text_of(error, "code")) + ": " +
                  printable(text_of(error, "message")));
}

} // namespace greenroom::cli
