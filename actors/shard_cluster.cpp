// The shard's part in a cluster: what it does for its router, and what happens to its rooms and users when this node
// becomes their home, or is it no longer.
#include "actors/house.hpp"
#include "actors/shard.hpp"

namespace greenroom::shard {

void shard_actor::receive(const cluster::serve& x) {
  effects_known_ = false;
  forget_due();
  loading_effects_ = false; // what is being read may be of an earlier time here
  begin();
  unsure_until_ms_ = house_.steady_ms() + house_.config.cluster.lease_ms;
  board_.begin(unsure_until_ms_);
  for (const auto& [room, a] : audiences_)
    a->present->look_anew();
  router_->receive(x);
}

/// The rooms and users of this node know less than whoever comes next. What they have not answered is sent there.
void shard_actor::receive(const cluster::yield& x) {
  auto end = [](const auto& to) { caf::anon_send_exit(to, caf::exit_reason::kill); };
  rooms_.abandon(end);
  users_.abandon(end);
  effects_.clear();
  activity_.clear();
  effects_known_ = false;
  forget_due();
  if (std::exchange(pushed_era_, std::nullopt))
    tell(house_.pusher, pusher::yields{id_});
  reminders_.clear();
  board_.end();
  router_->receive(x);
  std::erase_if(audiences_, [](const auto& a) { return !a.second->anybody(); }); // their rooms are gone
  try_to_end();
}

audience* shard_actor::find_audience(const room_id& room) {
  auto a = audiences_.find(room);
  return a == audiences_.end() ? nullptr : a->second.get();
}

std::vector<audience*> shard_actor::all_audiences() {
  std::vector<audience*> all;
  for (auto& [room, a] : audiences_)
    all.push_back(a.get());
  return all;
}

asker shard_actor::as_asker() { return caf::actor_cast<asker>(self()); }
caf::typed_actor<caf::reacts_to<room::pulled>> shard_actor::as_puller() {
  return caf::actor_cast<caf::typed_actor<caf::reacts_to<room::pulled>>>(self());
}
caf::typed_actor<caf::reacts_to<stands>> shard_actor::as_looker() {
  return caf::actor_cast<caf::typed_actor<caf::reacts_to<stands>>>(self());
}
user::member_connection shard_actor::as_connection() { return caf::actor_cast<user::member_connection>(self()); }
caf::typed_actor<caf::reacts_to<user::effect_applied>> shard_actor::as_origin() {
  return caf::actor_cast<caf::typed_actor<caf::reacts_to<user::effect_applied>>>(self());
}

} // namespace greenroom::shard
