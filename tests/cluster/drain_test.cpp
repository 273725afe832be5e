// A node that drains: where its shards are to go, what the controller asks for that, and what its own member does until
// the process may end. The bulk of placement is in placement_test.cpp.
#include "tests/cluster/member_world.hpp"

namespace greenroom::cluster::test {

using namespace std::chrono_literals;

namespace {

std::vector<placed_store> three_stores() {
  return {{"store0", "n0", "", true}, {"store1", "n1", "", true}, {"store2", "n2", "", true}};
}

/// Orders and what follows them, in the words of the operator.
class drain_world : public member_world {
public:
  drain_world() {
    o.drain_notice_ms = 1'000;
    o.drain_ms = 20'000;
  }
  /// A cluster of this node, n1, and n2, with a copy of everything on both; n1 leads, and has so many clients.
  void found_two(uint64_t clients) {
    found({"s1", "s2"}, 2);
    other("n2", "s2");
    connections = clients;
    start();
    pass(1s);
  }
  void order(const std::string& node, const store_id& store) {
    etcd.put(keys.drain(node), encode(drain_record{store}), etcd.get(keys.node(node))->lease);
    pass(50ms);
  }
  /// The shards whose primary is asked to hand over, with whom to.
  std::map<uint32_t, store_id> asked() const {
    std::map<uint32_t, store_id> all;
    for (uint32_t s = 0; s < shard_count; ++s)
      if (auto request = etcd.get(keys.request(s)))
        all[s] = parse_request_record(request->value)->to;
    return all;
  }
  void hand_over(uint32_t shard, const store_id& to) {
    auto moved = record(shard);
    moved.primary = to;
    ++moved.epoch;
    etcd.put(keys.shard(shard), encode(moved));
  }
  /// All that is asked for, until nothing more is.
  void hand_all_over() {
    for (auto more = asked(); !more.empty(); more = asked()) {
      for (const auto& [shard, to] : more)
        hand_over(shard, to);
      pass(1s);
    }
  }
};

} // namespace

TEST_CASE("a store that drains waits where nobody else is alive in sync, and hands over as soon as somebody is",
          "[placement][drain]") {
  auto stores = three_stores();
  stores[0].leads = false;
  std::vector<shard_record> records{{4, "store0", {"store0"}, {"store0", "store1", "store2"}}};
  CHECK(next_moves(records, stores, {}).empty());
  stores[1].alive = false;
  records[0].in_sync = {"store0", "store1"};
  CHECK(next_moves(records, stores, {}).empty());
  stores[1].leads = false; // neither to one that drains
  stores[1].alive = true;
  CHECK(next_moves(records, stores, {}).empty());
  // Whoever it is: also one that is not to keep its copy.
  records[0] = {4, "store0", {"store0", "old"}, {"store0", "store1", "store2", "old"}};
  stores.push_back({"old", "n9", "", true, false});
  CHECK(next_moves(records, stores, {}) == std::vector<move>{{move::kind::hand_over, 0, "old", {}, {}}});
}

TEST_CASE("one that drains is named only where no other member is alive, and learns nothing new",
          "[placement][drain]") {
  auto stores = three_stores();
  stores[0].leads = false;
  stores[2].alive = false;
  std::vector<shard_record> records{{4, "store2", {"store0", "store1", "store2"}, {"store0", "store1", "store2"}}};
  auto moves = next_moves(records, stores, {});
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].store == "store1");
  records[0].in_sync = {"store0", "store2"};
  moves = next_moves(records, stores, {});
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].store == "store0");
  records[0] = {4, "store1", {"store1"}, {"store1"}};
  stores[2].alive = true;
  moves = next_moves(records, stores, {});
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].what == move::kind::add_learner);
  CHECK(moves[0].store == "store2");
}

TEST_CASE("where all drain, plans are made as though none did", "[placement][drain]") {
  auto stores = three_stores();
  const auto plan = wanted_shards(stores, shard_count, {});
  for (auto& store : stores)
    store.leads = false;
  CHECK(wanted_shards(stores, shard_count, {}) == plan);
}

TEST_CASE_METHOD(drain_world, "all shards of a node that drains are asked for, many at a time", "[member][drain]") {
  o.control.requests_max = 2;
  found({"s2", "s1", "s3"});
  other("n2", "s2");
  other("n3", "s3");
  start();
  pass(1s);
  CHECK(asked().size() == 2); // for balance
  order("n2", "s2");
  pass(1s);
  CHECK(asked().size() == o.control.drain_requests_max);
  size_t rounds = 0;
  for (; !asked().empty(); ++rounds) {
    for (const auto& [shard, to] : asked()) {
      CHECK(to != "s2");
      hand_over(shard, to);
    }
    pass(1s);
    REQUIRE(rounds < 10);
  }
  CHECK(rounds == shard_count / o.control.drain_requests_max);
  for (uint32_t s = 0; s < shard_count; ++s) {
    CHECK(record(s).primary != "s2");
    CHECK(record(s).in_sync.size() == 3);
  }
}

TEST_CASE_METHOD(drain_world, "an order counts only for the process that it was given to", "[member][drain]") {
  o.control.requests_max = 0;
  found({"s2", "s1"}, 2);
  other("n2", "s2");
  start();
  pass(1s);
  SECTION("another store") {
    order("n2", "s9");
    pass(1s);
    CHECK(asked().empty());
  }
  SECTION("another lease") {
    etcd.put(keys.drain("n2"), encode(drain_record{"s2"}), etcd.grant_to_other(1h));
    pass(1s);
    CHECK(asked().empty());
  }
  SECTION("of ours, under an older lease") {
    etcd.put(keys.drain("n1"), encode(drain_record{"s1"}), etcd.grant_to_other(1h));
    pass(1s);
    CHECK(drains == 0);
  }
  SECTION("the node comes back") {
    order("n2", "s2");
    pass(1s);
    CHECK_FALSE(asked().empty());
    etcd.end(etcd.get(keys.node("n2"))->lease);
    CHECK_FALSE(etcd.get(keys.drain("n2")));
    other("n2", "s2");
    pass(1s);
    CHECK(asked().empty());
  }
}

TEST_CASE_METHOD(drain_world, "a member that drains goes on until its shards and clients have gone",
                 "[member][drain]") {
  found_two(3);
  CHECK(drains == 0);
  order("n1", "s1"); // which is the controller, too
  CHECK(drains == 1);
  CHECK(figures.draining.get() == 1);
  pass(1s);
  CHECK(parse_drain_record(etcd.get(keys.drain("n1"))->value).value() == drain_record{"s1", 3});
  CHECK_FALSE(seen.hand_overs.empty());
  hand_all_over();
  for (uint32_t s = 0; s < shard_count; ++s)
    CHECK(record(s).primary == "s2");
  CHECK(drained == 0);
  connections = 0;
  pass(100ms);
  CHECK(drained == 0); // who waits for the end has to see that it leads nothing
  pass(std::chrono::milliseconds(o.drain_linger_ms));
  CHECK(drained == 1);
  CHECK(drains == 1);
  CHECK(figures.controller.get() == 1);
  pass(5s);
  CHECK(drained == 1);
}

TEST_CASE_METHOD(drain_world, "a node that has nothing to give up stays until it can have been noticed",
                 "[member][drain]") {
  found({"s2", "s1"}, 2);
  other("n2", "s2");
  start();
  pass(1s);
  order("n1", "s1");
  pass(500ms);
  CHECK(drained == 0);
  pass(600ms);
  CHECK(drained == 1);
}

TEST_CASE_METHOD(drain_world, "what can't be given up ends with the time for it", "[member][drain]") {
  found({"s1"});
  other("n2", "s2");
  start();
  pass(1s);
  order("n1", "s1");
  pass(19s);
  CHECK(asked().empty()); // nobody else has a copy
  CHECK(drained == 0);
  pass(2s);
  CHECK(drained == 1);
}

TEST_CASE_METHOD(drain_world, "a member that drains still does so under its next lease", "[member][drain]") {
  found_two(1);
  order("n1", "s1");
  const auto before = etcd.get(keys.node("n1"))->lease;
  etcd.end(before);
  pass(3s);
  const auto now = etcd.get(keys.node("n1"))->lease;
  REQUIRE(now != before);
  REQUIRE(etcd.get(keys.drain("n1")));
  CHECK(etcd.get(keys.drain("n1"))->lease == now);
  CHECK(drains == 1);
  pass(1s);
  hand_all_over();
  connections = 0;
  pass(1s + std::chrono::milliseconds(o.drain_linger_ms));
  CHECK(drained == 1);
}

TEST_CASE_METHOD(drain_world, "an order that a member had no time to read is its own under the next lease, too",
                 "[member][drain]") {
  found_two(1);
  etcd.renewals_fail = true;
  etcd.watches_wait = true;
  pass(2600ms);
  order("n1", "s1");
  REQUIRE(drains == 0);
  pass(150ms);
  REQUIRE(figures.leases_lost.get() == 1);
  etcd.renewals_fail = etcd.watches_wait = false;
  etcd.tell_watches();
  pass(3s);
  CHECK(drains == 1);
  CHECK(etcd.get(keys.drain("n1"))->lease == etcd.get(keys.node("n1"))->lease);
}

} // namespace greenroom::cluster::test
