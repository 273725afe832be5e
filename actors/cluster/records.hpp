// records: what stands in etcd, as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace greenroom::cluster {

using store_id = std::string;

/// Who may do what with a shard.
struct shard_record {
  uint64_t epoch = 0;
  store_id primary; // empty: nobody
  std::vector<store_id> in_sync;
  std::vector<store_id> replicas; // in_sync is part of it
  friend bool operator==(const shard_record&, const shard_record&) = default;
};

} // namespace greenroom::cluster
