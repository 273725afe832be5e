// The room's promises: nothing shown or acknowledged before it is stored, one seq per event, one event per key.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

TEST_CASE("a message is acknowledged to its sender and reaches every member, in order", "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.heard(), bob.heard();
  ada.say("lobby", "one").say("lobby", "two");
  bob.say("lobby", "three");
  CHECK(bob.heard() == lines{"lobby#3 ada: one", "lobby#4 ada: two", "3 sent lobby#5", "lobby#5 bob: three"});
  CHECK(ada.heard() ==
        lines{"3 sent lobby#3", "lobby#3 ada: one", "4 sent lobby#4", "lobby#4 ada: two", "lobby#5 bob: three"});
}

TEST_CASE("an event that was not stored is neither acknowledged nor shown, and its seq is given out again", "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.heard(), bob.heard();
  s.disk.fail_at(1, fault::no_space);
  ada.say("lobby", "lost", "k");
  CHECK(ada.heard() == lines{"3 unavailable"});
  CHECK(bob.heard().empty());
  s.disk.heal();
  s.pass(std::chrono::seconds(2));
  ada.say("lobby", "lost", "k"); // the same key: the refused request has used up none
  CHECK(ada.heard() == lines{"4 sent lobby#3", "lobby#3 ada: lost"});
  CHECK(bob.heard() == lines{"lobby#3 ada: lost"});
}

TEST_CASE("after a failure at any disk operation every acknowledged event is there once, in order", "[room]") {
  for (auto kind : {fault::io_error, fault::no_space}) {
    for (uint64_t n = 1;; ++n) {
      scene s;
      auto ada = s.enter("ada"), bob = s.enter("bob", 1);
      ada.hello().create("lobby");
      bob.hello().join("lobby");
      ada.heard(), bob.heard();
      s.disk.fail_at(n, kind);
      for (int i = 0; i < 6; ++i)
        ada.say_later("lobby", "word", "k" + std::to_string(i));
      s.run();
      bool failed = s.disk.failed();
      s.disk.heal();
      s.pass(std::chrono::seconds(2));
      // Whatever was refused is said again, as clients do.
      for (int i = 0; i < 6; ++i)
        ada.say("lobby", "word", "k" + std::to_string(i));
      s.pass(std::chrono::seconds(2));
      lines events;
      for (const auto& f : bob.heard())
        events.push_back(f);
      INFO("operation " << n);
      CHECK(events == lines{"lobby#3 ada: word", "lobby#4 ada: word", "lobby#5 ada: word", "lobby#6 ada: word",
                            "lobby#7 ada: word", "lobby#8 ada: word"});
      if (!failed)
        break;
    }
  }
}

TEST_CASE("a key is good for one event: a repetition gets the first answer, another content a conflict", "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.heard();
  SECTION("while the first is on its way") {
    ada.say_later("lobby", "hi", "k").say_later("lobby", "hi", "k").say_later("lobby", "ho", "k");
    s.run();
    CHECK(ada.heard() == lines{"5 conflict", "3 sent lobby#3", "4 sent lobby#3 duplicate", "lobby#3 ada: hi"});
  }
  SECTION("afterwards, after a restart, and when the room was asleep") {
    ada.say("lobby", "hi", "k").say("lobby", "hi", "k").say("lobby", "ho", "k");
    CHECK(ada.heard() == lines{"3 sent lobby#3", "lobby#3 ada: hi", "4 sent lobby#3 duplicate", "5 conflict"});
    ada.hang_up(), bob.hang_up();
    s.restart();
    auto again = s.enter("ada");
    again.hello().say("lobby", "hi", "k").say("lobby", "ho", "k");
    CHECK(again.heard() == lines{"1 hello ada lobby#3", "2 sent lobby#3 duplicate", "3 conflict"});
  }
  SECTION("each user has key space of its own") {
    ada.say("lobby", "hi", "k");
    bob.say("lobby", "hi", "k");
    CHECK(bob.heard().back() == "lobby#4 bob: hi");
  }
}

TEST_CASE("who may do what", "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello()
      .create("public")
      .create("private", storage::room_kind::private_)
      .create("news", storage::room_kind::announce);
  bob.hello();
  bob.heard(), ada.heard();
  bob.say("public", "hi").say("nowhere", "hi").join("private").join("nowhere").join("news").say("news", "hi");
  CHECK(bob.heard() ==
        lines{"2 not_member", "3 not_found", "4 forbidden", "5 not_found", "6 joined #2 2/2", "7 forbidden"});
  bob.create("public").create("@ada+bob");
  CHECK(bob.heard() == lines{"8 exists", "9 bad_request"});
  bob.ask(10, op::history{s.room("private")})
      .ask(11, op::history{s.room("public")})
      .ask(12, op::leave{s.room("public")});
  CHECK(bob.heard() == lines{"10 not_member", "11 page 1", "12 not_member"});
  auto eve = s.enter("eve");
  eve.hello().say("@ada+bob", "let me in");
  CHECK(eve.heard().back() == "2 not_member");
}

TEST_CASE("to make or to leave a room again, as after a lost answer, gets the first answer and makes no event",
          "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby").create("lobby").create("lobby", storage::room_kind::private_);
  CHECK(ada.heard() == lines{"1 hello ada", "2 created lobby#1", "3 created lobby#1", "4 exists"});
  bob.hello().join("lobby").ask(3, op::leave{s.room("lobby")}).ask(4, op::leave{s.room("lobby")});
  CHECK(bob.heard() == lines{"1 hello bob", "2 joined #2 2/2", "3 left #3", "lobby#3 bob left", "4 left #3"});
  SECTION("after a restart") {
    ada.hang_up(), bob.hang_up();
    s.restart();
    auto ada_again = s.enter("ada"), bob_again = s.enter("bob");
    ada_again.hello().create("lobby");
    CHECK(ada_again.heard().back() == "2 created lobby#1");
    bob_again.hello().ask(2, op::leave{s.room("lobby")});
    CHECK(bob_again.heard().back() == "2 left #3");
  }
  SECTION("but ten minutes later the room is simply there") {
    s.clock += 600'000;
    ada.create("lobby");
    CHECK(ada.heard().back() == "5 exists");
  }
}

TEST_CASE("joining again makes no event; leaving ends the stream with the leaver's own event", "[room]") {
  scene s;
  auto ada = s.enter("ada"), phone = s.enter("bob"), laptop = s.enter("bob", 1);
  ada.hello().create("lobby");
  phone.hello(), laptop.hello();
  phone.heard(), laptop.heard();
  phone.join("lobby").join("lobby");
  CHECK(phone.heard() == lines{"2 joined #2 2/2", "3 joined #2 2/2"});
  CHECK(laptop.heard() == lines{"subscribed lobby#1", "lobby#2 bob joined"}); // it follows all rooms of its user
  phone.ask(4, op::leave{s.room("lobby")});
  ada.say("lobby", "alone again");
  CHECK(phone.heard() == lines{"4 left #3", "lobby#3 bob left"});
  CHECK(laptop.heard() == lines{"lobby#3 bob left"});
  CHECK(ada.heard().back() == "lobby#4 ada: alone again");
}

TEST_CASE("pages come from every direction, and take account of what was sent before on the same connection",
          "[room]") {
  scene s{[](settings& c) { c.rooms.ring_events = 4; }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  for (int i = 0; i < 8; ++i)
    ada.say("lobby", "word");
  ada.heard();
  using from = op::history::from;
  auto page = [&](from where, uint64_t seq, uint32_t limit) {
    auto id = ada.last_id() + 1;
    ada.ask(id, op::history{s.room("lobby"), where, seq, 0, limit});
    return ada.heard().back().substr(std::to_string(id).size() + 1);
  };
  CHECK(page(from::before, UINT64_MAX, 3) == "page 7 8 9 more");
  CHECK(page(from::before, UINT64_MAX, 50) == "page 1 2 3 4 5 6 7 8 9");
  CHECK(page(from::before, 4, 2) == "page 2 3 more");
  CHECK(page(from::before, 1, 2) == "page");
  CHECK(page(from::after, 0, 2) == "page 1 2 more");
  CHECK(page(from::after, 6, 2) == "page 7 8 more");
  CHECK(page(from::after, 7, 2) == "page 8 9");
  CHECK(page(from::after, 9, 2) == "page");
  CHECK(page(from::after, 900, 2) == "page");
  CHECK(page(from::around, 5, 4) == "page 3 4 5 6 more");
  ada.say_later("lobby", "just now");
  auto id = ada.last_id() + 1;
  ada.ask(id, op::history{s.room("lobby"), from::after, 9, 0, 2});
  auto heard = ada.heard();
  CHECK(std::count(heard.begin(), heard.end(), std::to_string(id) + " page 10") == 1);
}

TEST_CASE("typing is shown to others, and ends by itself", "[room]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.heard(), bob.heard();
  bob.ask(3, op::typing{s.room("lobby"), true}).ask(4, op::typing{s.room("lobby"), true});
  CHECK(ada.heard() == lines{"lobby bob types"});
  CHECK(bob.heard() == lines{"3 ok", "4 ok"});
  s.pass(std::chrono::seconds(12));
  CHECK(ada.heard() == lines{"lobby bob rests"});
}

TEST_CASE("what a full mailbox lost is noticed, pulled and handed over in order", "[room]") {
  const bool of_the_lane = GENERATE(false, true);
  CAPTURE(of_the_lane);
  scene s{[=](settings& c) {
    c.limits.in_flight = 100'000;
    (of_the_lane ? c.scheduler.lane_mailbox : c.scheduler.connection_mailbox) = 100;
  }};
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.heard();
  s.stuck_lane = 1;
  constexpr size_t events = 1'000;
  for (size_t i = 0; i < events; ++i)
    ada.say_later("lobby", "x");
  s.run();
  SECTION("while the room announces its head") {}
  SECTION("and with it the announcement, the last that comes from the room") { s.pass(std::chrono::seconds(3)); }
  s.stuck_lane = std::nullopt;
  s.run();
  s.pass(std::chrono::seconds(3));
  auto heard = bob.heard();
  REQUIRE(heard.size() == events);
  size_t wrong = 0;
  for (size_t i = 0; i < events; ++i)
    wrong += heard[i] == "lobby#" + std::to_string(i + 3) + " ada: x" ? 0 : 1;
  CHECK(wrong == 0);
  CHECK(s.figures.pulls.get() > 0);
  CHECK(s.figures.losses.get() > 0);
}
