// host: runs actors one after another. A lane is a host on an I/O thread, a strand one on CAF's workers. What two
// actors of one host say to each other costs no thread switch and no lock that anybody else wants.
//
// Threads: add() from anywhere; drain() wherever the host runs, never twice at the same time.
#pragma once

#include <caf/actor_control_block.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

namespace greenroom {

/// An actor that a host runs.
class hosted {
public:
  using clock = std::chrono::steady_clock;

  virtual ~hosted() = default;
  /// Handles what waits in the mailbox, at most `turn` messages. `since` is when the previous one ended; left at the
  /// present time, so that a run of actors reads the clock once each.
  virtual void drain(clock::time_point& since, size_t turn) = 0;
};

class host {
public:
  explicit host(size_t turn) : turn_(turn) {}
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  /// `who` has something in its mailbox; `keep` holds it alive until it ran, or is null where the caller does.
  void add(caf::strong_actor_ptr keep, hosted& who);

protected:
  ~host() = default;

  /// Makes the host run soon. Called from any thread, once until run_ready() has returned false.
  virtual void schedule() = 0;
  /// So many actors are about to run.
  virtual void before_round(size_t) {}
  /// Schedules the host, whether an actor is ready or not.
  void wake();
  /// Runs every actor that is ready. False: none was; the next one schedules the host again.
  bool run_ready();

private:
  struct ready {
    caf::strong_actor_ptr keep;
    hosted* who;
  };

  const size_t turn_;
  std::vector<ready> running_; // kept for its capacity
  std::mutex mutex_;           // guards the two below
  std::vector<ready> ready_;
  bool scheduled_ = false;
};

} // namespace greenroom
