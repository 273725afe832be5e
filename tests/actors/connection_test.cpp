// The connection's promises: one answer a request, a bounded window, streams without gaps or repeats, resume.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

op::hello with(op::hello::scope scope, std::vector<room_id> rooms = {}) {
  op::hello h;
  h.subscribe = scope;
  h.rooms = std::move(rooms);
  return h;
}

op::hello resuming(const std::string& room, position from) {
  op::hello h;
  h.resume = {{room_id::trusted(room), std::move(from)}};
  return h;
}

} // namespace

TEST_CASE("nothing is done before hello, and hello is said once", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.ask(1, op::ping{}).ask(2, op::join{s.room("lobby"), {}});
  CHECK(ada.heard() == lines{"1 unauthenticated", "2 unauthenticated"});
  ada.hello().hello().ask(5, op::ping{});
  CHECK(ada.heard() == lines{"3 hello ada", "4 bad_request", "5 pong"});
}

TEST_CASE("requests that came with hello are carried out after it", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  op::hello h;
  h.token = "ada";
  ada.ask_later(1, h).ask_later(2, op::create{s.room("lobby"), storage::room_kind::public_, {}, 0});
  s.run();
  CHECK(ada.heard() == lines{"1 hello ada", "2 created lobby#1"});
}

TEST_CASE("a bad token ends the connection with 3501, a missing hello with 3503", "[connection]") {
  scene s;
  auto bad = s.enter("ada"), late = s.enter("bob");
  bad.hello("NOT A TOKEN");
  CHECK(bad.heard() == lines{"1 unauthenticated"});
  CHECK(bad.socket().closed == close_code::token_invalid);
  s.pass(9s);
  CHECK_FALSE(late.socket().closed);
  s.pass(2s);
  CHECK(late.socket().closed == close_code::no_hello);
}

TEST_CASE("a room that could not be reached at hello is left out, and listened to when it can be", "[connection]") {
  // One room of a shard may be awake, and one command may wait for its place.
  scene s{[](settings& c) {
    c.rooms.active = shard_count;
    c.rooms.hold = 1;
  }};
  lines rooms;
  for (int i = 0; rooms.size() < 3; ++i)
    if (auto name = "r" + std::to_string(i); rooms.empty() || s.room(name).shard() == s.room(rooms[0]).shard())
      rooms.push_back(name);
  auto ada = s.enter("ada");
  ada.hello();
  for (const auto& r : rooms)
    ada.create(r);
  ada.hang_up();
  auto back = s.enter("ada");
  back.hello({}, with(op::hello::scope::all));
  s.pass(6s); // those that have not answered are not waited for any longer
  const auto hello = back.heard();
  REQUIRE_FALSE(hello.empty());
  INFO(hello.front());
  CHECK(hello.front().find("hello ada") != std::string::npos);
  CHECK(std::any_of(rooms.begin(), rooms.end(),
                    [&](const auto& r) { return hello.front().find(r + "#") == std::string::npos; }));
  s.pass(20s);
  auto bob = s.enter("ada");
  bob.hello({}, with(op::hello::scope::none));
  for (const auto& r : rooms)
    bob.say(r, "hi");
  s.pass(20s);
  const auto heard = back.heard();
  for (const auto& r : rooms) {
    INFO(r);
    CHECK(std::any_of(heard.begin(), heard.end(), [&](const auto& line) {
      return line.find(r) != std::string::npos && line.find("hi") != std::string::npos;
    }));
  }
}

TEST_CASE("the token's end is announced, put off by refresh, and closes with 3501", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  s.pass(3'550s);
  CHECK(ada.heard().back() == "expiring");
  ada.ask(2, op::refresh{"bob"}).ask(3, op::refresh{"ada"});
  CHECK(ada.heard() == lines{"2 unauthenticated", "3 refreshed"});
  s.pass(3'500s);
  CHECK_FALSE(ada.socket().closed);
  s.pass(200s);
  CHECK(ada.socket().closed == close_code::token_invalid);
}

TEST_CASE("when the node drains each client is told when to go, one by one, and who stays is closed with 3001",
          "[connection][drain]") {
  scene s{[](settings& c) {
    c.cluster.drain_spread_ms = 8'000;
    c.cluster.drain_grace_ms = 2'000;
  }};
  std::vector<testing::person> people;
  for (int i = 0; i < 8; ++i) {
    people.push_back(s.enter("ada", static_cast<uint32_t>(i % s.lanes.size())));
    people.back().hello();
    people.back().heard();
  }
  auto silent = s.enter("bob"); // has not said hello
  s.home->drains_since = s.home->steady_ms();
  for (const auto& l : s.home->relay_lanes)
    tell(l, go_away{});
  s.run();
  std::vector<int> times;
  for (auto& p : people) {
    const auto heard = p.heard();
    REQUIRE(heard.size() == 1);
    REQUIRE(heard[0].starts_with("goaway "));
    times.push_back(std::stoi(heard[0].substr(7)));
  }
  // Evenly: one in each eighth of the span, or beside it.
  std::sort(times.begin(), times.end());
  CHECK(times.front() == 0);
  CHECK(times.back() < 8'000);
  for (size_t i = 1; i < times.size(); ++i) {
    CHECK(times[i] - times[i - 1] > 300);
    CHECK(times[i] - times[i - 1] < 2'000);
  }
  CHECK(silent.heard().empty());
  // Who comes now is served, and told as well.
  silent.hello();
  const auto heard = silent.heard();
  REQUIRE(heard.size() == 2);
  CHECK(heard[0].find("hello bob") != std::string::npos);
  CHECK(heard[1].starts_with("goaway "));
  s.pass(1'500ms);
  for (auto& p : people)
    CHECK_FALSE(p.socket().closed);
  s.pass(1s);
  const auto closed = [&] {
    return std::count_if(people.begin(), people.end(), [](auto& p) { return p.socket().closed.has_value(); });
  };
  CHECK(closed() == 1);
  s.pass(8s);
  CHECK(closed() == 8);
  for (auto& p : people)
    CHECK(p.socket().closed == close_code::draining);
}

TEST_CASE("a node that can't confirm its sessions closes all of them at once", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  auto silent = s.enter("bob"); // has no session yet
  for (const auto& l : s.home->relay_lanes)
    tell(l, go_away{.at_once = true});
  s.run();
  CHECK(ada.socket().closed == close_code::draining);
  CHECK_FALSE(silent.socket().closed);
}

TEST_CASE("who is told to go and has a token that ends first is closed for that", "[connection][drain]") {
  scene s{[](settings& c) {
    c.cluster.drain_spread_ms = 0;
    c.cluster.drain_grace_ms = 600'000;
  }};
  auto ada = s.enter("ada");
  ada.hello();
  s.pass(3'300s);
  ada.heard();
  s.home->drains_since = s.home->steady_ms();
  for (const auto& l : s.home->relay_lanes)
    tell(l, go_away{});
  s.pass(100s);
  CHECK(ada.heard() == lines{"goaway 0"});
  s.pass(150s);
  CHECK(ada.heard() == lines{"expiring"});
  ada.ask(2, op::refresh{"ada"});
  CHECK(ada.heard() == lines{"2 refreshed"});
  s.pass(300s);
  CHECK_FALSE(ada.socket().closed);
  s.pass(100s);
  CHECK(ada.socket().closed == close_code::draining);
}

TEST_CASE("over in_flight nothing is refused or lost: reading stops until answers came", "[connection]") {
  scene s{[](settings& c) { c.limits.in_flight = 4; }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  ada.heard();
  for (int i = 0; i < 20; ++i)
    ada.say_later("lobby", "word");
  for (auto& l : s.lanes)
    l->run();
  CHECK(ada.socket().held);
  s.run();
  CHECK_FALSE(ada.socket().held);
  auto heard = ada.heard();
  CHECK(std::count_if(heard.begin(), heard.end(), [](const auto& f) { return f.find(" sent ") != f.npos; }) == 20);
}

TEST_CASE("an id that is in flight can't be used again, afterwards it can", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  ada.heard();
  ada.ask_later(7, op::history{s.room("lobby")}).ask_later(7, op::history{s.room("lobby")});
  s.run();
  CHECK(ada.heard() == lines{"7 bad_request", "7 page 1"});
  ada.ask(7, op::ping{});
  CHECK(ada.heard() == lines{"7 pong"});
}

TEST_CASE("a request that nobody answers ends with unavailable", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  ada.heard();
  auto keep = s.home->shards;
  for (auto& shard : s.home->shards)
    shard = shard::handle{};
  ada.ask(3, op::history{s.room("lobby")});
  s.home->shards = keep;
  s.pass(13s);
  CHECK(ada.heard() == lines{"3 unavailable"});
}

TEST_CASE("frames that are no JSON object close the connection when there are too many", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  ada.heard();
  for (int i = 0; i < 10; ++i)
    ada.garble(true);
  CHECK_FALSE(ada.socket().closed);
  for (int i = 0; i < 30; ++i)
    ada.garble(false);
  CHECK_FALSE(ada.socket().closed);
  ada.garble(true);
  CHECK(ada.socket().closed == close_code::bad_frames);
}

TEST_CASE("sends over the rate are refused with the time to wait, floods closed with 3429", "[connection]") {
  scene s{[](settings& c) {
    c.limits.sends_per_s = 1;
    c.limits.sends_burst = 2;
    c.limits.flood_refusals = 3;
  }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  ada.heard();
  ada.say("lobby", "1").say("lobby", "2").say("lobby", "3");
  auto heard = ada.heard();
  CHECK(heard.back() == "5 rate_limited");
  for (int i = 0; i < 3; ++i)
    ada.say("lobby", "again");
  CHECK(ada.socket().closed == close_code::flooding);
}

TEST_CASE("a client that does not read is closed with 3008 and loses nothing: it resumes", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.heard();
  bob.socket().full = true;
  ada.say("lobby", "too much");
  CHECK(bob.socket().closed == close_code::slow_consumer);
  bob.hang_up();
  auto again = s.enter("bob", 1);
  again.hello("bob", resuming("lobby", {s.epoch_of("lobby"), 2}));
  CHECK(again.heard() == lines{"1 hello bob lobby#3 lobby=recovered", "lobby#3 ada: too much"});
}

TEST_CASE("a slow client is not fed but pulls when it has read; only one that never reads is closed", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.heard();
  bob.socket().queued = s.config.limits.outbox_bytes;
  ada.say("lobby", "one").say("lobby", "two");
  CHECK(bob.heard().empty());
  s.pass(9s);
  CHECK_FALSE(bob.socket().closed);
  bob.socket().queued = 0;
  bob.drained();
  CHECK(bob.heard() == lines{"lobby#3 ada: one", "lobby#4 ada: two"});
  ada.say("lobby", "three");
  CHECK(bob.heard() == lines{"lobby#5 ada: three"});
  bob.socket().queued = s.config.limits.outbox_bytes;
  ada.say("lobby", "four");
  s.pass(12s);
  CHECK(bob.socket().closed == close_code::slow_consumer);
}

TEST_CASE("a join's stream begins at its own event, whatever was sent behind it at once", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello()
      .ask_later(2, op::create{s.room("lobby"), storage::room_kind::public_, {}, 0})
      .ask_later(3, op::join{s.room("lobby"), {}});
  ada.say_later("lobby", "one").say_later("lobby", "two");
  s.run();
  lines events;
  for (const auto& f : ada.heard())
    if (f.starts_with("lobby#") || f.starts_with("3 "))
      events.push_back(f);
  CHECK(events == lines{"3 joined #1 1/1", "lobby#2 ada: one", "lobby#3 ada: two"});
}

TEST_CASE("resume continues where it stopped, or says that it can't", "[connection]") {
  scene s{[](settings& c) {
    c.limits.resume_events = 6;
    c.rooms.ring_events = 2;
  }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby").create("private", storage::room_kind::private_);
  for (int i = 0; i < 8; ++i)
    ada.say("lobby", std::to_string(i));
  auto epoch = s.epoch_of("lobby");
  auto bob = s.enter("bob", 1);
  auto come = [&](const std::string& room, position from) {
    auto again = s.enter("ada", 1);
    again.hello("ada", resuming(room, from));
    return again.heard();
  };
  CHECK(come("lobby", {epoch, 7}) ==
        lines{"1 hello ada lobby#9 private#1 lobby=recovered", "lobby#8 ada: 6", "lobby#9 ada: 7"});
  CHECK(come("lobby", {epoch, 9}) == lines{"1 hello ada lobby#9 private#1 lobby=recovered"});
  CHECK(come("lobby", {epoch, 10}) == lines{"1 hello ada lobby#9 private#1 lobby=lost"}); // beyond the head
  CHECK(come("lobby", {epoch, 2}) == lines{"1 hello ada lobby#9 private#1 lobby=lost"});  // too far behind
  CHECK(come("lobby", {epoch, 3}).size() == 7);
  CHECK(come("lobby", {"other", 8}) == lines{"1 hello ada lobby#9 private#1 lobby=lost"});
  CHECK(come("nowhere", {epoch, 8}) == lines{"1 hello ada lobby#9 private#1 nowhere=not_found"});
  bob.hello("bob", resuming("private", {s.epoch_of("private"), 1}));
  CHECK(bob.heard() == lines{"1 hello bob private=not_member"});
}

TEST_CASE("resumed and live events join without gap or repeat while others keep talking", "[connection]") {
  scene s{[](settings& c) { c.rooms.ring_events = 3; }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  for (int i = 2; i <= 40; ++i)
    ada.say("lobby", "x");
  auto epoch = s.epoch_of("lobby");
  auto late = s.enter("ada", 1);
  op::hello h = resuming("lobby", {epoch, 1});
  h.token = "ada";
  late.ask_later(1, h);
  for (int i = 41; i <= 80; ++i)
    ada.say_later("lobby", "x");
  s.run();
  lines expected;
  for (int i = 2; i <= 80; ++i)
    expected.push_back("lobby#" + std::to_string(i) + " ada: x");
  auto heard = late.heard();
  heard.erase(heard.begin());
  CHECK(heard == expected);
}

TEST_CASE("hello subscribes to all rooms, none, or those that are listed", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("one").create("two").create("three");
  auto bob = s.enter("bob");
  bob.hello().create("public");
  auto none = s.enter("ada", 1), list = s.enter("ada", 1);
  none.hello("ada", with(op::hello::scope::none));
  CHECK(none.heard() == lines{"1 hello ada one#1- three#1- two#1-"});
  list.hello("ada", with(op::hello::scope::list, {s.room("two"), s.room("public"), s.room("nowhere")}));
  CHECK(list.heard() == lines{"1 hello ada one#1- three#1- two#1 public#1"});
  bob.say("public", "hi");
  ada.say("one", "hi").say("two", "ho").say("to:bob", "psst");
  CHECK(none.heard().empty());
  CHECK(list.heard() == lines{"public#2 bob: hi", "two#2 ada: ho"});
}

TEST_CASE("a direct message wakes every connection of both users, named before its first event", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), phone = s.enter("bob"), laptop = s.enter("bob", 1);
  ada.hello(), phone.hello(), laptop.hello();
  ada.heard(), phone.heard(), laptop.heard();
  ada.say("to:bob", "psst").say("to:bob", "you there?");
  lines expected{"subscribed @ada+bob#0", "@ada+bob#1 ada: psst", "@ada+bob#2 ada: you there?"};
  CHECK(phone.heard() == expected);
  CHECK(laptop.heard() == expected);
  phone.say("@ada+bob", "yes");
  CHECK(ada.heard().back() == "@ada+bob#3 bob: yes");
  ada.say("to:ada", "note to self");
  CHECK(ada.heard() == lines{"4 bad_request"});
}

TEST_CASE("subscribe listens without joining, unsubscribe ends it, also when both are sent at once", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), eve = s.enter("eve", 1);
  ada.hello().create("lobby");
  eve.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  ada.say("lobby", "one");
  eve.ask(3, op::unsubscribe{s.room("lobby")});
  ada.say("lobby", "two");
  CHECK(eve.heard() == lines{"1 hello eve", "2 joined #1 1/1", "lobby#2 ada: one", "3 ok"});
  eve.ask_later(4, op::subscribe{s.room("lobby"), {}}).ask_later(5, op::unsubscribe{s.room("lobby")});
  s.run();
  ada.say("lobby", "three");
  auto heard = eve.heard();
  std::sort(heard.begin(), heard.end());
  CHECK(heard == lines{"4 joined #3 1/1", "5 ok"});
}

TEST_CASE("too many connections of one user close with 3504", "[connection]") {
  scene s{[](settings& c) { c.limits.connections_per_user = 2; }};
  auto a = s.enter("ada"), b = s.enter("ada"), c = s.enter("ada");
  a.hello(), b.hello(), c.hello();
  CHECK(c.heard() == lines{"1 forbidden"});
  CHECK(c.socket().closed == close_code::too_many_connections);
  a.hang_up();
  auto d = s.enter("ada");
  d.hello();
  CHECK_FALSE(d.socket().closed);
}

TEST_CASE("a connection that ended leaves nothing behind", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  CHECK(s.home->living.count(actor_kind::connection) == 1);
  CHECK(s.home->living.count(actor_kind::relay) == 1);
  ada.hang_up();
  CHECK(s.home->living.count(actor_kind::connection) == 0);
  CHECK(s.home->living.count(actor_kind::relay) == 0);
  s.pass(130s);
  CHECK(s.home->living.count(actor_kind::room) == 0);
  CHECK(s.home->living.count(actor_kind::user) == 0);
}

TEST_CASE("a connection that fails closes its socket and leaves nothing behind", "[connection]") {
  scene s;
  auto ada = s.enter("ada");
  auto bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.socket().broken = true;
  ada.say("lobby", "hi");
  CHECK(bob.socket().closed == close_code::shutdown); // to come back
  CHECK(s.home->living.count(actor_kind::connection) == 1);
  auto found = s.perform("ada", op::any{op::members{s.room("lobby"), {}, 10}});
  REQUIRE(found.has_value());
  CHECK(std::get<ok::members>(*found).list.size() == 2);
  for (const auto& m : std::get<ok::members>(*found).list)
    CHECK((m.status == seen_as::online) == (m.user.str() == "ada"));
}
