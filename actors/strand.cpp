#include "actors/strand.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

namespace greenroom {
namespace {

// Rounds before another strand has the worker; in each of them every ready actor has one turn.
constexpr int rounds_max = 8;

} // namespace

caf::resumable::resume_result strand::resume(caf::execution_unit*, size_t) {
  for (int i = 0; i < rounds_max; ++i)
    if (!run_ready())
      return done; // from here on another worker may run it
  return resume_later;
}

void strand::schedule() { system_.scheduler().enqueue(this); }

} // namespace greenroom
