// relay lane: the I/O thread's end of all relays. Owns which connections of its thread listen to which relay, and which
// watch which users; one per lane, hosted on it.
//
// In   enter, leave, appear, watch and unwatch from connections; attach, fan_out from relays; unlisten from
// connections;
//      appeared from shards; list from REST; and go_away, when the node drains or has lost touch with its cluster
// Out  delivered, stands and go_away to connections of the same thread; confirmed, appears and gone to relays; to
//      shards, which of their users are watched here
//
// Invariants
// - A connection that left is never told anything again, and an attach that comes after it is undone.
// - What a relay sent before an attach does not reach that connection, what it sent afterwards does: both come in one
//   FIFO from the relay.
// - A publication is handed over as one shared message, whatever the number of listeners.
#pragma once

#include "actors/caller.hpp"
#include "actors/transport.hpp"

#include <memory>
#include <unordered_map>
#include <vector>

namespace greenroom {

struct house;
namespace user {
struct command;
}

/// What the listeners of a room share about it.
struct room_face {
  room_id room;
  std::string epoch;
  uint64_t relay = 0; // actor id of the relay
};

/// Where a room stands, for one user. Made by the room.
struct standing {
  std::string epoch;
  storage::room_kind kind = storage::room_kind::public_;
  storage::member_role role = storage::member_role::none;
  uint64_t head = 0;
  int64_t head_ts = 0;
  uint64_t first = 1;
  uint64_t member_count = 0;
  uint64_t online_count = 0;     // filled in by the relay
  bool apart = false;            // a block lies between the two of a direct room: neither sees the other
  uint64_t cursor = 0;           // events after it follow; below head: to be pulled
  std::optional<bool> recovered; // when a resume position was given
  uint64_t unread = 0;           // messages, and mentions of the user, where a peek asked for them
  uint64_t mentions = 0;         //
  std::shared_ptr<const storage::event> last;
};

/// What a relay hands to its listeners: durable events, encoded once, or one ephemeral frame, or only the head. News of
/// presence come as a frame and as what it says, for those who are not told at once; of watched users without a relay.
struct publication {
  struct item {
    std::shared_ptr<const storage::event> what;
    frame bytes;
  };
  uint64_t relay = 0;
  std::vector<item> events; // ascending, gap-free
  frame ephemeral;
  std::shared_ptr<const presence_news> presence; // what the frame says, if it is that
  user_id except;                                // an ephemeral frame is not shown to the user who caused it
  uint64_t head = 0;
};

// -- to a connection -------------------------------------------------------------------------------------------------
struct delivered {
  using local = message_tag;
  std::shared_ptr<const publication> what;
};
/// The answer to a subscription or a look at a room. On success with a face the connection listens from now on.
struct stands {
  using local = message_tag;
  uint64_t ticket = 0;
  outcome<standing> where;
  std::shared_ptr<const room_face> face; // null: only looked, or refused
};
/// The client is to go elsewhere: in its own time, as the node drains, or at once, as nobody here can say any more
/// whose sessions still hold. To a relay lane: so are all of its clients.
struct go_away {
  using local = message_tag;
  bool at_once = false;
};
/// Deliveries were lost on the way: what is known of the rooms' heads may be old.
struct look_again {
  using local = message_tag;
};
using listener = caf::typed_actor<caf::reacts_to<delivered>, caf::reacts_to<stands>, caf::reacts_to<go_away>,
                                  caf::reacts_to<look_again>>;

// -- to a relay ------------------------------------------------------------------------------------------------------
namespace relay_lane {

/// An attach has been carried out; `entered` if the connection did not listen before.
struct confirmed {
  using local = message_tag;
  uint32_t lane = 0;
  user_id user;
  bool member = false;
  bool entered = false;
  seen_as status = seen_as::online;
};
/// A user who listens wants to be seen otherwise.
struct appears {
  using local = message_tag;
  user_id user;
  seen_as status = seen_as::online;
};
/// A connection no longer listens.
struct gone {
  using local = message_tag;
  uint32_t lane = 0;
  user_id user;
};
using relay_handle = caf::typed_actor<caf::reacts_to<confirmed>, caf::reacts_to<appears>, caf::reacts_to<gone>>;

// -- from connections ------------------------------------------------------------------------------------------------
/// The connection has said hello, or is in another session now.
struct enter {
  using local = message_tag;
  uint64_t connection = 0;
  listener to;
  std::shared_ptr<transport> socket;
  std::shared_ptr<const ok::live_session> session;
};
/// The connection ends; it listened to these relays and watched these users.
struct leave {
  using local = message_tag;
  uint64_t connection = 0;
  user_id user;
  std::vector<uint64_t> relays;
  std::vector<user_id> watched;
};
/// The connection's user is to be seen so, in rooms that it listens to and in those that it will.
struct appear {
  using local = message_tag;
  uint64_t connection = 0;
  user_id user;
  seen_as status = seen_as::online; // offline: invisible
  std::vector<uint64_t> relays;
};
/// The connection wants to know how these users appear, or no longer. Its questions to them are passed on behind that,
/// so that no change falls in between.
struct watch {
  using local = message_tag;
  uint64_t connection = 0;
  std::vector<user_id> users;
  std::vector<std::shared_ptr<const user::command>> looks;
};
struct unwatch {
  using local = message_tag;
  uint64_t connection = 0;
  std::vector<user_id> users;
};
/// It no longer listens to that relay; the lane tells the relay.
struct unlisten {
  using local = message_tag;
  uint64_t connection = 0;
  user_id user;
  uint64_t relay = 0;
};
/// Answers with ok::sessions: a page of the lane's connections, of one user or (empty) of all.
struct list {
  using local = message_tag;
  caller from;
  user_id user;
  std::string after = {};
  uint32_t limit = UINT32_MAX;
};

// -- from relays -----------------------------------------------------------------------------------------------------
struct admit {
  using local = message_tag;
  caller from;
  standing where;
  std::shared_ptr<const room_face> face;
  relay_handle relay;
};
/// A refusal on its way to the connection, behind what was sent before it.
struct refuse {
  using local = message_tag;
  caller from;
  failure why;
};
struct fan_out {
  using local = message_tag;
  std::shared_ptr<const publication> what;
};

// -- from shards -----------------------------------------------------------------------------------------------------
/// How users appear who are watched here.
struct appeared {
  using local = message_tag;
  std::shared_ptr<const std::vector<appearance>> users;
};

struct stop {
  using local = message_tag;
};

using handle =
    caf::typed_actor<caf::reacts_to<fan_out>, caf::reacts_to<enter>, caf::reacts_to<leave>, caf::reacts_to<unlisten>,
                     caf::reacts_to<appear>, caf::reacts_to<watch>, caf::reacts_to<unwatch>, caf::reacts_to<appeared>,
                     caf::reacts_to<list>, caf::reacts_to<admit>, caf::reacts_to<refuse>, caf::reacts_to<go_away>,
                     caf::reacts_to<stop>>;

class relay_lane_actor : public lane_actor<relay_lane_actor, handle> {
public:
  relay_lane_actor(caf::actor_config& cfg, house& in, lane& on);

  // Messages.
  void receive(const fan_out& x);
  void receive(const enter& x);
  void receive(const leave& x);
  void receive(const unlisten& x);
  void receive(const appear& x);
  void receive(const watch& x);
  void receive(const unwatch& x);
  void receive(const appeared& x);
  void receive(const list& x);
  void receive(const admit& x);
  void receive(const refuse& x);
  void receive(const go_away&);
  void receive(const stop&) { quit(); }

private:
  struct present {
    listener to;
    std::shared_ptr<transport> socket;
    std::shared_ptr<const ok::live_session> session;
    seen_as status = seen_as::online;
  };
  struct audience {
    relay_handle relay;
    std::vector<listener> listeners;
  };
  struct watcher {
    uint64_t connection = 0;
    listener to;
  };
  bool may_drop(const caf::mailbox_element& e) const override;
  void on_loss() override;
  void drop(uint64_t relay, uint64_t connection, const user_id& user);
  void look_away(const user_id& user, uint64_t connection);

  house& house_;
  std::unordered_map<uint64_t, present> present_;              // by connection
  std::unordered_map<uint64_t, audience> audiences_;           // by relay
  std::unordered_map<user_id, std::vector<watcher>> watchers_; // by who is watched
};

} // namespace relay_lane
} // namespace greenroom
