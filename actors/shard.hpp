// shard: owns one of the 128 shards on this node: which of its rooms and users are awake, the relays of its rooms (so
// that they survive their room's passivation), the effects of its rooms on users until they have been applied, what is
// to be done later, what rooms tell the inboxes of its users until it is written, and how its users appear to those who
// watch them.
//
// In   room::ask and user::ask from everywhere; the signs of life of its rooms, users and relays; effect_applied from
//      other shards; tick from the node's clock; stop. In a cluster also serve, yield and primary_is from the shard's
//      replica, letters from other nodes, and the answers to commands that its router has passed on
// Out  the same asks, to the actor that is meant, what has fallen due, and what the pusher wants of rooms; effects to
//      the users' shards; serves and yields to the pusher; in a cluster letters to other nodes
//
// Invariants
// - See activations.hpp: one actor per id, order kept, bounded.
// - What is due is done once: the room that does it erases it in the same write. It is asked for until then.
// - An effect that was stored is sent until it was applied, also after a restart; then it is erased. At most
//   rooms.effects are kept in memory. One more is sent once; if it was not applied, it is read from the store and sent
//   again when there is room.
// - Activity of rooms is written together, once in rooms.activity_s, without waking its users. It may get lost: it
//   only orders their lists.
// - News of presence are told with the clock's turns, once a second at most for a user or a room.
// - A relay is ended only when it has no listeners and no attach is under way to it.
// - In a cluster rooms and users are awake here only while this node serves the shard.
#pragma once

#include "actors/activations.hpp"
#include "actors/audience.hpp"
#include "actors/cluster/router.hpp"
#include "actors/presence_board.hpp"
#include "actors/pusher.hpp"
#include "actors/room.hpp"
#include "actors/user.hpp"

#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

namespace greenroom::shard {

struct tick {
  using local = message_tag;
};
/// A lane has connections that want to know how the user appears, or has none any more.
struct watched {
  using local = message_tag;
  user_id user;
  uint32_t lane = 0;
  bool on = false;
};
/// Retire everything, then end.
struct stop {
  using local = message_tag;
};
/// In a cluster, several times a second.
struct route_tick {
  using local = message_tag;
};

using handle =
    caf::typed_actor<caf::reacts_to<room::ask>, caf::reacts_to<user::ask>, caf::reacts_to<room::wants_retire>,
                     caf::reacts_to<room::retired>, caf::reacts_to<room::effects>, caf::reacts_to<room::remind>,
                     caf::reacts_to<room::due_later>, caf::reacts_to<room::due_done>, caf::reacts_to<due_loaded>,
                     caf::reacts_to<pusher::collect>, caf::reacts_to<pusher::moved>, caf::reacts_to<user::busy>,
                     caf::reacts_to<user::retired>, caf::reacts_to<user::stays>, caf::reacts_to<watched>,
                     caf::reacts_to<user::errand>, caf::reacts_to<user::gone>, caf::reacts_to<user::effect_applied>,
                     caf::reacts_to<relay::idle>, caf::reacts_to<effects_loaded>, caf::reacts_to<committed>,
                     caf::reacts_to<tick>, caf::reacts_to<stop>, caf::reacts_to<reply>, caf::reacts_to<stands>,
                     caf::reacts_to<room::pulled>, caf::reacts_to<user::welcome>, caf::reacts_to<user::listed>,
                     caf::reacts_to<user::ended>, caf::reacts_to<user::shown>, caf::reacts_to<user::signalled>,
                     caf::reacts_to<user::vanished>, caf::reacts_to<relay::seen>, caf::reacts_to<cluster::arrived>,
                     caf::reacts_to<cluster::peer_up>, caf::reacts_to<cluster::peer_down>,
                     caf::reacts_to<cluster::primary_is>, caf::reacts_to<cluster::serve>,
                     caf::reacts_to<cluster::yield>, caf::reacts_to<route_tick>>;

class shard_actor : public hosted_actor<shard_actor, handle>, public cluster::router::shard {
public:
  shard_actor(caf::actor_config& cfg, house& in, shard_id id);

  // Messages.
  void receive(const room::ask& x);
  void receive(const user::ask& x);
  void receive(const room::wants_retire& x) { rooms_.retire(x.room); }
  void receive(const room::retired& x);
  void receive(const room::effects& x);
  void receive(const room::remind& x) { reminders_.push_back(x.room); }
  void receive(const room::due_later& x);
  void receive(const room::due_done& x);
  void receive(const due_loaded& x);
  /// For rooms that this node serves; whoever asks does so again.
  void receive(const pusher::collect& x) { pass_on(x.room, room::collect{x}); }
  void receive(const pusher::moved& x) { pass_on(x.room, room::hook_moved{x}); }
  void receive(const user::errand& x);
  void receive(const user::gone& x);
  void receive(const user::busy& x);
  void receive(const watched& x);
  void receive(const user::retired& x);
  void receive(const user::stays& x) { users_.stays(x.user, x.actor); }
  void receive(const user::effect_applied& x);
  void receive(const relay::idle& x);
  void receive(const effects_loaded& x);
  /// An effect that could not be erased is sent again after the next start; activity is told again.
  void receive(const committed&) {}
  void receive(const tick&);
  void receive(const stop&);

  // In a cluster: answers to commands that the router has passed on, and what happens around. In shard_cluster.cpp.
  void receive(const reply& x) { router_->answered(x.ticket, x.what); }
  void receive(const stands& x) { router_->answered(x.ticket, x.where); }
  void receive(const room::pulled& x) { router_->answered(x.ticket, x); }
  void receive(const user::welcome& x) { router_->answered(x.ticket, x); }
  void receive(const user::listed& x) { router_->tell_connection(x); }
  void receive(const user::ended& x) { router_->tell_connection(x); }
  void receive(const user::shown& x) { router_->tell_connection(x); }
  void receive(const user::signalled& x) { router_->tell_connection(x); }
  void receive(const user::vanished& x) { router_->tell_connection(x); }
  void receive(const relay::seen& x) { router_->seen(x.room, x.user, x.status); }
  void receive(const cluster::arrived& x) { router_->receive(x); }
  void receive(const cluster::peer_up& x) { router_->receive(x); }
  void receive(const cluster::peer_down& x) { router_->receive(x); }
  void receive(const cluster::primary_is& x) { router_->receive(x); }
  void receive(const cluster::serve& x);
  void receive(const cluster::yield& x);
  void receive(const route_tick&) { router_->tick(); }

private:
  using room_activations = activations<room_id, room::handle, room::ask>;
  using user_activations = activations<user_id, user::handle, user::ask>;
  using effect_key = std::tuple<room_id, uint64_t, user_id, std::string>; // the last: an attachment
  struct open_effect {
    storage::effect_record what;
    uint32_t age = 0; // ticks since it was sent last
  };

  const std::shared_ptr<audience>& audience_of(const room_id& room);
  // For the router.
  void perform(const room::ask& x) override { rooms_.take(x.what->room, x); }
  void perform(const user::ask& x) override;
  void will_listen(const room_id& room) override;
  audience* find_audience(const room_id& room) override;
  audience& make_audience(const room_id& room) override { return *audience_of(room); }
  void forget_audience(const room_id& room) override;
  std::vector<audience*> all_audiences() override;
  std::vector<user_id> watched_users() const override { return board_.watched(); }
  void watched_from(uint32_t node, const std::vector<user_id>& users, bool on, bool anew) override;
  void not_watched_from(uint32_t node) override { board_.forget(node); }
  void appeared(const std::vector<appearance>& users) override;
  asker as_asker() override;
  caf::typed_actor<caf::reacts_to<room::pulled>> as_puller() override;
  caf::typed_actor<caf::reacts_to<stands>> as_looker() override;
  user::member_connection as_connection() override;
  caf::typed_actor<caf::reacts_to<user::effect_applied>> as_origin() override;

  room_activations::hooks room_hooks();
  user_activations::hooks user_hooks();
  void start() override;
  void on_down(const caf::down_msg& x) override;
  void begin();
  void add(const storage::effect_record& e);
  bool has_room_for_effects() const;
  void send_effect(const storage::effect_record& e);
  template <class What>
  void pass_on(const room_id& room, What what) {
    if (stopping_ || (router_ && !router_->serves()))
      return;
    auto c = std::make_shared<const room::command>(room::command{room, caller{}, std::move(what)});
    rooms_.take(room, room::ask{std::move(c)});
  }
  void see_to_due();
  void ask_for(const storage::due_entry& what, uint32_t& age);
  void ask_for_due(int64_t now);
  void forget_due();
  // In shard_presence.cpp.
  bool is_home() const noexcept { return !router_ || router_->serves(); }
  bool answer_for_absent(const user::command& c);
  void find_out(const user_id& user);
  void tell_presence();
  void tell_lanes(const std::vector<presence_board::notice>& list);
  void note(const user_id& user, const user::activity& x);
  void write_activity();
  void try_to_end();

  house& house_;
  const shard_id id_;
  room_activations rooms_;
  user_activations users_;
  std::unordered_map<room_id, std::shared_ptr<audience>> audiences_; // of rooms that are awake or listened to
  const std::shared_ptr<restless_rooms> restless_ = std::make_shared<restless_rooms>();
  presence_board board_;
  int64_t unsure_until_ms_ = 0; // who is connected elsewhere may not have said so yet
  std::vector<room_id> reminders_;
  std::map<effect_key, open_effect> effects_;
  std::map<std::pair<user_id, room_id>, storage::activity_record> activity_; // not yet written
  int64_t activity_since_ = 0;                                               // of house::steady_ms
  bool effects_known_ = false;                                               // all that the store holds are in effects_
  bool effect_passed_ = false; // since they were last asked for, one was not taken into effects_
  bool loading_effects_ = false;
  // What is to be done later, in shard_due.cpp: the first of it, and how many ticks ago each was asked for.
  std::map<storage::due_entry, uint32_t> due_;
  bool due_known_ = false; // there is no more of it than due_ holds
  bool loading_due_ = false;
  uint64_t due_token_ = 0; // of the answer that is awaited
  uint64_t due_era_ = 0;   // of which due_ is
  bool counted_as_started_ = false;
  std::optional<uint64_t> pushed_era_; // in which the pusher was told that the shard is served here
  bool stopping_ = false;
  std::unique_ptr<cluster::router> router_; // null: the node is by itself
};

} // namespace greenroom::shard
