// The controller, as part of a member: what it writes when nodes come, go and come back.
#include "tests/cluster/member_world.hpp"

namespace greenroom::cluster::test {

using namespace std::chrono_literals;
using fate = memory_agreement::fate;

TEST_CASE_METHOD(member_world, "the first member becomes the controller", "[member][controller]") {
  found({"s1"});
  start();
  pass(100ms);
  REQUIRE(etcd.get(keys.controller()));
  CHECK(etcd.get(keys.controller())->value == "n1");
  CHECK(etcd.get(keys.controller())->lease == etcd.get(keys.node("n1"))->lease);
  CHECK(figures.controller.get() == 1);
}

TEST_CASE_METHOD(member_world, "the controller is another's as long as its lease, then ours", "[member][controller]") {
  found({"s2", "s1"});
  const auto lease = other("n2", "s2");
  etcd.put(keys.controller(), "n2", lease);
  start();
  pass(5s);
  CHECK(figures.controller.get() == 0);
  CHECK(record(9).primary == "s2");
  etcd.end(lease);
  pass(500ms);
  CHECK(figures.controller.get() == 1);
  for (uint32_t s = 0; s < shard_count; ++s) {
    CHECK(record(s).primary == "s1");
    CHECK(record(s).epoch == 2);
  }
}

TEST_CASE_METHOD(member_world, "a primary is named only when the old one's node key is gone", "[member][controller]") {
  found({"s2", "s1"});
  auto lease = other("n2", "s2");
  start();
  pass(1s);
  REQUIRE(figures.controller.get() == 1);
  CHECK(record(0).primary == "s2");
  // The member believes that n2 is gone, but it is back already.
  etcd.watches_wait = false;
  SECTION("it came back under its name") {
    etcd.judge = [&](const auto& changes) {
      if (touches(changes, keys.shard(0)) && !etcd.get(keys.node("n2"))) {
        etcd.watches_wait = true;
        lease = other("n2", "s2");
      }
      return fate::answered;
    };
    etcd.end(lease);
    run();
    CHECK(record(0).primary == "s2");
  }
  SECTION("it came back under another name") {
    etcd.judge = [&](const auto& changes) {
      if (touches(changes, keys.shard(0)) && !etcd.get(keys.node("n3"))) {
        etcd.watches_wait = true;
        lease = other("n3", "s2");
      }
      return fate::answered;
    };
    etcd.end(lease);
    run();
    CHECK(record(0).primary == "s2");
  }
  SECTION("its name is another store's now") {
    etcd.end(lease);
    other("n2", "s9");
    pass(500ms);
    CHECK(record(0).primary == "s1");
  }
  CHECK(figures.moves_failed[0].get() + figures.moves[0].get() > 0);
}

TEST_CASE_METHOD(member_world, "where no member of in_sync is alive nothing is named", "[member][controller]") {
  found({"s2"});
  start();
  pass(2s);
  CHECK(record(0).primary == "s2");
  CHECK(record(0).epoch == 1);
}

TEST_CASE_METHOD(member_world, "what an older controller sends late does nothing", "[member][controller]") {
  found({"s2", "s1"});
  const auto lease = other("n2", "s2");
  start();
  pass(1s);
  etcd.judge = [&](const auto& changes) { return touches(changes, keys.shard(0)) ? fate::late : fate::answered; };
  etcd.end(lease);
  run();
  CHECK(record(0).primary == "s2");
  etcd.put(keys.controller(), "n3", other("n3", "s3"));
  etcd.late();
  CHECK(record(0).primary == "s2");
}

TEST_CASE_METHOD(member_world, "new stores become learners, a few at a time", "[member][controller]") {
  found({"s1"});
  start();
  other("n2", "s2");
  other("n3", "s3");
  pass(2s);
  size_t learners = 0;
  for (uint32_t s = 0; s < shard_count; ++s)
    learners += record(s).replicas.size() - 1;
  CHECK(learners == placement_policy{}.learners_max);
}

TEST_CASE_METHOD(member_world, "a restart moves nothing, a long absence does", "[member][controller]") {
  o.control.replace_s = 60;
  found({"s1", "s2"}, 2);
  auto lease = other("n2", "s2");
  other("n3", "s3");
  for (uint32_t s = 0; s < shard_count; ++s) // placed as it should be, or n3 would be given some at once
    etcd.put(keys.shard(s), encode(shard_record{1, "s1", {"s1", "s2"}, {"s1", "s2"}}));
  etcd.erase(keys.store("s3"));
  start();
  pass(1s);
  const auto calm = revision(0);
  etcd.end(lease);
  pass(30s);
  CHECK(revision(0) == calm);
  etcd.put(keys.store("s3"), encode(store_record{"n3", ""}));
  pass(40s);
  size_t learners = 0;
  for (uint32_t s = 0; s < shard_count; ++s)
    for (const auto& id : record(s).replicas)
      learners += id == "s3" ? 1 : 0;
  CHECK(learners == placement_policy{}.learners_max);
}

TEST_CASE_METHOD(member_world, "a node that comes back with another data directory is given copies at once",
                 "[member][controller]") {
  o.control.replace_s = 600;
  found({"s1", "s2"}, 2);
  const auto lease = other("n2", "s2");
  start();
  pass(1s);
  etcd.end(lease);
  pass(1s);
  other("n2", "s2-new");
  pass(2s);
  size_t learners = 0;
  for (uint32_t s = 0; s < shard_count; ++s)
    for (const auto& id : record(s).replicas)
      learners += id == "s2-new" ? 1 : 0;
  CHECK(learners == placement_policy{}.learners_max);
}

TEST_CASE_METHOD(member_world, "the controller asks for balance, and takes back what is done", "[member][controller]") {
  o.control.requests_max = 2;
  found({"s2", "s1"}, 2);
  other("n2", "s2");
  start();
  pass(1s);
  std::vector<uint32_t> asked;
  for (uint32_t s = 0; s < shard_count; ++s)
    if (auto request = etcd.get(keys.request(s))) {
      CHECK(parse_request_record(request->value)->to == "s1");
      CHECK(request->lease == etcd.get(keys.node("n1"))->lease);
      asked.push_back(s);
    }
  REQUIRE(asked.size() == 2);
  CHECK(seen.hand_overs.empty()); // n2 is the primary, not this node
  auto moved = record(asked[0]);
  moved.primary = "s1";
  ++moved.epoch;
  etcd.put(keys.shard(asked[0]), encode(moved));
  pass(1s);
  CHECK_FALSE(etcd.get(keys.request(asked[0])));
  CHECK(etcd.get(keys.request(asked[1])));
  size_t standing = 0;
  for (uint32_t s = 0; s < shard_count; ++s)
    standing += etcd.get(keys.request(s)) ? 1 : 0;
  CHECK(standing == 2);
}

TEST_CASE_METHOD(member_world, "a member that is not wanted any more is put out by its primary, once there are others",
                 "[member][controller]") {
  o.control.requests_max = shard_count;
  found({"s1", "s2", "s3"}, 2);
  other("n2", "s2");
  other("n3", "s3");
  start();
  pass(10s);
  size_t out = 0;
  for (uint32_t s = 0; s < shard_count; ++s)
    if (auto request = etcd.get(keys.request(s)))
      out += parse_request_record(request->value)->out.empty() ? 0 : 1;
  CHECK(out > 0);
  REQUIRE_FALSE(seen.put_outs.empty());
  // What the primary then writes is enough: nothing brings the store back.
  const auto [shard, store] = seen.put_outs.front();
  auto less = record(shard);
  std::erase(less.in_sync, store);
  std::erase(less.replicas, store);
  etcd.put(keys.shard(shard), encode(less));
  pass(10s);
  CHECK(record(shard) == less);
  CHECK_FALSE(etcd.get(keys.request(shard)));
}

} // namespace greenroom::cluster::test
