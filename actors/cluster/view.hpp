// view: what stands in etcd about a cluster, as far as this node has heard: every record, taken apart, and the revision
// at which it was written.
//
// Filled by listings and by what a watch tells; the two overtake each other. Plain data, no threads of its own.
//
// Invariants
// - It is what stood in etcd at revision(), which never goes back.
// - A value that can't be read leaves what was known of its key in place, and is complained about.
#pragma once

#include "actors/cluster/agreement.hpp"
#include "actors/cluster/records.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::cluster {

/// A record as it was written last.
template <class Record>
struct written {
  Record what;
  int64_t revision = 0; // of the key
  int64_t lease = 0;
};

class cluster_view {
public:
  using complaint = std::function<void(const std::string& key, const failure& why)>;

  /// `shards`: how many there are; records of others are complained about.
  cluster_view(record_keys keys, uint32_t shards, complaint complain);

  /// Everything under the prefix. What can't be read is complained about, never a failure. False: newer things are
  /// known already, and all of it stays as it is.
  bool take(const listing& all);
  /// What is not newer than revision() is passed over.
  void take(const std::vector<update>& news);

  const record_keys& keys() const noexcept { return keys_; }
  int64_t revision() const noexcept { return revision_; }

  const std::optional<written<cluster_record>>& cluster() const noexcept { return cluster_; }
  /// The name of the controller's node.
  const std::optional<written<std::string>>& controller() const noexcept { return controller_; }
  const std::map<store_id, written<store_record>>& stores() const noexcept { return stores_; }
  const std::map<std::string, written<node_record>>& nodes() const noexcept { return nodes_; } // by name
  /// By number; revision 0: there is none.
  const std::vector<written<shard_record>>& shards() const noexcept { return shards_; }
  const std::map<std::string, written<drain_record>>& drains() const noexcept { return drains_; } // by node
  const std::map<uint32_t, written<request_record>>& requests() const noexcept { return requests_; }

  /// Ascending, each once.
  std::vector<store_id> alive() const;
  /// The name under which the store's node runs; null: it does not.
  const std::string* node_of(const store_id& id) const;
  /// The order to drain that the node's running process has; null: it has none.
  const written<drain_record>* drain_of(const std::string& node) const;
  /// Of the nodes that drain.
  bool drains(const store_id& id) const;
  /// At which a key was written last; 0: it is not there.
  int64_t node_revision(const std::string& name) const;
  int64_t store_revision(const store_id& id) const;

private:
  void put(const entry& x);
  void erase(const std::string& key);

  record_keys keys_;
  complaint complain_;
  int64_t revision_ = 0;
  std::optional<written<cluster_record>> cluster_;
  std::optional<written<std::string>> controller_;
  std::map<store_id, written<store_record>> stores_;
  std::map<std::string, written<node_record>> nodes_;
  std::vector<written<shard_record>> shards_;
  std::map<std::string, written<drain_record>> drains_;
  std::map<uint32_t, written<request_record>> requests_;
};

} // namespace greenroom::cluster
