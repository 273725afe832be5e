// house: what every actor of a node can reach: the parts handed in by main, the handles of the actors that live as long
// as the node, and the few values that all of them read. Filled by node before the first command comes; afterwards
// nothing in it changes but the atomics and the limits.
#pragma once

#include "actors/bulk.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/encoder.hpp"
#include "actors/flood_control.hpp"
#include "actors/hasher.hpp"
#include "actors/hooks.hpp"
#include "actors/http_client.hpp"
#include "actors/limits_in_force.hpp"
#include "actors/metrics.hpp"
#include "actors/pusher.hpp"
#include "actors/reader.hpp"
#include "actors/relay_lane.hpp"
#include "actors/scrubber.hpp"
#include "actors/shard.hpp"
#include "actors/storage_actor.hpp"
#include "actors/strand.hpp"
#include "actors/tenants.hpp"
#include "actors/vetter.hpp"
#include "actors/vital_signs.hpp"
#include "config/settings.hpp"
#include "storage/store.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace greenroom {

struct house {
  house(const settings& c, storage::store& s, const encoder& e, const token_verifier& t, greenroom::metrics& m)
      : config(c), store(s), encode(e), tokens(t), metrics(m), limits(c.limits), floods(m), tenants(c) {}

  const settings& config;
  storage::store& store;
  const encoder& encode;
  const token_verifier& tokens;
  greenroom::metrics& metrics;
  limits_in_force limits;
  flood_control floods;
  greenroom::tenants tenants;
  directory living;

  /// Grows with every failed write and every reopening of the store.
  std::atomic<uint64_t> era{1};
  /// Since when the node drains, by steady_ms: it is about to stop, and sends its clients to others, those that come
  /// now as well. 0: it does not. Never back to that.
  std::atomic<int64_t> drains_since{0};
  bool draining() const noexcept { return drains_since.load(std::memory_order_relaxed) != 0; }
  /// Clients that were told so.
  std::atomic<uint32_t> sent_away{0};
  /// Shards that have read their effects; the node is ready when all have.
  std::atomic<uint32_t> shards_started{0};

  /// Commits under way to the storage actor; nothing is admitted over storage.queue.
  std::atomic<uint32_t> commits_waiting{0};
  bool storage_is_full() const noexcept {
    return commits_waiting.load(std::memory_order_relaxed) >= config.storage.queue;
  }
  /// Passwords under way to the hasher.
  std::atomic<uint32_t> hashes_waiting{0};

  std::vector<std::unique_ptr<strand>> strands; // by shard id
  persist::handle storage;
  hasher::handle hasher;
  scrubber::handle scrubber;
  bulk::handle bulk;
  std::atomic<bool> scrub_asked{false}; // it has not come to the last turn yet
  // Webhooks and the pre-send hook. Without `web` and `wire` there are none.
  http_client* web = nullptr;
  const hooks::hook_wire* wire = nullptr;
  hooks::in_force hooks;
  std::unique_ptr<strand> hook_strand; // of the two below
  pusher::handle pusher;
  vetter::handle vetter;
  std::vector<reader::handle> readers;
  std::vector<relay_lane::handle> relay_lanes; // by lane index
  std::vector<shard::handle> shards;           // by shard id

  /// Milliseconds since 1970 UTC; tests put their own clock here.
  std::function<int64_t()> now_ms;
  /// Milliseconds of a clock that never goes back, for deadlines and rates.
  std::function<int64_t()> steady_ms;
  /// An unguessable text of [a-z0-9], 5 bits of randomness a character.
  std::function<std::string(size_t characters)> random_text;

  /// Null: this node is by itself.
  std::unique_ptr<cluster::cluster_house> cluster;

  /// The state of a room or user is true as long as this is what it was at the actor's activation.
  uint64_t era_of(shard_id s) const noexcept {
    return (cluster ? cluster->eras[s] : era).load(std::memory_order_relaxed);
  }
  /// On how many disks everything is that a shard has acknowledged.
  uint32_t copies_of(shard_id s) const noexcept {
    return cluster ? cluster->copies[s].load(std::memory_order_relaxed) : 1;
  }
  /// Who takes the batches of a shard.
  persist::sink committer_of(shard_id s) const { return cluster ? cluster->committers[s] : persist::sink{storage}; }

  const reader::handle& reader_of(shard_id s) const { return readers[s % readers.size()]; }
  const shard::handle& shard_of(const room_id& r) const { return shards[r.shard()]; }
  const shard::handle& shard_of(const user_id& u) const { return shards[u.shard()]; }
  /// Not to be kept beyond the handler that asks.
  const greenroom::limits* limits_now() const noexcept { return limits.now(); }
};

} // namespace greenroom
