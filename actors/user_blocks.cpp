// Whom a user has blocked, who may invite the user, and what the user's shard has to see to whatever happens.
//
// A block is two writes in two shards: the user's own, which is the list, and the direct room's, which refuses what is
// said in it without asking anybody. The second follows the first, and only then is the block answered. In between it
// stands among what the shard has to do (an errand), so that the room is told after a crash or a failover, too, and
// again until it has answered.
#include "actors/house.hpp"
#include "actors/user.hpp"

#include <algorithm>

namespace greenroom::user {
namespace {

// An errand is seen to at once; these are for when that was interrupted.
constexpr int64_t first_wake_ms = 2'000;
constexpr int64_t next_wake_ms = 10'000;

} // namespace

bool user_actor::blocked(const user_id& other) const {
  auto i = rare_->blocks.find(other);
  return i != rare_->blocks.end() && i->second.on;
}

// -- blocks ----------------------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const op::block& x) {
  if (x.user == user_) {
    c->from.refuse(errc::bad_request, "user: yourself");
    return;
  }
  if (house_.storage_is_full()) {
    c->from.refuse(errc::unavailable, "storage.queue: too many writes wait for the disk");
    return;
  }
  const auto known = rare_->blocks.find(x.user);
  if (blocked(x.user) == x.on) {
    if (known == rare_->blocks.end() || known->second.told) {
      c->from.answer(ok::any{ok::none{}}); // it stands so, and the room knows
      return;
    }
    auto [t, is_new] = rare_.edit().tellings.try_emplace(x.user);
    t->second.waiting.push_back(c);
    if (is_new) // else the word is on its way to the disk, or to the room
      tell_room_of(x.user);
    return;
  }
  const auto count = std::count_if(rare_->blocks.begin(), rare_->blocks.end(),
                                   [](const auto& b) { return b.second.on || !b.second.told; });
  if (auto bound = house_.limits_now()->blocks;
      x.on && known == rare_->blocks.end() && std::cmp_greater_equal(count, bound)) {
    c->from.refuse(errc::too_large, "limits.blocks: " + std::to_string(bound));
    return;
  }
  const auto now = house_.now_ms();
  auto& b = rare_.edit().blocks[x.user];
  b = {x.on, now, std::max(b.version + 1, static_cast<uint64_t>(now)), false};
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, x.user, b);
  auto later = begin_errand(*batch);
  auto& word = rare_.edit().tellings[x.user];
  word.ticket = 0; // an answer to an earlier word is none to this one
  word.room_knows = false;
  commit(std::move(batch), c, [this, c, other = x.user, on = x.on, later] {
    if (on)
      tell_vanished(other); // to the own devices
    if (later)
      tell(shard_, errand{*later, false});
    auto& tellings = rare_.edit().tellings;
    tellings[other].waiting.push_back(c);
    if (auto last = rare_->blocks.find(other); last == rare_->blocks.end() || last->second.told) {
      for (const auto& waiting : std::exchange(tellings[other].waiting, {}))
        waiting->from.answer(ok::any{ok::none{}});
      tellings.erase(other); // the room has heard this word with an earlier one
      return;
    }
    tell_room_of(other);
  });
}

/// The last word that is stored: to the room, and then to the other one, whose devices are to look away. REQUIRES: it
/// is durable.
void user_actor::tell_room_of(const user_id& other) {
  const auto b = rare_->blocks.find(other);
  if (b == rare_->blocks.end())
    return;
  auto& t = rare_.edit().tellings[other];
  t.ticket = ++next_token_;
  t.since = house_.steady_ms();
  caller from;
  from.to = self();
  from.ticket = t.ticket;
  from.user = user_;
  if (b->second.on && t.room_knows) {
    auto word = std::make_shared<const command>(command{other, from, vanish{user_}});
    tell(house_.shard_of(other), ask{std::move(word)});
    return;
  }
  const auto room = room_id::direct(user_, other);
  auto word =
      std::make_shared<const room::command>(room::command{room, from, room::shun{b->second.on, b->second.version}});
  tell(house_.shard_of(room), room::ask{std::move(word)});
}

void user_actor::receive(const reply& x) {
  if (phase_ != phase::serving || stale()) { // what it is about is read anew
    drop_tellings(fail(errc::unavailable, "the store takes no writes at present"));
    return;
  }
  const auto& tellings = rare_->tellings;
  auto t = std::find_if(tellings.begin(), tellings.end(), [&](const auto& y) { return y.second.ticket == x.ticket; });
  if (t != tellings.end())
    told(user_id(t->first), x);
  else if (erasing_ && erasing_->in_flight.erase(x.ticket) > 0)
    answered_erasing(x);
  try_to_end();
}

void user_actor::told(const user_id& other, const reply& x) {
  auto& mine = rare_.edit();
  auto& t = mine.tellings.at(other);
  const auto b = mine.blocks.find(other);
  const bool stands = b != mine.blocks.end();
  const auto* known = x.what ? std::get_if<ok::changed>(&*x.what) : nullptr;
  if (known && stands && known->seq > b->second.version) { // of a time when the clock was ahead
    auto batch = std::make_shared<storage::batch>(user_.shard());
    b->second.version = known->seq + 1;
    batch->put(user_, other, b->second);
    t.ticket = 0;
    commit(std::move(batch), nobodys(), [this, other] { tell_room_of(other); });
    return;
  }
  if (known && stands && b->second.on) {
    t.room_knows = true;
    tell_room_of(other);
    return;
  }
  const bool done = known || (x.what && t.room_knows);
  auto waiting = std::move(t.waiting);
  mine.tellings.erase(other);
  if (!done) { // the errand stays
    for (const auto& c : waiting)
      c->from.answer(x.what ? answer{fail(errc::internal, "block: no answer of a room")} : answer{x.what.error()});
    return;
  }
  if (stands) {
    auto batch = std::make_shared<storage::batch>(user_.shard());
    b->second.told = true;
    if (b->second.on) {
      batch->put(user_, other, b->second);
    } else {
      batch->erase_block(user_, other);
      mine.blocks.erase(b);
    }
    auto last = strike_errand(*batch);
    commit(std::move(batch), nobodys(), [this, last] {
      if (last)
        tell(shard_, errand{*last, true});
    });
  }
  for (const auto& c : waiting)
    c->from.answer(ok::any{ok::none{}});
}

/// What was asked may yet come true: it is stored, and the shard sees to it.
void user_actor::drop_tellings(const failure& why) {
  if (rare_->tellings.empty())
    return;
  for (const auto& [other, t] : std::exchange(rare_.edit().tellings, {}))
    for (const auto& c : t.waiting)
      refuse(*c, why);
}

void user_actor::perform(const command_ptr& c, const op::blocks& x) {
  ok::blocks page;
  auto i = x.after.empty() ? rare_->blocks.begin() : rare_->blocks.upper_bound(user_id::trusted(x.after));
  for (; i != rare_->blocks.end() && page.list.size() < x.limit; ++i)
    if (i->second.on)
      page.list.emplace_back(i->first, i->second.since);
  if (std::any_of(i, rare_->blocks.end(), [](const auto& b) { return b.second.on; }) && !page.list.empty())
    page.next = page.list.back().first.str();
  c->from.answer(ok::any{std::move(page)});
}

// -- invitations -----------------------------------------------------------------------------------------------------

/// Asked before the room admits it. Who is on the way in or has come in may be invited again: the room says the same.
void user_actor::perform(const command_ptr& c, const invitation& x) {
  const auto listed = rooms_.find(x.room);
  if (is_erased())
    c->from.refuse(errc::not_found, "user: no such user");
  else if (listed != rooms_.end() && !listed->second.left)
    c->from.answer(ok::any{ok::none{}});
  else if (blocked(c->from.user))
    c->from.refuse(errc::forbidden, "user: can't be invited by you");
  else if (auto bound = house_.limits_now()->rooms_per_user; room_count_ >= bound)
    c->from.refuse(errc::too_large, "user: is in as many rooms as limits.rooms_per_user allows");
  else
    c->from.answer(ok::any{ok::none{}});
}

// -- errands ---------------------------------------------------------------------------------------------------------

/// On whose behalf something is written that nobody waits for.
command_ptr user_actor::nobodys() const {
  return std::make_shared<const command>(command{user_, caller{}, fall_due{}});
}

bool user_actor::has_errands() const {
  return (is_erased() && (erasure_->completed == 0 || !rooms_.empty())) ||
         std::any_of(rare_->blocks.begin(), rare_->blocks.end(), [](const auto& b) { return !b.second.told; });
}

/// The shard wakes the user while there is something to do; nullopt: it will in any case.
std::optional<storage::due_entry> user_actor::begin_errand(storage::batch& batch) {
  if (rare_->errand.at != 0)
    return std::nullopt;
  auto& errand = rare_.edit().errand;
  errand = {house_.now_ms() + first_wake_ms, room_id::trusted(user_.str()), storage::due_entry::kind::errand, {}, {}};
  batch.put(errand);
  return errand;
}

/// When nothing is left to do.
std::optional<storage::due_entry> user_actor::strike_errand(storage::batch& batch) {
  if (rare_->errand.at == 0 || has_errands())
    return std::nullopt;
  batch.erase(rare_->errand);
  return std::exchange(rare_.edit().errand, {});
}

/// Is answered at once, whatever there is to do: other users of the shard have errands, too.
void user_actor::perform(const command_ptr& c, const fall_due& x) {
  if (house_.storage_is_full())
    return; // it is asked again
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->erase(x.what);
  if (rare_->errand == x.what)
    rare_.edit().errand = {};
  std::optional<storage::due_entry> next;
  if (has_errands() && rare_->errand.at <= x.what.at) {
    auto& own = rare_.edit().errand;
    own = {house_.now_ms() + next_wake_ms, x.what.room, storage::due_entry::kind::errand, {}, {}};
    batch->put(own);
    next = own;
  }
  commit(std::move(batch), c, [this, what = x.what, next] {
    tell(shard_, errand{what, true});
    if (next)
      tell(shard_, errand{*next, false});
    see_to_errands();
  });
}

/// What was interrupted, or has got lost on the way.
void user_actor::see_to_errands() {
  const auto late = house_.steady_ms() - 2 * int64_t{house_.limits_now()->request_ms};
  std::vector<user_id> untold;
  for (const auto& [other, b] : rare_->blocks)
    if (auto t = rare_->tellings.find(other);
        !b.told && (t == rare_->tellings.end() || (t->second.ticket != 0 && t->second.since <= late)))
      untold.push_back(other);
  for (const auto& other : untold)
    tell_room_of(other);
  if (erasing_ && erasing_->touched <= late)
    erasing_.reset();
  continue_erasure();
}

} // namespace greenroom::user
