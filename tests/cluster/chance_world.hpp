// chance_world: one shard on three stores under chance. Stores crash and lose what was not synced, links break, an etcd
// loses its answers, nodes are thought dead while they live, stores are wiped. Everything is drawn from one seed, one
// step after the other, in one thread. What must hold at each step is required where it happens: what is applied is the
// same everywhere, an epoch is served once, a record only changes as it may; check() compares the logs.
#pragma once

#include "actors/cluster/replication.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace greenroom::cluster::test {

/// A snapshot was taken, or not.
struct install_answer {
  uint64_t transfer = 0;
  bool done = false;
};

class chance_world;

/// What is on one store's disk, and the process over it, when there is one. What that asks for waits here until the
/// world's step does it.
class chance_store : public replication::outside {
public:
  chance_store(chance_world& in, store_id name) : id(std::move(name)), world_(in) {}

  void start();
  void crash();
  void load();

  void write(std::optional<uint64_t> cut_after, const std::vector<log_entry>& entries) override {
    unsynced.push_back({cut_after, entries});
  }
  void apply(const std::vector<log_entry>& entries) override;
  void read_log(const store_id& whom, uint64_t index) override { reads.push_back({whom, index}); }
  void send(const store_id& to, const append& what) override;
  void send(const store_id& to, const appended& what) override;
  bool is_crowded(const store_id&) const override;
  void install(const store_id& to) override {
    forget_install(to);
    transfers[to] = ++last_transfer;
    installs.push_back({to, process->epoch(), last_transfer});
  }
  void forget_install(const store_id& to) {
    std::erase_if(installs, [&](const auto& x) { return x.to == to; });
  }
  void propose(const shard_record& wanted, int64_t revision) override;
  void serve(uint64_t epoch) override;
  void yield() override { served = 0; }

  /// The oldest write reaches the disk.
  void sync();
  void finish_apply();
  void finish_read();
  /// Cuts and appends, on the disk.
  void put(const std::optional<uint64_t>& cut_after, const std::vector<log_entry>& entries);

  const store_id id;
  // The disk.
  log_position first, applied_at;
  std::deque<log_entry> log; // behind `first`
  std::vector<log_position> state;
  bool installing = false;
  // The process.
  struct pending_write {
    std::optional<uint64_t> cut_after;
    std::vector<log_entry> entries;
  };
  std::unique_ptr<replication> process;
  std::deque<pending_write> unsynced;
  std::deque<std::vector<log_entry>> applies;
  std::deque<std::pair<store_id, uint64_t>> reads;
  struct snapshot {
    store_id to;
    uint64_t epoch = 0;
    uint64_t transfer = 0;
  };
  std::deque<snapshot> installs;          // under way
  std::map<store_id, uint64_t> transfers; // the newest to each
  uint64_t last_transfer = 0;
  std::optional<std::pair<shard_record, int64_t>> proposal;
  uint64_t served = 0;

private:
  chance_world& world_;
};

class chance_world {
public:
  explicit chance_world(uint32_t seed) : chance(seed), restless(seed % 2 == 0) {
    for (const char* id : {"a", "b", "c"})
      stores[id] = std::make_unique<chance_store>(*this, id);
    record = {1, "a", {"a"}, {"a", "b", "c"}};
    for (auto& [id, s] : stores)
      s->start();
  }

  bool one_in(int n) { return chance() % static_cast<uint32_t>(n) == 0; }
  chance_store& any() {
    auto i = stores.begin();
    std::advance(i, chance() % stores.size());
    return *i->second;
  }

  /// Something happens that may happen at any time: a message arrives, a write is synced, a record is told.
  void step();
  /// Something breaks, or one thing that was broken comes back.
  void fault();
  /// The oldest message on the way.
  void deliver(const store_id& from, const store_id& to);
  void tell_record(chance_store& s) {
    if (s.process)
      s.process->record(record, revision);
  }
  /// The compare-and-swap happens; its answer may be lost, and then it is tried again.
  void decide(chance_store& s, bool lose_answer);
  /// As the controller: names a primary, adds and drops replicas, asks for moves.
  void control();
  /// Logs that share a position are alike up to it.
  void check();
  /// Nothing is broken any more; what was under way goes on.
  void heal();
  /// All three hold the same, all of it applied, and one of them serves.
  bool quiet() const;

  std::mt19937 chance;
  const bool restless; // replicas are taken out and come back while all is under way yet
  bool talks = true;   // somebody submits
  std::map<store_id, std::unique_ptr<chance_store>> stores;
  std::map<std::pair<store_id, store_id>, std::deque<std::variant<append, appended, install_answer>>> links;
  std::set<std::pair<store_id, store_id>> broken; // both directions are in it
  shard_record record;
  int64_t revision = 1;
  std::set<store_id> dead_to_etcd; // its node key is gone
  int64_t now = 1;
  std::vector<log_position> committed; // by index - 1, as some primary said
  std::map<uint64_t, store_id> served; // by epoch
  int wiped = 0;
};

} // namespace greenroom::cluster::test
