#include "net/cli/removal.hpp"

#include "config/ids.hpp"
#include "tests/cli/some_cluster.hpp"
#include "tests/support/memory_agreement.hpp"

namespace greenroom::cli {

namespace {

constexpr patience wait{3'000, 600};

struct removing : some_cluster {
  /// As when its node has ended, whatever its shards say.
  void end(const std::string& node) { erase(keys.node(node)); }
  void shard(uint32_t number, const store_id& primary, const std::vector<store_id>& in_sync,
             const std::vector<store_id>& replicas) {
    put(keys.shard(number), encode(shard_record{1, primary, in_sync, replicas}));
  }
  /// s3 has ended, and nobody counts on it any more.
  void replace_s3() {
    end("n3");
    for (uint32_t s = 0; s < 2; ++s)
      shard(s, "s1", {"s1", "s2"}, {"s1", "s2"});
  }
  std::string refusal(const store_id& store, errc code = errc::conflict) const {
    const auto plan = plan_removal(view(), store, wait);
    REQUIRE(plan.has_error());
    CHECK(plan.error().code == code);
    return plan.error().message;
  }
};

} // namespace

TEST_CASE_METHOD(removing, "a store on which nobody counts is erased, if it has not come back", "[removal]") {
  replace_s3();
  const auto plan = plan_removal(view(), "s3", wait);
  REQUIRE(plan.has_value());
  CHECK(plan->node == "n3");
  CHECK(plan->copies_short == 1);
  REQUIRE(plan->changes.size() == 1);
  CHECK(plan->changes[0].key == keys.store("s3"));
  CHECK_FALSE(plan->changes[0].value);
  REQUIRE(plan->conditions.size() == 2);
  CHECK(plan->conditions[0].key == keys.store("s3"));
  CHECK(plan->conditions[0].revision == revision_of(keys.store("s3")));
  CHECK(plan->conditions[1].key == keys.node("n3"));
  CHECK(plan->conditions[1].revision == 0);
}

TEST_CASE_METHOD(removing, "a store whose node has gone on with another directory is erased", "[removal]") {
  replace_s3();
  start("n3", "s4", 104);
  const auto plan = plan_removal(view(), "s3", wait);
  REQUIRE(plan.has_value());
  CHECK(plan->copies_short == 0);
  CHECK(plan->conditions.at(1).key == keys.node("n3"));
  CHECK(plan->conditions.at(1).revision == revision_of(keys.node("n3")));
}

TEST_CASE_METHOD(removing, "a store is found by its id, and by the name of its node if only one has it", "[removal]") {
  CHECK(store_called(view(), "s2").value() == "s2");
  CHECK(store_called(view(), "n2").value() == "s2");
  end("n2");
  CHECK(store_called(view(), "n2").value() == "s2");
  start("n2", "s9", 109);
  const auto two = store_called(view(), "n2");
  REQUIRE(two.has_error());
  CHECK(two.error().code == errc::conflict);
  CHECK(two.error().message ==
        "2 stores have been called n2: s2 (gone), s9 (alive). Name the one that is meant by its store");
  CHECK(store_called(view(), "s9").value() == "s9");
}

TEST_CASE_METHOD(removing, "what is not there can't be removed, nor a second time", "[removal]") {
  const auto none = store_called(view(), "n9");
  REQUIRE(none.has_error());
  CHECK(none.error().code == errc::not_found);
  CHECK(none.error().message == "there is no node or store n9. Those that are known: n1, n2, n3");
  replace_s3();
  erase(keys.store("s3"));
  CHECK(store_called(view(), "n3").error().code == errc::not_found);
  CHECK(refusal("s3", errc::not_found) == "there is no node or store s3. Those that are known: n1, n2");
}

TEST_CASE_METHOD(removing, "a node that runs is not removed, under whatever name", "[removal]") {
  CHECK(refusal("s3") == "n3 runs: have it stopped by `greenroom cluster drain n3` first. If it has just died, wait "
                         "until its lease has ended (cluster.lease_ms, 3000 ms here)");
  put(keys.drain("n3"), encode(drain_record{"s3"}), 103);
  CHECK(refusal("s3") == "n3 drains and still runs: wait until `greenroom cluster drain n3` says that it has gone");
  replace_s3();
  put(keys.node("moved"), encode(node_record{"s3", "", "127.0.0.1:7401", "0.1.0"}), 104);
  CHECK(refusal("s3").find("moved runs:") == 0);
}

TEST_CASE_METHOD(removing, "a store on which shards count is not removed: which ones, and what to wait for",
                 "[removal]") {
  replace_s3();
  const std::string wait_for_it = ". They are copied to others when its node has been gone for cluster.replace_s (600 "
                                  "s here, counted anew by each new controller): wait, `greenroom cluster shards` "
                                  "shows how far it is";
  SECTION("it learns") {
    shard(1, "s1", {"s1", "s2"}, {"s1", "s2", "s3"});
    CHECK(refusal("s3") == "1 shard counts on n3 (store s3): it learns 1 (1)" + wait_for_it);
  }
  SECTION("it is in sync, and leads") {
    shard(0, "s3", {"s1", "s2", "s3"}, {"s1", "s2", "s3"});
    shard(1, "s1", {"s1", "s2", "s3"}, {"s1", "s2", "s3"});
    CHECK(refusal("s3") == "2 shards count on n3 (store s3): it leads 1 (0), is in sync in 2 (0-1)" + wait_for_it);
  }
  SECTION("its node has gone on with another directory, so nobody waits for it") {
    shard(1, "s1", {"s1", "s2"}, {"s1", "s2", "s3"});
    start("n3", "s4", 104);
    CHECK(refusal("s3") == "1 shard counts on n3 (store s3): it learns 1 (1). They are copied to others now: wait, "
                           "`greenroom cluster shards` shows how far it is");
  }
  SECTION("nobody else may take its place") {
    end("n2");
    shard(1, "s1", {"s1", "s3"}, {"s1", "s3"});
    CHECK(refusal("s3") == "1 shard counts on n3 (store s3): it is in sync in 1 (1). 1 shard keeps 2 copies in sync "
                           "(min_in_sync), and 1 other store is alive: start another node");
  }
  SECTION("it has the only copy") {
    end("n2");
    shard(0, "", {"s3"}, {"s1", "s3"});
    shard(1, "s2", {"s2", "s3"}, {"s1", "s2", "s3"});
    CHECK(refusal("s3") == "2 shards count on n3 (store s3): it is in sync in 2 (0-1). No copy in sync of 2 shards "
                           "(0-1) is on a node that runs: start one again that has it, or what is in there is lost");
  }
}

TEST_CASE_METHOD(removing, "as long as a shard's record can't be read no store is removed", "[removal]") {
  replace_s3();
  erase(keys.shard(1));
  CHECK(refusal("s3") == "whether 1 shard counts on n3 is not known: no record that can be read (1)");
}

namespace {

/// An etcd with a cluster that n3 has left for good.
struct removing_from_etcd {
  using fate = test::memory_agreement::fate;

  removing_from_etcd() {
    etcd.put(keys.cluster(), encode(cluster_record{"c0ffee", shard_count, 2, 2}));
    for (uint32_t s = 0; s < shard_count; ++s)
      etcd.put(keys.shard(s), encode(shard_record{1, "s1", {"s1", "s2"}, {"s1", "s2"}}));
    for (const auto* n : {"1", "2", "3"})
      etcd.put(keys.store(std::string("s") + n), encode(store_record{std::string("n") + n, ""}));
  }
  void come_back(const store_id& store) {
    etcd.put(keys.store(store), encode(store_record{"n3", ""}));
    etcd.put(keys.node("n3"), encode(node_record{store, "", "127.0.0.1:7403", "0.1.0"}));
  }
  outcome<removed_store> remove(const std::string& what) {
    return remove_now(etcd, "c", what, wait, [this] { ++pauses; });
  }

  const record_keys keys{"c"};
  test::memory_agreement etcd;
  int pauses = 0;
};

} // namespace

TEST_CASE_METHOD(removing_from_etcd, "a store is removed once", "[removal]") {
  const auto removed = remove("n3");
  REQUIRE(removed.has_value());
  CHECK(removed->id == "s3");
  CHECK(removed->how.node == "n3");
  CHECK_FALSE(etcd.get(keys.store("s3")));
  CHECK(etcd.commits.size() == 1);
  CHECK(remove("n3").error().code == errc::not_found);
  CHECK(remove("s3").error().code == errc::not_found);
  CHECK(pauses == 0);
}

TEST_CASE_METHOD(removing_from_etcd, "a removal whose outcome is not known is looked at", "[removal]") {
  const auto first = GENERATE(fate::answer_lost, fate::lost, fate::late);
  etcd.judge = [&](const auto&) { return etcd.commits.size() == 1 ? first : fate::answered; };
  const auto removed = remove("n3");
  REQUIRE(removed.has_value());
  CHECK(removed->id == "s3");
  CHECK_FALSE(etcd.get(keys.store("s3")));
  CHECK(etcd.commits.size() == (first == fate::answer_lost ? 1 : 2));
  come_back("s3");
  etcd.late(); // what was on its way all the time does nothing any more
  CHECK(etcd.get(keys.store("s3")));
}

TEST_CASE_METHOD(removing_from_etcd, "a store that comes back while it is removed stays", "[removal]") {
  etcd.judge = [&](const auto&) {
    come_back("s3");
    return fate::answered;
  };
  const auto removed = remove("n3");
  REQUIRE(removed.has_error());
  CHECK(removed.error().message.find("n3 runs:") == 0);
  CHECK(etcd.get(keys.store("s3")));
  CHECK(etcd.commits.size() == 1);
}

TEST_CASE_METHOD(removing_from_etcd, "who takes the name over meanwhile is not removed in its place", "[removal]") {
  etcd.judge = [&](const auto&) {
    if (etcd.commits.size() > 1)
      return fate::answered;
    etcd.erase(keys.store("s3")); // somebody else was faster
    come_back("s4");
    etcd.erase(keys.node("n3"));
    return fate::lost;
  };
  const auto removed = remove("n3");
  REQUIRE(removed.has_value());
  CHECK(removed->id == "s3");
  CHECK(etcd.get(keys.store("s4")));
}

TEST_CASE_METHOD(removing_from_etcd, "without an etcd that answers it is tried a few times", "[removal]") {
  etcd.judge = [&](const auto&) { return fate::lost; };
  CHECK(remove("n3").error().code == errc::unavailable);
  CHECK(pauses == 4);
  CHECK(etcd.get(keys.store("s3")));
}

TEST_CASE("numbers as ranges", "[removal]") {
  CHECK(ranges_of({}).empty());
  CHECK(ranges_of({7}) == "7");
  CHECK(ranges_of({0, 1, 2, 4, 6, 7}) == "0-2, 4, 6-7");
}

} // namespace greenroom::cli
