// member_world: a member on CAF's deterministic scheduler, with an agreement in memory and replicas that only write
// down what they are told. One clock for the member, etcd and CAF, which moves when told.
#pragma once

#include "actors/cluster/member.hpp"
#include "actors/strand.hpp"
#include "tests/support/memory_agreement.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace greenroom::cluster::test {

/// What was told to the replicas of one node.
struct replica_notes {
  struct record {
    shard_id shard;
    record_now what;
  };
  std::vector<record> records;
  std::vector<shard_id> settled;
  std::vector<std::pair<shard_id, store_id>> hand_overs;
  std::vector<std::pair<shard_id, store_id>> put_outs;
  std::vector<store_id> alive; // as the replica of shard 0 was told last

  const record* last_of(shard_id shard) const {
    const record* found = nullptr;
    for (const auto& r : records)
      if (r.shard == shard)
        found = &r;
    return found;
  }
};

inline bool touches(const std::vector<change>& changes, const std::string& key) {
  return std::any_of(changes.begin(), changes.end(), [&](const change& c) { return c.key == key; });
}

class deaf_replica : public hosted_actor<deaf_replica, replica_handle> {
public:
  deaf_replica(caf::actor_config& cfg, host& on, directory& living, shard_id shard, replica_notes& notes)
      : hosted_actor(cfg, on, actor_kind::shard, std::to_string(shard), living), shard_(shard), told_(notes) {}

  void receive(const arrived&) {}
  void receive(const record_now& x) { told_.records.push_back({shard_, x}); }
  void receive(const settled&) { told_.settled.push_back(shard_); }
  void receive(const alive& x) {
    if (shard_ == 0)
      told_.alive = *x.stores;
  }
  void receive(const hand_over& x) { told_.hand_overs.emplace_back(shard_, x.to); }
  void receive(const put_out& x) { told_.put_outs.emplace_back(shard_, x.store); }
  void receive(const peer_up&) {}
  void receive(const peer_down&) {}
  void receive(const replica_tick&) {}
  void receive(const replica_stop&) { quit(); }

private:
  const shard_id shard_;
  replica_notes& told_;
};

class member_world {
public:
  member_world() {
    config_.set("scheduler.policy", caf::atom("testing"));
    system_ = std::make_unique<caf::actor_system>(config_);
    strand_ = std::make_unique<strand>(*system_, 100);
    o.cluster = "c";
    o.node = "n1";
    o.store = "s1";
    o.address = "127.0.0.1:7401";
    o.version = "1";
  }
  ~member_world() {
    stop();
    for (const auto& r : replicas_)
      tell(r, replica_stop{});
    run();
    home.reset();
    replicas_.clear();
    system_.reset(); // before the strand
  }

  /// All shards on the stores, led by the first one.
  void found(const std::vector<store_id>& stores, uint32_t replicas = 3) {
    for (uint32_t s = 0; s < shard_count; ++s)
      etcd.put(keys.shard(s), encode(shard_record{1, stores[0], stores, stores}));
    etcd.put(keys.cluster(), encode(cluster_record{"id", shard_count, replicas, 2}));
  }
  /// Another node, whose key lives for `ttl`. Answers its lease.
  int64_t other(const std::string& node, const store_id& store, std::chrono::milliseconds ttl = std::chrono::hours(1)) {
    const auto lease = etcd.grant_to_other(ttl);
    etcd.put(keys.store(store), encode(store_record{node, ""}));
    etcd.put(keys.node(node), encode(node_record{store, "", "127.0.0.1:7500", "1"}), lease);
    return lease;
  }
  void start() {
    stop();
    home = std::make_unique<cluster_house>(etcd);
    if (replicas_.empty())
      for (unsigned s = 0; s < shard_count; ++s)
        replicas_.push_back(system_->spawn<deaf_replica>(*strand_, living, static_cast<shard_id>(s), seen));
    home->replicas = replicas_;
    member::parts p{o,
                    *home,
                    living,
                    figures,
                    [this](std::vector<known_peer> x) { known = std::move(x); },
                    [this](const cluster_record& x) { cluster = x; },
                    [this] { return now_ns; },
                    [this] { ++drains; },
                    [this] { return connections; },
                    [this] { ++drained; }};
    member = system_->spawn<member::member_actor>(*strand_, std::move(p));
    home->member = member;
    run();
  }
  void stop() {
    if (member)
      tell(member, member_stop{});
    run();
    member = member_handle{};
  }
  /// The process dies without a word: nothing of it runs any more, and its lease goes on.
  void die() {
    const bool before = std::exchange(etcd.down, true);
    stop();
    pass(std::chrono::milliseconds(o.stop_ms) + std::chrono::milliseconds(100));
    etcd.down = before;
  }
  void run() {
    while (scheduler().run() > 0)
      ;
  }
  void pass(std::chrono::milliseconds time) {
    using namespace std::chrono_literals;
    for (auto left = time; left > 0ms; left -= 50ms) {
      now_ns += 50'000'000;
      etcd.pass(50ms);
      scheduler().advance_time(50ms);
      run();
    }
  }
  bool reads() const { return home->lease_until_ns > now_ns; }
  bool ended() const { return living.count(actor_kind::member) == 0; }
  shard_record record(uint32_t shard) const { return parse_shard_record(etcd.get(keys.shard(shard))->value).value(); }
  int64_t revision(uint32_t shard) const { return etcd.get(keys.shard(shard))->revision; }
  void propose_to_member(shard_id shard, shard_record wanted, int64_t revision) {
    tell(member, propose{shard, std::move(wanted), revision});
    run();
  }

  int64_t now_ns = 1'000'000'000'000;
  memory_agreement etcd;
  record_keys keys{"c"};
  member::options o;
  directory living;
  member_metrics figures;
  replica_notes seen;
  std::vector<known_peer> known;
  std::optional<cluster_record> cluster;
  uint64_t connections = 0; // of clients, as the member is told
  int drains = 0;           // how often it said so
  int drained = 0;          // and that
  std::unique_ptr<cluster_house> home;
  member_handle member;

private:
  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  }

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<strand> strand_; // outlives the system
  std::vector<replica_handle> replicas_;
};

} // namespace greenroom::cluster::test
