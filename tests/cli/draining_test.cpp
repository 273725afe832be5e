#include "net/cli/draining.hpp"

#include "net/cli/cluster_tables.hpp"
#include "tests/cli/some_cluster.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace greenroom::cli {

namespace {

constexpr int64_t lease_of_n1 = 101;
constexpr int64_t lease_of_n2 = 102;
constexpr int64_t lease_of_n3 = 103;

struct draining : some_cluster {
  std::string refusal(const std::string& node, errc code, bool force = false) const {
    const auto plan = plan_drain(view(), node, force);
    REQUIRE(plan.has_error());
    CHECK(plan.error().code == code);
    return plan.error().message;
  }
};

} // namespace

TEST_CASE_METHOD(draining, "an order is written under the node's lease, for the store that it has", "[draining]") {
  const auto plan = plan_drain(view(), "n1", false);
  REQUIRE(plan.has_value());
  CHECK_FALSE(plan->ordered);
  CHECK(plan->shards_short == 0);
  REQUIRE(plan->changes.size() == 1);
  CHECK(plan->changes[0].key == keys.drain("n1"));
  CHECK(plan->changes[0].lease == lease_of_n1);
  CHECK(parse_drain_record(*plan->changes[0].value).value() == drain_record{"s1"});
  REQUIRE(plan->conditions.size() == 4);
  CHECK(plan->conditions[0].key == keys.node("n1"));
  CHECK(plan->conditions[0].revision == revision_of(keys.node("n1")));
  CHECK(plan->conditions[1].key == keys.drain("n1"));
  CHECK(plan->conditions[1].revision == 0);
  // Nobody else is to be ordered by somebody else at the same time.
  CHECK(plan->conditions[2].key == keys.drain("n2"));
  CHECK(plan->conditions[2].revision == 0);
  CHECK(plan->conditions[3].key == keys.drain("n3"));
  CHECK(plan_drain(view(), "n1", true)->conditions.size() == 2);
}

TEST_CASE_METHOD(draining, "an order that an earlier process had is written over", "[draining]") {
  put(keys.drain("n1"), encode(drain_record{"s1"}), 99);
  const auto plan = plan_drain(view(), "n1", false);
  REQUIRE(plan.has_value());
  CHECK_FALSE(plan->ordered);
  CHECK(plan->conditions.at(1).revision == revision_of(keys.drain("n1")));
  put(keys.drain("n1"), encode(drain_record{"s1"}), lease_of_n1);
  CHECK(plan_drain(view(), "n1", false)->ordered);
}

TEST_CASE_METHOD(draining, "who can't be drained, and why", "[draining]") {
  CHECK(refusal("n9", errc::not_found) == "there is no node n9. Those that run: n1, n2, n3");
  put(keys.drain("n2"), encode(drain_record{"s2"}), lease_of_n2);
  CHECK(refusal("n1", errc::conflict).find("n2 drains: one node at a time") == 0);
  CHECK(plan_drain(view(), "n1", true).has_value());
  erase(keys.node("n2"));
  CHECK(refusal("n2", errc::not_found) == "the node n2 does not run: there is nothing to drain");
  erase(keys.node("n3"));
  CHECK(refusal("n1", errc::unsupported, true).find("n1 is the only node that runs") == 0);
}

TEST_CASE_METHOD(draining, "a node is drained when the copies of the last one are back", "[draining]") {
  shard(1, "s1", {"s1", "s2"}); // the third is still catching up
  CHECK(refusal("n1", errc::conflict).find("1 shard would have too few live copies in sync for sends") == 0);
  CHECK(plan_drain(view(), "n3", false).has_value());
  CHECK(plan_drain(view(), "n1", true)->shards_short == 1);
  shard(1, "s1", {"s1"});
  CHECK(refusal("n1", errc::conflict).find("1 shard has no other live copy in sync") == 0);
  CHECK(plan_drain(view(), "n1", true)->shards_short == 1);
}

TEST_CASE_METHOD(draining, "where there are never more copies it is said what that means", "[draining]") {
  erase(keys.node("n3"));
  erase(keys.store("s3"));
  for (uint32_t s = 0; s < 2; ++s)
    put(keys.shard(s), encode(shard_record{1, "s1", {"s1", "s2"}, {"s1", "s2"}}));
  const auto plan = plan_drain(view(), "n1", false);
  REQUIRE(plan.has_value());
  CHECK(plan->shards_short == 2);
}

TEST_CASE_METHOD(draining, "how far it is, until that process has gone", "[draining]") {
  put(keys.drain("n1"), encode(drain_record{"s1"}), lease_of_n1);
  CHECK(progress_of(view(), "n1", "s1") == drain_progress{false, 2, std::nullopt});
  CHECK(text_of("n1", progress_of(view(), "n1", "s1")) == "n1 drains: it leads 2 shards, it has not answered yet");
  put(keys.drain("n1"), encode(drain_record{"s1", 1}), lease_of_n1);
  shard(0, "s2", {"s1", "s2", "s3"});
  CHECK(text_of("n1", progress_of(view(), "n1", "s1")) == "n1 drains: it leads 1 shard, 1 client is connected");
  CHECK(json_of("n1", progress_of(view(), "n1", "s1")).dump() ==
        R"({"connections":1,"leads":1,"node":"n1","state":"draining"})");
  CHECK(nodes_text(view()).find("draining") != std::string::npos);
  CHECK(nodes_json(view())[0]["draining"] == true);
  CHECK(nodes_json(view())[1]["draining"] == false);
  CHECK(status_json(view())["draining"] == nlohmann::json{"n1"});
  CHECK(status_text("c", view()).find("3 alive of 3 stores, n1 drains\n") != std::string::npos);
  SECTION("it has ended") {
    erase(keys.node("n1"));
    erase(keys.drain("n1"));
  }
  SECTION("it has ended and was started again") { start("n1", "s1", 104); }
  SECTION("another directory has its name") { start("n1", "s9", lease_of_n1); }
  CHECK(progress_of(view(), "n1", "s1").gone);
  CHECK(text_of("n1", progress_of(view(), "n1", "s1")) == "n1 has gone from etcd: its process ends");
}

} // namespace greenroom::cli
