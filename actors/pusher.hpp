// pusher: pushes what rooms say to webhooks. One actor per node; it knows which rooms of the shards that this node
// serves have something left for which webhook, reads it by way of the room, and delivers it.
//
// In   serves and yields from shards; pending and settled from rooms; what readers have found (read_hooked,
//      load_hooked); answers of the receivers; changed when the configuration has; list from requesters; tick, stop
// Out  collect and moved to shards, which pass them on to their rooms; posts to the receivers; answers to list
//
// What is left stands in the store: a record for each room and webhook says how far it is (storage::hook_record), and
// as long as there may be more, the room stands in an index of its shard. The room writes both: opened with the event
// that makes it so, moved on and closed when a delivery was answered. So here is nothing that could be lost.
//
// Invariants
// - For each webhook and room at most one delivery is under way, and the next begins where the last one that was
//   answered with 2xx ended: in order, nothing left out, and again what nobody has answered.
// - At most `in_flight` of each webhook at the same time; one, while it goes on failing.
// - At most `pending_rooms` of each webhook in memory; the index has the others, and is read again when there is room.
#pragma once

#include "actors/caller.hpp"
#include "actors/hooks.hpp"
#include "actors/http_client.hpp"
#include "actors/reader.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace greenroom {

struct house;

namespace pusher {

// -- from shards -----------------------------------------------------------------------------------------------------
/// This node serves the shard from now on: its index tells what is left.
struct serves {
  using local = message_tag;
  shard_id shard = 0;
};
struct yields {
  using local = message_tag;
  shard_id shard = 0;
};

// -- from rooms ------------------------------------------------------------------------------------------------------
/// There is something for the webhook, or may be. `ts`: since when; 0: unknown.
struct pending {
  using local = message_tag;
  room_id room;
  std::string hook;
  int64_t ts = 0;
};
/// What was asked of the room for this webhook is durable. `more`: there may be more.
struct settled {
  using local = message_tag;
  room_id room;
  std::string hook;
  uint64_t token = 0; // of what was asked
  bool more = false;
};

// -- to shards, for one of their rooms -------------------------------------------------------------------------------
/// Asks the room for a piece of its log, from where it knows the webhook to be; the reader sends it.
struct collect {
  using local = message_tag;
  room_id room;
  std::string hook;
  uint64_t token = 0;
  uint64_t upto = 0; // no further, so that a delivery that is repeated is the same one; 0: as far as there is
};
/// The webhook has everything up to `through`. Answered with `settled`.
struct moved {
  using local = message_tag;
  room_id room;
  std::string hook;
  uint64_t token = 0;
  uint64_t turn = 0;
  uint64_t through = 0;
  bool all = false; // that was everything then
};

// -- from elsewhere --------------------------------------------------------------------------------------------------
struct answered {
  using local = message_tag;
  std::string hook;
  room_id room;
  uint64_t token = 0;
  outcome<http_answer> what;
};
/// The set of webhooks has been replaced.
struct changed {
  using local = message_tag;
};
/// Answered with ok::webhooks.
struct list {
  using local = message_tag;
  caller from;
};
struct tick {
  using local = message_tag;
};
struct stop {
  using local = message_tag;
};

using handle = caf::typed_actor<caf::reacts_to<pending>, caf::reacts_to<settled>, caf::reacts_to<hooked_page>,
                                caf::reacts_to<answered>, caf::reacts_to<hooked_rooms>, caf::reacts_to<serves>,
                                caf::reacts_to<yields>, caf::reacts_to<changed>, caf::reacts_to<list>,
                                caf::reacts_to<tick>, caf::reacts_to<stop>>;

class pusher_actor : public hosted_actor<pusher_actor, handle> {
public:
  pusher_actor(caf::actor_config& cfg, house& in, host& on);

  void receive(const pending& x);
  void receive(const settled& x);
  void receive(const hooked_page& x);
  void receive(const answered& x);
  void receive(const hooked_rooms& x);
  void receive(const serves& x);
  void receive(const yields& x);
  void receive(const changed&);
  void receive(const list& x);
  void receive(const tick&);
  void receive(const stop&);

private:
  enum class phase : uint8_t {
    ready,      // in hook_lane::ready
    waiting,    // for `due`
    collecting, // the room was asked
    pushing,    // a delivery is under way
    moving,     // it was answered well; the room makes that durable
  };
  struct entry {
    phase at = phase::ready;
    bool again = false;    // something came meanwhile
    uint32_t failures = 0; // since the last good answer
    int64_t due = 0;       // waiting: when it is tried again; collecting, moving: when it is asked again; steady_ms
    int64_t since = 0;     // ts of the oldest event that is known to wait; 0: unknown
    uint64_t token = 0;    // of what is under way
    uint64_t turn = 0;
    uint64_t after = 0;
    uint64_t through = 0;
    size_t events = 0;
    bool all = false;
    uint64_t upto = 0; // where the delivery ended that is to be repeated
  };
  using entries = std::unordered_map<room_id, entry>;
  /// All that there is about one webhook.
  struct hook_lane {
    hooks::webhook_ptr what;
    hooks::figures_ptr counts;
    entries rooms;
    std::deque<room_id> ready; // some of them may have left that phase
    size_t in_flight = 0;      // collecting, pushing or moving
    uint32_t failures = 0;     // in a row
    int64_t paused_until = 0;  // steady_ms
    std::string last_failure;
    int64_t failed_at = 0; // ms since 1970 UTC
    // The shards whose index has to be read; of the one that is being read, what stands behind `scan_after`.
    std::set<shard_id> to_scan;
    std::optional<shard_id> scanned;
    std::string scan_after;
    bool scanning = false; // a reader was asked
    uint64_t scan_token = 0;
  };

  hook_lane* find(const std::string& name);
  void add(hook_lane& l, const room_id& room, int64_t ts);
  void make_ready(hook_lane& l, const room_id& room, entry& e);
  void go_on(hook_lane& l);
  void scan(hook_lane& l);
  void push(hook_lane& l, const room_id& room, entry& e, hooks::read_piece what);
  void move(hook_lane& l, const room_id& room, entry& e);
  void failed(hook_lane& l, const room_id& room, entry& e, const std::string& why, int64_t wait_ms);
  void take_stock(hook_lane& l);
  int64_t backoff(const hook_lane& l, const room_id& room, uint32_t failures) const;

  house& house_;
  std::map<std::string, hook_lane> hooks_;
  std::set<shard_id> served_;
  uint64_t next_token_ = 0;
};

} // namespace pusher
} // namespace greenroom
