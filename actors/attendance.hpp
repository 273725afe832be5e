// attendance: who of a room listens, and so is online there: on this node, as its relay counts, and on others, as they
// report to the room's home. A figure for people: what nodes report is a moment old. Who is invisible is not there.
//
// What has changed is noted, to be told together: at most `news_max` users by name, beyond which only how many are
// there is news. A large room is not told a number that it knows, and the seldomer the larger it is.
//
// Threads: the shard's strand.
#pragma once

#include "actors/appearance.hpp"
#include "config/ids.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace greenroom {

/// Rooms of one shard in which somebody came or went since they were looked at last.
using restless_rooms = std::vector<room_id>;

class attendance {
public:
  /// Where the room is noted when there is news.
  attendance(room_id room, std::shared_ptr<restless_rooms> noted) : room_(std::move(room)), noted_(std::move(noted)) {}

  /// A connection of the user listens. True: how the user is seen on this node has changed.
  bool enter(const user_id& user, bool member, bool is_new_connection, seen_as status);
  /// One of them no longer does. Likewise.
  bool leave(const user_id& user);
  /// The user wants to be seen otherwise. Likewise.
  bool appear(const user_id& user, seen_as status);
  /// Another node says how a member is seen there. REQUIRES: 0 < node < 64.
  void report(uint32_t node, const user_id& user, seen_as status);
  /// All that the node has reported is void: it is gone.
  void forget(uint32_t node);

  /// In this room, on any node.
  seen_as status(const user_id& user) const;
  /// On this node alone.
  seen_as status_here(const user_id& user) const;
  /// Members online, on all nodes, each once.
  uint64_t count() const noexcept { return members_; }
  /// As if the user listened already.
  uint64_t count_with(const user_id& user, bool member) const {
    return members_ + (member && status(user) == seen_as::offline ? 1 : 0);
  }
  /// The same; `apart`: as if nobody else was there.
  uint64_t count_for(const user_id& user, bool member, bool apart) const {
    return apart ? uint64_t{member} : count_with(user, member);
  }
  /// Members online on this node, to report them anew.
  std::vector<std::pair<user_id, seen_as>> here() const;

  /// Those who listen may have been told otherwise, by another node: they are told everything once.
  void look_anew();
  /// What is to be told now; by name if `names`. Everything only if `complete`: all nodes have reported. nullopt:
  /// nothing, or not yet; then the room is noted again. `now_ms`: of house::steady_ms.
  std::optional<room_presence> take_news(bool names, bool complete, int64_t now_ms);

private:
  static constexpr size_t news_max = 256;
  struct seat {
    uint32_t connections = 0; // on this node
    bool member = false;
    seen_as chosen = seen_as::online; // by the user; offline: invisible
    uint64_t elsewhere = 0;           // one bit for each other node
    seen_as here() const noexcept { return connections > 0 && member ? chosen : seen_as::offline; }
    seen_as anywhere() const noexcept { return elsewhere != 0 ? chosen : here(); }
  };
  template <class Change>
  bool change(const user_id& user, Change what);
  void note(const user_id& user);

  const room_id room_;
  const std::shared_ptr<restless_rooms> noted_;
  std::unordered_map<user_id, seat> users_;
  uint64_t members_ = 0; // who are seen
  bool restless_ = false;
  bool anew_ = false;         // everything is to be told
  uint64_t told_ = 0;         // how many, last
  int64_t told_at_ = 0;       // and when
  std::vector<user_id> news_; // who has changed, at most news_max
};

} // namespace greenroom
