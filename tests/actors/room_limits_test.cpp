// What a room allows where it is less than the node does.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

struct lobby : scene {
  lobby() : ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.heard(), bob.heard();
  }
  void limit(storage::room_limits to) {
    op::configure x;
    x.room = room("lobby");
    x.limits = to;
    ada.ask(ada.last_id() + 1, x).heard();
    bob.heard();
  }
  person ada, bob;
};

} // namespace

TEST_CASE("a room has no more members than it allows", "[room_limits]") {
  lobby s;
  s.limit({2, 0, 0});
  auto cid = s.enter("cid");
  cid.hello().heard();
  cid.join("lobby");
  CHECK(cid.heard() == lines{"2 too_large"});
  s.ada.ask(90, op::moderate{s.room("lobby"), op::moderate::act::invite, user_id::trusted("cid"), 0, {}, {}});
  CHECK(s.ada.heard() == lines{"90 too_large"});
  s.limit({3, 0, 0});
  cid.join("lobby");
  CHECK(cid.heard().front().starts_with("3 joined"));
}

TEST_CASE("a room takes no longer texts than it allows, sent, edited, kept for later or in passing", "[room_limits]") {
  lobby s;
  s.bob.say("lobby", "12345678").heard();
  s.limit({0, 5, 0});
  s.bob.say("lobby", "123456").say("lobby", "12345");
  CHECK(s.bob.heard() == lines{"4 too_large", "5 sent lobby#5", "lobby#5 bob: 12345"});
  s.bob.ask(10, op::edit{s.room("lobby"), 3, "e", "123456", {}});
  s.bob.ask(11, op::send{s.room("lobby"), {}, "later", "123456", {}, 0, false, s.clock + 60'000});
  s.bob.ask(12, op::send{s.room("lobby"), {}, "", "123456", {}, 0, true});
  s.bob.ask(13, op::send{s.room("lobby"), {}, "reply", "123456", {}, 3});
  CHECK(s.bob.heard() == lines{"10 too_large", "11 too_large", "12 too_large", "13 too_large"});
  // What was sent before is answered as it was.
  s.bob.say("lobby", "12345678", "bob1");
  CHECK(s.bob.heard() == lines{"14 sent lobby#3 duplicate"});
}

TEST_CASE("all members of a room together send no more often than it allows, also after a restart", "[room_limits]") {
  lobby s;
  s.limit({0, 0, 2});
  SECTION("restarted") {
    s.ada.hang_up(), s.bob.hang_up();
    s.restart();
    s.ada = s.enter("ada"), s.bob = s.enter("bob", 1);
    s.ada.hello().heard(), s.bob.hello().heard();
  }
  SECTION("at once") {}
  s.ada.heard(), s.bob.heard();
  auto refused = [](person& p) {
    for (const auto& f : p.heard())
      if (f.ends_with("rate_limited"))
        return true;
    return false;
  };
  s.ada.say("lobby", "one", "k1");
  s.bob.say("lobby", "two", "k2");
  CHECK_FALSE(refused(s.bob));
  s.ada.heard();
  s.ada.say("lobby", "three", "k3");
  CHECK(refused(s.ada));
  s.pass(1s);
  s.ada.say("lobby", "three", "k3");
  CHECK_FALSE(refused(s.ada));
}
