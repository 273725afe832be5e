// strand: a host on CAF's scheduler. One per shard: the shard's actor, its rooms, users and relays run on whatever
// worker is free, one at a time, so that a room's event reaches its relay in the same burst, in a warm cache. Workers
// steal strands from each other: a busy shard does not hold up the others.
//
// Where a thread wakes just one strand, by a lone request or a lone commit, it runs it itself (see `alone`): two thread
// switches less on the way to an acknowledgement.
//
// Outlives the scheduler: the house owns it.
#pragma once

#include "actors/host.hpp"

#include <caf/fwd.hpp>
#include <caf/resumable.hpp>

namespace greenroom {

class strand final : public host, public caf::resumable {
public:
  /// `turn`: messages of one actor before the next has its turn.
  strand(caf::actor_system& system, size_t turn) : host(turn), system_(system) {}

  subtype_t subtype() const override { return resumable::function_object; }
  resume_result resume(caf::execution_unit*, size_t) override;
  void intrusive_ptr_add_ref_impl() override {}
  void intrusive_ptr_release_impl() override {}

  /// Keeps back the first strand that this thread wakes in its lifetime. If it stays the only one, run() runs it here;
  /// else all of them go to the workers. Not for threads of CAF's scheduler, and not nested.
  class alone {
  public:
    alone() noexcept { current = this; }
    ~alone() { release(); }
    alone(const alone&) = delete;
    alone& operator=(const alone&) = delete;
    /// Ends keeping back.
    void run();

  private:
    friend class strand;
    void release() noexcept;
    static thread_local alone* current;
    strand* first_ = nullptr;
  };

private:
  resume_result run(size_t rounds);
  void schedule() override;
  void send_to_workers();

  caf::actor_system& system_;
};

} // namespace greenroom
