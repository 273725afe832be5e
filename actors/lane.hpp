// lane: one I/O thread as the actors see it. Hosts connections, relay lanes and requesters, the thread's timer wheel,
// and the list of outboxes that became dirty and are flushed once, after the burst.
//
// net/ drives it: it gives the lane a way to schedule run() on its thread and calls timers().tick(). A test drives it
// by hand.
//
// Threads: add() from anywhere; all else on the lane's thread.
#pragma once

#include "actors/host.hpp"
#include "actors/timer_wheel.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace greenroom {

/// Something that gathers output while actors run and writes it in one go afterwards.
class flushable {
public:
  virtual ~flushable() = default;
  virtual void flush() = 0;
};

class lane final : public host {
public:
  /// `schedule` makes run() happen soon on the lane's thread; called from any thread, at most once until run() started.
  /// Actors of a lane have no turns: their mailboxes are bounded, and what they write is gathered.
  lane(uint32_t index, std::function<void()> schedule)
      : host(std::numeric_limits<size_t>::max()), index_(index), schedule_(std::move(schedule)) {}

  uint32_t index() const noexcept { return index_; }
  timer_wheel& timers() noexcept { return timers_; }
  /// Runs every ready actor, and those they wake on this lane, then flushes what became dirty; before a round of many
  /// actors, also what few have written by then.
  void run();
  /// Flushes `f` once after the present burst. The owner calls forget() before it ends.
  void flush_later(flushable& f);
  void forget(flushable& f) noexcept;

private:
  void schedule() override { schedule_(); }
  void before_round(size_t ready) override;
  void flush();

  const uint32_t index_;
  const std::function<void()> schedule_;
  timer_wheel timers_;
  bool in_run_ = false;
  std::vector<flushable*> dirty_;
};

} // namespace greenroom
