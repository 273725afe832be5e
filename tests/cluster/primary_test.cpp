// Replication by hand, as a primary: moments that the random test meets seldom or can't tell from others.
#include "actors/cluster/replication.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace greenroom;
using namespace greenroom::cluster;

namespace {

/// "a" leads with "b" in sync; "c" is a learner. What is to be done is only noted.
struct by_hand : replication::outside {
  explicit by_hand(replication_limits limits = {}) : it("a", limits, *this) {
    it.min_in_sync(1);
    it.tick(1'000);
    it.loaded({}, {});
    it.link("b", true);
    it.link("c", true);
    it.alive({"a", "b", "c"});
    record = {1, "a", {"a", "b"}, {"a", "b", "c"}};
    it.record(record, 1);
    settle(); // epoch 2: that of the first record may have been used by an earlier process
    done();
    say("b", 1);
    done();
    REQUIRE(it.serving());
    say("c", 1); // is given a test entry
    done();
  }

  void write(std::optional<uint64_t>, const std::vector<log_entry>&) override { ++writes; }
  void apply(const std::vector<log_entry>& x) override { applies.push_back(x.back().at.index); }
  void read_log(const store_id& whom, uint64_t index) override { reads.emplace_back(whom, index); }
  void send(const store_id& to, const append& x) override { sent.emplace_back(to, x); }
  void send(const store_id& to, const appended& x) override { answered.emplace_back(to, x); }
  bool is_crowded(const store_id&) const override { return crowded; }
  void install(const store_id&) override {}
  void propose(const shard_record& wanted, int64_t) override { proposal = wanted; }
  void serve(uint64_t) override { serves = true; }
  void yield() override { serves = false; }

  /// The disk does all that was asked of it.
  void done() {
    for (; writes > 0; --writes)
      it.stored();
    while (!applies.empty()) {
      auto upto = applies.front();
      applies.erase(applies.begin());
      it.applied(upto);
      it.finish_move();
    }
  }
  /// The proposal is carried out.
  void settle() {
    record = proposal.value();
    proposal.reset();
    it.record(record, ++revision);
    it.settled();
  }
  /// That store has everything up to there.
  void say(const store_id& who, uint64_t index) {
    it.receive(who, appended{it.epoch(), appended::verdict::matched, index});
  }
  void submit() {
    it.submit(std::make_shared<const std::string>(100, 'x'));
    it.flush();
  }

  shard_record record;
  int64_t revision = 1;
  bool serves = false;
  bool crowded = false;
  size_t writes = 0;
  std::vector<uint64_t> applies;
  std::vector<std::pair<store_id, uint64_t>> reads;
  std::vector<std::pair<store_id, append>> sent;
  std::vector<std::pair<store_id, appended>> answered;
  std::optional<shard_record> proposal;
  replication it;
};

} // namespace

TEST_CASE("a primary that hands over does not wait for a learner that was to join", "[replication]") {
  by_hand w;
  // The learner has its test entry, and then lags behind what is committed: it is waited for from now on.
  auto test = w.it.last().index;
  w.submit();
  w.done();
  w.say("b", test + 1);
  w.done();
  w.say("c", test);
  REQUIRE_FALSE(w.proposal);
  w.submit();
  w.done();
  w.say("b", test + 2);
  w.done();
  REQUIRE(w.it.applied_index() == test + 1); // it is
  w.it.move_to("b");                         // and is never heard of again
  w.done();
  CHECK(w.it.applied_index() == test + 2);
  REQUIRE(w.proposal);
  CHECK(w.proposal->primary == "b");
}

TEST_CASE("a primary that has named another answers no reads for longer than the other must wait for it",
          "[replication]") {
  by_hand w;
  w.it.move_to("b");
  w.say("b", w.it.last().index); // the learner's test entry
  w.done();
  REQUIRE(w.proposal);
  CHECK(w.serves); // all that was admitted is answered meanwhile
  w.it.tick(2'000);
  CHECK(w.serves);
  w.it.tick(1'000 + replication_limits{}.lease_ms / 2 + 1);
  CHECK_FALSE(w.serves);
}

TEST_CASE("on a crowded link who is not waited for gets one message at a time", "[replication]") {
  by_hand w{replication_limits{.message_bytes = 300}};
  auto entries_to = [&](const store_id& who) {
    return std::count_if(w.sent.begin(), w.sent.end(),
                         [&](const auto& x) { return x.first == who && !x.second.entries.empty(); });
  };
  auto test = w.it.last().index; // on its way to the learner
  w.crowded = true;
  w.sent.clear();
  for (int i = 0; i < 100; ++i)
    w.submit();
  w.done();
  CHECK(entries_to("b") == 100);
  CHECK(entries_to("c") == 0);
  w.say("c", test);
  CHECK(entries_to("c") == 1);
  w.it.tick(1'100);
  CHECK(entries_to("c") == 1);
  w.crowded = false;
  w.it.tick(1'200);
  CHECK(entries_to("c") > 1);
}

TEST_CASE("a learner that is about to be taken in is waited for, on a crowded link, too", "[replication]") {
  by_hand w;
  w.crowded = true;
  auto upto = w.it.last().index;
  w.say("b", upto);
  w.done();
  w.say("c", upto);
  w.done();
  w.it.tick(1'100);
  REQUIRE(w.proposal);
  REQUIRE(w.proposal->in_sync.size() == 3);
  w.sent.clear();
  w.submit();
  w.submit();
  w.done();
  auto to_c = std::count_if(w.sent.begin(), w.sent.end(), [](const auto& x) { return x.first == "c"; });
  CHECK(to_c == 2);
}

TEST_CASE("what the disk holds behind the memory's end is not sent from there", "[replication]") {
  by_hand w{replication_limits{.memory_bytes = 300}};
  for (int i = 0; i < 20; ++i)
    w.submit();
  w.done();
  w.say("b", w.it.last().index);
  w.done();
  w.it.link("c", false);
  w.it.link("c", true); // asked for anew where it is: at the end
  w.it.receive("c", appended{w.it.epoch(), appended::verdict::mismatch, 1, w.it.epoch()});
  REQUIRE_FALSE(w.reads.empty());
  auto after = w.reads.back().second;
  // The disk has not cut off yet what another primary had sent us.
  std::vector<log_entry> found;
  for (auto i = after + 1; i <= w.it.last().index; ++i)
    found.push_back({{w.it.epoch(), i}, std::make_shared<const std::string>("old")});
  w.sent.clear();
  w.it.log_read("c", std::pair{log_position{w.it.epoch(), after}, found});
  bool from_memory = false;
  for (const auto& [to, x] : w.sent)
    for (const auto& e : x.entries) {
      REQUIRE(to == "c");
      from_memory = from_memory || *e.batch != "old";
      if (e.at.index == w.it.last().index)
        CHECK(*e.batch != "old");
    }
  CHECK(from_memory);
}

TEST_CASE("who knows of a newer epoch takes nothing of an older one, and says which it knows", "[replication]") {
  by_hand w;
  const auto end = w.it.last();
  w.record.primary = "b";
  ++w.record.epoch;
  w.it.record(w.record, ++w.revision);
  REQUIRE_FALSE(w.serves);
  // It would fit, and the random test meets the harm that it does once in thousands of rounds.
  const log_entry entry{{end.epoch, end.index + 1}, std::make_shared<const std::string>("x")};
  w.it.receive("c", append{end.epoch, end, {entry}, 0});
  REQUIRE(w.answered.size() == 1);
  CHECK(w.answered[0].first == "c");
  CHECK(w.answered[0].second.what == appended::verdict::stale);
  CHECK(w.answered[0].second.epoch == w.record.epoch);
  CHECK(w.writes == 0);
  CHECK(w.it.last() == end);
}
