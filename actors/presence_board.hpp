// presence board: how users of one shard appear who are watched, by lanes of this node and, at the shard's home, by
// other nodes. Owned by the shard's actor; nothing of it is stored.
//
// Who is not watched is not on it. A change is not told at once but with the next turn of the shard's clock, together
// with all others and once for each user, whatever happened in between; that a user has gone, only after `grace_ms`. So
// what a watcher is told is bounded by users and time, not by how often connections come and go.
//
// At a home that has just begun nobody is offline who has not been heard of: their connections are still arriving.
// After that time they are. Then all who watch here are told how things stand, whatever they were told before: what the
// last home told, and what it did not come to tell, died with it.
//
// Whoever asks while a user is gone for a moment is told "offline"; so if the user comes back within `grace_ms`, which
// is no news to others, they are told.
//
// Threads: the shard's strand. Knows no clock: `now_ms` is that of house::steady_ms.
#pragma once

#include "actors/appearance.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

namespace greenroom {

class presence_board {
public:
  /// To be told: to lanes of this node, and to other nodes; one bit each.
  struct notice {
    appearance what;
    uint64_t lanes = 0;
    uint64_t nodes = 0;
  };

  /// A lane wants to know, or no longer. True: the node did not before, or does not any more. REQUIRES: lane < 64.
  bool watch(const user_id& user, uint32_t lane);
  bool unwatch(const user_id& user, uint32_t lane);
  /// All whom this node watches.
  std::vector<user_id> watched() const;

  // -- at the shard's home -------------------------------------------------------------------------------------------
  /// It has become one; whatever other nodes have said is void, and so is what was known.
  void begin(int64_t unsure_until_ms);
  /// It is one no longer.
  void end();
  /// Another node wants to know, or no longer. `anew`: it may have missed something, so it is told how things stand.
  /// REQUIRES: 0 < node < 64.
  void watch_from(uint32_t node, const user_id& user, bool anew);
  void unwatch_from(uint32_t node, const user_id& user);
  void forget(uint32_t node);
  /// Whether it is known how the user appears.
  bool knows(const user_id& user) const;
  /// Who is watched and not awake is taken for offline, as whoever asks is answered.
  void presume_offline(const user_id& user);
  /// Somebody is about to be answered how the user appears.
  void asked(const user_id& user, int64_t now_ms);
  /// The user's actor says how it appears. `gone`: because its last connection has ended.
  void appears(const appearance& what, bool gone, int64_t now_ms);
  /// What is to be told now. Who is awake speaks for itself; who is not is offline.
  std::vector<notice> settle(int64_t now_ms, int64_t grace_ms, const std::function<bool(const user_id&)>& is_awake);

  // -- elsewhere -----------------------------------------------------------------------------------------------------
  /// Instead of settle().
  void rest();
  /// The home has said so, which knows when it is news. nullopt: nobody here wants to know.
  std::optional<notice> told(const appearance& what);

private:
  struct entry {
    std::optional<appearance> what; // as told last; nullopt: nothing was
    bool sure = false;              // it has been so since this is the home
    bool due = false;               // it is in due_
    bool changed = false;           // since it was told
    bool repeat = false;            // some who watch may have been told otherwise
    int64_t gone_at = 0;            // since when; 0: has not
    int64_t asked_at = 0;           // when somebody asked last
    uint64_t lanes = 0;
    uint64_t nodes = 0;
    uint64_t owed = 0; // nodes that are to be told even if nothing changes
  };
  using place = std::unordered_map<user_id, entry>::iterator;
  place add(const user_id& user);
  void drop(place i);
  void settle_later(place i);

  std::unordered_map<user_id, entry> entries_;
  std::vector<user_id> due_;
  int64_t unsure_until_ms_ = 0;
};

} // namespace greenroom
