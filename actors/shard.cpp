#include "actors/shard.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::shard {
namespace {

constexpr uint32_t resend_ticks = 5; // an effect that nobody answered is sent again after so many ticks

/// Bounds are given per node and divided over the shards, rounded up.
size_t share_of(uint32_t bound) { return (bound + shard_count - 1) / shard_count; }

} // namespace

shard_actor::shard_actor(caf::actor_config& cfg, house& in, shard_id id)
    : hosted_actor(cfg, *in.strands[id], actor_kind::shard, std::to_string(id), in.living), house_(in), id_(id),
      rooms_({share_of(in.config.rooms.active), in.config.rooms.hold, int64_t{in.config.rooms.idle_s} * 1'000},
             room_hooks()),
      users_({share_of(in.config.users.active), in.config.rooms.hold, int64_t{in.config.users.idle_s} * 1'000},
             user_hooks()) {
  if (in.cluster)
    router_ = std::make_unique<cluster::router>(in, id, *this);
}

void shard_actor::receive(const room::ask& x) {
  if (router_)
    router_->take(x.what);
  else
    rooms_.take(x.what->room, x);
}

void shard_actor::receive(const user::ask& x) {
  if (router_)
    router_->take(x.what);
  else
    perform(x);
}

void shard_actor::perform(const user::ask& x) {
  if (const auto* a = std::get_if<user::activity>(&x.what->what))
    note(x.what->user, *a);
  else if (!answer_for_absent(*x.what))
    users_.take(x.what->user, x);
}

const std::shared_ptr<audience>& shard_actor::audience_of(const room_id& room) {
  auto& a = audiences_[room];
  if (!a)
    a = std::make_shared<audience>(room, router_.get(), restless_);
  return a;
}

/// When neither the room is awake nor anybody listens.
void shard_actor::forget_audience(const room_id& room) {
  if (auto a = audiences_.find(room); a != audiences_.end() && !a->second->anybody() && !rooms_.find(room))
    audiences_.erase(a);
}

/// A command is sent that will attach to the room's relay.
void shard_actor::will_listen(const room_id& room) {
  auto& a = *audience_of(room);
  if (!a.relay)
    a.relay = spawn<relay::relay_actor>(house_, *house_.strands[id_], room, caf::actor_cast<relay::keeper>(self()),
                                        a.present);
  ++a.attaches;
}

shard_actor::room_activations::hooks shard_actor::room_hooks() {
  return {
      [this](const room_id& room) {
        auto to = spawn<room::room_actor>(house_, *house_.strands[id_], room, caf::actor_cast<room::keeper>(self()),
                                          audience_of(room));
        monitor(to);
        return room::handle{to};
      },
      [this](const room_id& room, const room::handle& to, room::ask x) {
        if (!router_ && room::listens(*x.what)) // the router has seen to it, where the connection is
          will_listen(room);
        tell(to, std::move(x));
      },
      [this](const room::handle& to) { tell(to, room::retire{stopping_}); },
      [](const room::ask& x) {
        auto why = fail(errc::unavailable, "rooms.hold: too many commands wait for rooms to be woken");
        if (const auto* p = std::get_if<room::pull>(&x.what->what))
          tell(p->to, room::pulled{x.what->from.ticket, false, {}, 0, 1});
        else if (const auto* k = std::get_if<room::peek>(&x.what->what))
          tell(k->to, stands{x.what->from.ticket, why, nullptr});
        else
          x.what->from.answer(why);
      },
      [this] { return house_.steady_ms(); },
  };
}

shard_actor::user_activations::hooks shard_actor::user_hooks() {
  return {
      [this](const user_id& user) {
        auto to = spawn<user::user_actor>(house_, *house_.strands[id_], user, caf::actor_cast<user::keeper>(self()));
        monitor(to);
        return user::handle{to};
      },
      [](const user_id&, const user::handle& to, user::ask x) {
        if (std::holds_alternative<user::end_session>(x.what->what))
          tell_ahead(to, std::move(x));
        else
          tell(to, std::move(x));
      },
      [this](const user::handle& to) { tell(to, user::retire{stopping_}); },
      [](const user::ask& x) {
        auto why = fail(errc::unavailable, "rooms.hold: too many commands wait for users to be woken");
        if (const auto* a = std::get_if<user::arrive>(&x.what->what))
          tell(a->to, user::welcome{why, close_code::shutdown, x.what->from.ticket, {}});
        else
          x.what->from.answer(why);
      },
      [this] { return house_.steady_ms(); },
  };
}

void shard_actor::receive(const room::retired& x) {
  rooms_.ended(x.room, x.actor);
  forget_audience(x.room);
  try_to_end();
}

void shard_actor::receive(const user::retired& x) {
  users_.ended(x.user, x.actor);
  try_to_end();
}

void shard_actor::receive(const tick&) {
  for (const auto& room : std::exchange(reminders_, {}))
    if (const auto* to = rooms_.find(room))
      tell(*to, room::tick{});
  rooms_.retire_idle();
  users_.retire_idle();
  if (house_.steady_ms() - activity_since_ >= int64_t{house_.config.rooms.activity_s} * 1'000)
    write_activity();
  tell_presence();
  if (is_home()) {
    see_to_due();
    // After a failed write, too: what was refused may stand in the index all the same.
    if (const auto era = house_.era_of(id_); pushed_era_ != era) {
      pushed_era_ = era;
      tell(house_.pusher, pusher::serves{id_});
    }
  }
  if (!effects_known_ && has_room_for_effects() && is_home())
    begin();
  for (auto& [key, e] : effects_)
    if (++e.age >= resend_ticks) {
      e.age = 0;
      send_effect(e.what);
    }
}

// -- inboxes ---------------------------------------------------------------------------------------------------------

void shard_actor::note(const user_id& user, const user::activity& x) {
  if (activity_.empty())
    activity_since_ = house_.steady_ms();
  auto& known = activity_[{user, x.room}];
  if (known.epoch == x.what.epoch && known.seq > x.what.seq)
    return; // overtaken on the way
  known = x.what;
  if (activity_.size() >= share_of(house_.config.users.activity_held))
    write_activity();
}

void shard_actor::receive(const user::gone& x) {
  std::erase_if(activity_, [&](const auto& told) { return told.first.first == x.user; });
}

void shard_actor::write_activity() {
  auto told = std::exchange(activity_, {});
  if (told.empty() || house_.storage_is_full())
    return; // a list that lags behind is better than a request that is refused
  auto batch = std::make_shared<storage::batch>(id_);
  for (const auto& [to, what] : told)
    batch->put(to.first, to.second, what);
  house_.commits_waiting.fetch_add(1);
  tell(house_.committer_of(id_), persist::commit{std::move(batch), house_.era_of(id_), 0, self()});
}

/// A room or user that ended without `retired` has died of a mistake of ours; the next command wakes it afresh.
void shard_actor::on_down(const caf::down_msg& x) {
  auto actor = x.source.id();
  if (auto room = rooms_.id_of(actor)) {
    spdlog::error("what=room_died room={}", room->str());
    if (auto a = audiences_.find(*room); a != audiences_.end())
      tell(a->second->relay, relay::recount{a->second->attaches}); // before the next room's first attach
    rooms_.ended(*room, actor);
    forget_audience(*room);
  } else if (auto user = users_.id_of(actor)) {
    spdlog::error("what=user_died user={}", user->str());
    users_.ended(*user, actor);
  }
  try_to_end();
}

// -- effects ---------------------------------------------------------------------------------------------------------

/// The first tick begins: it comes when all shards are there to be told of effects. Node spawns them one after the
/// other.
void shard_actor::start() {}

void shard_actor::begin() {
  if (std::exchange(loading_effects_, true))
    return;
  effect_passed_ = false;
  tell(house_.reader_of(id_), reader::load_effects{id_, self()});
}

void shard_actor::receive(const effects_loaded& x) {
  loading_effects_ = false;
  if (!*x.what || (router_ && !router_->serves()))
    return; // the next tick tries again
  if (!std::exchange(counted_as_started_, true))
    house_.shards_started.fetch_add(1);
  effects_known_ = (*x.what)->size() < house_.config.rooms.effects && !effect_passed_;
  for (const auto& e : **x.what) {
    auto known = effects_.find({e.room, e.seq, e.user, e.file});
    if (known != effects_.end() && known->second.what.epoch == e.epoch)
      continue; // it has its own time to be sent again
    if (!has_room_for_effects()) {
      effects_known_ = false; // the others when these are done
      break;
    }
    add(e);
  }
}

void shard_actor::receive(const room::effects& x) {
  for (const auto& e : x.list)
    add(e);
}

bool shard_actor::has_room_for_effects() const { return effects_.size() < house_.config.rooms.effects; }

/// Over the bound it is tried once without being kept: users who can be reached don't wait for those who can't.
void shard_actor::add(const storage::effect_record& e) {
  effect_key key{e.room, e.seq, e.user, e.file};
  if (has_room_for_effects() || effects_.contains(key)) {
    effects_[std::move(key)] = {e, 0};
  } else {
    effects_known_ = false;
    effect_passed_ = true;
  }
  send_effect(e);
}

void shard_actor::send_effect(const storage::effect_record& e) {
  auto c = std::make_shared<const user::command>(user::command{e.user, caller{}, user::effect{e, self()}});
  tell(house_.shard_of(e.user), user::ask{std::move(c)});
}

void shard_actor::receive(const user::effect_applied& x) {
  if (x.ticket != 0) { // of another node's shard, or another one of this node
    router_->answered(x.ticket, x);
    return;
  }
  const auto& e = x.what;
  if (auto i = effects_.find({e.room, e.seq, e.user, e.file}); i != effects_.end()) {
    if (i->second.what.epoch != e.epoch)
      return;
    effects_.erase(i);
  } else if (effects_known_ || (router_ && !router_->serves())) {
    return; // the second answer, or one from the last moments of this node's time
  }
  auto batch = std::make_shared<storage::batch>(id_);
  batch->erase(e);
  house_.commits_waiting.fetch_add(1);
  tell(house_.committer_of(id_), persist::commit{std::move(batch), house_.era_of(id_), 0, self()});
  if (!e.file.empty()) {
    if (const auto* to = rooms_.find(e.room); to && e.bytes != 0)
      tell(*to, room::file_charged{e.file, x.refused});
    return;
  }
  auto next = effects_.lower_bound({e.room, e.seq, user_id{}, {}});
  auto of_event = [&] {
    return next != effects_.end() && std::get<0>(next->first) == e.room && std::get<1>(next->first) == e.seq;
  };
  while (of_event() && !std::get<3>(next->first).empty())
    ++next; // an attachment's, which is nobody's event
  const bool more = of_event();
  if (const auto* to = rooms_.find(e.room); to && !more)
    tell(*to, room::effect_done{e.seq});
}

// -- relays and the end ----------------------------------------------------------------------------------------------

void shard_actor::receive(const relay::idle& x) {
  auto i = audiences_.find(x.room);
  if (i == audiences_.end() || i->second->relay.id() != x.relay || i->second->attaches != x.attaches)
    return;
  tell(std::exchange(i->second->relay, relay::handle{}), relay::end{});
  i->second->attaches = 0;
  if (router_)
    router_->quiet(x.room);
  forget_audience(x.room);
}

void shard_actor::receive(const stop&) {
  stopping_ = true;
  write_activity();
  rooms_.stop();
  users_.stop();
  try_to_end();
}

void shard_actor::try_to_end() {
  if (!stopping_ || !rooms_.empty() || !users_.empty())
    return;
  for (auto& [room, a] : audiences_)
    tell(a->relay, relay::end{});
  audiences_.clear();
  quit();
}

} // namespace greenroom::shard
