// controller: what the one controller of a cluster writes next: primaries for shards whose primary's node is gone,
// learners, the end of replicas that nobody wants, and requests to hand over or to put a member out.
//
// Part of the member, which asks it as long as this node is the controller, and carries out what it says. Knows no
// actors and no etcd: in goes what stands there, out come transactions.
//
// Invariants
// - Everything is written under the condition that the controller's key is still the one that was seen: what an older
//   controller sent late does nothing.
// - A primary is named only if the node key that the old one's store wrote last is gone, or names another store; this
//   is part of the transaction. So is the store's own key, which every registration writes anew: a store that has come
//   back under whatever node name is noticed.
// - A copy is begun only on a store that is alive in the same transaction. So nobody gives one to a store that an
//   operator has seen to be gone and removes; its return would write its own key anew, which the removal compares.
// - One transaction at a time for a shard; and while any is under way, nothing but naming primaries is begun, so that
//   the bounds of placement hold.
#pragma once

#include "actors/cluster/placement.hpp"
#include "actors/cluster/view.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace greenroom::cluster {

struct controller_options {
  uint32_t replace_s = 600;  // a store that has been gone for so long is not wanted any more; 0: at once
  uint32_t requests_max = 4; // that stand at the same time
  /// Besides, of nodes that drain: as many as a member proposes at once. Each shard stands still for two round trips.
  uint32_t drain_requests_max = 32;
  uint32_t commits_max = 64; // transactions under way
};

class controller {
public:
  explicit controller(controller_options o) : options_(o) {}

  /// One transaction.
  struct step {
    enum class kind : uint8_t { name_primary, add_learner, drop_replica, ask, take_back };
    kind what = kind::name_primary;
    uint32_t shard = 0;
    store_id store;
    int64_t compared = 0; // the revision of the shard's record that it was made for
    std::vector<condition> conditions;
    std::vector<change> changes;
  };

  /// What to commit now, options.commits_max under way at most; each is under way until ended() is called for it.
  /// REQUIRES: view.controller() is this node, under `lease`, and view.cluster() is there.
  std::vector<step> next(const cluster_view& view, int64_t lease, int64_t now_ns);
  /// A step was carried out, or not, or nobody knows.
  void ended(const step& s, bool done);
  /// This node is not the controller, or not any longer: forgets how long stores have been gone.
  void reset();

private:
  std::vector<placed_store> placed(const cluster_view& view, int64_t now_ns);
  void ask(const cluster_view& view, const std::vector<move>& moves, const condition& still, int64_t lease,
           std::vector<step>& out) const;
  bool busy(const cluster_view& view, uint32_t shard);

  const controller_options options_;
  std::map<store_id, int64_t> gone_since_ns_;
  size_t under_way_ = 0;
  /// By shard: the record's revision of the step that is under way, or was done and is not seen yet.
  std::map<uint32_t, int64_t> held_;
};

const char* to_string(controller::step::kind x) noexcept;

} // namespace greenroom::cluster
