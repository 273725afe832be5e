// io_threads: the threads that own sockets. Each runs a single-threaded io_context, the `lane` of the actors that live
// beside its sockets, and one tick per timer_wheel::tick_ms for all their deadlines.
//
// Invariant: a connection never changes its thread; what belongs to it is touched there only, without a lock.
// Threads: construction, stop_sessions() and join() from one controlling thread; the rest as said at each function.
#pragma once

#include "actors/lane.hpp"
#include "actors/metrics.hpp"
#include "config/errc.hpp"

#include <boost/intrusive/list.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace greenroom::net {

class io_thread;

/// Milliseconds of the clock of house::steady_ms.
int64_t steady_ms() noexcept;

/// Something that owns a socket of a thread, so that the thread can end it.
class session : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
  explicit session(io_thread& home);
  virtual ~session() { retire(); }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  /// Ends in good order, within a bounded time.
  virtual void shut_down(close_code code) = 0;
  /// Ends at once: closes the socket.
  virtual void abort() noexcept = 0;

protected:
  /// Its socket is closed: nobody needs to wait for it any more, though an actor may still hold it.
  void retire() noexcept;
  io_thread& home_;
};

/// How many sessions of all threads have an open socket.
class session_count {
public:
  void add();
  void remove() noexcept;
  /// False: there still were some when `patience` ended.
  bool wait_for_none(std::chrono::milliseconds patience);

private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t count_ = 0;
};

/// What one thread counted since the last tick. Plain numbers, because two atomics shared by all threads would cost
/// each delivery more than everything else that is done for it here.
struct traffic {
  int64_t frames_in = 0;
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  int64_t writes = 0;
  int64_t queue_bytes = 0;
  int64_t ephemeral_dropped = 0;
};

/// Everything here belongs to the thread, except where said.
class io_thread {
public:
  using session_list = boost::intrusive::list<session, boost::intrusive::constant_time_size<false>>;
  /// One TLS record; also what one read takes from a socket that is being drained.
  static constexpr size_t scratch_bytes = 16'384;

  io_thread(uint32_t index, greenroom::metrics& m, session_count& sessions);
  ~io_thread();

  boost::asio::io_context& context() noexcept { return *context_; } // post to it from anywhere
  greenroom::lane& lane() noexcept { return lane_; }
  traffic& counts() noexcept { return counts_; }
  session_list& sessions() noexcept { return sessions_; }
  /// Room for the length of one call; nobody may keep anything in it.
  char* scratch() noexcept { return scratch_.get(); }
  /// Runs `f` on the thread. From anywhere.
  void post(std::function<void()> f);
  /// The same, and waits for it. From any other thread, while the thread runs.
  void call(const std::function<void()>& f);
  /// Whether the house is closing: what is asked now is refused.
  bool closing() const noexcept { return closing_; }

private:
  friend class io_threads;
  friend class session;
  void run();
  void tick();
  void publish() noexcept;

  greenroom::metrics& metrics_;
  session_count& live_sessions_;
  std::unique_ptr<boost::asio::io_context> context_;
  struct clock; // the tick and what keeps run() from returning
  std::unique_ptr<clock> clock_;
  greenroom::lane lane_;
  traffic counts_;
  std::unique_ptr<char[]> scratch_;
  session_list sessions_;
  bool closing_ = false;
  std::thread thread_;
};

class io_threads {
public:
  /// Starts `count` threads; 0: one per core. Also makes the process ignore SIGPIPE: a socket that is gone is an error
  /// of one write.
  io_threads(uint32_t count, greenroom::metrics& m);
  /// Joins.
  ~io_threads();
  io_threads(const io_threads&) = delete;
  io_threads& operator=(const io_threads&) = delete;

  size_t size() const noexcept { return threads_.size(); }
  io_thread& operator[](size_t i) noexcept { return *threads_[i]; }
  std::vector<lane*> lanes();
  /// False once join() returned.
  bool running() const noexcept { return !threads_.empty() && threads_.front()->thread_.joinable(); }
  /// From when it returns no request is handled and no WebSocket begins; those that are there go on.
  void refuse_requests();
  /// Asks every session to end with `code` and waits until all did; whoever has not after `patience` is cut off.
  void stop_sessions(close_code code, std::chrono::milliseconds patience);
  /// Ends the threads. Cuts off what is still connected. Nothing runs on a lane afterwards.
  void join();

private:
  void on_each(const std::function<void(io_thread&)>& f);

  session_count live_sessions_;
  std::vector<std::unique_ptr<io_thread>> threads_;
};

} // namespace greenroom::net
