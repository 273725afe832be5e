#include "actors/scrubber.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::scrubber {
namespace {

constexpr int64_t minute_ms = 60'000;
constexpr int64_t retry_ms = minute_ms; // a snapshot that was in the way, or a store that is being reopened

} // namespace

scrubber_actor::scrubber_actor(caf::actor_config& cfg, house& in)
    : detached_actor(cfg, actor_kind::scrubber, "store", in.living), house_(in),
      // What the process before has left is due after a while, and not in the middle of a start.
      next_ms_(in.steady_ms() + std::min(int64_t{in.config.storage.scrub_minutes}, int64_t{30}) * minute_ms) {}

scrubber_actor::behavior_type scrubber_actor::make_behavior() {
  return {
      [this](const turn&) {
        if (house_.steady_ms() >= next_ms_)
          scrub();
        house_.scrub_asked = false;
      },
      [this](const stop&) { this->quit(); },
  };
}

void scrubber_actor::scrub() {
  const auto& c = house_.config.storage;
  auto scrubbed = house_.store.scrub(c.scrub_ranges);
  const auto now = house_.steady_ms();
  if (!scrubbed) {
    next_ms_ = now + retry_ms;
    signs().failed(scrubbed.error().message);
    spdlog::warn("what=scrub_failed reason=\"{}\"", scrubbed.error().message);
    return;
  }
  house_.metrics.scrubbed.add(*scrubbed);
  const bool more = *scrubbed >= c.scrub_ranges;
  next_ms_ = now + (more ? 0 : int64_t{c.scrub_minutes} * minute_ms);
  if (*scrubbed > 0)
    spdlog::info("what=scrubbed ranges={}", *scrubbed);
}

} // namespace greenroom::scrubber
