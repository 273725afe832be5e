// presence backlog: news of presence that a connection is to be told later, merged: of each user and each room only the
// last counts. Bounded; what does not fit is dropped, as may happen to anything ephemeral, and the next news say so.
//
// Threads: the connection's lane.
#pragma once

#include "actors/appearance.hpp"

#include <cstddef>
#include <map>
#include <utility>

namespace greenroom {

class presence_backlog {
public:
  bool empty() const noexcept { return rooms_.empty() && users_.empty() && !lost_; }

  /// Takes in what is newer than all that it holds. False: not all of it; there were `bound` users and rooms already.
  bool add(const presence_news& news, size_t bound) {
    bool all = true;
    for (const auto& u : news.users) {
      if (auto i = users_.find(u.user); i != users_.end())
        i->second = u;
      else if (all = all && size_ < bound; all)
        users_.emplace(u.user, u), ++size_;
    }
    for (const auto& r : news.rooms) {
      auto i = rooms_.find(r.room);
      if (i == rooms_.end()) {
        if (all = all && size_ < bound; !all)
          continue;
        i = rooms_.try_emplace(r.room).first;
        ++size_;
      }
      i->second.online = r.online;
      if (r.whole) {
        size_ -= i->second.users.size();
        i->second.users.clear();
        i->second.whole = true;
      }
      for (const auto& [user, status] : r.users) {
        if (auto u = i->second.users.find(user); u != i->second.users.end())
          u->second = status;
        else if (all = all && size_ < bound; all)
          i->second.users.emplace(user, status), ++size_;
        else
          i->second.whole = false; // who is not named is not offline
      }
    }
    lost_ = lost_ || !all;
    return all;
  }

  /// Takes out the news of about `most` users and rooms, a room as a whole; of rooms that `is_wanted`.
  template <class Wanted>
  presence_news take(size_t most, Wanted is_wanted) {
    presence_news news;
    news.incomplete = std::exchange(lost_, false);
    size_t taken = 0;
    while (taken < most && !users_.empty()) {
      news.users.push_back(std::move(users_.begin()->second));
      users_.erase(users_.begin());
      ++taken;
    }
    while (taken < most && !rooms_.empty()) {
      auto i = rooms_.begin();
      const auto n = 1 + i->second.users.size();
      if (is_wanted(i->first)) {
        const auto& r = i->second;
        news.rooms.push_back({i->first, r.online, {r.users.begin(), r.users.end()}, r.whole});
        taken += n;
      } else {
        size_ -= n;
      }
      rooms_.erase(i);
    }
    size_ -= taken;
    return news;
  }

  /// Of a user who is not watched any more.
  void forget(const user_id& user) { size_ -= users_.erase(user); }

private:
  struct room_news {
    uint64_t online = 0;
    std::map<user_id, seen_as> users;
    bool whole = false;
  };
  std::map<room_id, room_news> rooms_;
  std::map<user_id, appearance> users_;
  size_t size_ = 0; // users and rooms together
  bool lost_ = false;
};

} // namespace greenroom
