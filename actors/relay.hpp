// relay: carries one room's events to this node's listeners. One per (room, node) with listeners; owns which lanes have
// some, and counts who of the room is online here.
//
// In   publish, admit, refuse, ephemeral, announce, who from the room; presence from the shard of its home; confirmed,
//      appears and gone from relay lanes; end and recount from the shard
// Out  fan_out, admit and refuse to relay lanes; idle to the shard
//
// Invariants
// - Each event is encoded once, and handed on in the order in which the room published.
// - An attach overtakes nothing that was published before it, nor is it overtaken: it is passed on in the same FIFO.
// - The relay ends only when the shard says so, after all attaches that were under way have been counted.
#pragma once

#include "actors/attendance.hpp"
#include "actors/relay_lane.hpp"

#include <chrono>
#include <memory>
#include <vector>

namespace greenroom::relay {

// -- from the room ---------------------------------------------------------------------------------------------------
/// An event that is committed; in the order of seq.
struct publish {
  using local = message_tag;
  std::shared_ptr<const storage::event> what;
};
/// The caller may listen with its connection.
struct admit {
  using local = message_tag;
  caller from;
  standing where;
};
/// The caller may not. Goes the same way, so that attaches can be counted.
struct refuse {
  using local = message_tag;
  caller from;
  failure why;
};
/// Ephemeral, like the next one: may be lost on the way.
struct typing {
  using local = message_tag;
  user_id user;
  bool on = false;
};
/// A message that is not kept. Its author's other devices get it, too.
struct remark {
  using local = message_tag;
  user_id from;
  int64_t ts = 0; // ms since 1970 UTC
  std::string text;
  std::string data; // a JSON object as compact text, or empty
};
/// How far a user has read.
struct receipt {
  using local = message_tag;
  user_id user;
  uint64_t seq = 0;
  bool arrived = false; // only how far it was delivered
};
/// Who has come and gone, in all since the last one.
struct presence {
  using local = message_tag;
  room_presence what;
};
/// The room's head, repeated a while after the last event: whoever lost it notices.
struct announce {
  using local = message_tag;
  uint64_t head = 0;
};
/// Fills in who of the page is online and answers the caller.
struct who {
  using local = message_tag;
  caller from;
  ok::members page;
};
// -- from the shard --------------------------------------------------------------------------------------------------
struct end {
  using local = message_tag;
};
/// The room died, and perhaps commands with it that would have attached: `attaches` have come or never will.
struct recount {
  using local = message_tag;
  uint64_t attaches = 0;
};
// -- to itself -------------------------------------------------------------------------------------------------------
/// rooms.gather_ms have passed since the last fan-out.
struct gather_due {
  using local = message_tag;
};

// -- to the shard ----------------------------------------------------------------------------------------------------
/// Nobody listens; `attaches` and refusals were counted so far. The shard ends the relay if it has sent no more.
struct idle {
  using local = message_tag;
  room_id room;
  uint64_t relay = 0;
  uint64_t attaches = 0;
};
/// How a member is seen on this node has changed. Only in a cluster, where the room may be on another one.
struct seen {
  using local = message_tag;
  room_id room;
  user_id user;
  seen_as status = seen_as::offline;
};
using keeper = caf::typed_actor<caf::reacts_to<idle>, caf::reacts_to<seen>>;

using handle =
    caf::typed_actor<caf::reacts_to<publish>, caf::reacts_to<admit>, caf::reacts_to<refuse>, caf::reacts_to<typing>,
                     caf::reacts_to<remark>, caf::reacts_to<receipt>, caf::reacts_to<presence>,
                     caf::reacts_to<announce>, caf::reacts_to<who>, caf::reacts_to<end>, caf::reacts_to<recount>,
                     caf::reacts_to<gather_due>, caf::reacts_to<relay_lane::confirmed>,
                     caf::reacts_to<relay_lane::appears>, caf::reacts_to<relay_lane::gone>>;

class relay_actor : public hosted_actor<relay_actor, handle> {
public:
  relay_actor(caf::actor_config& cfg, house& in, host& on, room_id room, keeper shard,
              std::shared_ptr<attendance> present);
  ~relay_actor() override;

  // Messages.
  void receive(const publish& x);
  void receive(const admit& x);
  void receive(const refuse& x);
  void receive(const typing& x);
  void receive(const remark& x);
  void receive(const receipt& x);
  void receive(const presence& x);
  void receive(const announce& x);
  void receive(const who& x);
  void receive(const end&) { quit(); }
  void receive(const recount& x);
  void receive(const gather_due&);
  void receive(const relay_lane::confirmed& x);
  void receive(const relay_lane::appears& x);
  void receive(const relay_lane::gone& x);

private:
  struct lane_state {
    uint64_t listeners = 0;
    uint64_t unconfirmed = 0; // attaches under way to the lane
    bool wanted() const noexcept { return listeners + unconfirmed > 0; }
  };
  void flush();
  void send_ephemeral(frame bytes, const user_id& except);
  void tell_shard(const user_id& user);
  void fan_out(const std::shared_ptr<const publication>& what);
  bool wanted() const;
  void check_idle();

  house& house_;
  const room_id room_;
  keeper shard_;
  std::shared_ptr<const room_face> face_;
  std::vector<lane_state> lanes_; // by lane index
  const std::shared_ptr<attendance> present_;
  uint64_t attaches_ = 0;
  // A hot room's events wait here for at most rooms.gather_ms and leave together.
  std::vector<std::shared_ptr<const storage::event>> gathered_;
  bool gather_armed_ = false;
  std::chrono::steady_clock::time_point last_fan_out_{};
};

} // namespace greenroom::relay
