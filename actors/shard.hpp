// shard: owns one of the 128 shards on this node: which of its rooms and users are awake, the relays of its rooms (so
// that they survive their room's passivation), and the effects of its rooms on users until they have been applied.
//
// In   room::ask and user::ask from everywhere; the signs of life of its rooms, users and relays; effect_applied from
//      other shards; tick from the node's clock; stop
// Out  the same asks, to the actor that is meant; effects to the users' shards
//
// Invariants
// - See activations.hpp: one actor per id, order kept, bounded.
// - An effect that was stored is sent until it was applied, also after a restart; then it is erased.
// - A relay is ended only when it has no listeners and no attach is under way to it.
#pragma once

#include "actors/activations.hpp"
#include "actors/audience.hpp"
#include "actors/room.hpp"
#include "actors/user.hpp"

#include <map>
#include <tuple>
#include <unordered_map>

namespace greenroom::shard {

struct tick {
  using local = message_tag;
};
/// Retire everything, then end.
struct stop {
  using local = message_tag;
};

using handle =
    caf::typed_actor<caf::reacts_to<room::ask>, caf::reacts_to<user::ask>, caf::reacts_to<room::wants_retire>,
                     caf::reacts_to<room::retired>, caf::reacts_to<room::effects>, caf::reacts_to<room::remind>,
                     caf::reacts_to<user::busy>, caf::reacts_to<user::retired>, caf::reacts_to<user::stays>,
                     caf::reacts_to<user::effect_applied>, caf::reacts_to<relay::idle>, caf::reacts_to<effects_loaded>,
                     caf::reacts_to<committed>, caf::reacts_to<tick>, caf::reacts_to<stop>>;

class shard_actor : public hosted_actor<shard_actor, handle> {
public:
  shard_actor(caf::actor_config& cfg, house& in, shard_id id);

  // Messages.
  void receive(const room::ask& x) { rooms_.take(x.what->room, x); }
  void receive(const user::ask& x) { users_.take(x.what->user, x); }
  void receive(const room::wants_retire& x) { rooms_.retire(x.room); }
  void receive(const room::retired& x);
  void receive(const room::effects& x);
  void receive(const room::remind& x) { reminders_.push_back(x.room); }
  void receive(const user::busy& x) { users_.set_busy(x.user, x.on); }
  void receive(const user::retired& x);
  void receive(const user::stays& x) { users_.stays(x.user, x.actor); }
  void receive(const user::effect_applied& x);
  void receive(const relay::idle& x);
  void receive(const effects_loaded& x);
  void receive(const committed&) {} // an effect that could not be erased is sent again after the next start
  void receive(const tick&);
  void receive(const stop&);

private:
  using room_activations = activations<room_id, room::handle, room::ask>;
  using user_activations = activations<user_id, user::handle, user::ask>;
  using effect_key = std::tuple<room_id, uint64_t, user_id>;
  struct open_effect {
    storage::effect_record what;
    uint32_t age = 0; // ticks since it was sent last
  };

  const std::shared_ptr<audience>& audience_of(const room_id& room);
  void forget_audience(const room_id& room);
  void attach(const room_id& room);
  room_activations::hooks room_hooks();
  user_activations::hooks user_hooks();
  void start() override { begin(); }
  void on_down(const caf::down_msg& x) override;
  void begin();
  void add(const storage::effect_record& e);
  void send_effect(const storage::effect_record& e);
  void try_to_end();

  house& house_;
  const shard_id id_;
  room_activations rooms_;
  user_activations users_;
  std::unordered_map<room_id, std::shared_ptr<audience>> audiences_; // of rooms that are awake or listened to
  std::vector<room_id> reminders_;
  std::map<effect_key, open_effect> effects_;
  bool effects_known_ = false; // all that the store holds are in effects_
  bool loading_effects_ = false;
  bool counted_as_started_ = false;
  bool stopping_ = false;
};

} // namespace greenroom::shard
