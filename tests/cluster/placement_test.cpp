// A simulated cluster: the controller does what next_moves says, primaries and learners do their part in random order.
// Each property is looked at after each step. A failure prints its seed.
#include "actors/cluster/placement.hpp"
#include "tests/support/rounds.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace greenroom::cluster {

namespace {

constexpr uint32_t shards = 128;

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

std::vector<placed_store> some_stores(size_t count, size_t zones = 0) {
  std::vector<placed_store> all;
  for (size_t i = 0; i < count; ++i)
    all.push_back({"store" + std::to_string(i), "n" + std::to_string(i),
                   zones == 0 ? std::string() : "z" + std::to_string(i % zones), true, true});
  return all;
}

struct loads {
  std::map<store_id, size_t> replicas;
  std::map<store_id, size_t> primaries;
};
loads loads_of(const std::vector<wanted_shard>& wanted) {
  loads all;
  for (const auto& shard : wanted) {
    for (const auto& id : shard.replicas)
      ++all.replicas[id];
    ++all.primaries[shard.primary];
  }
  return all;
}

/// How many replicas are somewhere else.
size_t moved(const std::vector<wanted_shard>& before, const std::vector<wanted_shard>& now) {
  size_t count = 0;
  for (size_t i = 0; i < before.size(); ++i)
    for (const auto& id : now[i].replicas)
      count += has(before[i].replicas, id) ? 0 : 1;
  return count;
}

/// A cluster whose members do what they are asked, at some time.
class simulation {
public:
  simulation(unsigned seed, std::vector<placed_store> stores) : stores_(std::move(stores)), random_(seed) {
    for (const auto& wanted : wanted_shards(stores_, shards, policy_))
      records_.push_back({0, {}, wanted.replicas, wanted.replicas});
  }

  std::vector<placed_store>& stores() { return stores_; }
  const std::vector<shard_record>& records() const { return records_; }
  const placement_policy& policy() const { return policy_; }

  placed_store& store(const store_id& id) {
    return *std::find_if(stores_.begin(), stores_.end(), [&](auto& x) { return x.id == id; });
  }
  bool alive(const store_id& id) const {
    return std::any_of(stores_.begin(), stores_.end(), [&](auto& x) { return x.id == id && x.alive; });
  }

  bool leads(const store_id& id) const {
    return std::none_of(stores_.begin(), stores_.end(), [&](auto& x) { return x.id == id && !x.leads; });
  }

  /// One round of the controller. Returns whether it had something to do.
  bool control() {
    auto moves = next_moves(records_, stores_, policy_);
    check(moves);
    for (const auto& one : moves)
      carry_out(one);
    return !moves.empty();
  }

  /// Each learner, and each primary with a dead member, goes on with a chance of one half.
  void members_go_on() {
    for (auto& record : records_) {
      if (!alive(record.primary))
        continue;
      for (const auto& id : record.replicas)
        if (!has(record.in_sync, id) && alive(id) && chance())
          record.in_sync.push_back(id);
      auto dead = std::find_if(record.in_sync.begin(), record.in_sync.end(), [&](auto& id) { return !alive(id); });
      if (dead != record.in_sync.end() && record.in_sync.size() > policy_.min_in_sync && chance())
        record.in_sync.erase(dead);
    }
  }

  /// REQUIRES: nothing but this goes on.
  void settle() {
    size_t quiet = 0;
    for (size_t round = 0; quiet < 10; ++round) {
      REQUIRE(round < 2000);
      quiet = control() ? 0 : quiet + 1;
      members_go_on();
    }
  }

  bool chance() { return std::bernoulli_distribution(0.5)(random_); }
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

private:
  size_t learners() const {
    size_t count = 0;
    for (const auto& record : records_)
      for (const auto& id : record.replicas)
        count += !has(record.in_sync, id) && alive(id) ? 1 : 0;
    return count;
  }

  void check(const std::vector<move>& moves) {
    std::set<uint32_t> touched;
    size_t requests = 0;
    size_t drops = 0;
    size_t adds = 0;
    for (const auto& one : moves) {
      const auto& record = records_.at(one.shard);
      CHECK(touched.insert(one.shard).second);
      switch (one.what) {
      case move::kind::name_primary:
        CHECK(has(record.in_sync, one.store));
        CHECK(alive(one.store));
        CHECK_FALSE(alive(record.primary));
        CHECK(one.old_primary == record.primary);
        break;
      case move::kind::add_learner:
        ++adds;
        CHECK_FALSE(has(record.replicas, one.store));
        CHECK(alive(one.store));
        CHECK(store(one.store).wanted);
        CHECK(store(one.store).leads);
        break;
      case move::kind::drop_replica:
        ++drops;
        CHECK(has(record.replicas, one.store));
        CHECK_FALSE(has(record.in_sync, one.store));
        break;
      case move::kind::hand_over:
        requests += leads(record.primary) ? 1 : 0;
        CHECK(has(record.in_sync, one.store));
        CHECK(alive(one.store));
        CHECK(leads(one.store));
        CHECK(one.store != record.primary);
        break;
      case move::kind::put_out:
        ++requests;
        CHECK(has(record.in_sync, one.store));
        CHECK(one.store != record.primary);
        CHECK(record.in_sync.size() > policy_.min_in_sync);
        break;
      }
    }
    if (adds > 0)
      CHECK(learners() + adds <= policy_.learners_max);
    CHECK(requests <= policy_.requests_max);
    CHECK(drops <= policy_.drops_max);
  }

  void carry_out(const move& one) {
    auto& record = records_[one.shard];
    if (one.what == move::kind::hand_over) {
      if (chance()) {
        record.primary = one.store;
        ++record.epoch;
      }
    } else if (one.what == move::kind::put_out) {
      if (chance())
        std::erase(record.in_sync, one.store);
    } else {
      record = after(record, one);
    }
  }

  std::vector<placed_store> stores_;
  placement_policy policy_;
  std::vector<shard_record> records_;
  std::mt19937 random_;
};

void check_arrived(simulation& sim) {
  auto wanted = wanted_shards(sim.stores(), shards, sim.policy());
  for (uint32_t i = 0; i < shards; ++i) {
    auto set = [](const std::vector<store_id>& list) { return std::set<store_id>(list.begin(), list.end()); };
    CHECK(set(sim.records()[i].replicas) == set(wanted[i].replicas));
    CHECK(set(sim.records()[i].in_sync) == set(wanted[i].replicas));
    CHECK(sim.records()[i].primary == wanted[i].primary);
  }
}

} // namespace

TEST_CASE("every shard gets its replicas on different stores, evenly", "[placement]") {
  placement_policy policy;
  for (size_t count = 1; count <= 24; ++count) {
    for (uint32_t slack : {0U, 2U}) {
      CAPTURE(count, slack);
      policy.slack = slack;
      auto wanted = wanted_shards(some_stores(count), shards, policy);
      REQUIRE(wanted.size() == shards);
      auto each = std::min<size_t>(count, 3);
      for (const auto& shard : wanted) {
        CHECK(std::set<store_id>(shard.replicas.begin(), shard.replicas.end()).size() == each);
        CHECK(shard.replicas.size() == each);
        CHECK(has(shard.replicas, shard.primary));
      }
      auto load = loads_of(wanted);
      auto most_replicas = (shards * each + count - 1) / count + slack;
      auto most_primaries = (shards + count - 1) / count + slack + 1;
      for (const auto& store : some_stores(count)) {
        CHECK(load.replicas[store.id] <= most_replicas);
        CHECK(load.replicas[store.id] + slack + 1 >= shards * each / count);
        CHECK(load.primaries[store.id] <= most_primaries);
      }
    }
  }
}

TEST_CASE("without a store nothing is wanted", "[placement]") {
  auto wanted = wanted_shards({}, 2, {});
  CHECK(wanted == std::vector<wanted_shard>(2));
  auto leaving = some_stores(2);
  leaving[0].wanted = leaving[1].wanted = false;
  CHECK(wanted_shards(leaving, 2, {}) == wanted);
}

TEST_CASE("the plan depends neither on the order of the stores nor on who is alive", "[placement]") {
  auto stores = some_stores(7, 3);
  auto wanted = wanted_shards(stores, shards, {});
  std::reverse(stores.begin(), stores.end());
  stores[2].alive = false;
  CHECK(wanted_shards(stores, shards, {}) == wanted);
}

TEST_CASE("the hash is the same in every version", "[placement]") {
  // Another result here moves data in every cluster that is upgraded.
  auto wanted = wanted_shards(some_stores(5), 3, {});
  std::vector<std::vector<store_id>> replicas;
  for (const auto& shard : wanted)
    replicas.push_back(shard.replicas);
  CHECK(replicas == std::vector<std::vector<store_id>>{{"store1", "store4", "store0"},
                                                       {"store0", "store2", "store4"},
                                                       {"store2", "store1", "store3"}});
}

TEST_CASE("replicas stand in as many zones as there can be", "[placement]") {
  for (size_t zones = 1; zones <= 5; ++zones) {
    for (size_t count = zones; count <= 12; ++count) {
      CAPTURE(zones, count);
      auto stores = some_stores(count, zones);
      std::map<store_id, std::string> zone_of;
      for (const auto& store : stores)
        zone_of[store.id] = store.zone;
      for (const auto& shard : wanted_shards(stores, shards, {})) {
        std::set<std::string> seen;
        for (const auto& id : shard.replicas)
          seen.insert(zone_of[id]);
        CHECK(seen.size() == std::min({zones, count, size_t{3}}));
      }
    }
  }
}

TEST_CASE("a zone with one store holds a copy of everything, and the rest is even", "[placement]") {
  auto stores = some_stores(4);
  stores[0].zone = "a";
  stores[1].zone = stores[2].zone = stores[3].zone = "b";
  placement_policy policy;
  policy.replicas = 2;
  auto load = loads_of(wanted_shards(stores, shards, policy));
  CHECK(load.replicas["store0"] == shards);
  for (auto id : {"store1", "store2", "store3"})
    CHECK(load.replicas[id] <= (shards + 2) / 3 + policy.slack);
}

TEST_CASE("a new store takes its share, and little else moves", "[placement]") {
  for (size_t count = 4; count <= 20; ++count) {
    CAPTURE(count);
    auto before = wanted_shards(some_stores(count), shards, {});
    auto now = wanted_shards(some_stores(count + 1), shards, {});
    size_t share = shards * 3 / (count + 1);
    CHECK(moved(before, now) >= share - 3);
    // What the evening out adds to the share: a tenth of all replicas.
    CHECK(moved(before, now) <= share + shards * 3 / 10);
  }
}

TEST_CASE("a new cluster names all primaries at once and then has nothing to do", "[placement]") {
  simulation sim(1, some_stores(3));
  auto moves = next_moves(sim.records(), sim.stores(), sim.policy());
  CHECK(moves.size() == shards);
  sim.settle();
  check_arrived(sim);
  for (const auto& record : sim.records())
    CHECK(record.epoch == 1);
}

TEST_CASE("a dead primary is followed by a member that lives, with the next epoch", "[placement]") {
  simulation sim(2, some_stores(3));
  sim.settle();
  auto before = sim.records();
  sim.store("store1").alive = false;
  auto moves = next_moves(sim.records(), sim.stores(), sim.policy());
  for (const auto& one : moves) {
    CHECK(one.what == move::kind::name_primary);
    CHECK(one.old_primary == "store1");
    CHECK(one.old_node == "n1");
    CHECK(one.store != "store1");
    CHECK(after(before[one.shard], one).epoch == before[one.shard].epoch + 1);
  }
  CHECK(static_cast<long>(moves.size()) ==
        std::count_if(before.begin(), before.end(), [](auto& x) { return x.primary == "store1"; }));
}

TEST_CASE("who gave up is not the first to be tried again, whoever is wanted", "[placement]") {
  const auto stores = some_stores(3);
  const auto wanted = wanted_shards(stores, 1, placement_policy{}).front();
  std::vector<store_id> in_sync = wanted.replicas;
  std::erase(in_sync, wanted.primary);
  in_sync.push_back(wanted.primary); // as it writes when it names nobody
  const std::vector<shard_record> records{{7, {}, in_sync, wanted.replicas}};
  const auto moves = next_moves(records, stores, placement_policy{});
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].what == move::kind::name_primary);
  CHECK(moves[0].store == in_sync.front());
}

TEST_CASE("a shard whose members are all dead waits for them", "[placement]") {
  auto stores = some_stores(3);
  stores[0].alive = stores[1].alive = false;
  // The third lives and was a replica, but nobody knows whether it has everything.
  std::vector<shard_record> records{{4, "store0", {"store0", "store1"}, {"store0", "store1", "store2"}}};
  for (const auto& one : next_moves(records, stores, {}))
    CHECK(one.what != move::kind::name_primary);
  records[0] = {4, "", {}, {"store0", "store1", "store2"}};
  CHECK(next_moves(records, stores, {}).empty());
  records[0] = {4, "", {"gone"}, {"gone"}};
  for (const auto& one : next_moves(records, stores, {}))
    CHECK(one.what != move::kind::name_primary);
}

TEST_CASE("a member that nobody wants is put out only when those that are wanted are in", "[placement]") {
  auto stores = some_stores(4);
  stores[3].wanted = false;
  std::vector<shard_record> records{
      {4, "store0", {"store0", "store1", "store3"}, {"store0", "store1", "store2", "store3"}}};
  auto primary = wanted_shards(stores, 1, {})[0].primary;
  records[0].primary = primary == "store2" ? "store0" : primary;
  for (const auto& one : next_moves(records, stores, {}))
    CHECK(one.what != move::kind::put_out);
  records[0].in_sync.push_back("store2");
  records[0].primary = primary;
  CHECK(next_moves(records, stores, {}) == std::vector<move>{{move::kind::put_out, 0, "store3", {}, {}}});
}

TEST_CASE("a store that comes is filled a few learners at a time", "[placement]") {
  simulation sim(3, some_stores(4));
  sim.settle();
  auto added = some_stores(5).back();
  sim.stores().push_back(added);
  auto moves = next_moves(sim.records(), sim.stores(), sim.policy());
  CHECK(std::count_if(moves.begin(), moves.end(), [](auto& x) { return x.what == move::kind::add_learner; }) ==
        sim.policy().learners_max);
  sim.settle();
  check_arrived(sim);
}

TEST_CASE("a store that nobody wants loses everything, primaries included, and its shards never lack members",
          "[placement]") {
  simulation sim(4, some_stores(4));
  sim.settle();
  sim.store("store2").wanted = false;
  for (int round = 0; round < 500; ++round) {
    sim.control();
    sim.members_go_on();
    for (const auto& record : sim.records())
      REQUIRE(record.in_sync.size() >= 3);
  }
  check_arrived(sim);
}

TEST_CASE("a store that drains hands over what it leads, in one go, and nothing else moves", "[placement]") {
  for (size_t count : {2u, 3u, 4u, 7u}) {
    CAPTURE(count);
    simulation sim(6, some_stores(count));
    sim.settle();
    const auto before = sim.records();
    const auto evenly = wanted_shards(sim.stores(), shards, sim.policy());
    sim.store("store1").leads = false;
    const auto plan = wanted_shards(sim.stores(), shards, sim.policy());
    for (uint32_t i = 0; i < shards; ++i) {
      CHECK(plan[i].replicas == evenly[i].replicas);
      CHECK(plan[i].primary != "store1");
      CHECK((plan[i].primary == evenly[i].primary || evenly[i].primary == "store1"));
    }
    auto load = loads_of(plan);
    size_t most = 0;
    for (const auto& [id, led] : load.primaries)
      most = std::max(most, led);
    CHECK(most <= shards / (count - 1) + 2 * sim.policy().slack + 1);

    const auto moves = next_moves(sim.records(), sim.stores(), sim.policy());
    CHECK(static_cast<long>(moves.size()) ==
          std::count_if(before.begin(), before.end(), [](auto& x) { return x.primary == "store1"; }));
    for (const auto& one : moves)
      CHECK(one.what == move::kind::hand_over);
    sim.settle();
    for (uint32_t i = 0; i < shards; ++i) {
      CHECK(sim.records()[i].primary == plan[i].primary);
      CHECK(sim.records()[i].replicas == before[i].replicas);
      CHECK(sim.records()[i].in_sync == before[i].in_sync);
    }
    // While the node is away nothing moves, and then it gets its shards back.
    sim.store("store1").leads = true;
    sim.store("store1").alive = false;
    CHECK(next_moves(sim.records(), sim.stores(), sim.policy()).empty());
    sim.store("store1").alive = true;
    sim.settle();
    check_arrived(sim);
  }
}

TEST_CASE("a store that is gone for good is replaced", "[placement]") {
  simulation sim(5, some_stores(5, 5));
  sim.settle();
  sim.store("store4").alive = false;
  sim.settle();
  for (const auto& record : sim.records()) // it may come back: nothing is copied yet
    for (const auto& id : record.replicas)
      CHECK((id == "store4" || has(record.in_sync, id)));
  sim.store("store4").wanted = false;
  sim.settle();
  check_arrived(sim);
}

TEST_CASE("whatever comes and goes: it settles where it should, and nobody outside of in_sync is named",
          "[placement]") {
  for (unsigned seed = 0; seed < greenroom::test::rounds(40); ++seed) {
    CAPTURE(seed);
    simulation sim(seed, some_stores(3 + seed % 5, seed % 4));
    for (int step = 0; step < 60; ++step) {
      auto& stores = sim.stores();
      switch (sim.below(7)) {
      case 0:
        stores[sim.below(stores.size())].alive = sim.chance();
        break;
      case 3:
        stores[sim.below(stores.size())].leads = sim.chance();
        break;
      case 1:
        stores[sim.below(stores.size())].wanted = sim.chance();
        break;
      case 2:
        if (stores.size() < 10)
          stores.push_back(
              {"new" + std::to_string(stores.size()), "m" + std::to_string(stores.size()), "z9", true, true});
        break;
      default:
        sim.control();
        sim.members_go_on();
      }
    }
    for (auto& store : sim.stores()) // all come back, those that nobody wants, too
      store.alive = store.leads = true;
    size_t wanted = 0;
    for (auto& store : sim.stores())
      wanted += store.wanted ? 1 : 0;
    if (wanted < sim.policy().min_in_sync)
      sim.stores()[0].wanted = sim.stores()[1].wanted = true;
    sim.settle();
    check_arrived(sim);
  }
}

} // namespace greenroom::cluster
