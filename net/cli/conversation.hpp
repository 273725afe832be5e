// conversation: the client's half of the protocol for one person in one room, without a socket or a clock. It is told
// what the server sent and what the person typed, and says what goes out and what is shown; connections come and go
// beneath it.
//
// Invariants
// - A line that was typed is kept until the server acknowledges it or refuses it for good, and is sent again under the
//   same key on each new connection: so it is in the log once, whenever the server died.
// - One line is on its way at a time, so that a line that must wait is not overtaken by the next.
// - A line goes to the room that was chosen when it was typed, or nowhere: when that room cannot be entered, the line
//   is refused and the person is back in the room before.
// - Events are shown in the order of their numbers, each once; a gap or a repetition would be a mistake of the server
//   and is said aloud.
// - The read position of a room is told to the server up to where everything before has been shown here, soon after; a
//   crash in between shows as unread what was seen. With `raw` nothing is told: who reads frames decides by itself.
// - Who is told to go (`goaway`) goes when nothing is unanswered, and of the change nothing is seen: what is typed
//   meanwhile waits for the next connection.
// - What others write cannot steer the terminal: control characters are not shown.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cli {

/// Lines that may wait for the server; then no more are read from the terminal.
inline constexpr size_t lines_waiting_max = 1'000;
/// Commands that may wait until the room is entered.
inline constexpr size_t commands_held_max = 100;
/// Events of the past that are shown on entering a room, and by /history without a number.
inline constexpr unsigned history_default = 20;

class conversation {
public:
  struct outside {
    /// Sends one frame on the connection.
    std::function<void(std::string frame)> send;
    /// Shows a line: what was said, and what the person asked for.
    std::function<void(const std::string& line)> show;
    /// Shows a line about how things go.
    std::function<void(const std::string& line)> notice;
    /// Calls retry() after this time, once.
    std::function<void(uint32_t ms)> retry_after;
    /// Calls mark_read() after a second or so, once.
    std::function<void()> mark_read_soon;
    /// Ends the connection, to try again with a new one.
    std::function<void()> reconnect;
    /// Calls leave() after this time, once.
    std::function<void(uint32_t ms)> leave_after;
    /// Closes the connection in good order, to go on with a new one at once.
    std::function<void()> say_goodbye;
    /// Gets a new token and calls renewed(), or does nothing.
    std::function<void()> renew_token;
    /// A new idempotency key; must never come twice.
    std::function<std::string()> new_key;
  };

  /// `room`: where lines go, a valid name; made if it is not there. `raw`: frames are shown as they come, and nothing
  /// else.
  conversation(std::string room, bool raw, outside o);

  // -- the connection
  void connected(const std::string& token);
  void received(std::string_view message);
  void disconnected();
  void renewed(const std::string& token);
  void retry();
  void leave();
  /// Tells the server what has been shown since the last time.
  void mark_read();

  // -- the person
  void typed(std::string_view text);
  /// Nothing more will be typed: the end comes when all is acknowledged.
  void input_ended();

  /// The exit code, once there is nothing left to do.
  /// 0: all that was typed is acknowledged; 1: something was refused.
  std::optional<int> finished() const noexcept { return exit_code_; }
  /// Whether the server has asked to go on with another connection. Until that one is there, or has failed.
  bool moving() const noexcept { return moving_; }
  /// Whether hello has been answered on this connection.
  bool welcome() const noexcept { return welcome_; }
  /// Whether the room has been entered: before that, commands could not be done.
  bool ready() const noexcept { return ready_; }
  size_t unacknowledged() const noexcept { return waiting_.size(); }
  /// What becomes of lines that are not acknowledged if the end comes now; empty: there are none.
  std::string left_over() const;
  bool may_type() const noexcept { return waiting_.size() < lines_waiting_max; }

private:
  struct place {
    std::string epoch;
    uint64_t seq = 0;   // of the last event that came
    uint64_t shown = 0; // all events up to here have been shown, or were read elsewhere
    uint64_t told = 0;  // the read position that the server was told
  };
  struct utterance {
    std::string key;
    std::string room; // one of room and to
    std::string to;
    std::string text;
    bool tried = false; // on some connection
  };
  /// Gets the frame with "ok" or "error".
  using on_answer = std::function<void(const nlohmann::json& frame)>;

  void request(nlohmann::json frame, on_answer then);
  void answered(const nlohmann::json& frame);
  void happened(const nlohmann::json& event);
  void show_event(const nlohmann::json& event);

  void welcomed(const nlohmann::json& ok);
  void enter(bool may_create);
  void create();
  void entered();
  void go(const std::string& room);
  void could_not_enter(const std::string& why);
  void put_place(const std::string& room, const nlohmann::json& at);
  void run_held();
  void drop_held();
  void say_next();
  void acknowledged(const nlohmann::json& frame);
  /// Tries again after the time that a refusal names.
  void pause(const nlohmann::json& frame);
  void leave_if_idle();
  void quit();
  void say_what_is_waited_for();
  void end_if_done();

  void command(std::string_view text);
  void show_history(unsigned count);
  void show_members();
  void show_rooms();
  void show_failure(std::string_view what, const nlohmann::json& frame);
  void show(const std::string& text);
  void shown_up_to(const std::string& room, uint64_t seq);
  bool mark_all_read();

  const bool raw_;
  const outside outside_;
  std::string room_;

  bool welcome_ = false;   // hello is answered
  bool inside_ = false;    // and so is join: lines and commands can go out
  bool been_here_ = false; // in this room, on this connection or an earlier one; its history was asked for
  bool ready_ = false;
  bool ended_ = false;
  bool pausing_ = false; // retry() will be called
  bool moving_ = false;  // the server has asked to go
  bool leaving_ = false; // as soon as nothing is unanswered
  bool on_its_way_ = false;
  bool refused_ = false;   // a line, for good
  bool marking_ = false;   // mark_read() will be called
  bool last_read_ = false; // the read positions have been told for the last time
  int64_t last_id_ = 0;
  uint64_t last_said_ = 0; // seq of our last line in this room
  std::string user_;
  std::map<int64_t, on_answer> asked_;
  std::map<std::string, place> places_;
  std::set<std::string> listening_;      // rooms that this connection hears
  std::optional<std::string> came_from_; // while a /join is under way: where we are if it is refused
  std::deque<utterance> waiting_;
  std::vector<std::string> held_; // commands, until the room is entered
  std::optional<int> exit_code_;
};

} // namespace greenroom::cli
