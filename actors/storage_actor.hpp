// storage actor: the only writer of this node's store. Owns the order of writes.
//
// In   commit from rooms, users and shards, on a single node; log_write from replicas, in a cluster; reopen_due from
//      the clock
// Out  committed and logged, to the sender, for each sender in the order in which its messages came; but of what needs
//      no sync, and of the rest, each by itself
//
// Group commit: whatever waits in the mailbox is one synced write, then all of it is answered. While the disk syncs,
// the next group gathers. What needs no sync (applying, trimming) is written before and answered at once: it has
// waited for one sync already, and must not wait for another. What is applied was appended before and is cut off never,
// so that it may overtake any other write of its shard.
//
// Invariants
// - committed says ok only when the batch is on stable storage; logged, when the writes are as durable as the store
//   promises for them.
// - After a failed write the era grows: everything prepared in an older era is refused, because what its sender holds
//   in memory is void. Only then is the store opened again, until that succeeds; then the era grows once more, because
//   what was read meanwhile is void, too.
// - A log_write that the store refuses for what it says fails alone. What its replica has built on it, that is, what
//   comes of the same life, is refused as well.
//
// Blocks (RocksDB, fdatasync): spawned detached, or on the test scheduler.
#pragma once

#include "actors/base.hpp"
#include "storage/batch.hpp"
#include "storage/store.hpp"

#include <array>
#include <memory>
#include <variant>
#include <vector>

namespace greenroom {

struct house;

/// The end of a commit; `token` is the sender's.
struct committed {
  using local = message_tag;
  uint64_t token = 0;
  bool ok = false;
  uint32_t copies = 1; // stores on which it is synced
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
/// Who takes commits.
using sink = caf::typed_actor<caf::reacts_to<commit>>;

/// The end of a log_write; `token` is the sender's.
struct logged {
  using local = message_tag;
  uint64_t token = 0;
  bool ok = false;
};
using logger = caf::typed_actor<caf::reacts_to<logged>>;

/// Mutations of one shard's log and state, all or none. An install_begin comes alone, and nothing of its shard before
/// it was answered: it drops files.
struct log_write {
  using local = message_tag;
  shard_id shard = 0;
  std::shared_ptr<const std::vector<storage::mutation>> what;
  uint64_t era = 0;
  uint64_t life = 0; // grows whenever the sender has read the shard anew
  uint64_t token = 0;
  logger to;
};

struct reopen_due {
  using local = message_tag;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<commit>, caf::reacts_to<log_write>, caf::reacts_to<reopen_due>,
                                caf::reacts_to<stop>>;

class storage_actor : public detached_actor<handle> {
public:
  storage_actor(caf::actor_config& cfg, house& in);
  behavior_type make_behavior() override;

private:
  struct waiting {
    std::variant<commit, log_write> what;
    bool ok = false;
  };

  void take(std::variant<commit, log_write> x, size_t bytes);
  void flush();
  void write(const std::vector<waiting*>& part, bool synced);
  void write_alone(waiting& x);
  bool admitted(const waiting& x) const;
  void fail(const std::string& why, size_t count);
  void answer(waiting& x);
  void reopen();

  house& house_;
  std::vector<waiting> group_;
  size_t group_bytes_ = 0;
  std::array<uint64_t, shard_count> refused_life_{};
  bool reopen_armed_ = false;
};

} // namespace persist
} // namespace greenroom
