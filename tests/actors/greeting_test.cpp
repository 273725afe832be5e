// Which rooms a connection listens to: chosen at hello from many, and where its own beginning meets the client's.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

TEST_CASE("more rooms than subscriptions: the most recently active are taken", "[connection]") {
  scene s{[](settings& c) {
    c.limits.subscriptions = 2;
    c.limits.hello_rooms = 2;
  }};
  s.perform("ada", op::any{op::create{s.room("a"), storage::room_kind::public_, {}, 0}});
  s.clock += 1'000;
  s.perform("ada", op::any{op::create{s.room("b"), storage::room_kind::public_, {}, 0}});
  s.clock += 1'000;
  s.perform("ada", op::any{op::create{s.room("c"), storage::room_kind::public_, {}, 0}});
  s.clock += 1'000;
  s.perform("ada", op::any{op::send{s.room("a"), {}, "k", "hi", {}, 0}});
  s.pass(std::chrono::seconds(12)); // then the inbox has been told, and it is written
  s.restart();
  auto ada = s.enter("ada");
  ada.hello();
  CHECK(ada.heard() == lines{"1 hello ada a#2 c#1 more"});
  CHECK(s.figures.rooms_activated.get() == 3 + 2); // nobody woke the third
  ada.ask(2, op::subscribe{s.room("b"), {}});
  CHECK(ada.heard() == lines{"2 too_large"});
}

TEST_CASE("a room that is closed while a stranger becomes a member is heard once", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  bob.heard();
  op::moderate invite;
  invite.room = s.room("lobby");
  invite.user = user_id::trusted("bob");
  op::configure close;
  close.room = s.room("lobby");
  close.kind = storage::room_kind::private_;
  s.stuck_lane = 1; // the answer to what it asks because of the invitation is older than the end of the public stream
  ada.ask(10, invite).ask(11, close);
  s.stuck_lane = std::nullopt;
  s.run();
  ada.say("lobby", "hi");
  CHECK(bob.heard() == lines{"lobby#2 bob invited", "lobby#3 ada calls it ", "lobby#4 ada: hi"});
}

TEST_CASE("who subscribes while the connection begins to listen by itself gets nothing twice", "[connection]") {
  scene s;
  auto ada = s.enter("ada"), phone = s.enter("bob"), laptop = s.enter("bob", 1);
  ada.hello().create("lobby");
  phone.hello(), laptop.hello();
  laptop.heard();
  s.stuck_lane = 1; // the laptop is told of the new room, and then asks for it before it has an answer
  phone.join("lobby");
  laptop.ask_later(2, op::subscribe{s.room("lobby"), {}});
  s.stuck_lane = std::nullopt;
  s.run();
  CHECK(laptop.heard() == lines{"2 joined #2 2/2"});
  ada.say("lobby", "hi");
  CHECK(laptop.heard() == lines{"lobby#3 ada: hi"});
}
