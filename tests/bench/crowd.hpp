// crowd: connections that are users. Each of them signs in, plays a script of requests, one after the other, and is
// then at the scenario's disposal.
//
// Invariants
// - An answer with an error ends the benchmark with its message, except `exists` to a `create`: a room may be there
//   from an earlier run. So no figure rests on refused requests.
// - So does a connection that ends before the crowd does.
#pragma once

#include "loop.hpp"

#include <deque>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace greenroom::bench {

/// The server under test, or all nodes of a cluster.
struct target {
  std::vector<uint16_t> ports; // connections take them in turn
  std::vector<pid_t> pids;     // whose CPU time counts; memory is that of the first
  std::string secret;          // that signs its tokens
  std::string name = "server"; // as the report calls it
};

class peer : public connection {
public:
  using connection::connection;

  /// Sends `{"id":N,<fields>}` and answers N. One at a time where `sent_ns` is used.
  uint64_t request(std::string_view fields);

  std::string user;
  std::string hello;               // the fields of its hello frame
  std::vector<std::string> script; // fields of the requests that follow
  size_t step = 0;                 // of the script; its size: all done
  bool ready = false;
  uint64_t last_id = 0;
  int64_t sent_ns = 0;    // when the last request left
  int64_t entered_ns = 0; // how long it took from dialling to the answer to hello
  uint64_t cursor = 0;    // for the scenario
};

class crowd final : public connection_owner {
public:
  crowd(loop& on, const target& server) : loop_(on), target_(server) {}

  /// `hello_fields` follow the token in the hello frame: `"subscribe":"none"`.
  peer& add(const std::string& user, std::string_view hello_fields, std::vector<std::string> script = {});

  /// Brings in all who are not in yet, `parallel` at a time, and returns when the last has played its script.
  void enter(size_t parallel);

  std::deque<peer>& peers() { return peers_; }

  /// Every event, and every answer that belongs to no script. Set before enter() when events count from the start.
  std::function<void(peer&, std::string_view)> on_frame;
  /// Leave as soon as the script is played: for those who only prepare something.
  bool leave_when_ready = false;

private:
  void opened(connection& from) override;
  void received(connection& from, std::string_view frame) override;
  void ended(connection& from, const std::string& why) override;
  void next_enters();
  void advance(peer& p);

  loop& loop_;
  const target& target_;
  std::deque<peer> peers_; // never moves its elements
  size_t entered_ = 0;     // how many have dialled
  size_t ready_ = 0;
};

/// A text of that many bytes that needs no escape in JSON.
std::string filler(size_t bytes);

/// The frame as an error, when it is one.
[[noreturn]] void throw_error(const peer& from, std::string_view frame);

} // namespace greenroom::bench
