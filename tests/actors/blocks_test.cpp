// Blocks, invitations and who owns a room when its last owner leaves.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using act = op::moderate::act;

namespace {

user_id of(const char* name) { return user_id::trusted(name); }
op::block block(const char* name, bool on = true) { return {of(name), on}; }
op::moderate moderate(const scene& s, act what, const char* user,
                      storage::member_role role = storage::member_role::none) {
  return {s.room("lobby"), what, of(user), 0, role, {}};
}
op::members members(const room_id& room) {
  op::members x;
  x.room = room;
  return x;
}
errc refused(const answer& a) {
  REQUIRE_FALSE(a.has_value());
  return a.error().code;
}
op::send say(const char* to, std::string key, int64_t at = 0) {
  op::send x;
  x.to = of(to);
  x.key = std::move(key);
  x.text = "psst";
  x.at = at;
  return x;
}
bool has(const lines& heard, const std::string& line) {
  return std::find(heard.begin(), heard.end(), line) != heard.end();
}
std::vector<std::string> blocked_by(scene& s, const char* name) {
  auto a = s.perform(name, op::any{op::blocks{}});
  REQUIRE(a.has_value());
  std::vector<std::string> names;
  for (const auto& [user, since] : std::get<ok::blocks>(*a).list)
    names.push_back(user.str());
  return names;
}

} // namespace

TEST_CASE("nothing is said in a direct room while one of the two has blocked the other", "[blocks]") {
  scene s;
  const bool spoke_before = GENERATE(true, false);
  if (spoke_before)
    REQUIRE(s.perform("bob", op::any{say("ada", "before")}).has_value());
  REQUIRE(s.perform("ada", op::any{block("bob")}).has_value());
  SECTION("at once") {}
  SECTION("after a restart") { s.restart(); }
  SECTION("when both the user and the room have left memory") { s.pass(130s); }
  CHECK(refused(s.perform("bob", op::any{say("ada", "x")})) == errc::forbidden);
  CHECK(refused(s.perform("ada", op::any{say("bob", "x")})) == errc::forbidden);
  op::send passing = say("ada", "");
  passing.ephemeral = true;
  CHECK(refused(s.perform("bob", op::any{passing})) == errc::forbidden);
  CHECK(s.perform("bob", op::any{say("eve", "x")}).has_value());
  if (spoke_before) {
    const auto room = s.room("@ada+bob");
    CHECK(refused(s.perform("bob", op::any{op::edit{room, 1, "e", "new", {}}})) == errc::forbidden);
    CHECK(refused(s.perform("bob", op::any{op::react{room, 1, "r", "+1", true}})) == errc::forbidden);
    op::history look;
    look.room = room;
    CHECK(s.perform("bob", op::any{look}).has_value());
    auto again = s.perform("bob", op::any{say("ada", "before")}); // the answer that it got
    REQUIRE(again.has_value());
    CHECK(std::get<ok::sent>(*again).duplicate);
    CHECK(s.perform("bob", op::any{op::revoke{room, 1, "v"}}).has_value());
  }
  // Who is blocked as well takes back his own block only.
  REQUIRE(s.perform("bob", op::any{block("ada")}).has_value());
  REQUIRE(s.perform("bob", op::any{block("ada", false)}).has_value());
  CHECK(refused(s.perform("bob", op::any{say("ada", "y")})) == errc::forbidden);
  REQUIRE(s.perform("ada", op::any{block("bob", false)}).has_value());
  CHECK(s.perform("bob", op::any{say("ada", "y")}).has_value());
  CHECK(s.perform("ada", op::any{say("bob", "y")}).has_value());
}

TEST_CASE("blocks are listed page by page, bounded, and made once", "[blocks]") {
  scene s{[](settings& c) { c.limits.blocks = 3; }};
  for (const auto* name : {"dan", "bob", "cy", "bob"})
    REQUIRE(s.perform("ada", op::any{block(name)}).has_value());
  CHECK(refused(s.perform("ada", op::any{block("eve")})) == errc::too_large);
  CHECK(refused(s.perform("ada", op::any{block("ada")})) == errc::bad_request);
  REQUIRE(s.perform("ada", op::any{block("eve", false)}).has_value());
  CHECK(blocked_by(s, "ada") == lines{"bob", "cy", "dan"});
  auto ada = s.enter("ada");
  ada.hello().ask(2, op::blocks{"", 2}).ask(3, op::blocks{"cy", 2}).ask(4, op::blocks{"dan", 2});
  auto heard = ada.heard();
  CHECK(lines(heard.end() - 3, heard.end()) == lines{"2 blocks bob cy next=cy", "3 blocks dan", "4 blocks"});
  REQUIRE(s.perform("ada", op::any{block("cy", false)}).has_value());
  CHECK(s.perform("ada", op::any{block("eve")}).has_value());
  CHECK(s.perform("bob", op::any{op::blocks{}}).has_value());
  CHECK(blocked_by(s, "bob").empty());
  ada.hang_up();
  s.restart();
  CHECK(blocked_by(s, "ada") == lines{"bob", "dan", "eve"});
}

TEST_CASE("a send that comes due while its author is blocked is not made", "[blocks]") {
  scene s;
  REQUIRE(s.perform("bob", op::any{say("ada", "later", s.clock + 10'000)}).has_value());
  REQUIRE(s.perform("ada", op::any{block("bob")}).has_value());
  s.pass(15s);
  auto page = s.store->events_after(s.room("@ada+bob"), 0, 10, 1 << 20).value();
  CHECK(page.events.empty());
  REQUIRE(s.perform("ada", op::any{block("bob", false)}).has_value());
  CHECK(refused(s.perform("bob", op::any{say("ada", "later", s.clock + 10'000)})) == errc::conflict);
}

TEST_CASE("typing, read positions and who is there do not cross a block", "[blocks]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello(), bob.hello();
  const auto room = s.room("@ada+bob");
  bob.say("to:ada", "hi");
  bob.ask(10, op::typing{room, true});
  CHECK(has(ada.heard(), "@ada+bob bob types"));
  ada.ask(10, members(room));
  CHECK(has(ada.heard(), "10 members ada* bob*"));
  ada.ask(11, block("bob"));
  auto heard = ada.heard();
  std::sort(heard.begin(), heard.end());
  CHECK(heard == lines{"11 ok", "@ada+bob bob rests"});
  bob.heard();
  bob.ask(11, op::typing{room, true}).ask(12, op::read{room, 1}).ask(13, members(room));
  CHECK(bob.heard() == lines{"11 forbidden", "12 read 1", "13 members ada bob*"});
  ada.ask(12, members(room)).ask(13, op::read{room, 1});
  CHECK(ada.heard() == lines{"12 members ada* bob", "13 read 1"});
  CHECK(bob.heard().empty());
  bob.ask(14, op::subscribe{room, {}});
  CHECK(has(bob.heard(), "14 joined #1 1/2"));
}

TEST_CASE("who is blocked can't invite, and a list that is full takes no further room", "[blocks]") {
  scene s{[](settings& c) { c.limits.rooms_per_user = 2; }};
  auto bob = s.enter("bob");
  bob.hello().create("lobby");
  bob.heard();
  REQUIRE(s.perform("ada", op::any{block("bob")}).has_value());
  bob.ask(10, moderate(s, act::invite, "ada"));
  CHECK(bob.heard() == lines{"10 forbidden"});
  CHECK(s.perform("bob", op::any{members(s.room("lobby"))}).has_value());
  REQUIRE(s.perform("ada", op::any{block("bob", false)}).has_value());
  bob.ask(11, moderate(s, act::invite, "ada"));
  CHECK(has(bob.heard(), "11 changed #2"));
  // Blocked after having come in, ada is in the room all the same, and an invitation again is none.
  REQUIRE(s.perform("ada", op::any{block("bob")}).has_value());
  bob.ask(12, moderate(s, act::invite, "ada"));
  CHECK(bob.heard() == lines{"12 changed #2"});
  for (const auto* room : {"one", "two"})
    REQUIRE(s.perform("eve", op::any{op::create{s.room(room), storage::room_kind::public_, {}, 0}}).has_value());
  bob.ask(13, moderate(s, act::invite, "eve"));
  CHECK(bob.heard() == lines{"13 too_large"});
  REQUIRE(s.perform("eve", op::any{op::leave{s.room("two")}}).has_value());
  bob.ask(14, moderate(s, act::invite, "eve"));
  CHECK(has(bob.heard(), "14 changed #3"));
}

TEST_CASE("what follows an invitation on the same connection takes effect behind it", "[blocks]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.heard(), bob.heard();
  ada.ask_later(10, moderate(s, act::invite, "eve"));
  ada.ask_later(11, moderate(s, act::role, "eve", storage::member_role::moderator));
  ada.ask_later(12, moderate(s, act::invite, "zoe"));
  ada.say_later("lobby", "welcome");
  bob.say_later("lobby", "hi");
  s.run();
  auto heard = ada.heard();
  lines events;
  std::copy_if(heard.begin(), heard.end(), std::back_inserter(events),
               [](const auto& line) { return line.starts_with("lobby#") && !line.ends_with("bob: hi"); });
  REQUIRE(events.size() == 4);
  CHECK(events[0].ends_with("eve invited"));
  CHECK(events[1].ends_with("eve role"));
  CHECK(events[2].ends_with("zoe invited"));
  CHECK(events[3].ends_with("ada: welcome"));
  CHECK(bob.heard().size() == 6); // its own answer, and five events
}

TEST_CASE("a block that was answered holds, and one that is listed holds in the end, wherever the disk fails",
          "[blocks]") {
  for (uint64_t at = 1;; ++at) {
    scene s;
    REQUIRE(s.perform("bob", op::any{say("ada", "before")}).has_value());
    s.pass(3s);
    s.disk.fail_at(at, fault::io_error);
    bool answered = s.perform("ada", op::any{block("bob")}).has_value();
    const bool failed = s.disk.failed();
    s.disk.heal();
    s.pass(1s);
    const auto later = s.perform("bob", op::any{say("ada", "x")});
    INFO("at " << at);
    if (answered)
      CHECK(refused(later) == errc::forbidden);
    s.pass(30s);
    if (!blocked_by(s, "ada").empty())
      CHECK(refused(s.perform("bob", op::any{say("ada", "y")})) == errc::forbidden);
    s.restart();
    s.pass(15s);
    const bool listed = !blocked_by(s, "ada").empty();
    if (answered)
      CHECK(listed);
    CHECK(s.perform("bob", op::any{say("ada", "z")}).has_value() != listed);
    CHECK(s.store->due(of("ada").shard(), 10).value().empty()); // nothing is left to do
    if (!failed)
      return;
  }
}

TEST_CASE("when the last owner leaves, somebody else owns the room", "[blocks]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  auto role_of = [&](const char* name) {
    auto image = s.store->load_room(s.room("lobby"), 0, 0).value();
    for (const auto& [user, seat] : image->members)
      if (user == of(name))
        return seat.role;
    return storage::member_role::none;
  };
  using enum storage::member_role;
  for (const auto* name : {"bob", "cy", "dan"})
    REQUIRE(s.perform(name, op::any{op::join{s.room("lobby"), {}}}).has_value());
  ada.heard();
  SECTION("the eldest moderator") {
    ada.ask(10, moderate(s, act::role, "dan", moderator)).ask(11, moderate(s, act::role, "cy", moderator));
    ada.heard();
    ada.ask(12, op::leave{s.room("lobby")});
    auto heard = ada.heard();
    std::sort(heard.begin(), heard.end());
    CHECK(heard == lines{"12 left #8", "lobby#7 cy role", "lobby#8 ada left"});
    CHECK(role_of("cy") == owner);
    CHECK(role_of("dan") == moderator);
  }
  SECTION("else the eldest member") {
    ada.ask(10, moderate(s, act::role, "bob", guest));
    ada.ask(12, op::leave{s.room("lobby")});
    CHECK(role_of("cy") == owner);
  }
  SECTION("else the eldest guest") {
    for (const auto* name : {"bob", "cy", "dan"})
      ada.ask(ada.last_id() + 1, moderate(s, act::role, name, guest));
    ada.ask(20, op::leave{s.room("lobby")});
    CHECK(role_of("bob") == owner);
  }
  SECTION("not while there is another owner") {
    ada.ask(10, moderate(s, act::role, "dan", owner));
    ada.ask(12, op::leave{s.room("lobby")});
    CHECK(role_of("dan") == owner);
    CHECK(role_of("bob") == member);
  }
  CHECK(role_of("ada") == none);
  ada.hang_up();
  s.restart();
  CHECK(role_of("ada") == none);
}
