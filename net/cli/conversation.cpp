#include "net/cli/conversation.hpp"

#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr uint32_t retry_default_ms = 500;
constexpr uint64_t retry_max_ms = 60'000;
// The answer to hello names every room, and a room without a position is none that could be resumed.
constexpr size_t resume_max = 1'000;

bool may_be_retried(const json& frame) {
  const auto& error = frame.at("error");
  return error.is_object() && error.value("retryable", json()) == true;
}

std::string lines(size_t n) { return n == 1 ? "1 line" : std::to_string(n) + " lines"; }

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
  const bool lost = welcome_;
  moving_ = moving_ && lost; // a new connection that comes to nothing is an outage like any other
  // What the server asked us to wait for, it asked of the old connection.
  welcome_ = inside_ = on_its_way_ = pausing_ = leaving_ = false;
  asked_.clear();
  listening_.clear();
  if (!moving_)
    drop_held();
  end_if_done();
  if (lost && ended_ && !moving_)
    say_what_is_waited_for();
}

void conversation::leave() {
  if (!moving_ || !welcome_)
    return; // asked for on a connection that is gone
  leaving_ = true;
  leave_if_idle();
}

void conversation::leave_if_idle() {
  if (!leaving_ || !asked_.empty() || exit_code_)
    return;
  inside_ = false; // what comes now waits
  outside_.say_goodbye();
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
  leave_if_idle();
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
  } else if (!std::exchange(moving_, false)) {
    outside_.notice("connected again");
  }
  const auto resumed = ok.value("resumed", json::object());
  bool subscribed = false;
  for (const auto& entry : ok.value("rooms", json::array())) {
    const auto room = text_of(entry, "room");
    if (entry.value("subscribed", json()) != true)
      continue;
    subscribed = subscribed || room == room_;
    listening_.insert(room);
    const auto taken_up = resumed.value(room, json::object());
    if (taken_up.value("recovered", json()) == true)
      continue; // What came after our position follows.
    if (places_.contains(room))
      outside_.notice("some events of " + printable(room) + " cannot be replayed; /history shows the latest");
    put_place(room, entry);
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
    const bool here = room == room_; // else another /join came in between
    if (answer.contains("ok")) {
      const auto& ok = answer["ok"];
      listening_.insert(room);
      if (ok.value("recovered", json()) != true) {
        put_place(room, ok);
        last_said_ = here ? 0 : last_said_;
      }
      if (here)
        entered();
      return;
    }
    if (!here)
      return;
    if (may_create && error_code(answer) == "not_found")
      return create();
    show_failure("join", answer);
    if (may_be_retried(answer))
      pause(answer);
    else
      could_not_enter("cannot enter " + room_);
  });
}

void conversation::create() {
  request({{"op", "create"}, {"room", room_}, {"kind", "public"}}, [this, room = room_](const json& answer) {
    if (room != room_)
      return;
    // Somebody else may have made it in the meantime. Either way we join: making a room does not say that we listen.
    if (answer.contains("ok")) {
      put_place(room, answer["ok"]);
      outside_.notice("made the room " + room_);
    } else if (error_code(answer) != "exists") {
      show_failure("create", answer);
      return may_be_retried(answer) ? pause(answer) : could_not_enter("cannot make " + room_);
    }
    enter(false);
  });
}

void conversation::entered() {
  inside_ = ready_ = true;
  if (came_from_)
    outside_.notice("now in " + room_);
  came_from_.reset();
  if (!been_here_) {
    been_here_ = true;
    show_history(history_default);
  }
  run_held();
  say_next();
}

void conversation::go(const std::string& room) {
  if (room == room_)
    return outside_.notice(inside_ ? "you are in " + room : "not in " + room + " yet: waiting for the server");
  if (!came_from_)
    came_from_ = room_;
  room_ = room;
  last_said_ = 0;
  inside_ = been_here_ = false;
  if (!welcome_)
    return outside_.notice("not connected; " + room + " is entered when the server is back, and lines go there");
  if (room_.starts_with('@'))
    entered();
  else
    enter(true);
}

void conversation::could_not_enter(const std::string& why) {
  outside_.notice(why);
  if (!came_from_) { // There is nowhere to go.
    exit_code_ = 1;
    return;
  }
  drop_held();
  const auto refused = std::exchange(room_, *std::exchange(came_from_, std::nullopt));
  // In another room they would be read by the wrong people. One that is on its way is from an earlier stay.
  for (auto line = waiting_.begin() + (on_its_way_ ? 1 : 0); line != waiting_.end();) {
    if (line->room != refused) {
      ++line;
      continue;
    }
    outside_.notice("not sent: " + printable(line->text.substr(0, 60)));
    refused_ = true;
    line = waiting_.erase(line);
  }
  outside_.notice("still in " + room_);
  last_said_ = 0;
  been_here_ = true;
  if (listening_.contains(room_) || room_.starts_with('@'))
    entered();
  else
    enter(true);
}

void conversation::put_place(const std::string& room, const json& at) {
  auto& known = places_[room];
  if (auto epoch = text_of(at, "epoch"); known.epoch != epoch)
    known = {std::move(epoch)}; // Numbers of another epoch say nothing here.
  known.seq = number_of(at, "seq");
  const auto read = number_of(at, "read");
  known.shown = std::max(known.shown, read);
  known.told = std::max(known.told, read);
}

// -- saying -----------------------------------------------------------------------------------------------------------

void conversation::typed(std::string_view text) {
  if (text.ends_with('\r'))
    text.remove_suffix(1);
  if (text.empty())
    return;
  if (text.starts_with("//"))
    text.remove_prefix(1);
  else if (text.starts_with('/'))
    return command(text);
  waiting_.push_back({outside_.new_key(), room_, "", std::string(text)});
  say_next();
}

void conversation::say_next() {
  if (!inside_ || pausing_ || on_its_way_ || leaving_ || waiting_.empty())
    return;
  auto& next = waiting_.front();
  next.tried = true;
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
  if (!welcome_)
    say_what_is_waited_for();
}

void conversation::quit() {
  if (!ended_)
    return input_ended();
  exit_code_ = refused_ || !waiting_.empty() ? 1 : 0;
}

void conversation::say_what_is_waited_for() {
  if (!exit_code_ && !waiting_.empty())
    outside_.notice(lines(waiting_.size()) + (waiting_.size() == 1 ? " waits" : " wait") +
                    " for the server; /quit again or Ctrl-C leaves without");
}

std::string conversation::left_over() const {
  const size_t unsure = !waiting_.empty() && waiting_.front().tried ? 1 : 0;
  const size_t unsent = waiting_.size() - unsure;
  std::string out = unsure == 0 ? "" : "1 line is not acknowledged: it may have arrived or not";
  if (unsent > 0)
    out += (out.empty() ? "" : "; ") + lines(unsent) + (unsent == 1 ? " was not sent" : " were not sent");
  return out;
}

void conversation::end_if_done() {
  // Answers to /history and the like are waited for, too, so that a script gets them. The first hello has to come about
  // even if there was nothing to say: else a wrong token would look like success.
  if (!ended_ || !waiting_.empty() || !asked_.empty() || !held_.empty() || user_.empty() || exit_code_)
    return;
  // An answer may overtake its event: what was said last is waited for, so that what we show ends with it.
  const auto at = places_.find(room_);
  if (inside_ && at != places_.end() && at->second.seq < last_said_)
    return;
  if (inside_ && !std::exchange(last_read_, true) && mark_all_read())
    return; // until it is answered
  exit_code_ = refused_ ? 1 : 0;
}

} // namespace greenroom::cli
