// lane: one I/O thread as the actors see it. Hosts lane actors (connections, relay lanes), the thread's timer wheel,
// and the list of outboxes that became dirty and are flushed once, after the burst.
//
// net/ drives it: it gives the lane a way to schedule run() on its thread and calls timers().tick(). A test drives it
// by hand.
//
// Threads: add() from anywhere; all else on the lane's thread.
#pragma once

#include "actors/timer_wheel.hpp"

#include <caf/actor_control_block.hpp>

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace greenroom {

/// Something that gathers output while actors run and writes it in one go afterwards.
class flushable {
public:
  virtual ~flushable() = default;
  virtual void flush() = 0;
};

/// An actor that runs on a lane: handlers, timers and on_exit happen on the lane's thread.
class hosted {
public:
  virtual ~hosted() = default;
  /// Handles everything that waits in the mailbox.
  virtual void drain() = 0;
};

class lane {
public:
  /// `schedule` makes run() happen soon on the lane's thread; called from any thread, at most once until run() started.
  lane(uint32_t index, std::function<void()> schedule) : index_(index), schedule_(std::move(schedule)) {}
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;

  uint32_t index() const noexcept { return index_; }
  timer_wheel& timers() noexcept { return timers_; }
  /// `who` has something in its mailbox; `keep` holds it alive until it ran.
  void add(caf::strong_actor_ptr keep, hosted& who);
  /// Runs every ready actor, and those they wake on this lane, then flushes what became dirty.
  void run();
  /// Flushes `f` once after the present burst. The owner calls forget() before it ends.
  void flush_later(flushable& f);
  void forget(flushable& f) noexcept;

private:
  struct ready {
    caf::strong_actor_ptr keep;
    hosted* who;
  };
  bool run_ready();
  void flush();

  const uint32_t index_;
  const std::function<void()> schedule_;
  timer_wheel timers_;
  bool in_run_ = false;
  std::vector<flushable*> dirty_;
  std::vector<ready> running_; // kept for its capacity
  std::mutex mutex_;           // guards the two below
  std::vector<ready> ready_;
  bool scheduled_ = false;
};

} // namespace greenroom
