// log: the words of replication in the store. A shard has a log and a state, apart: an entry is appended to the log,
// and applied to the state once it is committed, in one write with the position that says so.
//
// Nothing here knows nodes, epochs' owners or what "committed" means: see actors/cluster/README.md.
//
// Invariants of every shard, also after a crash
// - first <= applied <= last, and the log holds exactly the entries behind `first` up to `last`, without a hole.
// - The state is what the entries up to `applied` made of it, unless `installing` is set: then it is nothing.
#pragma once

#include "config/ids.hpp"

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

namespace greenroom::storage {

class batch;

/// Where an entry stands. Indexes begin with 1; {0, 0} is the place before the first entry.
struct log_position {
  uint64_t epoch = 0;
  uint64_t index = 0;
  friend auto operator<=>(const log_position&, const log_position&) = default;
};

struct log_entry {
  log_position at;
  /// A serialised batch of this shard. An empty string: an entry that changes nothing. Never null.
  std::shared_ptr<const std::string> batch;
};

struct shard_state {
  log_position first; // the position before the first entry that is kept
  log_position last;
  log_position applied;
  /// A snapshot is on its way in: there is no log, and what there is of the state is no truth.
  bool installing = false;
  friend bool operator==(const shard_state&, const shard_state&) = default;
};

// -- what one write is made of ----------------------------------------------------------------------------------------
// "REQUIRES" here is a programmer's duty, checked in every build with std::logic_error before anything is written. Each
// sees what those before it in the same write did. None but install_* may meet a shard that is installing.

/// REQUIRES: at.index == last.index + 1; at.epoch is neither 0 nor below last.epoch.
struct append_entry {
  shard_id shard = 0;
  log_entry entry;
};

/// Erases the entries with an index above `after`, if there are any. REQUIRES: after >= applied.index.
struct cut_log {
  shard_id shard = 0;
  uint64_t after = 0;
};

/// Replays the batch into the state. A batch that can't be read, or of another shard, is refused with errc::internal.
/// REQUIRES: at.index == applied.index + 1, and it is in the log.
struct apply_entry {
  shard_id shard = 0;
  log_entry entry;
};

/// Keeps the entries up to index `upto` no longer. What is gone already is no mistake. REQUIRES: upto <= applied.index.
struct trim_log {
  shard_id shard = 0;
  uint64_t upto = 0;
};

/// What a single node holds becomes the first state of a cluster: first = last = applied = {1, 1}, which no empty log
/// can be taken for. Does nothing if the shard has a log already.
struct found_log {
  shard_id shard = 0;
};

/// Marks the shard as installing, for good until install_end, and drops all of it. May be repeated: then it starts
/// anew. Reads of this shard that run meanwhile may fail or find less; its snapshots are void from then on.
struct install_begin {
  shard_id shard = 0;
};

/// A chunk of shard_snapshot::next(). Refused with errc::internal if it is damaged, holds a key of another shard, or is
/// not the one that follows the last chunk of the same snapshot since install_begin; after reopen() none follows.
/// REQUIRES: the shard is installing.
struct install_chunk {
  shard_id shard = 0;
  std::shared_ptr<const std::string> bytes;
};

/// Clears the mark: first = last = applied. Refused with errc::internal unless the last chunk of a snapshot at this
/// position has been put. REQUIRES: the shard is installing.
struct install_end {
  shard_id shard = 0;
  log_position applied;
};

/// `const batch*` is applied directly, as on a single node. REQUIRES: the shard has no log.
using mutation = std::variant<const batch*, append_entry, cut_log, apply_entry, trim_log, found_log, install_begin,
                              install_chunk, install_end>;

} // namespace greenroom::storage
