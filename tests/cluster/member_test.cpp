#include "tests/cluster/member_world.hpp"

namespace greenroom::cluster::test {

using namespace std::chrono_literals;
using fate = memory_agreement::fate;

// -- registration -----------------------------------------------------------------------------------------------------

TEST_CASE_METHOD(member_world, "a member waits for the cluster to be founded, and says what to do once", "[member]") {
  start();
  pass(5s);
  CHECK_FALSE(reads());
  CHECK(etcd.grants == 0);
  std::string said;
  living.each([&](const vital_signs& v) {
    if (v.kind == actor_kind::member)
      said = v.last_error();
  });
  CHECK(said.find("greenroom cluster init") != std::string::npos);
  found({"s1"});
  pass(1s);
  CHECK(reads());
  REQUIRE(cluster);
  CHECK(cluster->id == "id");
}

TEST_CASE_METHOD(member_world, "a cluster with another number of shards is not joined", "[member]") {
  etcd.put(keys.cluster(), encode(cluster_record{"id", 64, 3, 2}));
  start();
  pass(5s);
  CHECK(etcd.grants == 0);
  CHECK(seen.records.empty());
}

TEST_CASE_METHOD(member_world, "a member writes its store for good and its node under its lease", "[member]") {
  o.zone = "east";
  found({"s1"});
  start();
  CHECK(parse_store_record(etcd.get(keys.store("s1"))->value).value() == store_record{"n1", "east"});
  CHECK(etcd.get(keys.store("s1"))->lease == 0);
  auto node = etcd.get(keys.node("n1"));
  CHECK(parse_node_record(node->value).value() == node_record{"s1", "east", "127.0.0.1:7401", "1"});
  CHECK(etcd.lives(node->lease));
  CHECK(seen.records.size() == shard_count);
  CHECK(known == std::vector<known_peer>{{"n1", "s1", "127.0.0.1", 7401}});
  CHECK(seen.alive == std::vector<store_id>{"s1"});
}

TEST_CASE_METHOD(member_world, "no replica hears of a record before the listing that follows the registration",
                 "[member]") {
  found({"s1", "s2"});
  etcd.judge = [this](const auto& changes) { return touches(changes, keys.node("n1")) ? fate::lost : fate::answered; };
  start();
  pass(5s);
  CHECK(seen.records.empty());
  CHECK_FALSE(reads());
  etcd.judge = {};
  pass(1s);
  CHECK(seen.records.size() == shard_count);
  CHECK(reads());
}

TEST_CASE_METHOD(member_world, "records are told before reads are allowed, and carry the registration", "[member]") {
  found({"s1"});
  start();
  REQUIRE(seen.last_of(5));
  CHECK(seen.last_of(5)->what.registration == 1);
  CHECK(home->registration == 1);
}

TEST_CASE_METHOD(member_world, "a name that another store has is not taken, but waited for", "[member]") {
  found({"s1"});
  const auto lease = other("n1", "s9");
  start();
  pass(2s);
  CHECK(parse_node_record(etcd.get(keys.node("n1"))->value)->store == "s9");
  CHECK(seen.records.empty());
  etcd.end(lease);
  pass(1s);
  CHECK(parse_node_record(etcd.get(keys.node("n1"))->value)->store == "s1");
  CHECK(reads());
}

TEST_CASE_METHOD(member_world, "a restarted process overwrites its own key, which is never gone", "[member]") {
  found({"s1"});
  start();
  const auto before = etcd.get(keys.node("n1"));
  die();
  REQUIRE(etcd.get(keys.node("n1")));
  start();
  const auto after = etcd.get(keys.node("n1"));
  REQUIRE(after);
  CHECK(after->lease != before->lease);
  CHECK(reads());
  pass(5s); // the old lease ends
  CHECK(etcd.get(keys.node("n1")));
}

TEST_CASE_METHOD(member_world, "a registration whose answer was lost is found in etcd", "[member]") {
  found({"s1"});
  bool lost = false;
  etcd.judge = [&](const auto& changes) {
    return touches(changes, keys.node("n1")) && !std::exchange(lost, true) ? fate::answer_lost : fate::answered;
  };
  start();
  CHECK_FALSE(reads());
  pass(1s);
  CHECK(reads());
  size_t written = 0;
  for (const auto& c : etcd.commits)
    written += touches(c, keys.node("n1")) ? 1 : 0;
  CHECK(written == 1);
}

TEST_CASE_METHOD(member_world, "the end gives the lease back, and with it the node's key", "[member]") {
  found({"s1"});
  start();
  REQUIRE(etcd.get(keys.node("n1")));
  stop();
  CHECK_FALSE(etcd.get(keys.node("n1")));
  CHECK_FALSE(etcd.get(keys.controller()));
  CHECK(ended());
  CHECK(home->lease_until_ns == 0);
}

TEST_CASE_METHOD(member_world, "what etcd answers after the end finds nobody", "[member]") {
  found({"s1"});
  start();
  stop();
  found({"s2"}); // would be told by the watch
  pass(1s);
  CHECK(ended());
}

// -- the lease --------------------------------------------------------------------------------------------------------

TEST_CASE_METHOD(member_world, "the lease counts from when the renewal was sent, less a margin", "[member]") {
  found({"s1"});
  o.lease_ms = 3'000;
  start();
  CHECK(home->lease_until_ns == now_ns + 2'700'000'000);
  const auto sent = now_ns;
  pass(950ms);
  CHECK(home->lease_until_ns == sent + 2'700'000'000);
  pass(50ms);
  CHECK(etcd.renewals == 1);
  CHECK(home->lease_until_ns == now_ns + 2'700'000'000);
  stop();
  o.lease_ms = 1'000;
  o.margin_ms_min = 200;
  start();
  CHECK(home->lease_until_ns == now_ns + 800'000'000);
}

TEST_CASE_METHOD(member_world, "no reads after the lease by own count, though etcd would say otherwise", "[member]") {
  found({"s1"});
  start();
  etcd.down = true;
  const auto until = home->lease_until_ns.load();
  pass(2650ms);
  CHECK(home->lease_until_ns == until);
  pass(50ms);
  CHECK(home->lease_until_ns == 0);
  CHECK(figures.leases_lost.get() == 1);
  CHECK(etcd.leases() == 1); // its lease has 300 ms to go there
  etcd.down = false;
  pass(1s);
  CHECK(reads());
  CHECK(etcd.grants >= 2);
}

TEST_CASE_METHOD(member_world, "a new registration hands all records out again before reads go on", "[member]") {
  found({"s1", "s2"});
  start();
  const auto first = seen.records.size();
  const auto lease = etcd.get(keys.node("n1"))->lease;
  etcd.watches_wait = true; // the member hears of nothing by itself
  etcd.end(lease);
  auto moved = record(7);
  moved.primary = "s2";
  moved.epoch = 2;
  etcd.put(keys.shard(7), encode(moved));
  pass(2s); // a renewal says that the lease has ended
  CHECK(figures.leases_lost.get() == 1);
  CHECK(seen.records.size() >= first + shard_count);
  CHECK(seen.last_of(7)->what.what == moved);
  CHECK(seen.last_of(7)->what.registration == 2);
  CHECK(home->registration == 2);
  CHECK(reads());
}

TEST_CASE_METHOD(member_world, "a lease that has ended is not revoked: the key is overwritten, and nobody takes over",
                 "[member]") {
  found({"s1", "s2"});
  other("n2", "s2");
  start();
  etcd.renewals_fail = true;
  pass(2700ms);
  etcd.renewals_fail = false;
  CHECK(figures.leases_lost.get() == 1);
  CHECK(etcd.get(keys.node("n1")));
  pass(5s);
  CHECK(record(0).primary == "s1");
  CHECK(reads());
}

TEST_CASE_METHOD(member_world, "a node key that somebody erased stops reads until it is written again", "[member]") {
  found({"s1"});
  start();
  etcd.judge = [](const auto&) { return fate::lost; };
  etcd.erase(keys.node("n1"));
  run();
  CHECK_FALSE(reads());
  etcd.judge = {};
  pass(1s);
  CHECK(reads());
  CHECK(home->registration == 2);
}

// -- what is heard ----------------------------------------------------------------------------------------------------

TEST_CASE_METHOD(member_world, "changes are told as they come, nodes to the gateway and stores to the replicas",
                 "[member]") {
  found({"s1"});
  etcd.put(keys.controller(), "n9", etcd.grant_to_other(1h)); // who does nothing
  start();
  const auto before = seen.records.size();
  const auto lease = other("n2", "s2");
  run();
  CHECK(seen.alive == std::vector<store_id>{"s1", "s2"});
  CHECK(known.size() == 2);
  etcd.end(lease);
  run();
  CHECK(seen.alive == std::vector<store_id>{"s1"});
  CHECK(known.size() == 1);
  CHECK(seen.records.size() == before);
  etcd.put(keys.shard(3), encode(shard_record{9, "", {"s1"}, {"s1"}}));
  run();
  CHECK(seen.records.size() == before + 1);
  CHECK(seen.last_of(3)->what.what.epoch == 9);
  CHECK(seen.last_of(3)->what.revision == revision(3));
}

TEST_CASE_METHOD(member_world, "what a late watch tells does not take back what is known", "[member]") {
  found({"s1"});
  start();
  etcd.watches_wait = true;
  etcd.put(keys.shard(3), encode(shard_record{2, "s1", {"s1"}, {"s1"}}));
  etcd.put(keys.shard(3), encode(shard_record{3, "s1", {"s1"}, {"s1"}}));
  etcd.end(etcd.get(keys.node("n1"))->lease); // the member lists anew, and is ahead of its watch
  pass(2s);
  CHECK(seen.last_of(3)->what.what.epoch == 3);
  const auto before = seen.records.size();
  etcd.tell_watches();
  run();
  CHECK(seen.records.size() == before);
}

TEST_CASE_METHOD(member_world, "a record that can't be read leaves the last one in force", "[member]") {
  found({"s1"});
  start();
  const auto before = seen.records.size();
  etcd.put(keys.shard(3), "{}");
  etcd.put(keys.shards() + "999", "{}");
  pass(1s);
  CHECK(seen.records.size() == before);
  CHECK(reads());
}

// -- proposals --------------------------------------------------------------------------------------------------------

TEST_CASE_METHOD(member_world, "a proposal is a compare-and-swap, and its outcome is told before settled", "[member]") {
  found({"s1", "s2"});
  start();
  auto wanted = record(4);
  wanted.in_sync = {"s1"};
  propose_to_member(4, wanted, revision(4));
  CHECK(record(4) == wanted);
  CHECK(seen.settled == std::vector<shard_id>{4});
  CHECK(seen.last_of(4)->what.what == wanted);

  // At a revision that has passed: refused, and what stands there is told.
  auto other_wish = wanted;
  other_wish.epoch = 7;
  propose_to_member(4, other_wish, revision(4) - 1);
  CHECK(record(4) == wanted);
  CHECK(seen.settled.size() == 2);
}

TEST_CASE_METHOD(member_world, "a proposal that was overtaken is told what stands there", "[member]") {
  found({"s1", "s2"});
  start();
  etcd.watches_wait = true;
  const auto seen_at = revision(4);
  etcd.put(keys.shard(4), encode(shard_record{5, "s2", {"s2"}, {"s1", "s2"}}));
  auto wanted = shard_record{1, "s1", {"s1"}, {"s1", "s2"}};
  propose_to_member(4, wanted, seen_at);
  CHECK(seen.settled == std::vector<shard_id>{4});
  CHECK(seen.last_of(4)->what.what.epoch == 5);
  CHECK(seen.last_of(4)->what.revision == revision(4));
}

TEST_CASE_METHOD(member_world, "a proposal with an unknown outcome is made again until it is known", "[member]") {
  found({"s1", "s2"});
  start();
  etcd.watches_wait = true;
  int left = 3;
  const auto lost = GENERATE(fate::lost, fate::answer_lost);
  etcd.judge = [&](const auto& changes) {
    return touches(changes, keys.shard(4)) && left-- > 0 ? lost : fate::answered;
  };
  auto wanted = record(4);
  wanted.in_sync = {"s1"};
  propose_to_member(4, wanted, revision(4));
  CHECK(seen.settled.empty());
  pass(5s);
  CHECK(seen.settled == std::vector<shard_id>{4});
  CHECK(record(4) == wanted);
  CHECK(seen.last_of(4)->what.what == wanted);
  CHECK(figures.proposal_repeats.get() == 3);
}

TEST_CASE_METHOD(member_world, "a proposal that comes late can't do anything once it is settled", "[member]") {
  found({"s1", "s2"});
  start();
  bool first = true;
  etcd.judge = [&](const auto& changes) {
    return touches(changes, keys.shard(4)) && std::exchange(first, false) ? fate::late : fate::answered;
  };
  auto wanted = record(4);
  wanted.in_sync = {"s1"};
  propose_to_member(4, wanted, revision(4));
  CHECK(seen.settled.empty());
  SECTION("because it was made again") { pass(1s); }
  SECTION("because the record is past what it compared") {
    etcd.put(keys.shard(4), encode(shard_record{5, "s2", {"s2"}, {"s1", "s2"}}));
    run();
  }
  CHECK(seen.settled == std::vector<shard_id>{4});
  const auto stands = record(4);
  etcd.late();
  pass(1s);
  CHECK(record(4) == stands);
  CHECK(seen.settled.size() == 1);
}

TEST_CASE_METHOD(member_world, "only so many proposals are under way", "[member]") {
  o.proposals_max = 2;
  found({"s1", "s2"});
  start();
  etcd.down = true;
  const auto before = etcd.commits.size();
  for (shard_id s = 0; s < 5; ++s)
    tell(member, propose{s, shard_record{1, "s1", {"s1"}, {"s1", "s2"}}, revision(s)});
  run();
  CHECK(etcd.commits.size() <= before + 5);
  etcd.down = false;
  pass(3s);
  CHECK(seen.settled.size() == 5);
}

TEST_CASE_METHOD(member_world, "a request is told to the primary's replica, again after a while", "[member]") {
  found({"s1", "s2"});
  const auto lease = other("n2", "s2");
  etcd.put(keys.controller(), "n2", lease);
  start();
  etcd.put(keys.request(6), encode(request_record{.to = "s2"}), lease);
  run();
  CHECK(seen.hand_overs == std::vector<std::pair<shard_id, store_id>>{{6, "s2"}});
  pass(1s);
  CHECK(seen.hand_overs.size() == 1);
  pass(1500ms);
  CHECK(seen.hand_overs.size() == 2);
  // Once it has given up, or another is primary, no more.
  etcd.put(keys.shard(6), encode(shard_record{2, "s2", {"s1", "s2"}, {"s1", "s2"}}));
  pass(5s);
  CHECK(seen.hand_overs.size() == 2);
}

} // namespace greenroom::cluster::test
