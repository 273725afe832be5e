#include "actors/attendance.hpp"

#include <algorithm>

namespace greenroom {
namespace {

constexpr int64_t pause_ms_min = 900; // a little less than the clock's turn
constexpr int64_t pause_ms_max = 30'000;

} // namespace

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

void attendance::look_anew() {
  anew_ = true;
  if (!std::exchange(restless_, true))
    noted_->push_back(room_);
}

std::optional<room_presence> attendance::take_news(bool names, bool complete, int64_t now_ms) {
  if (!restless_)
    return std::nullopt;
  // A number that all listeners of a large room are told is dear, and few look at it.
  const auto pause_ms = std::clamp<int64_t>(static_cast<int64_t>(members_), pause_ms_min, pause_ms_max);
  if (anew_ ? !complete : !names && members_ != told_ && now_ms - told_at_ < pause_ms) {
    noted_->push_back(room_);
    return std::nullopt;
  }
  restless_ = false;
  const bool anew = std::exchange(anew_, false);
  const auto who = std::exchange(news_, {});
  if (!names && !anew && members_ == told_)
    return std::nullopt;
  told_ = members_;
  told_at_ = now_ms;
  room_presence p{room_, members_, {}, names && anew && members_ < news_max};
  if (p.whole) {
    for (const auto& [user, s] : users_)
      if (s.anywhere() != seen_as::offline)
        p.users.emplace_back(user, s.anywhere());
  } else if (names && who.size() < news_max) {
    for (const auto& user : who)
      p.users.emplace_back(user, status(user));
  }
  return p;
}

} // namespace greenroom
