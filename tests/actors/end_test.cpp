// How history goes, by age and by count, and a room as a whole.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

constexpr int64_t day_ms = 86'400'000;

op::configure keep(const scene& s, std::optional<uint32_t> days, std::optional<uint64_t> events) {
  op::configure x;
  x.room = s.room("lobby");
  x.history_days = days;
  x.history_events = events;
  return x;
}
op::configure remove(const scene& s) {
  op::configure x;
  x.room = s.room("lobby");
  x.remove = true;
  return x;
}
op::history all(const scene& s) {
  op::history x;
  x.room = s.room("lobby");
  x.limit = 200;
  return x;
}

struct lobby : scene {
  lobby() : lobby(std::function<void(settings&)>{}) {}
  explicit lobby(const std::function<void(settings&)>& adjust)
      : scene([&](settings& c) {
          c.rooms.retention_minutes = 1;
          if (adjust)
            adjust(c);
        }),
        ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.heard(), bob.heard();
  }
  person ada, bob;
};

} // namespace

TEST_CASE("a room keeps as many events as it is told to", "[end]") {
  lobby s;
  s.ada.ask(10, keep(s, {}, 5));
  for (int i = 4; i <= 20; ++i)
    s.ada.say("lobby", std::to_string(i));
  s.ada.ask(11, op::send{s.room("lobby"), {}, "r", "reply", {}, 16}).ask(12, op::pin{s.room("lobby"), 10, true});
  s.ada.heard(), s.bob.heard();
  s.pass(70s);
  s.ada.ask(50, all(s));
  CHECK(s.ada.heard() == lines{"50 page 18 19 20 21 22"});
  s.ada.ask(51, op::react{s.room("lobby"), 17, "x", "+1", true}).ask(52, op::thread{s.room("lobby"), 16, 0, 50, 0});
  CHECK(s.ada.heard() == lines{"51 not_found", "52 not_found"});
  auto image = s.store->load_room(s.room("lobby"), 100, 1 << 20);
  CHECK((*image)->record.first == 18);
  CHECK((*image)->record.pins.empty());
  CHECK(s.store->events_after(s.room("lobby"), 0, 100, 1 << 20)->events.front().seq == 18); // gone from the disk, too
  SECTION("who was there goes on, who is too far behind is told") {
    const auto epoch = s.epoch_of("lobby");
    for (auto [seq, expected] : {std::pair{17u, "recovered"}, {16u, "lost"}}) {
      auto again = s.enter("bob");
      op::hello h;
      h.resume = {{s.room("lobby"), {epoch, seq}}};
      again.hello("bob", h);
      CHECK(again.heard().front() == "1 hello bob lobby#22 lobby=" + std::string(expected));
    }
  }
  SECTION("and goes on doing so, also after a restart") {
    s.ada.hang_up(), s.bob.hang_up();
    s.restart();
    auto ada = s.enter("ada");
    ada.hello();
    for (int i = 0; i < 10; ++i)
      ada.say("lobby", "x", "n" + std::to_string(i));
    s.pass(70s);
    ada.heard();
    ada.ask(50, all(s));
    CHECK(ada.heard() == lines{"50 page 28 29 30 31 32"});
  }
  SECTION("keys outlive what they were for") {
    s.ada.ask(53, op::send{s.room("lobby"), {}, "r", "reply", {}, 16});
    CHECK(s.ada.heard() == lines{"53 sent lobby#21 duplicate"});
  }
}

TEST_CASE("a room keeps events for as long as it is told to", "[end]") {
  lobby s;
  s.ada.ask(10, keep(s, 2, {}));
  s.ada.say("lobby", "old");
  s.clock += day_ms;
  s.ada.say("lobby", "newer");
  s.ada.heard();
  auto kept = [&](const std::string& expected) {
    s.pass(70s);
    s.ada.heard();
    s.ada.ask(50, all(s));
    CHECK(s.ada.heard() == lines{expected});
  };
  kept("50 page 1 2 3 4 5");
  s.clock += day_ms;
  kept("50 page 5");
  s.clock += day_ms;
  kept("50 page");
  s.ada.say("lobby", "new");
  CHECK(s.ada.heard().back() == "lobby#6 ada: new"); // seqs go on
  s.ada.ask(51, keep(s, 0, {}));
  s.clock += 10 * day_ms;
  kept("50 page 6 7");
}

TEST_CASE("a room that was made before retention was done by the clock is seen to when it wakes", "[end]") {
  lobby s;
  for (int i = 3; i <= 10; ++i)
    s.ada.say("lobby", "x");
  s.ada.hang_up(), s.bob.hang_up();
  s.pass(2s);
  auto record = (*s.store->load_room(s.room("lobby"), 0, 0))->record;
  record.history_events = 3;
  storage::batch older(s.room("lobby").shard());
  older.put(s.room("lobby"), record);
  const storage::batch* one = &older;
  s.pass(70s);
  REQUIRE(s.store->commit({&one, 1}).has_value());
  auto ada = s.enter("ada");
  ada.hello().say("lobby", "hello", "n");
  s.pass(70s);
  ada.heard();
  ada.ask(50, all(s));
  CHECK(ada.heard() == lines{"50 page 9 10 11"});
}

TEST_CASE("a room that is deleted is gone at once, from lists and streams, and from the disk", "[end]") {
  lobby s;
  auto eve = s.enter("eve");
  eve.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  s.ada.say("lobby", "secret");
  s.bob.ask(5, remove(s));
  auto heard = s.bob.heard();
  CHECK(heard.back() == "5 forbidden");
  s.ada.heard(), eve.heard();
  const auto epoch = s.epoch_of("lobby");
  s.ada.ask(10, remove(s));
  CHECK(s.ada.heard() == lines{"10 changed #4", "lobby#4 ada calls it "});
  CHECK(s.bob.heard() == lines{"lobby#4 ada calls it "});
  CHECK(eve.heard() == lines{"lobby#4 ada calls it "});
  s.pass(5s);
  s.ada.ask(11, all(s)).ask(12, op::join{s.room("lobby"), {}}).ask(13, op::rooms{});
  CHECK(s.ada.heard() == lines{"11 not_found", "12 not_found", "13 rooms"});
  auto again = s.enter("bob");
  op::hello h;
  h.resume = {{s.room("lobby"), {epoch, 3}}};
  again.hello("bob", h);
  CHECK(again.heard() == lines{"1 hello bob lobby=not_found"});
  CHECK_FALSE((*s.store->load_room(s.room("lobby"), 10, 1 << 20)).has_value());
  CHECK(s.store->events_after(s.room("lobby"), 0, 100, 1 << 20)->events.empty());
  CHECK(s.store->effects(s.room("lobby").shard(), 100)->empty());
  CHECK(s.store->due(s.room("lobby").shard(), 100)->empty());

  s.bob.ask(20, op::create{s.room("lobby"), storage::room_kind::public_, {}, 0}); // another one under that name
  CHECK(s.bob.heard() == lines{"20 created lobby#1"});
  CHECK(s.epoch_of("lobby") != epoch);
  s.ada.ask(21, op::send{s.room("lobby"), {}, "k", "x", {}, 0});
  CHECK(s.ada.heard() == lines{"21 not_member"});
}

TEST_CASE("a room with many members goes by and by, whatever breaks off", "[end]") {
  const bool restarts = GENERATE(false, true);
  lobby s([](settings& c) { c.rooms.effects = 100; });
  storage::batch members(s.room("lobby").shard());
  for (int i = 0; i < 1'200; ++i) {
    storage::member_record seat;
    seat.role = storage::member_role::member;
    seat.since = 2;
    members.put(s.room("lobby"), user_id::trusted("m" + std::to_string(i)), seat);
  }
  const storage::batch* one = &members;
  REQUIRE(s.store->commit({&one, 1}).has_value());
  s.ada.hang_up(), s.bob.hang_up();
  s.restart();
  s.ada = s.enter("ada");
  s.ada.hello();
  s.ada.ask_later(10, remove(s));
  if (restarts) {
    s.disk.fail_at(3, fault::io_error); // in the middle, or at the first write: RocksDB's own threads count, too
    s.run();
    s.disk.heal();
    s.ada.hang_up();
    s.restart();
    s.ada = s.enter("ada");
    s.ada.hello();
    s.ada.ask_later(11, remove(s));
  }
  s.run();
  s.pass(60s);
  CHECK_FALSE((*s.store->load_room(s.room("lobby"), 10, 1 << 20)).has_value());
  CHECK(s.store->effects(s.room("lobby").shard(), 10'000)->empty());
  CHECK(s.store->due(s.room("lobby").shard(), 100)->empty());
  for (const auto* name : {"m0", "m600", "m1199", "bob"}) {
    auto user = s.store->load_user(user_id::trusted(name));
    REQUIRE(user.has_value());
    for (const auto& [room, entry] : user->rooms)
      CHECK(entry.left);
  }
}

TEST_CASE("who is behind what has been dropped is told where the stream goes on", "[end]") {
  lobby s([](settings& c) {
    c.limits.slow_ms = 600'000;
    c.rooms.ring_events = 4;
  });
  s.ada.ask(10, keep(s, {}, 5));
  s.bob.heard();
  s.bob.socket().queued = s.config.limits.outbox_bytes;
  for (int i = 4; i <= 20; ++i)
    s.ada.say("lobby", std::to_string(i));
  s.pass(70s);
  CHECK(s.bob.heard().empty());
  s.bob.socket().queued = 0;
  s.bob.drained();
  s.pass(2s);
  auto heard = s.bob.heard();
  REQUIRE(heard.size() == 6);
  CHECK(heard[0] == "subscribed lobby#15");
  CHECK(heard[1] == "lobby#16 ada: 16");
  CHECK(heard[5] == "lobby#20 ada: 20");
  s.bob.ask(30, op::rooms{});
  CHECK(s.bob.heard() == lines{"30 rooms lobby#20:5"});
}

TEST_CASE("nothing is unread of what has been dropped", "[end]") {
  lobby s;
  s.ada.ask(10, keep(s, 1, {}));
  s.ada.say("lobby", "@bob one").say("lobby", "two");
  s.bob.heard();
  s.bob.ask(30, op::rooms{});
  CHECK(s.bob.heard() == lines{"30 rooms lobby#5:2@1"});
  s.clock += 2 * day_ms;
  s.pass(70s);
  s.bob.ask(31, op::rooms{});
  CHECK(s.bob.heard() == lines{"31 rooms lobby#5:0"});
}

TEST_CASE("a room that is deleted as soon as it is made answers both", "[end]") {
  lobby s;
  op::configure gone;
  gone.room = s.room("hall");
  gone.remove = true;
  s.ada.ask_later(10, op::create{s.room("hall"), storage::room_kind::public_, {}, 0}).ask_later(11, gone);
  s.run();
  s.pass(10s);
  auto heard = s.ada.heard();
  CHECK(std::count(heard.begin(), heard.end(), "10 created hall#1") == 1);
  CHECK(std::count(heard.begin(), heard.end(), "11 changed #2") == 1);
  CHECK_FALSE((*s.store->load_room(s.room("hall"), 10, 1 << 20)).has_value());
  s.ada.ask(12, op::rooms{});
  CHECK(s.ada.heard() == lines{"12 rooms lobby#2:0"});
}

TEST_CASE("who is behind gets the rest of a room that is deleted, its end included", "[end]") {
  lobby s;
  s.bob.socket().queued = s.config.limits.outbox_bytes;
  s.ada.say("lobby", "one").say("lobby", "two");
  s.bob.heard();
  s.ada.ask_later(10, remove(s));
  s.run();
  s.bob.socket().queued = 0;
  s.bob.drained();
  CHECK(s.bob.heard() == lines{"lobby#3 ada: one", "lobby#4 ada: two", "lobby#5 ada calls it "});
  s.pass(10s);
  CHECK_FALSE((*s.store->load_room(s.room("lobby"), 10, 1 << 20)).has_value());
}

TEST_CASE("a deleted room with people who were banned is cleared out, though somebody asks for its name all the time",
          "[end]") {
  lobby s;
  s.ada.ask(10, op::moderate{s.room("lobby"), op::moderate::act::ban, user_id::trusted("eve"), 0, {}, {}});
  s.ada.ask(11, remove(s));
  auto eve = s.enter("eve");
  eve.hello();
  bool made = false;
  for (int i = 0; i < 20 && !made; ++i) {
    eve.ask(100 + i, op::create{s.room("lobby"), storage::room_kind::public_, {}, 0});
    made = eve.heard().back().find("created") != std::string::npos;
    s.pass(1s);
  }
  CHECK(made);
}
