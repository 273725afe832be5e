// vetter: asks the pre-send hook about what people want to say. One actor per node.
//
// In   ask from rooms; answers of the receiver; stop
// Out  posts to the receiver; vetted, always, to the room that asked
//
// Invariant: at most presend.waiting questions are under way; one more is answered at once, as a refusal.
#pragma once

#include "actors/base.hpp"
#include "actors/hooks.hpp"
#include "actors/http_client.hpp"

#include <memory>
#include <unordered_map>

namespace greenroom {

struct house;

namespace vetter {

/// The hook's answer, or what stands for it by presend.on_failure; `failed`: the message is refused with unavailable,
/// because nobody has answered, or too many questions wait.
struct vetted {
  using local = message_tag;
  uint64_t token = 0;
  hooks::verdict what;
};
using asker = caf::typed_actor<caf::reacts_to<vetted>>;

struct ask {
  using local = message_tag;
  uint64_t token = 0;
  std::shared_ptr<const hooks::question> what;
  asker to;
};
struct answered {
  using local = message_tag;
  uint64_t ticket = 0;
  hooks::verdict what;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<ask>, caf::reacts_to<answered>, caf::reacts_to<stop>>;

class vetter_actor : public hosted_actor<vetter_actor, handle> {
public:
  vetter_actor(caf::actor_config& cfg, house& in, host& on);

  void receive(const ask& x);
  void receive(const answered& x);
  void receive(const stop&);

private:
  struct open_question {
    asker to;
    uint64_t token = 0;
    bool open = false; // a failure lets it pass
  };

  house& house_;
  std::unordered_map<uint64_t, open_question> asked_; // by ticket
  uint64_t next_ticket_ = 0;
  int64_t quiet_until_ = 0; // of house::steady_ms
};

} // namespace vetter
} // namespace greenroom
