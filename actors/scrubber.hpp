// scrubber: lets what was revoked or deleted leave the disk, by storage.scrub_minutes. See storage/scrub.cpp.
//
// In   turn, from the node's clock; stop
// Out  nothing
//
// Blocks, for as long as it takes to write tables anew: spawned detached. What ends it early is store::end_scrubs().
#pragma once

#include "actors/base.hpp"

namespace greenroom {

struct house;

namespace scrubber {

/// Perhaps it is time.
struct turn {
  using local = message_tag;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<turn>, caf::reacts_to<stop>>;

class scrubber_actor : public detached_actor<handle> {
public:
  scrubber_actor(caf::actor_config& cfg, house& in);
  behavior_type make_behavior() override;

private:
  void scrub();

  house& house_;
  int64_t next_ms_; // of house::steady_ms
};

} // namespace scrubber
} // namespace greenroom
