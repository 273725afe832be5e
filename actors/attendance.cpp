#include "actors/attendance.hpp"

#include <algorithm>

namespace greenroom {

/// Keeps the figure right. True: how the user is seen on this node has changed.
template <class Change>
bool attendance::change(const user_id& user, Change what) {
  auto& s = users_[user];
  const auto here = s.here();
  const auto anywhere = s.anywhere();
  what(s);
  const bool changed = here != s.here();
  if (anywhere != s.anywhere()) {
    members_ += (s.anywhere() != seen_as::offline ? 1 : 0) - (anywhere != seen_as::offline ? 1 : 0);
    note(user);
  }
  if (s.connections == 0 && s.elsewhere == 0)
    users_.erase(user);
  return changed;
}

void attendance::note(const user_id& user) {
  if (!std::exchange(restless_, true))
    noted_->push_back(room_);
  if (news_.size() < news_max && std::find(news_.begin(), news_.end(), user) == news_.end())
    news_.push_back(user);
}

bool attendance::enter(const user_id& user, bool member, bool is_new_connection, seen_as status) {
  return change(user, [&](seat& s) {
    s.connections += is_new_connection ? 1 : 0;
    s.member = s.member || member; // who joins now may have listened as a stranger before
    if (is_new_connection)
      s.chosen = status;
  });
}

bool attendance::leave(const user_id& user) {
  return change(user, [](seat& s) {
    if (s.connections > 0 && --s.connections == 0)
      s.member = false;
  });
}

bool attendance::appear(const user_id& user, seen_as status) {
  if (!users_.contains(user))
    return false;
  return change(user, [&](seat& s) { s.chosen = status; });
}

void attendance::report(uint32_t node, const user_id& user, seen_as status) {
  auto bit = uint64_t{1} << node;
  change(user, [&](seat& s) {
    s.elsewhere = status != seen_as::offline ? s.elsewhere | bit : s.elsewhere & ~bit;
    if (status != seen_as::offline)
      s.chosen = status;
  });
}

void attendance::forget(uint32_t node) {
  auto bit = uint64_t{1} << node;
  std::vector<user_id> there;
  for (const auto& [user, s] : users_)
    if (s.elsewhere & bit)
      there.push_back(user);
  for (const auto& user : there)
    report(node, user, seen_as::offline);
}

seen_as attendance::status(const user_id& user) const {
  auto i = users_.find(user);
  return i == users_.end() ? seen_as::offline : i->second.anywhere();
}

seen_as attendance::status_here(const user_id& user) const {
  auto i = users_.find(user);
  return i == users_.end() ? seen_as::offline : i->second.here();
}

std::vector<std::pair<user_id, seen_as>> attendance::here() const {
  std::vector<std::pair<user_id, seen_as>> list;
  for (const auto& [user, s] : users_)
    if (s.here() != seen_as::offline)
      list.emplace_back(user, s.here());
  return list;
}

std::optional<room_presence> attendance::take_news(bool names) {
  if (!std::exchange(restless_, false))
    return std::nullopt;
  room_presence p{room_, members_, {}};
  auto who = std::exchange(news_, {});
  if (names && who.size() < news_max)
    for (auto& user : who) {
      auto now = status(user);
      p.users.emplace_back(std::move(user), now);
    }
  return p;
}

} // namespace greenroom
