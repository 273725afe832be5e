// placement: which stores should hold which shards, and the few changes that bring the records nearer to that.
//
// Pure functions, no state, any thread. Deterministic: the same input gives the same answer on every node and in every
// version, so that a new controller goes on where the old one stopped instead of moving everything.
//
// Invariants
// - Nobody is named as primary who is not in in_sync and alive. Where no member of in_sync is alive, nothing is done:
//   waiting for it is the only way to lose nothing. A store whose copy is being installed is never in in_sync, so it
//   can't be named.
// - A replica is dropped only when it is neither in in_sync nor wanted.
// - At most one move for a shard at a time: each is a compare-and-swap on the shard's record, or asks its primary for
//   one.
#pragma once

#include "actors/cluster/records.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace greenroom::cluster {

/// A registered store, as the controller sees it.
struct placed_store {
  store_id id;
  std::string node;
  std::string zone;   // stores of one zone may fail together; empty: a zone of its own
  bool alive = false; // its node key is there and names this store
  /// False: it is to be emptied, because its node has been away for so long that its replicas are made anew elsewhere.
  /// Counting a store as wanted for some time after it died keeps a restart from moving anything.
  bool wanted = true;
  /// False: its node drains, which is about to stop and to come back. It hands over what it leads and keeps its
  /// replicas, so that nothing is copied: what it lacks afterwards is the end of some logs.
  bool leads = true;
};

struct placement_policy {
  /// Of each shard, if there are so many wanted stores.
  uint32_t replicas = 3;
  /// in_sync is never asked to become smaller than this.
  uint32_t min_in_sync = 2;
  /// A store holds up to this many replicas, and leads this many shards, more or less than its even share. The more,
  /// the fewer move when stores come and go. 0: as even as it can be.
  uint32_t slack = 2;
  /// Learners that catch up at the same time, in the whole cluster: each may take a snapshot over the network.
  uint32_t learners_max = 8;
  /// Primaries asked to hand over, and members asked to be put out, by one call. Primaries that are not to lead are
  /// asked besides, all of them.
  uint32_t requests_max = 4;
  /// Replicas dropped by one call.
  uint32_t drops_max = 8;
};

/// What one shard should come to. The primary is one of the replicas; both are empty if no store is wanted.
struct wanted_shard {
  std::vector<store_id> replicas; // the best first
  store_id primary;               // one that is to lead, if any of the replicas is

  friend bool operator==(const wanted_shard&, const wanted_shard&) = default;
};

/// For shards 0 to `shards` - 1: rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit
/// rates", 1998) over the wanted stores; as many zones as there can be; then the
/// fewest exchanges that bring every store near its even share. Depends on the stores only, not on their order or on
/// who is alive. A store that is not to lead changes nothing but the primaries of the shards that it would have led.
std::vector<wanted_shard> wanted_shards(std::span<const placed_store> stores, uint32_t shards,
                                        const placement_policy& policy);

struct move {
  enum class kind : uint8_t {
    name_primary, // by the controller: epoch + 1; see `old_node`
    add_learner,  // by the controller: `store` joins replicas
    drop_replica, // by the controller: `store` leaves replicas
    hand_over,    // asks the primary to give up, once it has stopped; then `store` is named
    put_out,      // asks the primary to take `store` out of in_sync, where placement does not want it any more
  };
  kind what = kind::name_primary;
  uint32_t shard = 0;
  store_id store;
  /// name_primary: the store whose node must be gone from etcd in the same transaction; empty: there was no primary.
  store_id old_primary;
  /// The name of that node as it was seen last; empty: nobody knows it, or there was no primary.
  std::string old_node;

  friend bool operator==(const move&, const move&) = default;
};

/// What to do now, in this order: primaries first and all of them, then the shards with the fewest members alive.
/// `records[i]` is shard i's. To be asked again when a record or a store has changed, and after a while where a request
/// had no effect.
std::vector<move> next_moves(std::span<const shard_record> records, std::span<const placed_store> stores,
                             const placement_policy& policy);

/// The record that a name_primary, add_learner or drop_replica writes. REQUIRES: one of these, made for this record.
shard_record after(shard_record record, const move& made);

} // namespace greenroom::cluster
