#include "actors/presence_board.hpp"

#include <utility>

namespace greenroom {
namespace {

// A question may overtake the word that the user has gone, and be answered by it all the same.
constexpr int64_t overtaking_ms = 2'000;

constexpr uint64_t bit(uint32_t n) noexcept { return uint64_t{1} << n; }

} // namespace

presence_board::place presence_board::add(const user_id& user) {
  auto [i, is_new] = entries_.try_emplace(user);
  if (is_new)
    settle_later(i); // what is known by then is not told: who watches has asked
  return i;
}

void presence_board::drop(place i) {
  if (i->second.lanes == 0 && i->second.nodes == 0)
    entries_.erase(i);
}

void presence_board::settle_later(place i) {
  if (!std::exchange(i->second.due, true))
    due_.push_back(i->first);
}

bool presence_board::watch(const user_id& user, uint32_t lane) {
  auto& lanes = add(user)->second.lanes;
  return std::exchange(lanes, lanes | bit(lane)) == 0;
}

bool presence_board::unwatch(const user_id& user, uint32_t lane) {
  auto i = entries_.find(user);
  if (i == entries_.end() || (i->second.lanes & bit(lane)) == 0)
    return false;
  const bool was_last = (i->second.lanes &= ~bit(lane)) == 0;
  drop(i);
  return was_last;
}

std::vector<user_id> presence_board::watched() const {
  std::vector<user_id> list;
  for (const auto& [user, e] : entries_)
    if (e.lanes != 0)
      list.push_back(user);
  return list;
}

// -- at the shard's home ---------------------------------------------------------------------------------------------

void presence_board::begin(int64_t unsure_until_ms) {
  end();
  unsure_until_ms_ = unsure_until_ms;
  for (auto i = entries_.begin(); i != entries_.end(); ++i) {
    i->second.repeat = true;
    settle_later(i);
  }
}

void presence_board::end() {
  for (auto i = entries_.begin(); i != entries_.end();) {
    auto& e = i->second;
    e.nodes = e.owed = 0;
    e.sure = e.changed = e.repeat = false;
    e.gone_at = 0;
    i = e.lanes == 0 ? entries_.erase(i) : std::next(i);
  }
}

void presence_board::watch_from(uint32_t node, const user_id& user, bool anew) {
  auto i = add(user);
  i->second.nodes |= bit(node);
  if (!anew)
    return;
  i->second.owed |= bit(node);
  settle_later(i);
}

void presence_board::unwatch_from(uint32_t node, const user_id& user) {
  if (auto i = entries_.find(user); i != entries_.end()) {
    i->second.nodes &= ~bit(node);
    i->second.owed &= ~bit(node);
    drop(i);
  }
}

void presence_board::forget(uint32_t node) {
  for (auto i = entries_.begin(); i != entries_.end();) {
    i->second.nodes &= ~bit(node);
    i->second.owed &= ~bit(node);
    i = i->second.lanes == 0 && i->second.nodes == 0 ? entries_.erase(i) : std::next(i);
  }
}

bool presence_board::knows(const user_id& user) const {
  auto i = entries_.find(user);
  return i != entries_.end() && i->second.what;
}

void presence_board::presume_offline(const user_id& user) {
  if (auto i = entries_.find(user); i != entries_.end() && !i->second.what)
    i->second.what = appearance{user, seen_as::offline, {}};
}

void presence_board::asked(const user_id& user, int64_t now_ms) {
  if (auto i = entries_.find(user); i != entries_.end())
    i->second.asked_at = now_ms;
}

void presence_board::appears(const appearance& what, bool gone, int64_t now_ms) {
  auto i = entries_.find(what.user);
  if (i == entries_.end())
    return;
  auto& e = i->second;
  const bool was_sure = std::exchange(e.sure, true);
  if (e.what == what) { // as before; so if it had gone, it has come back
    const auto gone_at = std::exchange(e.gone_at, 0);
    e.repeat = e.repeat || !was_sure || (gone_at != 0 && e.asked_at != 0 && e.asked_at >= gone_at - overtaking_ms);
    if (e.repeat)
      settle_later(i);
    return;
  }
  if (gone && e.what) {
    e.gone_at = e.gone_at != 0 ? e.gone_at : now_ms;
  } else {
    e.gone_at = 0;
    e.changed = e.what.has_value(); // who is looked at for the first time is no news
    e.what = what;
  }
  settle_later(i);
}

std::vector<presence_board::notice> presence_board::settle(int64_t now_ms, int64_t grace_ms,
                                                           const std::function<bool(const user_id&)>& is_awake) {
  std::vector<notice> list;
  for (auto& user : std::exchange(due_, {})) {
    auto i = entries_.find(user);
    if (i == entries_.end())
      continue;
    auto& e = i->second;
    e.due = false;
    if (!e.sure && (now_ms < unsure_until_ms_ || is_awake(user))) {
      settle_later(i);
      continue;
    }
    if (!e.sure || (e.gone_at != 0 && now_ms - e.gone_at >= grace_ms)) {
      const appearance offline{user, seen_as::offline, {}};
      e.changed = e.what && *e.what != offline;
      e.what = offline;
      e.sure = true;
      e.gone_at = 0;
    }
    if (e.gone_at != 0)
      settle_later(i);
    const bool to_all = e.changed || (e.repeat && e.gone_at == 0);
    const auto nodes = to_all ? e.nodes : e.owed;
    const auto lanes = to_all ? e.lanes : 0;
    e.changed = false;
    e.repeat = e.repeat && !to_all;
    e.owed = 0;
    if (nodes != 0 || lanes != 0)
      list.push_back({*e.what, lanes, nodes});
  }
  return list;
}

// -- elsewhere -------------------------------------------------------------------------------------------------------

void presence_board::rest() {
  for (const auto& user : std::exchange(due_, {}))
    if (auto i = entries_.find(user); i != entries_.end())
      i->second.due = false;
}

std::optional<presence_board::notice> presence_board::told(const appearance& what) {
  auto i = entries_.find(what.user);
  if (i == entries_.end())
    return std::nullopt;
  i->second.what = what;
  return notice{what, i->second.lanes, 0};
}

} // namespace greenroom
