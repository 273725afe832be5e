#include "actors/strand.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <utility>

namespace greenroom {
namespace {

// Rounds before another strand has the worker; in each of them every ready actor has one turn. Of a thread with work of
// its own only as many as an answer takes: from the shard to the room, from there to the relay.
constexpr size_t rounds_max = 8;
constexpr size_t rounds_alone = 3;

} // namespace

caf::resumable::resume_result strand::resume(caf::execution_unit*, size_t) { return run(rounds_max); }

caf::resumable::resume_result strand::run(size_t rounds) {
  for (size_t i = 0; i < rounds; ++i)
    if (!run_ready())
      return done; // from here on another worker may run it
  return resume_later;
}

thread_local strand::alone* strand::alone::current = nullptr;

void strand::schedule() {
  auto* a = alone::current;
  if (a && !a->first_) {
    a->first_ = this;
    return;
  }
  if (a)
    a->release(); // two: the workers take turns better
  send_to_workers();
}

void strand::send_to_workers() { system_.scheduler().enqueue(this); }

void strand::alone::run() {
  current = nullptr;
  if (auto* s = std::exchange(first_, nullptr); s && s->run(rounds_alone) == resume_later)
    s->send_to_workers();
}

void strand::alone::release() noexcept {
  current = nullptr;
  if (auto* s = std::exchange(first_, nullptr))
    s->send_to_workers();
}

} // namespace greenroom
