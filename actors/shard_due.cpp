// What a shard has to do later: kept in the order of its time, the first of it in memory. The room is asked when the
// time has come, and again until it is done. The design has the shard run it; the room is who can do it in one write.
#include "actors/house.hpp"
#include "actors/shard.hpp"

namespace greenroom::shard {
namespace {

constexpr uint32_t ask_again_ticks = 5;

} // namespace

void shard_actor::load_due() {
  if (!std::exchange(loading_due_, true))
    tell(house_.reader_of(id_), reader::load_due{id_, self()});
}

void shard_actor::receive(const due_loaded& x) {
  if (!std::exchange(loading_due_, false) || !*x.what || (router_ && !router_->serves()))
    return; // the next tick tries again
  for (const auto& e : **x.what)
    due_.emplace(e, 0);
  due_known_ = (*x.what)->size() < house_.config.rooms.due;
}

/// What is later than all that is known waits on the disk, if there is more there.
void shard_actor::receive(const room::due_later& x) {
  if (!due_known_ && (due_.empty() || due_.rbegin()->first < x.what))
    return;
  due_.emplace(x.what, 0);
  if (due_.size() > house_.config.rooms.due) {
    due_.erase(std::prev(due_.end()));
    due_known_ = false;
  }
}

void shard_actor::receive(const room::due_done& x) { due_.erase(x.what); }

void shard_actor::see_to_due() {
  if (due_.empty() && !due_known_) {
    load_due();
    return;
  }
  const auto now = house_.now_ms();
  for (auto& [what, age] : due_) {
    if (what.at > now)
      break;
    if (age++ % ask_again_ticks != 0)
      continue;
    caller nobody;
    nobody.user = what.user;
    auto c = std::make_shared<const room::command>(room::command{what.room, nobody, room::fall_due{what}});
    rooms_.take(what.room, room::ask{std::move(c)});
  }
}

} // namespace greenroom::shard
