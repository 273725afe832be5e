// The relay's promises: order and exactness around an admission, one encoding a room and burst, figures of who is here.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

TEST_CASE("a hot room's events are gathered, keep their order, and a newcomer gets none from before", "[relay]") {
  scene s{[](settings& c) { c.rooms.gather_ms = 60'000; }}; // so long that only a flush or the clock ends it
  auto ada = s.enter("ada"), bob = s.enter("bob", 1), eve = s.enter("eve", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  eve.hello();
  ada.say("lobby", "one"); // the first goes at once or waits with the others: the order is what counts
  ada.say("lobby", "two").say("lobby", "three");
  bob.heard(), eve.heard();
  eve.ask(2, op::subscribe{s.room("lobby"), {}});
  CHECK(eve.heard() == lines{"2 joined #5 2/2"}); // what waited was sent before, to those who listened before
  s.pass(61s);
  ada.say("lobby", "four");
  s.pass(61s);
  CHECK(eve.heard() == lines{"lobby#6 ada: four"});
}

TEST_CASE("online counts members who listen, each once", "[relay]") {
  scene s;
  auto ada = s.enter("ada"), phone = s.enter("bob"), laptop = s.enter("bob", 1), eve = s.enter("eve");
  ada.hello().create("lobby");
  phone.hello().join("lobby");
  laptop.hello();
  eve.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  CHECK(eve.heard().back() == "2 joined #2 2/2"); // eve listens, but is no member
  eve.ask(3, op::members{s.room("lobby"), {}, 10});
  CHECK(eve.heard().back() == "3 members ada* bob*");
  phone.hang_up();
  eve.ask(4, op::members{s.room("lobby"), {}, 10});
  CHECK(eve.heard().back() == "4 members ada* bob*"); // the laptop is still there
  laptop.hang_up();
  eve.ask(5, op::members{s.room("lobby"), {}, 1}).ask(6, op::members{s.room("lobby"), "ada", 1});
  CHECK(eve.heard() == lines{"5 members ada* next=ada", "6 members bob"});
  eve.join("lobby");
  // Ada and eve; she listened already, so her own event comes as any other.
  CHECK(eve.heard() == lines{"lobby#3 eve joined", "7 joined #3 2/3"});
}

TEST_CASE("every lane with listeners gets an event once, and none without", "[relay]") {
  scene s;
  auto a = s.enter("ada"), b = s.enter("bob", 1);
  a.hello().create("lobby");
  b.hello().join("lobby");
  b.hang_up();
  a.heard();
  a.say("lobby", "hi");
  CHECK(a.heard() == lines{"3 sent lobby#3", "lobby#3 ada: hi"});
  CHECK(s.home->living.count(actor_kind::relay) == 1);
}
