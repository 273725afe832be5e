#include "actors/attendance.hpp"

namespace greenroom {

/// Keeps the figure right. True: whether the user is online on this node has changed.
template <class Change>
bool attendance::change(const user_id& user, Change what) {
  auto& s = users_[user];
  bool here = s.here();
  bool counted = s.counts();
  what(s);
  members_ += (s.counts() ? 1 : 0) - (counted ? 1 : 0);
  bool changed = here != s.here();
  if (s.connections == 0 && s.elsewhere == 0)
    users_.erase(user);
  return changed;
}

bool attendance::enter(const user_id& user, bool member, bool is_new_connection) {
  return change(user, [&](seat& s) {
    s.connections += is_new_connection ? 1 : 0;
    s.member = s.member || member; // who joins now may have listened as a stranger before
  });
}

bool attendance::leave(const user_id& user) {
  return change(user, [](seat& s) {
    if (s.connections > 0 && --s.connections == 0)
      s.member = false;
  });
}

void attendance::report(uint32_t node, const user_id& user, bool on) {
  auto bit = uint64_t{1} << node;
  change(user, [&](seat& s) { s.elsewhere = on ? s.elsewhere | bit : s.elsewhere & ~bit; });
}

void attendance::forget(uint32_t node) {
  auto bit = uint64_t{1} << node;
  std::vector<user_id> there;
  for (const auto& [user, s] : users_)
    if (s.elsewhere & bit)
      there.push_back(user);
  for (const auto& user : there)
    report(node, user, false);
}

std::vector<user_id> attendance::here() const {
  std::vector<user_id> list;
  for (const auto& [user, s] : users_)
    if (s.here())
      list.push_back(user);
  return list;
}

} // namespace greenroom
