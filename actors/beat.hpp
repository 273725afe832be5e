// beat: calls a function at a steady pace, on a lane. It is the time of everything that has no deadlines of its own to
// keep on the lane: shards, and what a cluster adds. No CAF timer, for which a shutdown would have to wait.
//
// In   stop
// Out  what the function says, first when the actor starts and then every `every_ms`
//
// Threads: the function runs on the lane's thread; it must not block.
#pragma once

#include "actors/base.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace greenroom::beat {

struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<stop>>;

class beat_actor : public lane_actor<beat_actor, handle> {
public:
  /// `every_ms`: kept as precisely as the lane's timers are, see timer_wheel::arm.
  beat_actor(caf::actor_config& cfg, lane& on, std::string name, directory& living, uint64_t every_ms,
             std::function<void()> say)
      : lane_actor(cfg, on, actor_kind::clock, std::move(name), living, mailbox_max), every_ms_(every_ms),
        say_(std::move(say)), tick_([this] { tick(); }) {}

  void receive(const stop&) { quit(); }
  void on_exit() override { tick_.cancel(); }

private:
  static constexpr size_t mailbox_max = 16; // it is told one thing in its life

  void start() override { tick(); }
  void tick() {
    say_();
    here().timers().arm(tick_, every_ms_);
  }

  const uint64_t every_ms_;
  const std::function<void()> say_;
  timer_wheel::entry tick_;
};

} // namespace greenroom::beat
