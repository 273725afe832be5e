#include "net/cli/conversation.hpp"

#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr uint32_t retry_default_ms = 500;
constexpr uint64_t retry_max_ms = 60'000;
constexpr unsigned history_max = 200;
// The answer to hello names every room, and a room without a position is none that could be resumed.
constexpr size_t resume_max = 1'000;

constexpr std::string_view help = "/history [n]  the latest n events\n"
                                  "/who          who is a member\n"
                                  "/rooms        your rooms\n"
                                  "/join ROOM    go to another room\n"
                                  "/to USER TEXT say something to one user\n"
                                  "/quit         leave, when all is acknowledged\n"
                                  "//text        say /text";

std::string error_code(const json& frame) { return text_of(frame.value("error", json::object()), "code"); }

bool may_be_retried(const json& frame) {
  const auto& error = frame.at("error");
  return error.is_object() && error.value("retryable", json()) == true;
}

/// The word before the first blank, and what stands behind it.
std::pair<std::string_view, std::string_view> cut(std::string_view text) {
  const auto blank = std::min(text.find(' '), text.size());
  auto rest = text.substr(blank);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return {text.substr(0, blank), rest};
}

} // namespace

conversation::conversation(std::string room, bool raw, outside o)
    : raw_(raw), outside_(std::move(o)), room_(std::move(room)) {}

// -- the connection ---------------------------------------------------------------------------------------------------

void conversation::connected(const std::string& token) {
  json resume = json::object();
  for (const auto& [room, at] : places_)
    if (resume.size() < resume_max)
      resume[room] = {{"epoch", at.epoch}, {"seq", at.seq}};
  request({{"op", "hello"}, {"token", token}, {"resume", resume}}, [this](const json& frame) {
    if (frame.contains("ok"))
      return welcomed(frame["ok"]);
    show_failure("hello", frame);
    // A bad token is followed by close 3501, which says whether to come back; what may pass needs a new connection.
    if (may_be_retried(frame))
      outside_.reconnect();
  });
}

void conversation::disconnected() {
  // What the server asked us to wait for, it asked of the old connection.
  welcome_ = inside_ = on_its_way_ = pausing_ = false;
  asked_.clear();
  end_if_done();
}

void conversation::received(std::string_view message) {
  while (!message.empty() && !exit_code_) {
    const auto end = std::min(message.find('\n'), message.size());
    const auto text = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    if (text.empty())
      continue;
    if (raw_)
      outside_.show(std::string(text));
    const auto frame = json::parse(text, nullptr, false);
    try {
      if (!frame.is_object())
        outside_.notice("the server sent what is no frame");
      else if (frame.contains("re"))
        answered(frame);
      else if (frame.contains("ev"))
        happened(frame);
    } catch (const json::exception&) { // a field of another type than the protocol says
      outside_.notice("the server sent what cannot be understood: " + printable(text.substr(0, 200)));
    }
  }
}

void conversation::request(json frame, on_answer then) {
  frame["id"] = ++last_id_;
  asked_[last_id_] = std::move(then);
  // What was typed may not be UTF-8; the server would refuse the frame, and U+FFFD shows where it went wrong.
  outside_.send(frame.dump(-1, ' ', false, json::error_handler_t::replace));
}

void conversation::answered(const json& frame) {
  const bool complete = frame.contains("ok") || frame.contains("error");
  auto found = frame["re"].is_number_integer() ? asked_.find(frame["re"].get<int64_t>()) : asked_.end();
  if (found == asked_.end() || !complete) {
    outside_.notice("the server sent an answer to nothing: " + printable(frame.dump()));
    return;
  }
  auto then = std::move(found->second);
  asked_.erase(found);
  then(frame);
  end_if_done();
}

void conversation::renewed(const std::string& token) {
  if (welcome_)
    request({{"op", "refresh"}, {"token", token}}, [this](const json& frame) {
      if (frame.contains("error"))
        show_failure("refresh", frame);
    });
}

void conversation::retry() {
  if (!pausing_)
    return; // asked for on a connection that is gone
  pausing_ = false;
  if (welcome_ && !inside_)
    enter(true);
  else
    say_next();
}

// -- hello and join ---------------------------------------------------------------------------------------------------

void conversation::welcomed(const json& ok) {
  welcome_ = true;
  if (user_.empty()) {
    user_ = text_of(ok, "user");
    outside_.notice("connected as " + printable(user_) + "; /help lists the commands");
  } else {
    outside_.notice("connected again");
  }
  const auto resumed = ok.value("resumed", json::object());
  bool subscribed = false;
  for (const auto& entry : ok.value("rooms", json::array())) {
    const auto room = text_of(entry, "room");
    if (entry.value("subscribed", json()) != true)
      continue;
    subscribed = subscribed || room == room_;
    const auto taken_up = resumed.value(room, json::object());
    if (taken_up.value("recovered", json()) == true)
      continue; // What came after our position follows.
    if (places_.contains(room))
      outside_.notice("some events of " + printable(room) + " cannot be replayed; /history shows the latest");
    places_[room] = {text_of(entry, "epoch"), number_of(entry, "seq")};
    if (room == room_)
      last_said_ = 0; // Its event is among those that we will not see.
  }
  if (subscribed || room_.starts_with('@'))
    entered();
  else
    enter(true);
}

void conversation::enter(bool may_create) {
  json frame = {{"op", "join"}, {"room", room_}};
  const auto at = places_.find(room_);
  const bool resuming = at != places_.end();
  if (resuming)
    frame["resume"] = {{"epoch", at->second.epoch}, {"seq", at->second.seq}};
  request(std::move(frame), [this, may_create, room = room_](const json& answer) {
    if (room != room_)
      return;
    if (answer.contains("ok")) {
      const auto& ok = answer["ok"];
      if (ok.value("recovered", json()) != true) {
        places_[room] = {text_of(ok, "epoch"), number_of(ok, "seq")};
        last_said_ = 0;
      }
      return entered();
    }
    if (may_create && error_code(answer) == "not_found")
      return create();
    show_failure("join", answer);
    if (may_be_retried(answer))
      pause(answer);
    else
      give_up("cannot enter " + room_);
  });
}

void conversation::create() {
  request({{"op", "create"}, {"room", room_}, {"kind", "public"}}, [this, room = room_](const json& answer) {
    if (room != room_)
      return;
    // Somebody else may have made it in the meantime. Either way we join: making a room does not say that we listen.
    if (answer.contains("ok")) {
      places_[room] = {text_of(answer["ok"], "epoch"), number_of(answer["ok"], "seq")};
      outside_.notice("made the room " + room_);
    } else if (error_code(answer) != "exists") {
      show_failure("create", answer);
      return may_be_retried(answer) ? pause(answer) : give_up("cannot make " + room_);
    }
    enter(false);
  });
}

void conversation::entered() {
  inside_ = ready_ = true;
  if (!been_here_) {
    been_here_ = true;
    show_history(history_default);
  }
  say_next();
}

void conversation::give_up(const std::string& why) {
  outside_.notice(why);
  exit_code_ = 1;
}

// -- saying -----------------------------------------------------------------------------------------------------------

void conversation::typed(std::string_view text) {
  if (text.ends_with('\r'))
    text.remove_suffix(1);
  if (text.empty())
    return;
  if (text.starts_with("//"))
    text.remove_prefix(1);
  else if (text.starts_with('/')) {
    const auto [word, rest] = cut(text.substr(1));
    return command(word, rest);
  }
  waiting_.push_back({outside_.new_key(), room_, "", std::string(text)});
  say_next();
}

void conversation::say_next() {
  if (!inside_ || pausing_ || on_its_way_ || waiting_.empty())
    return;
  const auto& next = waiting_.front();
  json frame = {{"op", "send"}, {"key", next.key}, {"text", next.text}};
  frame[next.to.empty() ? "room" : "to"] = next.to.empty() ? next.room : next.to;
  on_its_way_ = true;
  request(std::move(frame), [this](const json& answer) { acknowledged(answer); });
}

void conversation::acknowledged(const json& frame) {
  on_its_way_ = false;
  if (frame.contains("error") && may_be_retried(frame)) {
    pause(frame); // The same line goes again under the same key.
    return;
  }
  if (frame.contains("error")) {
    show_failure("not sent: " + waiting_.front().text.substr(0, 60), frame);
    refused_ = true;
  } else if (waiting_.front().room == room_) {
    last_said_ = number_of(frame["ok"], "seq");
  }
  waiting_.pop_front();
  say_next();
}

void conversation::pause(const json& frame) {
  const auto asked = number_of(frame.at("error"), "retry_after_ms");
  pausing_ = true;
  outside_.retry_after(asked == 0 ? retry_default_ms : static_cast<uint32_t>(std::min<uint64_t>(asked, retry_max_ms)));
}

void conversation::input_ended() {
  ended_ = true;
  end_if_done();
}

void conversation::end_if_done() {
  // Answers to /history and the like are waited for, too, so that a script gets them. The first hello has to come about
  // even if there was nothing to say: else a wrong token would look like success.
  if (!ended_ || !waiting_.empty() || !asked_.empty() || user_.empty() || exit_code_)
    return;
  // An answer may overtake its event: what was said last is waited for, so that what we show ends with it.
  const auto at = places_.find(room_);
  if (inside_ && at != places_.end() && at->second.seq < last_said_)
    return;
  exit_code_ = refused_ ? 1 : 0;
}

// -- commands ---------------------------------------------------------------------------------------------------------

void conversation::command(std::string_view word, std::string_view rest) {
  if (word == "quit")
    return input_ended();
  if (word == "help")
    return outside_.notice(std::string(help));
  if (word == "to") {
    const auto [user, text] = cut(rest);
    if (user.empty() || text.empty())
      return outside_.notice("/to USER TEXT");
    waiting_.push_back({outside_.new_key(), "", std::string(user), std::string(text)});
    return say_next();
  }
  if (!inside_)
    return outside_.notice("not connected; /" + std::string(word) + " was not done");
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
  if (word == "join" && !rest.empty()) {
    room_ = rest;
    last_said_ = 0;
    inside_ = been_here_ = false;
    return room_.starts_with('@') ? entered() : enter(true);
  }
  outside_.notice("no such command; /help lists them");
}

void conversation::show_history(unsigned count) {
  json frame = {{"op", "history"}, {"room", room_}, {"limit", count}};
  if (const auto at = places_.find(room_); at != places_.end())
    frame["before"] = at->second.seq + 1;
  request(std::move(frame), [this](const json& answer) {
    if (answer.contains("error")) {
      // A direct room without a word in it has no history yet.
      if (error_code(answer) != "not_found" || !room_.starts_with('@'))
        show_failure("history", answer);
    } else {
      for (const auto& event : answer["ok"].value("events", json::array()))
        show(line_of(event));
    }
  });
}

void conversation::show_members() {
  request({{"op", "members"}, {"room", room_}, {"limit", 200}}, [this](const json& answer) {
    if (answer.contains("error"))
      show_failure("members", answer);
    else
      show(members_line(room_, answer["ok"]));
  });
}

void conversation::show_rooms() {
  request({{"op", "rooms"}, {"limit", 100}}, [this](const json& answer) {
    if (answer.contains("error"))
      return show_failure("rooms", answer);
    for (const auto& room : answer["ok"].value("rooms", json::array()))
      show(room_line(room));
  });
}

// -- hearing ----------------------------------------------------------------------------------------------------------

void conversation::happened(const json& event) {
  const auto kind = text_of(event, "ev");
  const auto room = text_of(event, "room");
  const auto seq = number_of(event, "seq");
  if (kind == "subscribed") {
    places_[room] = {text_of(event, "epoch"), seq};
    return;
  }
  if (kind == "expiring")
    return outside_.renew_token();
  if (kind == "goaway")
    return outside_.notice("the server is about to stop");
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
  if (been_here_ || room != room_)
    show(line_of(event));
  end_if_done();
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
