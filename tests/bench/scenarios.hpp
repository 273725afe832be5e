// scenarios: what greenroom-bench can measure. Each one talks to a running server, prints a line of JSON on stdout
// when it is done and throws std::runtime_error when the server does not do what it should.
#pragma once

#include "crowd.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace greenroom::bench {

/// What follows a scenario's name on the command line: `--name value`.
class options {
public:
  /// Throws when the arguments do not come in such pairs.
  options(int argc, char** argv);

  unsigned number(const std::string& name, unsigned otherwise);
  /// With commas between them; at least one.
  std::vector<unsigned> numbers(const std::string& name, const std::string& otherwise);
  std::string text(const std::string& name, const std::string& otherwise);
  /// Throws when there is an option that nobody has asked for.
  void all_used() const;

private:
  static unsigned number_of(const std::string& name, const std::string& value);

  std::map<std::string, std::string> given_;
  std::set<std::string> known_;
};

/// Everything that a scenario needs.
struct bench {
  loop& on;
  const target& server;
  options& opts;
  std::string run; // differs from run to run: part of idempotency keys and of rooms that must be fresh
};

/// `--senders N --seconds S`: N users, each alone in a room of their own, send as soon as the last send was
/// acknowledged. With `--probe-dir DIR` fdatasync is measured before and after, for a ratio.
void send(bench b);
/// `--receivers N --messages M`: one room, one message at a time; the next one leaves when all have the last.
/// `--sender-port P --room NAME`: who sends is on another node, and the room where it should be; the CPU time is that
/// of the receivers' node.
void fanout(bench b);
/// `--connections N`: gives the users of `idle` and `storm` their rooms: each three, each room a hundred of them.
void populate(bench b);
/// `--connections N --hold-s S`: memory per connection of signed-in users that do nothing.
void idle(bench b);
/// `--connections N --parallel K --rooms 0|3`: connect and hello, as fast as the server can. 3: the users of populate.
void storm(bench b);
/// `--events N --readers C --seconds S`: pages of 50 from several depths of a room with N events, in percent of them,
/// or by `--depths A,B`, as many events behind the head.
void history(bench b);
/// `--rooms N`: a user with N rooms asks for pages of ten of them, from everywhere, one after the other.
void inbox(bench b);
/// `--members N --connected C --sends K`: one of the members of a room sends five times a second.
void members(bench b);
/// `--connected N --parallel K --seconds S`: N connections of one room are cut and come back, K at a time, while
/// somebody else sends in a room of their own; how long the answers take before, and from the cut until S after it.
void returns(bench b);
/// `--dir DIR --times N`: appends of 300 bytes, each with fdatasync.
void fdatasync(bench b);
/// `--file FILE`: what the lines in FILE say about the project's targets, as a table.
void targets(bench b);

} // namespace greenroom::bench
