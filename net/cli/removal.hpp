// removal: whether a store may be taken out of a cluster for good, and the transaction that does it. Pure functions of
// what stands in etcd, but for remove_now(), which asks and writes.
//
// Invariants
// - A store that any shard's record names, or may name, stays.
// - The transaction does nothing if the store has registered again since the view was read. That no shard has taken it
//   in since is the controller's part (actors/cluster/controller.hpp), so that the 128 records need not be compared:
//   etcd takes no more than that in one transaction.
#pragma once

#include "actors/cluster/view.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace greenroom::cli {

/// What the configuration says about how long a node counts after its end; for the words of a refusal only.
struct patience {
  uint32_t lease_ms = 0;  // cluster.lease_ms
  uint32_t replace_s = 0; // cluster.replace_s
};

struct removal {
  std::string node; // as it was called last
  /// What is to be written: all or nothing.
  std::vector<cluster::condition> conditions;
  std::vector<cluster::change> changes;
  /// Copies of each shard that the cluster wants beyond the stores that are left.
  size_t copies_short = 0;
};

/// The one store that is called so, by its id or by the name of its node. Fails with not_found if there is none, with
/// conflict if several have had that name.
outcome<cluster::store_id> store_called(const cluster::cluster_view& view, const std::string& node_or_store);

/// Fails with not_found if there is no such store, and with conflict as long as its node runs or a shard counts on it;
/// the message says what there is to do.
outcome<removal> plan_removal(const cluster::cluster_view& view, const cluster::store_id& store, const patience& wait);

struct removed_store {
  cluster::store_id id;
  removal how;
};
/// Looks and writes until it is known what became of it; blocks until etcd has answered, a few times at most, with
/// `pause` between two attempts. Fails as the two above, and with unavailable if etcd does not answer: then it may have
/// been done.
outcome<removed_store> remove_now(cluster::agreement& etcd, const std::string& cluster_name,
                                  const std::string& node_or_store, const patience& wait,
                                  const std::function<void()>& pause);

/// `3-5, 9`. REQUIRES: ascending.
std::string ranges_of(const std::vector<uint32_t>& numbers);

} // namespace greenroom::cli
