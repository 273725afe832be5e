// What a shard has to do later: kept in the order of its time, the first of it in memory. The room, or the user, is
// asked when the time has come, and again until it is done. The design has the shard run it; the room is who can do it
// in one write.
#include "actors/house.hpp"
#include "actors/shard.hpp"

namespace greenroom::shard {
namespace {

constexpr uint32_t ask_again_ticks = 5;
constexpr size_t asked_at_once = 32; // rooms are woken for it, and clients' rooms make way
constexpr size_t looked_at = 256;    // whenever one is done; with each tick all of them are

/// Sends may be stuck, and many at once: behind a pre-send hook that gives no answer. What else is due, erasures and
/// what makes room on the disk, does not wait for them.
class turns {
public:
  /// Whether this one is among the first of its kind.
  bool take(const storage::due_entry& x) {
    auto& before = x.what == storage::due_entry::kind::send ? sends_ : others_;
    if (before == asked_at_once)
      return false;
    ++before;
    return true;
  }
  bool are_over() const noexcept { return sends_ == asked_at_once && others_ == asked_at_once; }

private:
  size_t sends_ = 0;
  size_t others_ = 0;
};

} // namespace

/// `age`: how many ticks ago it was asked for, from 1 on; 0: not yet.
void shard_actor::ask_for(const storage::due_entry& what, uint32_t& age) {
  age = 1;
  caller nobody;
  if (what.what == storage::due_entry::kind::errand) {
    const auto user = user_id::trusted(what.room.str());
    auto c = std::make_shared<const user::command>(user::command{user, nobody, user::fall_due{what}});
    users_.take(user, user::ask{std::move(c)});
    return;
  }
  nobody.user = what.user;
  auto c = std::make_shared<const room::command>(room::command{what.room, nobody, room::fall_due{what}});
  rooms_.take(what.room, room::ask{std::move(c)});
}

/// The first ones, as many as may be asked at the same time.
void shard_actor::ask_for_due(int64_t now) {
  turns left;
  size_t looked = 0;
  for (auto i = due_.begin(); i != due_.end() && i->first.at <= now && looked < looked_at && !left.are_over();
       ++i, ++looked)
    if (left.take(i->first) && i->second == 0)
      ask_for(i->first, i->second);
}

void shard_actor::receive(const user::errand& x) {
  if (x.done)
    receive(room::due_done{x.what});
  else
    receive(room::due_later{x.what});
}

/// After a failed write nobody knows what has become durable: everything is read anew.
void shard_actor::see_to_due() {
  if (auto era = house_.era_of(id_); std::exchange(due_era_, era) != era) {
    forget_due();
    effects_known_ = false;
  }
  const auto now = house_.now_ms();
  const bool needs_more = due_.empty() || due_.rbegin()->first.at <= now;
  if (!due_known_ && needs_more && !std::exchange(loading_due_, true))
    tell(house_.reader_of(id_), reader::load_due{id_, ++due_token_, self()});
  turns left;
  for (auto& [what, age] : due_) {
    if (what.at > now)
      break;
    const bool its_turn = left.take(what);
    if (age > 0 ? ++age > ask_again_ticks : its_turn)
      ask_for(what, age);
  }
}

void shard_actor::forget_due() {
  due_.clear();
  due_known_ = loading_due_ = false;
  ++due_token_; // what is being read is of before
}

void shard_actor::receive(const due_loaded& x) {
  if (x.token != due_token_)
    return;
  loading_due_ = false;
  if (!*x.what)
    return; // the next tick tries again
  const auto& found = **x.what;
  for (const auto& e : found)
    due_.emplace(e, 0);
  due_known_ = found.size() < house_.config.rooms.due;
  if (!due_known_)
    due_.erase(due_.upper_bound(found.back()), due_.end()); // between these and what is later may be others
}

/// What is later than all that is known waits on the disk, if there is more there.
void shard_actor::receive(const room::due_later& x) {
  if (!due_known_ && !loading_due_ && (due_.empty() || due_.rbegin()->first < x.what))
    return;
  due_.emplace(x.what, 0);
  if (due_.size() > house_.config.rooms.due) {
    due_.erase(std::prev(due_.end()));
    due_known_ = false;
  }
}

void shard_actor::receive(const room::due_done& x) {
  if (due_.erase(x.what) > 0 && !stopping_)
    ask_for_due(house_.now_ms());
}

} // namespace greenroom::shard
