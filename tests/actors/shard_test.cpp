// The shard's promises: bounded activation, order across activations, effects that reach their user whatever happens.
#include "tests/actors/scene.hpp"

#include <set>

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

TEST_CASE("far more rooms than the bound are served, never more awake than it", "[shard]") {
  scene s{[](settings& c) { c.rooms.active = 128; }}; // one per shard
  auto ada = s.enter("ada");
  op::hello quiet;
  quiet.subscribe = op::hello::scope::none;
  ada.hello("ada", quiet);
  constexpr int rooms = 1'000;
  for (int i = 0; i < rooms; ++i)
    ada.create("room-" + std::to_string(i));
  CHECK(s.home->living.count(actor_kind::room) <= 128);
  ada.heard();
  // All at once, so that they stand in line for the places.
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < rooms; ++i) {
      ada.say_later("room-" + std::to_string(i), "hi");
      if (i % 50 == 0) {
        s.run();
        CHECK(s.home->living.count(actor_kind::room) <= 128);
      }
    }
  s.run();
  size_t second = 0;
  for (const auto& f : ada.heard())
    second += f.ends_with("#3") ? 1 : 0;
  CHECK(second == rooms);
}

TEST_CASE("commands for a room that is put to sleep wait, keep their order, and wake it again", "[shard]") {
  scene s{[](settings& c) { c.rooms.active = 128; }};
  // Two rooms of one shard, so that each wakes at the cost of the other.
  std::string a = "room-0", b;
  for (int i = 1; b.empty(); ++i)
    if (auto name = "room-" + std::to_string(i); shard_of(name) == shard_of(a))
      b = name;
  auto ada = s.enter("ada");
  ada.hello().create(a).create(b);
  ada.heard();
  for (int i = 0; i < 10; ++i)
    ada.say_later(i % 2 ? b : a, std::to_string(i));
  s.run();
  lines in_a, in_b;
  for (const auto& f : ada.heard())
    if (f.starts_with(a + "#"))
      in_a.push_back(f.substr(a.size()));
    else if (f.starts_with(b + "#"))
      in_b.push_back(f.substr(b.size()));
  CHECK(in_a == lines{"#2 ada: 0", "#3 ada: 2", "#4 ada: 4", "#5 ada: 6", "#6 ada: 8"});
  CHECK(in_b == lines{"#2 ada: 1", "#3 ada: 3", "#4 ada: 5", "#5 ada: 7", "#6 ada: 9"});
}

TEST_CASE("over the bound on waiting commands the answer is unavailable", "[shard]") {
  scene s{[](settings& c) {
    c.rooms.active = 128;
    c.rooms.hold = 1;
    c.limits.in_flight = 1'000;
  }};
  auto ada = s.enter("ada");
  ada.hello();
  ada.heard();
  std::set<shard_id> shards;
  for (int i = 0; i < 300; ++i)
    ada.ask_later(i + 2, op::create{s.room("room-" + std::to_string(i)), storage::room_kind::public_, {}, 0});
  s.run();
  size_t created = 0, refused = 0;
  for (const auto& f : ada.heard()) {
    created += f.find("created") != f.npos ? 1 : 0;
    refused += f.find("unavailable") != f.npos ? 1 : 0;
  }
  CHECK(created + refused == 300);
  CHECK(refused > 0);
  CHECK(created >= 128);
}

TEST_CASE("idle rooms and users go to sleep; listeners keep their stream", "[shard]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.heard();
  s.pass(62s);
  CHECK(s.home->living.count(actor_kind::room) == 0);
  CHECK(s.home->living.count(actor_kind::relay) == 1);
  ada.say("lobby", "hi");
  CHECK(bob.heard() == lines{"lobby#3 ada: hi"});
}

TEST_CASE("an effect that was cut off by a failure reaches the user's list after a restart", "[shard]") {
  for (uint64_t n = 1; n < 40; ++n) {
    scene s;
    auto ada = s.enter("ada"), bob = s.enter("bob");
    ada.hello().create("lobby");
    bob.hello();
    bob.heard();
    s.disk.fail_at(n, fault::io_error);
    bob.join("lobby");
    auto heard = bob.heard();
    bool failed = s.disk.failed();
    s.disk.heal();
    ada.hang_up(), bob.hang_up();
    s.restart();
    s.pass(10s);
    auto again = s.enter("bob");
    again.hello();
    auto members = s.perform("ada", op::any{op::members{s.room("lobby"), {}, 10}});
    bool is_member = std::get<ok::members>(*members).list.size() == 2;
    INFO("operation " << n);
    CHECK(again.heard() == (is_member ? lines{"1 hello bob lobby#2"} : lines{"1 hello bob"}));
    if (!heard.empty() && heard.front().find("joined") != std::string::npos)
      CHECK(is_member);
    for (unsigned i = 0; i < shard_count; ++i)
      CHECK(s.store->effects(static_cast<shard_id>(i), 10)->empty());
    if (!failed)
      break;
  }
}

TEST_CASE("a room that dies is woken anew, and its relay ends when nobody listens any more", "[shard]") {
  scene s;
  auto ada = s.enter("ada");
  auto bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello();
  auto epoch = s.home->random_text;
  s.home->random_text = [](size_t) -> std::string { throw std::runtime_error("no randomness"); };
  // What stands behind the command that kills the room dies with it; it would have listened.
  ada.ask_later(2, op::create{s.room("cellar"), storage::room_kind::public_, {}, 0});
  bob.ask_later(2, op::join{s.room("cellar"), {}});
  s.run();
  s.home->random_text = epoch;
  ada.create("cellar");
  bob.join("cellar");
  CHECK(bob.heard().back() == "3 joined #2 2/2");
  CHECK(s.home->living.count(actor_kind::relay) == 2);
  ada.hang_up();
  bob.hang_up();
  s.run();
  CHECK(s.home->living.count(actor_kind::relay) == 0);
}
