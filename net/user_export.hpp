// user_export: everything about one user, as lines of JSON, page by page as the client takes them. Asks the node for
// the next page only when the last one has left, so that it holds one page however much there is, and however slow the
// client.
//
// The first line is about the account; then come the rooms, some at a time; of each room how far threads were read,
// what is scheduled and, in the order of the log, what the user has done there. The last line is {"part":"end"}:
// without it, the export was broken off.
//
// Threads: a lane's.
#pragma once

#include "actors/requests.hpp"
#include "net/codec.hpp"
#include "net/http.hpp"
#include "net/rest.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace greenroom::net {

class user_export : public http_source, public std::enable_shared_from_this<user_export> {
public:
  user_export(lane& on, identity who, user_id user, const json_encoder& encode, const rest_hooks& hooks);

  /// The first line, or why there is none; then next() may be called.
  void begin(std::function<void(outcome<void>)> done);
  void next(std::function<void(http_piece)> take) override;

private:
  using look = account::look_into;
  enum class step : uint8_t { rooms, threads, scheduled, events, end };

  void go_on();
  look what_comes() const;
  void took(const ok::any& what);
  void next_room();
  void add(std::string line) { lines_.append(line).append("\n"); }

  lane& on_;
  const identity who_;
  const user_id user_;
  const json_encoder& encode_;
  const rest_hooks& hooks_;
  std::string lines_;
  std::function<void(http_piece)> take_;
  step at_ = step::rooms;
  std::deque<room_id> rooms_; // of the page; the first one is being looked into
  std::string after_;         // with which the next page of rooms begins
  bool more_rooms_ = true;
  uint64_t seq_ = 0; // up to where the room has been looked through
};

} // namespace greenroom::net
