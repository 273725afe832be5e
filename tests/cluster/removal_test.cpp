// What an operator's removal of a store counts on: nobody gives it a copy meanwhile, and if it comes back after all it
// is one that has to learn.
#include "tests/cluster/member_world.hpp"
#include "tests/cluster/replica_world.hpp"

namespace greenroom::cluster::test {

using namespace std::chrono_literals;
using fate = memory_agreement::fate;

namespace {

struct removal_world : member_world {
  size_t copies_of(const store_id& store) const {
    size_t n = 0;
    for (uint32_t s = 0; s < shard_count; ++s) {
      const auto replicas = record(s).replicas;
      n += static_cast<size_t>(std::count(replicas.begin(), replicas.end(), store));
    }
    return n;
  }
};

} // namespace

TEST_CASE_METHOD(removal_world, "no copy is begun on a store whose node has gone unnoticed", "[controller][removal]") {
  found({"s1"});
  start();
  pass(1s);
  int64_t lease = 0;
  bool asked = false;
  const bool removed = GENERATE(false, true);
  // The controller believes that n2 is alive, but an operator has seen that it is not.
  etcd.judge = [&](const auto& changes) {
    const bool gives = changes.size() == 1 && keys.shard_of(changes[0].key) && changes[0].value &&
                       changes[0].value->find("s2") != std::string::npos;
    if (gives && !asked) {
      asked = true;
      etcd.watches_wait = true;
      etcd.end(lease);
      if (removed)
        etcd.erase(keys.store("s2"));
    }
    return fate::answered;
  };
  lease = other("n2", "s2");
  pass(1s);
  CHECK(asked);
  CHECK(copies_of("s2") == 0);
  etcd.watches_wait = false;
  etcd.tell_watches();
  pass(1s);
  CHECK(copies_of("s2") == 0);
  other("n2", "s2"); // it was not gone for good
  pass(2s);
  CHECK(copies_of("s2") == placement_policy{}.learners_max);
}

TEST_CASE_METHOD(removal_world, "a store that was removed registers anew, and gets copies as a new one does",
                 "[member][removal]") {
  found({"s2"});
  other("n2", "s2");
  start();
  stop();
  found({"s2"}); // as though s1 had never been
  etcd.erase(keys.store("s1"));
  seen.records.clear();
  start();
  CHECK(etcd.get(keys.store("s1")));
  REQUIRE(seen.records.size() >= shard_count);
  CHECK(seen.records.front().what.what.replicas == std::vector<store_id>{"s2"});
  pass(2s);
  CHECK(copies_of("s1") == placement_policy{}.learners_max);
}

TEST_CASE("a removed store that comes back with its old disk neither serves nor counts before it has learned",
          "[replica][removal]") {
  replica_world w({"a", "b", "c"});
  const auto say = [&](const std::string& on, uint64_t from, uint64_t to) {
    const auto before = w[on].ended();
    for (auto i = from; i <= to; ++i)
      w[on].commit(i);
    REQUIRE(w.until([&] { return w[on].ended() == before + to - from + 1; }));
  };
  w.found({"c", "a", "b"});
  w.serve_on("c");
  say("c", 1, 5);
  // The last primary, and with an entry that nobody else has.
  w.link("a", "c", false);
  w.link("b", "c", false);
  w["c"].commit(6, "of the old disk");
  w.pass(500);
  w.stop("c");
  w.write_record([&](shard_record& x) {
    x = {x.epoch + 1, w["a"].id, {w["a"].id, w["b"].id}, {w["a"].id, w["b"].id}};
  });
  w.serve_on("a");
  say("a", 6, 9);

  w.start("c");
  const auto on_disk = w["c"].state();
  const auto epoch = w.record.epoch;
  const auto epochs = w["c"].heard.served;
  const auto answered = w["c"].ended();
  w["c"].commit(7, "of the old primary");
  w.pass(1'000);
  CHECK_FALSE(w["c"].serves());
  CHECK(w["c"].heard.served == epochs);
  CHECK(w["c"].ended() == answered);
  CHECK(w["c"].home->commits_waiting == 0);
  CHECK(w["c"].heard.proposals.empty());
  // Two of three machines have it, but not two of those that count.
  w.link("a", "b", false);
  const auto before = w["a"].ended();
  w["a"].commit(10);
  w.pass(1'000);
  CHECK(w["a"].ended() == before);
  w.link("a", "b", true);
  REQUIRE(w.until([&] { return w["a"].ended() == before + 1; }));
  CHECK(w["a"].heard.ended.back().copies == 2);
  CHECK(w["c"].state() == on_disk);
  CHECK(w.record.epoch == epoch);

  // Placed again, it becomes what the others are.
  w.write_record([&](shard_record& x) { x.replicas.push_back(w["c"].id); });
  REQUIRE(w.until([&] { return w.in_sync("c") && w.alike(); }));
  CHECK(w["c"].seqs() == w["a"].seqs());
  say("a", 11, 11);
  CHECK(w["a"].heard.ended.back().copies == 3);
}

} // namespace greenroom::cluster::test
