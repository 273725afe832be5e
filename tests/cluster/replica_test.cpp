// Replicas over real stores: what is committed on one is on all, whatever lags, fails or starts anew.
#include "replica_world.hpp"

using namespace greenroom;
using namespace greenroom::cluster;
using namespace greenroom::cluster::test;
using greenroom::testing::fault;

namespace {

std::vector<uint64_t> up_to(uint64_t n) {
  std::vector<uint64_t> all(n);
  for (uint64_t i = 0; i < n; ++i)
    all[i] = i + 1;
  return all;
}

/// Commits seqs from..to, one at a time.
void say(replica_world& w, const std::string& on, uint64_t from, uint64_t to, const std::string& text = "hello") {
  auto before = w[on].ended();
  for (auto i = from; i <= to; ++i) {
    w[on].commit(i, text);
    w.run();
  }
  REQUIRE(w.until([&] { return w[on].ended() == before + to - from + 1; }));
}

replica_options small() {
  replica_options o;
  o.limits.memory_bytes = 1'000;
  o.limits.message_bytes = 500;
  o.limits.window_bytes = 2'000;
  o.log_bytes = 1u << 20;
  return o;
}

replica_options forgetful() {
  auto o = small();
  o.log_bytes = 4'000;
  o.piece_bytes = 1'000;
  return o;
}

} // namespace

TEST_CASE("what is committed on the primary is answered in order and applied on all three", "[replica]") {
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  CHECK(w["a"].heard.served == std::vector<uint64_t>{2}); // epoch 1 was given before the process knew
  auto groups = w["a"].figures.commits.get();
  for (uint64_t i = 1; i <= 50; ++i)
    w["a"].commit(i);
  w.run();
  REQUIRE(w["a"].ended() == 50);
  CHECK(w["a"].figures.commits.get() - groups <= 3); // a burst is one write
  for (const auto& x : w["a"].heard.ended) {
    CHECK(x.ok);
    CHECK(x.copies == 3);
  }
  CHECK(w["a"].home->commits_waiting == 0);
  REQUIRE(w.until([&] { return w.alike(); }));
  CHECK(w["c"].seqs() == up_to(50));
  CHECK(w["b"].heard.primary->who == w["a"].id);
  CHECK(w["b"].heard.served.empty());
}

TEST_CASE("a node that does not serve answers no commit and holds none", "[replica]") {
  replica_world w({"a", "b"});
  w.found({"a", "b"});
  w.serve_on("a");
  w["b"].commit(1);
  w["a"].commit(1, "of an older life", w["a"].home->era_of(w.shard) - 1);
  w.pass(1'000);
  CHECK(w["a"].ended() == 0);
  CHECK(w["b"].ended() == 0);
  CHECK(w["a"].home->commits_waiting == 0);
  CHECK(w["b"].home->commits_waiting == 0);
  CHECK(w["a"].seqs().empty());
}

TEST_CASE("nothing is answered before every member of in_sync has it", "[replica]") {
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  w.link("a", "c", false);
  w["a"].commit(1);
  w.pass(1'000);
  CHECK(w["a"].ended() == 0);
  CHECK(w["a"].home->commits_waiting == 1);
  w.link("a", "c", true);
  REQUIRE(w.until([&] { return w["a"].ended() == 1; }, 1'000));
  CHECK(w["a"].heard.ended.back().copies == 3);

  // If it stays away, it is put out after a lease.
  w.link("a", "c", false);
  w["a"].commit(2);
  REQUIRE(w.until([&] { return w["a"].ended() == 2; }));
  CHECK_FALSE(w.in_sync("c"));
  CHECK(w["a"].heard.ended.back().copies == 2);
  CHECK(w["a"].heard.yields == 0);
}

TEST_CASE("a store that lags reads what the primary keeps on its disk only", "[replica]") {
  replica_world w({"a", "b", "c"}, small());
  w.found({"a", "b", "c"});
  w.serve_on("a");
  w.stop("c");
  REQUIRE(w.until([&] { return !w.in_sync("c"); }));
  say(w, "a", 1, 200);
  w.start("c");
  REQUIRE(w.until([&] { return w.in_sync("c") && w.alike(); }));
  CHECK(w["c"].seqs() == up_to(200));
  CHECK(w.pieces["c"] == 0);
}

TEST_CASE("the log is trimmed behind what is applied", "[replica]") {
  replica_world w({"a", "b"}, forgetful());
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 300);
  for (const auto* n : {"a", "b"}) {
    auto state = w[n].state();
    CHECK(state.first.index > 150);
    CHECK(state.last.index - state.first.index > 20); // what log_bytes allows for
  }
  w.stop("b"), w.stop("a");
  w.start("a"), w.start("b");
  w.serve_on("a");
  auto first = w["a"].state().first.index;
  say(w, "a", 301, 500);
  CHECK(w["a"].state().first.index > first + 100); // of a log that was there before, too
}

TEST_CASE("a learner is given a snapshot while commits go on, and then the rest", "[replica]") {
  replica_world w({"a", "b", "c"}, forgetful());
  w.found({"a", "b"});
  w.bulk_flows = false;
  w.serve_on("a");
  say(w, "a", 1, 200, std::string(100, 'x'));
  CHECK_FALSE(w.in_sync("c"));
  w.bulk_flows = true;
  uint64_t next = 201;
  REQUIRE(w.until([&] {
    w["a"].commit(next++);
    return w.in_sync("c");
  }));
  CHECK(w.pieces["c"] > 10);
  CHECK(w.most_under_way["c"] <= w.options.pieces_under_way);
  REQUIRE(w.until([&] { return w.alike(); }));
  CHECK(w["c"].seqs() == up_to(next - 1));
  CHECK(w["a"].heard.ended.back().copies == 3);
  CHECK(w["a"].home->cluster->installs == 0);
  CHECK(w["a"].heard.yields == 0);
}

TEST_CASE("a snapshot goes on over the next link", "[replica]") {
  auto while_away = GENERATE(values<int64_t>({0, 20, 500, 20'000})); // a lease is 3'000
  auto flown = GENERATE(values<uint64_t>({1, 2, 3, 7}));
  auto answers_lost = GENERATE(false, true);
  INFO(while_away << " " << flown << " " << answers_lost);
  replica_world w({"a", "b", "c"}, forgetful());
  w.bulk_flows = false;
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 200, std::string(100, 'x'));
  w.pieces_to_flow = flown;
  w.bulk_flows = true;
  w.pass(1'000);
  REQUIRE(w.pieces["c"] == flown);
  auto of = w["a"].home->cluster->transfers.load();
  // Twice: what is sent over the first of the two links gets nowhere in the end, or its answers don't.
  w.pieces_to_flow = flown;
  w.link("a", "c", false);
  w.pass(while_away);
  w.link("a", "c", true);
  w.pass(100);
  w.answers_lost = answers_lost;
  if (answers_lost)
    w.pieces_to_flow.reset();
  w.pass(100);
  w.answers_lost = false;
  w.pieces_to_flow.reset();
  w.link("a", "c", false);
  w.link("a", "c", true);
  say(w, "a", 201, 210);
  REQUIRE(w.until([&] { return w.in_sync("c") && w.alike(); }));
  CHECK(w["c"].seqs() == up_to(210));
  CHECK(w["a"].home->cluster->transfers == of);
  CHECK(w["a"].home->cluster->installs == 0);
}

TEST_CASE("a first piece that was overtaken by the end of its snapshot clears nothing", "[replica]") {
  auto o = forgetful();
  o.piece_bytes = 1u << 20;
  replica_world w({"a", "b", "c"}, o);
  w.found({"a", "b"});
  w.etcd_answers = false; // so that nobody counts on c yet, by what it knows
  w.serve_on("a");
  say(w, "a", 1, 200, std::string(100, 'x'));
  REQUIRE(w.until([&] { return w.pieces["c"] == 1 && !w["c"].state().installing; }));
  w.inject("a", "c", encode(w.first_piece.value()));
  w.pass(100);
  CHECK_FALSE(w["c"].state().installing);
  CHECK(w["c"].seqs() == up_to(200));
}

TEST_CASE("a snapshot whose learner stays away is let go", "[replica]") {
  replica_world w({"a", "b", "c"}, forgetful());
  w.bulk_flows = false;
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 200, std::string(100, 'x'));
  w.pieces_to_flow = 7;
  w.bulk_flows = true;
  w.pass(1'000);
  w.pieces_to_flow.reset();
  w.link("a", "c", false);
  w.pass(w.options.install_silence_ms / 2);
  CHECK(w["a"].home->cluster->installs == 1);
  w.pass(w.options.install_silence_ms);
  CHECK(w["a"].home->cluster->installs == 0);
  w.link("a", "c", true);
  REQUIRE(w.until([&] { return w.in_sync("c") && w.alike(); }));
  CHECK(w["c"].seqs() == up_to(200));
}

TEST_CASE("a snapshot that is broken off begins anew: by either end, by a damaged piece", "[replica]") {
  auto how = GENERATE(1, 2, 3, 4);
  INFO(how);
  replica_world w({"a", "b", "c"}, forgetful());
  w.bulk_flows = false;
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 200, std::string(100, 'x'));
  if (how == 4)
    w.piece_to_damage = 5;
  else
    w.pieces_to_flow = 7;
  w.bulk_flows = true;
  w.pass(1'000);
  if (how != 4) {
    CHECK(w.pieces["c"] == 7);
    CHECK(w["c"].state().installing);
  }
  w.pieces_to_flow.reset();
  switch (how) {
  case 1: // the learner
    w.stop("c");
    w.start("c");
    break;
  case 2: // the primary; the other one takes over
    w.stop("a");
    w.write_record([&](shard_record& r) { r.primary = w["b"].id, ++r.epoch; });
    w.start("a");
    w.serve_on("b");
    break;
  case 3: // its epoch ends, the link stays
    w.write_record([&](shard_record& r) { r.primary = w["b"].id, ++r.epoch; });
    w.serve_on("b");
    break;
  }
  // Nobody has to wait until it has been silent for too long.
  REQUIRE(w.until([&] { return w.in_sync("c") && w.alike(); }, w.options.install_silence_ms / 2));
  CHECK(w["c"].seqs() == up_to(200));
  CHECK(w["a"].home->cluster->installs == 0);
  CHECK(w["b"].home->cluster->installs == 0);
}

TEST_CASE("a store that others count on is not replaced by an old primary's snapshot", "[replica]") {
  replica_world w({"a", "b"});
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 3);
  REQUIRE(w.until([&] { return w.alike(); }));
  for (uint64_t epoch : {1, 2, 9}) {
    w.inject("a", "b", encode(install_piece{epoch, 77, 0, "anything", true, {epoch, 5}}));
    w.run();
  }
  CHECK_FALSE(w["b"].state().installing);
  CHECK(w.until([&] { return w["b"].seqs() == up_to(3); })); // it hears a moment later what is committed
  say(w, "a", 4, 5);
  CHECK(w["b"].heard.yields == 0);
}

TEST_CASE("a letter that can't be read is counted and passed over", "[replica]") {
  replica_world w({"a", "b"});
  w.found({"a", "b"});
  w.serve_on("a");
  w.inject("a", "b", "\xff what?");
  w.run();
  CHECK(w["b"].home->cluster->counts.replicas.letters_unread.get() == 1);
  say(w, "a", 1, 2);
}

TEST_CASE("when a primary's store fails another member goes on, while the disk is as it is", "[replica]") {
  auto at = GENERATE(1, 2, 3, 4);
  auto kind = GENERATE(fault::io_error, fault::no_space_once, fault::no_space);
  INFO(at << " " << static_cast<int>(kind));
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  say(w, "a", 1, 5);
  auto epoch = w["a"].heard.served.back();
  w["a"].disk.fail_at(static_cast<uint64_t>(at), kind);
  uint64_t next = 6;
  REQUIRE(w.until([&] {
    if (w["a"].serves() && w["a"].heard.yields == 0)
      w["a"].commit(next++);
    return w["a"].heard.yields > 0;
  }));
  CHECK(w["a"].home->commits_waiting == 0);
  auto acknowledged = w["a"].ended();
  std::string other;
  REQUIRE(w.until([&] {
    for (const char* name : {"b", "c"})
      if (w[name].serves())
        other = name;
    return !other.empty();
  }));
  CHECK(w[other].heard.served.back() > epoch);
  auto there = w[other].seqs();
  CHECK(there.size() >= acknowledged);
  CHECK(there == up_to(there.size()));
  say(w, other, there.size() + 1, there.size() + 5);
  w["a"].disk.heal();
  REQUIRE(w.until([&] { return w.record.in_sync.size() == 3 && w.alike(); }));
}

TEST_CASE("a backup whose store fails comes back, and nothing is lost meanwhile", "[replica]") {
  auto at = GENERATE(1, 2, 3);
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  say(w, "a", 1, 5);
  w["b"].disk.fail_at(static_cast<uint64_t>(at), fault::io_error);
  for (uint64_t i = 6; i <= 10; ++i) {
    w["a"].commit(i);
    w.pass(100);
  }
  REQUIRE(w.until([&] { return w["a"].ended() == 10; }));
  w["b"].disk.heal();
  REQUIRE(w.until([&] { return w.alike() && w.record.in_sync.size() == 3; }));
  CHECK(w["b"].seqs() == up_to(10));
  CHECK(w["a"].heard.yields == 0);
}

TEST_CASE("a backup that can read but not write stays out, and holds nobody up", "[replica]") {
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  say(w, "a", 1, 5);
  w["c"].disk.fail_at(1, fault::no_space);
  w["a"].commit(6);
  REQUIRE(w.until([&] { return w["a"].ended() == 6 && w.record.in_sync.size() == 2; }));
  for (int i = 0; i < 200; ++i) {
    w.pass(100);
    REQUIRE(w.record.in_sync.size() == 2);
  }
  w["c"].disk.heal();
  REQUIRE(w.until([&] { return w.record.in_sync.size() == 3 && w.alike(); }));
  say(w, "a", 7, 9);
}

TEST_CASE("a failed write of another shard makes a replica read its own anew", "[replica]") {
  replica_world w({"a", "b"});
  w.found({"a", "b"});
  w.serve_on("a");
  say(w, "a", 1, 3);
  auto other = room_id::trusted("market");
  REQUIRE(other.shard() != w.shard);
  auto elsewhere = std::make_shared<storage::batch>(other.shard());
  elsewhere->put(other, storage::room_record{});
  w["a"].disk.fail_at(1, fault::io_error);
  w["a"].home->commits_waiting.fetch_add(1);
  tell(w["a"].home->storage, persist::commit{elsewhere, w["a"].home->era.load(), 0, committer{}});
  w.run();
  CHECK(w["a"].home->era == 3); // it failed, and was opened again
  CHECK(w["a"].heard.yields == 0);
  REQUIRE(w.until([&] { return w["a"].heard.yields == 1; }, 1'000));
  w.serve_on("b");
  say(w, "b", 4, 6);
  REQUIRE(w.until([&] { return w.alike(); }));
}

TEST_CASE("after a write that the store refused nothing of the same life is written", "[replica]") {
  replica_world w({"a"});
  w.found({"a"});
  w.serve_on("a");
  auto& storage = w["a"].home->storage;
  auto other = static_cast<shard_id>(w.shard + 1);
  auto put = [&](shard_id to, uint64_t life, uint64_t index, const std::string& batch, bool apply) {
    storage::log_entry e{{1, index}, std::make_shared<const std::string>(batch)};
    std::vector<storage::mutation> all{storage::append_entry{to, e}};
    if (apply)
      all.emplace_back(storage::apply_entry{to, e});
    auto what = std::make_shared<const std::vector<storage::mutation>>(std::move(all));
    tell(storage, persist::log_write{to, what, w["a"].home->era.load(), life, w["a"].heard.logged.size(),
                                     persist::logger{w["a"].ear_of_all}});
  };
  auto third = static_cast<shard_id>(w.shard + 2);
  put(other, 1, 1, "", true);
  w.run();
  put(other, 1, 2, "no batch", true);
  put(third, 1, 1, "", true); // of another shard, in the same group
  put(other, 1, 2, "", true);
  w.run();
  put(other, 1, 2, "", true);
  w.run();
  put(other, 2, 2, "", true); // it has read what is there
  w.run();
  std::vector<bool> done;
  for (const auto& x : w["a"].heard.logged)
    done.push_back(x.ok);
  CHECK(done == std::vector<bool>{true, false, true, false, false, true});
  CHECK(w["a"].store->load_shard(other).value().applied == storage::log_position{1, 2});
  say(w, "a", 1, 2);
}

TEST_CASE("an entry that the store refuses stops this shard only, and is tried again ever more seldom", "[replica]") {
  replica_world w({"a"});
  w.found({"a"});
  w.serve_on("a");
  say(w, "a", 1, 3);
  auto era = w["a"].home->era.load();
  auto refused = w["a"].figures.commit_failures.get();
  w.inject_misfit("a");
  w.run();
  CHECK(w["a"].heard.yields == 1);
  CHECK(w["a"].store->healthy());
  CHECK(w["a"].home->era == era); // the other shards of the node go on
  w.pass(10'000);
  auto tries = w["a"].figures.commit_failures.get() - refused;
  CHECK(tries >= 2);
  CHECK(tries <= 12);
  CHECK(w["a"].seqs() == up_to(3));
}

TEST_CASE("after a loss of power on all nodes everything acknowledged is there", "[replica]") {
  replica_world w({"a", "b", "c"}, forgetful());
  w.found({"a", "b", "c"});
  w.serve_on("a");
  say(w, "a", 1, 120);
  for (uint64_t i = 121; i <= 130; ++i)
    w["a"].commit(i); // perhaps
  for (const auto* n : {"a", "b", "c"})
    w.stop(n);
  for (const auto* n : {"b", "c", "a"})
    w.start(n);
  w.serve_on("a");
  auto there = w["a"].seqs();
  CHECK(there.size() >= 120);
  CHECK(there == up_to(there.size()));
  say(w, "a", there.size() + 1, there.size() + 3);
  REQUIRE(w.until([&] { return w.alike() && w.record.in_sync.size() == 3; }));
}

TEST_CASE("the controller moves the primary, and what was under way is finished first", "[replica]") {
  replica_world w({"a", "b", "c"});
  w.found({"a", "b", "c"});
  w.serve_on("a");
  for (uint64_t i = 1; i <= 10; ++i)
    w["a"].commit(i);
  tell(w["a"].replica, hand_over{w["b"].id});
  w["a"].commit(11); // too late
  w.serve_on("b");
  CHECK(w["a"].ended() == 10);
  CHECK(w["a"].heard.yields == 1);
  CHECK(w["a"].home->commits_waiting == 0);
  CHECK(w["a"].heard.primary->who == w["b"].id);
  say(w, "b", 11, 12);
  REQUIRE(w.until([&] { return w.alike(); }));
  CHECK(w["c"].seqs() == up_to(12));
}
