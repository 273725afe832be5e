// storage actor: the only writer of this node's store. Owns the order of commits.
//
// In   commit from rooms, users and shards; reopen_due from the clock
// Out  committed, to the sender, in the order in which the commits came
//
// Group commit: whatever waits in the mailbox is one synced write, then all of it is answered. While the disk syncs,
// the next group gathers.
//
// Invariants
// - committed says ok only when the batch is on stable storage.
// - After a failed write the era grows: every commit prepared by an actor that was activated in an older era is
//   refused, because the seqs it holds in memory are void. Only then is the store opened again, until that succeeds;
//   then the era grows once more, because what was read meanwhile is void, too.
//
// Blocks (RocksDB, fdatasync): spawned detached, or on the test scheduler.
#pragma once

#include "actors/base.hpp"
#include "storage/batch.hpp"
#include "storage/store.hpp"

#include <memory>
#include <vector>

namespace greenroom {

struct house;

/// The end of a commit; `token` is the sender's.
struct committed {
  using local = message_tag;
  uint64_t token = 0;
  bool ok = false;
};
using committer = caf::typed_actor<caf::reacts_to<committed>>;

namespace persist {

struct commit {
  using local = message_tag;
  std::shared_ptr<const storage::batch> what;
  uint64_t era = 0;
  uint64_t token = 0;
  committer to;
};
struct reopen_due {
  using local = message_tag;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<commit>, caf::reacts_to<reopen_due>, caf::reacts_to<stop>>;

class storage_actor : public detached_actor<handle> {
public:
  storage_actor(caf::actor_config& cfg, house& in);
  behavior_type make_behavior() override;

private:
  void take(const commit& x);
  void flush();
  void reopen();

  house& house_;
  std::vector<commit> group_;
  size_t group_bytes_ = 0;
  bool reopen_armed_ = false;
};

} // namespace persist
} // namespace greenroom
