// What was revoked or deleted leaves the disk: the bytes of every file of a store are looked through.
#include "log_fixture.hpp"

#include <fstream>
#include <iterator>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

const std::string secret = "what-nobody-should-read-7f3a9c";

event blank(event e) {
  e.text.clear();
  e.revoked = true;
  return e;
}

struct scrub_fixture : log_fixture {
  /// Whether the words stand in any file of the store.
  bool is_on_disk(const std::string& words) const {
    for (const auto& file : std::filesystem::recursive_directory_iterator(options.path)) {
      std::ifstream in(file.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
      if (bytes.find(words) != std::string::npos)
        return true;
    }
    return false;
  }
  void say() {
    fill(*db, lobby, 5);
    batch said(shard);
    said.put(lobby, message(6, secret));
    REQUIRE(commit(*db, {&said}));
  }
  void revoke() {
    batch x(shard);
    x.replace(lobby, blank(message(6, secret)));
    REQUIRE(commit(*db, {&x}));
  }
};

} // namespace

TEST_CASE_METHOD(scrub_fixture, "what was replaced is not on the disk after a scrub", "[scrub]") {
  say();
  SECTION("from the write-ahead log") {}
  SECTION("from tables") { restart(); }
  SECTION("from tables at the bottom, below others") {
    restart();
    REQUIRE(db->scrub(100));
    batch more(shard);
    more.put(lobby, message(7, "x"));
    REQUIRE(commit(*db, {&more}));
  }
  REQUIRE(is_on_disk(secret));
  revoke();
  SECTION("at once") {}
  SECTION("by the next process") { restart(); }
  CHECK_FALSE(db->clustered().value()); // a trace is no log
  CHECK(db->scrub(100).value() == 1);
  CHECK_FALSE(is_on_disk(secret));
  CHECK(db->scrub(100).value() == 0); // nothing is left to do
  auto page = db->events_after(lobby, 0, 100, 1 << 20).value();
  CHECK(page.events.size() >= 6);
  CHECK(page.events[5].revoked);
  restart();
  CHECK(db->events_after(lobby, 5, 1, 1 << 20).value().events[0].revoked);
}

TEST_CASE_METHOD(scrub_fixture, "how a message stood leaves the disk with it", "[scrub]") {
  say();
  message_state edited;
  edited.changed = edited.edited = 7;
  edited.text = "second-" + secret;
  batch x(shard);
  x.put(lobby, 6, edited);
  REQUIRE(commit(*db, {&x}));
  restart();
  revoke();
  batch gone(shard);
  gone.replace(lobby, 6, message_state{8, 0, 0, "", 8, {}, {}});
  REQUIRE(commit(*db, {&gone}));
  CHECK(db->scrub(1).value() == 1); // as many as were asked for
  CHECK(db->scrub(1).value() == 1);
  CHECK(db->scrub(1).value() == 0);
  CHECK_FALSE(is_on_disk(secret));
}

TEST_CASE_METHOD(scrub_fixture, "dropped history and a deleted room leave the disk, and nothing beside them",
                 "[scrub]") {
  const auto neighbour = room_in(shard, 3);
  fill(*db, neighbour, 20);
  say();
  batch key(shard);
  key.put(lobby, hash_of(user("ada"), "k"), key_record{1, 6, 1, 1});
  REQUIRE(commit(*db, {&key}));
  if (GENERATE(false, true))
    restart();
  SECTION("some of its history") {
    batch x(shard);
    x.erase_events(lobby, 3, 7);
    REQUIRE(commit(*db, {&x}));
    CHECK(seqs(db->events_after(lobby, 0, 100, 1 << 20).value().events) == std::vector<uint64_t>{1, 2});
    CHECK(db->find_key(lobby, hash_of(user("ada"), "k"), read_tier::disk).value().first == lookup::found);
  }
  SECTION("all of it") {
    batch x(shard);
    x.erase_contents(lobby);
    x.erase(lobby);
    REQUIRE(commit(*db, {&x}));
    CHECK_FALSE(db->load_room(lobby, 10, 1000).value());
    CHECK(db->events_after(lobby, 0, 100, 1 << 20).value().events.empty());
    CHECK(db->find_key(lobby, hash_of(user("ada"), "k"), read_tier::disk).value().first == lookup::absent);
  }
  REQUIRE(is_on_disk(secret));
  CHECK(db->scrub(100).value() > 0);
  CHECK_FALSE(is_on_disk(secret));
  CHECK(db->events_after(neighbour, 0, 100, 1 << 20).value().events.size() == 20);
  restart();
  CHECK(db->events_after(neighbour, 0, 100, 1 << 20).value().events.size() == 20);
}

TEST_CASE_METHOD(scrub_fixture, "events that are written behind a dropped range are found again", "[scrub]") {
  // RocksDB corrupts a memtable where a range deletion begins with a key that its hints for insertion know.
  fill(*db, lobby, 1);
  uint64_t first = 1;
  for (uint64_t seq = 2; seq < 2'000; ++seq) {
    batch x(shard);
    x.put(lobby, message(seq, "x"));
    if (seq % 10 == 0) {
      x.erase_events(lobby, first, seq - 5);
      first = seq - 5;
    }
    REQUIRE(commit(*db, {&x}));
  }
  for (int i = 0; i < 2; ++i) {
    auto left = db->events_after(lobby, 0, 1'000, 1 << 20).value();
    REQUIRE(left.events.size() == 2'000 - first);
    CHECK(left.events.front().seq == first);
    restart();
  }
}

TEST_CASE_METHOD(scrub_fixture, "what a shard's log has carried goes when it has been trimmed", "[scrub]") {
  put({found_log{shard}});
  put({append_entry{shard, an_entry(lobby, 1, 2, secret)}});
  put({apply_entry{shard, an_entry(lobby, 1, 2, secret)}});
  batch x(shard);
  auto gone = message(2, secret);
  x.replace(lobby, blank(gone));
  log_entry revoked{{1, 3}, shared(x.bytes())};
  put({append_entry{shard, revoked}});
  put({apply_entry{shard, revoked}});
  REQUIRE(db->scrub(100));
  CHECK(is_on_disk(secret)); // in the log
  put({trim_log{shard, 3}});
  REQUIRE(db->scrub(100)); // without a trace of its own
  CHECK_FALSE(is_on_disk(secret));
  CHECK(db->load_shard(shard).value().first == log_position{1, 3});
}

TEST_CASE_METHOD(scrub_fixture, "a scrub waits for snapshots, and can be ended", "[scrub]") {
  put({found_log{shard}});
  put({append_entry{shard, an_entry(lobby, 1, 2, secret)}});
  put({apply_entry{shard, an_entry(lobby, 1, 2, secret)}});
  auto shown = db->snapshot(shard).value();
  batch x(shard);
  x.replace(lobby, blank(message(2, secret)));
  log_entry revoked{{1, 3}, shared(x.bytes())};
  put({append_entry{shard, revoked}});
  put({apply_entry{shard, revoked}});
  auto done = db->scrub(100);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::unavailable);
  shown.reset();
  CHECK(db->scrub(100).value() == 1);
  db->end_scrubs();
  CHECK_FALSE(db->scrub(100));
  CHECK(db->healthy());
}
