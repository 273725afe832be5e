// bulk: the lane of what is large: chunks of attachments on their way to the log or the disk. Owns their order, and how
// many of them are under way.
//
// In   store from rooms, committed from whoever takes commits, tick from the node's clock, stop
// Out  commit, one at a time; stored, always, to the room that asked
//
// One chunk after the other: so there is at most one of this node's in a group commit, and a message waits for one
// chunk at most, however many uploads there are. A chunk that gets no answer for a second holds up its own shard only:
// there may be too few replicas of that one. The hash of a file is carried on here, off the rooms' strands: it takes
// longer than all else that is done about a chunk.
//
// Invariants
// - Of one shard at most one chunk is under way; of all, at most one that is younger than hold_ms.
// - At most attachments.queue wait; one more is refused.
// - `stored` says ok only when chunk and record are as durable as any other batch of the shard.
//
// Spawned detached, for it computes.
#pragma once

#include "actors/storage_actor.hpp"

#include <deque>
#include <list>
#include <memory>
#include <string>

namespace greenroom {

struct house;

namespace bulk {

/// The end of a store.
struct stored {
  using local = message_tag;
  enum class how : uint8_t {
    ok,
    failed,  // uncertain, like any write that failed
    crowded, // too many wait
    wrong,   // all is there, and is not what it was to be; nothing was written
  };
  std::string file;
  uint64_t token = 0;
  how what = how::ok;
  storage::file_record record; // as it is then
};

/// The next chunk of a file. REQUIRES: it follows on what `record` says is there, and is the whole rest of the file or
/// a multiple of 64 bytes, the blocks of the hash.
struct store {
  using local = message_tag;
  room_id room;
  std::string file;
  storage::file_record record; // as it is
  std::shared_ptr<const std::string> bytes;
  uint64_t era = 0;
  uint64_t token = 0; // the sender's
  caf::typed_actor<caf::reacts_to<stored>> to;
};

struct tick {
  using local = message_tag;
};
struct stop {
  using local = message_tag;
};
using handle =
    caf::typed_actor<caf::reacts_to<store>, caf::reacts_to<committed>, caf::reacts_to<tick>, caf::reacts_to<stop>>;

class bulk_actor : public detached_actor<handle> {
public:
  static constexpr int64_t hold_ms = 1'000;

  bulk_actor(caf::actor_config& cfg, house& in);
  behavior_type make_behavior() override;

private:
  struct under_way {
    uint64_t token = 0; // ours
    store what;
    storage::file_record next;
    int64_t since = 0; // of house::steady_ms
  };

  void take(const store& x);
  void done(const committed& x);
  void drop_void();
  void go_on();
  void start(store x);
  bool is_free(shard_id shard) const;

  house& house_;
  std::deque<store> queue_;
  std::list<under_way> under_way_;
  uint64_t next_token_ = 0;
};

} // namespace bulk
} // namespace greenroom
