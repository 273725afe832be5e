// loop: one epoll set and the WebSocket clients in it; everything runs on the one thread that calls turn().
//
// Invariants
// - A connection outlives its place in the epoll set; close() takes it out at once, and a late readiness is ignored.
// - One read per readiness into a buffer shared by all connections; a connection keeps bytes only of a frame that is
//   not yet complete. So the generator stays light with ten thousand of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace greenroom::bench {

/// Nanoseconds of the monotonic clock.
int64_t now_ns();

class connection;

/// What a connection tells its owner.
class connection_owner {
public:
  /// The upgrade to WebSocket was answered with 101.
  virtual void opened(connection& from) = 0;
  /// One protocol frame: a line of a text message. Valid during the call only.
  virtual void received(connection& from, std::string_view frame) = 0;
  /// The other side ended it, or it could not be made.
  virtual void ended(connection& from, const std::string& why) = 0;

protected:
  ~connection_owner() = default;
};

class loop {
public:
  loop();
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Serves what is ready, waiting at most `wait` for it.
  void turn(std::chrono::milliseconds wait);

  /// Turns until `done()`; throws std::runtime_error naming `what` when that takes longer than `limit`.
  template <class Done>
  void until(Done done, std::chrono::seconds limit, const char* what) {
    const int64_t end = now_ns() + std::chrono::nanoseconds(limit).count();
    while (!done()) {
      turn(std::chrono::milliseconds(100));
      if (now_ns() > end)
        give_up(what, limit);
    }
  }

  /// Turns for that long.
  void pass(std::chrono::milliseconds time);

private:
  friend class connection;
  [[noreturn]] static void give_up(const char* what, std::chrono::seconds limit);
  int epoll_ = -1;
  std::string buffer_; // what was read last, whichever connection it came from
};

class connection {
public:
  connection(loop& on, connection_owner& owner) : loop_(on), owner_(owner) {}
  ~connection() { close(); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Dials 127.0.0.1 from 127.0.0.(2 + source % 32): one source address has 28,000 ports only, some of them still in
  /// TIME_WAIT from the scenario before.
  void open(uint16_t port, unsigned source);
  void send(std::string_view frame);
  void close();
  bool is_open() const { return phase_ == phase::open; }

private:
  friend class loop;
  enum class phase : uint8_t { closed, dialling, upgrading, open };

  void ready(uint32_t events);
  void read();
  size_t take_upgrade(std::string_view bytes); // how much of it was used
  size_t take_frame(std::string_view bytes);
  void write(std::string_view bytes);
  void watch(uint32_t events, int operation);
  void end(const std::string& why);

  loop& loop_;
  connection_owner& owner_;
  int fd_ = -1;
  phase phase_ = phase::closed;
  std::string input_;   // an incomplete frame
  std::string message_; // a fragmented message so far
  std::string output_;  // what the socket did not take
};

} // namespace greenroom::bench
