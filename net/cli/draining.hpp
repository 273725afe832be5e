// draining: whether a node of a cluster may be drained, the order to do so, and how far it is. Pure functions of what
// stands in etcd.
#pragma once

#include "actors/cluster/view.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::cli {

/// What it is to drain a node now.
struct drain_plan {
  bool ordered = false; // it drains already
  /// Shards that will have fewer live copies in sync than cluster.min_in_sync while the node is away: sends to them are
  /// refused for that time. There are never more copies than now, so there is nothing to wait for.
  size_t shards_short = 0;
  /// What is to be written, if it is not ordered: all or nothing.
  std::vector<cluster::condition> conditions;
  std::vector<cluster::change> changes;
};

/// Fails with not_found if no such node runs, with unsupported if there is nobody to take over, and with conflict for
/// what `force` does not care about: another node drains, or copies are not in sync that will be.
outcome<drain_plan> plan_drain(const cluster::cluster_view& view, const std::string& node, bool force);

struct drain_progress {
  bool gone = false;                   // the process that was meant is not in etcd any more
  size_t leads = 0;                    // shards
  std::optional<uint64_t> connections; // as the node says; nullopt: it has not noticed yet

  friend bool operator==(const drain_progress&, const drain_progress&) = default;
};
/// REQUIRES: the order to the node with this store has been seen in etcd, or was written just now.
drain_progress progress_of(const cluster::cluster_view& view, const std::string& node, const cluster::store_id& store);

/// `n2 drains: it leads 12 shards, 3 clients are connected`
std::string text_of(const std::string& node, const drain_progress& x);
nlohmann::json json_of(const std::string& node, const drain_progress& x);

} // namespace greenroom::cli
