// limits in force: the node's limits, which SIGHUP replaces while all others read them. Old ones are freed.
//
// Handlers look at them many times for each message, so now() is one atomic load and counts nobody. What it gives is
// good until the handler returns. When limits are replaced, a mark is put on every lane and strand: as each of these
// does one thing after another, nobody looks at the old limits any more when all marks have had their turn. Whoever
// needs them for longer, as the sessions of net/ do, holds kept().
//
// Threads: now() on lanes and strands, kept() anywhere; settle() and replace() on one thread that is neither.
//
// Invariants
// - Besides what kept() has given out there are at most two: those in force and those before.
#pragma once

#include "actors/host.hpp"
#include "config/settings.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

namespace greenroom {

class limits_in_force {
public:
  explicit limits_in_force(const limits& first);
  limits_in_force(const limits_in_force&) = delete;
  limits_in_force& operator=(const limits_in_force&) = delete;
  /// REQUIRES: the marks of the last replace() have had their turn, or the hosts run no more.
  ~limits_in_force();

  /// Good until the handler of an actor, or of a socket, that asks has returned.
  const limits* now() const noexcept { return now_.load(std::memory_order_acquire); }
  std::shared_ptr<const limits> kept() const;

  /// Waits until those before the present ones have been freed. False: after `patience` some thread is still at what it
  /// was doing when they were replaced.
  bool settle(std::chrono::milliseconds patience);
  /// `hosts`: all on whose threads now() is called; they outlive this. REQUIRES: settle() has answered true.
  void replace(const limits& next, const std::vector<host*>& hosts);

private:
  struct round;

  mutable std::mutex mutex_; // guards the pointer below
  std::shared_ptr<const limits> kept_;
  std::atomic<const limits*> now_;
  std::unique_ptr<round> round_; // null: nothing was replaced yet
};

} // namespace greenroom
