// log: what the replicated log of a shard is made of, as plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

namespace greenroom::storage {

/// A place in the log of a shard. Indexes begin with 1 and have no gaps; {0, 0} is before the first.
struct log_position {
  uint64_t epoch = 0;
  uint64_t index = 0;
  friend auto operator<=>(const log_position&, const log_position&) = default;
};

struct log_entry {
  log_position at;
  std::shared_ptr<const std::string> batch; // a serialised storage::batch; empty: changes nothing
};

/// How far the log and the state of a shard are.
struct shard_state {
  log_position first; // before the first entry that is kept
  log_position last;
  log_position applied;
  bool installing = false; // a snapshot was begun and not ended: the state is worth nothing
};

} // namespace greenroom::storage
