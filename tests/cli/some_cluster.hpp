// some_cluster: what stands in etcd about a small cluster, for tests of what the commands make of it.
#pragma once

#include "actors/cluster/view.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

namespace greenroom::cli {

using namespace cluster;

/// Three nodes with the stores s1 to s3, leases 101 to 103, two shards; changed by the tests.
class some_cluster {
public:
  some_cluster() {
    put(keys.cluster(), encode(cluster_record{"c0ffee", 2, 3, 2}));
    for (int i = 1; i <= 3; ++i)
      start("n" + std::to_string(i), "s" + std::to_string(i), 100 + i);
    for (uint32_t s = 0; s < 2; ++s)
      shard(s, "s1", {"s1", "s2", "s3"});
  }
  void start(const std::string& node, const store_id& store, int64_t lease) {
    put(keys.store(store), encode(store_record{node, ""}));
    put(keys.node(node), encode(node_record{store, "", "127.0.0.1:7401", "0.1.0"}), lease);
  }
  void shard(uint32_t number, const store_id& primary, const std::vector<store_id>& in_sync) {
    put(keys.shard(number), encode(shard_record{1, primary, in_sync, {"s1", "s2", "s3"}}));
  }
  void put(const std::string& key, const std::string& value, int64_t lease = 0) {
    all_[key] = {key, value, ++revision_, lease};
  }
  void erase(const std::string& key) { all_.erase(key); }
  cluster_view view() const {
    cluster_view v(keys, 2, [](const std::string&, const failure& why) { FAIL(why.message); });
    listing all{{}, revision_};
    for (const auto& [key, x] : all_)
      all.entries.push_back(x);
    v.take(all);
    return v;
  }
  int64_t revision_of(const std::string& key) const { return all_.at(key).revision; }

  const record_keys keys{"c"};

private:
  std::map<std::string, entry> all_;
  int64_t revision_ = 0;
};

} // namespace greenroom::cli
