// attendance: who of a room listens, and so is online: on this node, as its relay counts, and on others, as they report
// to the room's home. A figure for people: what nodes report is a moment old.
//
// Threads: the shard's strand.
#pragma once

#include "config/ids.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace greenroom {

class attendance {
public:
  /// A connection of the user listens. True: of a member who was not online on this node before.
  bool enter(const user_id& user, bool member, bool is_new_connection);
  /// One of them no longer does. True: it was a member's last.
  bool leave(const user_id& user);
  /// Another node says that a member has come online there, or gone. REQUIRES: 0 < node < 64.
  void report(uint32_t node, const user_id& user, bool on);
  /// All that the node has reported is void: it is gone.
  void forget(uint32_t node);

  bool online(const user_id& user) const { return here_or_there(user); }
  /// Members online, on all nodes, each once.
  uint64_t count() const noexcept { return members_; }
  /// As if the user listened already.
  uint64_t count_with(const user_id& user, bool member) const {
    return members_ + (member && !here_or_there(user) ? 1 : 0);
  }
  /// The same; `apart`: as if nobody else was there.
  uint64_t count_for(const user_id& user, bool member, bool apart) const {
    return apart ? uint64_t{member} : count_with(user, member);
  }
  /// Members online on this node, to report them anew.
  std::vector<user_id> here() const;

private:
  struct seat {
    uint32_t connections = 0; // on this node
    bool member = false;
    uint64_t elsewhere = 0; // one bit for each other node
    bool here() const noexcept { return connections > 0 && member; }
    bool counts() const noexcept { return here() || elsewhere != 0; }
  };
  bool here_or_there(const user_id& user) const {
    auto i = users_.find(user);
    return i != users_.end() && i->second.counts();
  }
  template <class Change>
  bool change(const user_id& user, Change what);

  std::unordered_map<user_id, seat> users_;
  uint64_t members_ = 0; // whose seat counts
};

} // namespace greenroom
