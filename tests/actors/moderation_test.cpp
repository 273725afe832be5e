// What is done to members and to the room by those who may: what is answered, who hears it, what holds afterwards.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using act = op::moderate::act;
using lines = std::vector<std::string>;
using storage::member_role;
using storage::room_kind;

namespace {

op::moderate doing(const scene& s, act what, const char* whom, int64_t until = 0,
                   member_role role = member_role::none) {
  return {s.room("lobby"), what, user_id::trusted(whom), until, role, {}};
}

/// ada made the lobby, bob joined it.
struct lobby : scene {
  lobby() : ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.heard(), bob.heard();
  }
  person ada, bob;
};

} // namespace

TEST_CASE("who is kicked gets that last, and is on nobody's list any more", "[moderation]") {
  lobby s;
  auto phone = s.enter("bob");
  phone.hello();
  phone.heard();
  s.ada.ask(10, doing(s, act::kick, "bob")).say("lobby", "gone?");
  CHECK(s.bob.heard() == lines{"lobby#3 bob kicked"});
  CHECK(phone.heard() == lines{"lobby#3 bob kicked"});
  CHECK(s.ada.heard() == lines{"10 changed #3", "lobby#3 bob kicked", "11 sent lobby#4", "lobby#4 ada: gone?"});
  s.bob.ask(20, op::rooms{});
  CHECK(s.bob.heard() == lines{"20 rooms"});
  s.ada.ask(12, doing(s, act::kick, "bob")).ask(13, doing(s, act::kick, "eve"));
  CHECK(s.ada.heard() == lines{"12 changed #3", "13 not_found"});
  s.bob.join("lobby");
  CHECK(s.bob.heard().front().starts_with("21 joined #5"));
}

TEST_CASE("a ban holds on resume, after a restart, and until its time", "[moderation]") {
  lobby s;
  auto epoch = s.epoch_of("lobby");
  s.ada.ask(10, doing(s, act::ban, "bob", s.clock + 60'000)).ask(11, doing(s, act::ban, "eve"));
  s.bob.hang_up();
  s.ada.hang_up();
  s.restart();
  auto bob = s.enter("bob"), eve = s.enter("eve");
  op::hello hello;
  hello.resume = {{s.room("lobby"), position{epoch, 2}}};
  bob.hello({}, hello);
  CHECK(bob.heard() == lines{"1 hello bob lobby=banned"});
  bob.join("lobby").say("lobby", "hi").ask(9, op::history{s.room("lobby")});
  CHECK(bob.heard() == lines{"2 banned", "3 banned", "9 banned"});
  eve.hello().join("lobby");
  s.pass(std::chrono::seconds(61));
  bob.join("lobby");
  eve.join("lobby");
  CHECK(bob.heard().front().starts_with("10 joined"));
  CHECK(eve.heard().back() == "3 banned");
}

TEST_CASE("what was sent before a ban is answered again under its key", "[moderation]") {
  lobby s;
  s.bob.say("lobby", "hi", "k");
  s.ada.ask(10, doing(s, act::ban, "bob"));
  s.bob.heard();
  s.bob.say("lobby", "hi", "k").say("lobby", "ho", "k2");
  CHECK(s.bob.heard() == lines{"4 sent lobby#3 duplicate", "5 banned"});
}

TEST_CASE("what could not be stored was done to nobody", "[moderation]") {
  lobby s;
  s.disk.fail_at(1, fault::no_space);
  s.ada.ask(10, doing(s, act::kick, "bob"));
  CHECK(s.ada.heard() == lines{"10 unavailable"});
  s.disk.heal();
  s.pass(std::chrono::seconds(2));
  s.bob.say("lobby", "still here");
  CHECK(s.bob.heard() == lines{"3 sent lobby#3", "lobby#3 bob: still here"});
}

TEST_CASE("a new role takes effect with its answer, and nobody is told of a new room", "[moderation]") {
  lobby s;
  s.bob.ask(10, op::unsubscribe{s.room("lobby")});
  s.ada.ask(10, doing(s, act::role, "bob", 0, member_role::moderator));
  CHECK(s.ada.heard() == lines{"10 changed #3", "lobby#3 bob role"});
  s.ada.say("lobby", "hear?");
  CHECK(s.bob.heard() == lines{"10 ok"}); // it did not want to listen, and a role does not change that
  s.bob.ask(11, doing(s, act::invite, "eve"));
  CHECK(s.bob.heard() == lines{"11 changed #5"});
  s.ada.ask(12, doing(s, act::role, "ada", 0, member_role::guest));
  CHECK(s.ada.heard().back() == "12 conflict");
}

TEST_CASE("who listened and is invited is online at once, and hears everything once", "[moderation]") {
  lobby s;
  auto eve = s.enter("eve");
  eve.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  s.ada.ask(10, doing(s, act::invite, "eve")).say("lobby", "welcome");
  s.ada.heard();
  s.ada.ask(20, op::members{s.room("lobby"), {}, 100, false});
  CHECK(s.ada.heard() == lines{"20 members ada* bob* eve*"});
  CHECK(eve.heard() == lines{"1 hello eve", "2 joined #2 2/2", "lobby#3 eve invited", "lobby#4 ada: welcome"});
}

TEST_CASE("a mute is left with by nobody", "[moderation]") {
  lobby s;
  s.ada.ask(10, doing(s, act::mute, "bob"));
  s.bob.ask(10, op::leave{s.room("lobby")}).join("lobby").say("lobby", "ha");
  CHECK(s.bob.heard().back() == "12 muted");
  s.ada.ask(11, doing(s, act::unmute, "bob"));
  s.bob.heard();
  s.bob.say("lobby", "thanks");
  CHECK(s.bob.heard().front() == "13 sent lobby#7");
}

TEST_CASE("commands of one connection take effect in their order, whatever they are", "[moderation]") {
  lobby s;
  s.ada.ask_later(10, doing(s, act::mute, "bob")).ask_later(11, doing(s, act::unmute, "bob"));
  s.ada.ask_later(12, op::topic{s.room("lobby"), "cats"}).ask_later(13, op::topic{s.room("lobby"), "cats"});
  s.ada.ask_later(14, doing(s, act::kick, "bob")).ask_later(15, doing(s, act::kick, "bob"));
  s.ada.ask_later(16, op::configure{s.room("lobby"), {}, {}, {}, {}, {}, {}, false});
  s.run();
  auto heard = s.ada.heard();
  lines answers;
  for (const auto& line : heard)
    if (!line.starts_with("lobby"))
      answers.push_back(line);
  std::sort(answers.begin(), answers.end());
  CHECK(answers == lines{"10 changed #3", "11 changed #4", "12 changed #5", "13 changed #5", "14 changed #6",
                         "15 changed #6", "16 room  #6"});
}

TEST_CASE("what is done again while it is on its way is answered when it is done, and does not undo what came between",
          "[moderation]") {
  lobby s;
  s.ada.say("lobby", "one");
  s.ada.heard(), s.bob.heard();
  auto topic = [&](const char* title) { return op::topic{s.room("lobby"), title}; };
  s.ada.ask_later(20, topic("cats")).ask_later(21, topic("cats")).ask_later(22, topic("dogs"));
  s.ada.ask_later(23, op::pin{s.room("lobby"), 3, true}).ask_later(24, op::pin{s.room("lobby"), 3, true});
  s.bob.ask_later(20, op::edit{s.room("lobby"), 3, "e", "not mine", {}});
  s.ada.ask_later(25, op::pin{s.room("lobby"), 3, true}).ask_later(26, op::pin{s.room("lobby"), 3, false});
  s.run();
  lines answers;
  for (const auto& line : s.ada.heard())
    if (!line.starts_with("lobby"))
      answers.push_back(line);
  std::sort(answers.begin(), answers.end());
  CHECK(answers == lines{"20 changed #4", "21 changed #4", "22 changed #5", "23 changed #6", "24 changed #6",
                         "25 changed #6", "26 changed #7"});
  auto heard = s.bob.heard();
  CHECK(std::count(heard.begin(), heard.end(), "20 forbidden") == 1);
  CHECK(heard.back() == "lobby#7 ada unpinned #3");
}

TEST_CASE("who was removed and is in again goes on listening, however late the removal is heard", "[moderation]") {
  lobby s;
  auto epoch = s.epoch_of("lobby");
  s.bob.hang_up();
  s.ada.ask(10, doing(s, act::kick, "bob")).ask(11, doing(s, act::invite, "bob")).say("lobby", "welcome back");
  auto bob = s.enter("bob");
  op::hello hello;
  hello.resume = {{s.room("lobby"), position{epoch, 2}}};
  bob.hello({}, hello);
  s.ada.say("lobby", "hear me?");
  CHECK(bob.heard() == lines{"1 hello bob lobby#5 lobby=recovered", "lobby#3 bob kicked", "lobby#4 bob invited",
                             "lobby#5 ada: welcome back", "lobby#6 ada: hear me?"});
  SECTION("and who left by himself and came back as well") {
    bob.ask(10, op::leave{s.room("lobby")}).join("lobby");
    bob.heard();
    s.ada.say("lobby", "again");
    CHECK(bob.heard() == lines{"lobby#9 ada: again"});
  }
  SECTION("but not who left a room that everybody may listen to") {
    bob.ask(10, op::leave{s.room("lobby")});
    bob.heard();
    s.ada.say("lobby", "gone?");
    CHECK(bob.heard().empty());
  }
}

TEST_CASE("who was muted may still take back what he said", "[moderation]") {
  lobby s;
  s.bob.say("lobby", "oops");
  s.ada.ask(10, doing(s, act::mute, "bob"));
  s.bob.heard();
  s.bob.ask(20, op::edit{s.room("lobby"), 3, "e", "well", {}}).ask(21, op::revoke{s.room("lobby"), 3, "v"});
  CHECK(s.bob.heard() == lines{"20 muted", "21 sent lobby#5", "lobby#5 bob revokes #3"});
}

TEST_CASE("nobody is let in by a decision that was never made", "[moderation]") {
  scene s;
  auto ada = s.enter("ada"), eve = s.enter("eve");
  ada.hello().create("lobby", room_kind::private_);
  eve.hello();
  ada.heard(), eve.heard();
  s.disk.fail_at(1, fault::no_space);
  ada.ask_later(10, op::configure{s.room("lobby"), {}, room_kind::public_, {}, {}, {}, {}, false});
  eve.ask_later(10, op::subscribe{s.room("lobby"), {}});
  s.run();
  s.disk.heal();
  s.pass(std::chrono::seconds(3));
  ada.say("lobby", "among us");
  auto heard = eve.heard();
  REQUIRE(heard.size() == 1);
  CHECK((heard[0] == "10 unavailable" || heard[0] == "10 not_member"));
}

TEST_CASE("pins are of messages that are there, and bounded", "[moderation]") {
  lobby s;
  s.ada.say("lobby", "one").say("lobby", "two");
  s.ada.heard(), s.bob.heard();
  auto pin = [&](uint64_t target, bool on = true) { return op::pin{s.room("lobby"), target, on}; };
  s.ada.ask(10, pin(3)).ask(11, pin(3)).ask(12, pin(1)).ask(13, pin(9)).ask(14, pin(4, false));
  CHECK(s.ada.heard() == lines{"10 changed #5", "lobby#5 ada pinned #3", "11 changed #5", "12 bad_request",
                               "13 not_found", "14 changed #5"});
  s.bob.ask(10, pin(4));
  CHECK(s.bob.heard().back() == "10 forbidden");
  s.ada.ask(15, op::revoke{s.room("lobby"), 3, "v"}).ask(16, pin(3));
  CHECK(s.ada.heard().back() == "16 not_found");
}

TEST_CASE("who only listened hears no room that is not public any more; members go on without a gap", "[moderation]") {
  lobby s;
  auto eve = s.enter("eve");
  eve.hello().ask(2, op::subscribe{s.room("lobby"), {}});
  eve.heard();
  s.ada.ask_later(10, op::configure{s.room("lobby"), {}, room_kind::private_, {}, {}, {}, {}, false});
  s.ada.say_later("lobby", "among us");
  s.run();
  CHECK(eve.heard() == lines{"lobby#3 ada calls it "});
  CHECK(s.bob.heard() == lines{"lobby#3 ada calls it ", "lobby#4 ada: among us"});
}

TEST_CASE("mutes are listed to those who may lift them", "[moderation]") {
  lobby s;
  auto muted = [&](std::string after = {}, uint32_t limit = 10) {
    return op::members{s.room("lobby"), std::move(after), limit, false, true};
  };
  auto eve = s.enter("eve");
  eve.hello().join("lobby");
  s.ada.ask(10, doing(s, act::mute, "bob")).ask(11, doing(s, act::mute, "eve"));
  s.ada.heard(), s.bob.heard();
  s.bob.ask(20, muted());
  CHECK(s.bob.heard() == lines{"20 forbidden"});
  s.ada.ask(20, muted({}, 1)).ask(21, muted("bob"));
  CHECK(s.ada.heard() == lines{"20 members bob* muted next=bob", "21 members eve* muted"});
  s.ada.ask(22, doing(s, act::unmute, "bob"));
  s.ada.heard();
  s.ada.ask(23, muted());
  CHECK(s.ada.heard() == lines{"23 members eve* muted"});
}

TEST_CASE("pinned messages are listed by seq, each as it stands, page by page", "[moderation]") {
  lobby s;
  s.ada.say("lobby", "one").say("lobby", "two").say("lobby", "three");
  for (uint64_t target : {5, 3, 4})
    s.ada.ask(20 + target, op::pin{s.room("lobby"), target, true});
  s.ada.ask(30, op::edit{s.room("lobby"), 3, "e", "better", {}});
  s.ada.heard(), s.bob.heard();
  auto page = [&](uint64_t after, uint32_t limit) {
    auto found = s.perform("bob", op::any{op::pins{s.room("lobby"), after, limit}});
    REQUIRE(found.has_value());
    return std::get<ok::page>(*found);
  };
  const auto first = page(0, 2);
  REQUIRE(first.events.size() == 2);
  CHECK(first.events[0].seq == 3);
  REQUIRE(first.folds.size() == 1);
  CHECK(first.folds[0].text == "better");
  CHECK(first.more);
  CHECK(first.as_of == 9);
  const auto last = page(first.events[1].seq, 2);
  REQUIRE(last.events.size() == 1);
  CHECK(last.events[0].text == "three");
  CHECK_FALSE(last.more);
  SECTION("what is revoked is not pinned any more") {
    s.ada.ask(31, op::revoke{s.room("lobby"), 3, "r"});
    CHECK(page(0, 9).events.size() == 2);
  }
  SECTION("strangers are told nothing of a private room, nor of one that is not there") {
    s.ada.ask(31, op::configure{s.room("lobby"), {}, storage::room_kind::private_, {}, {}, {}, {}, false});
    CHECK(s.perform("eve", op::any{op::pins{s.room("lobby"), 0, 9}}).error().code == errc::not_member);
    CHECK(s.perform("eve", op::any{op::pins{s.room("nowhere"), 0, 9}}).error().code == errc::not_found);
    CHECK(s.perform("ada", op::any{op::pins{room_id::trusted("@ada+bob"), 0, 9}}).error().code == errc::not_found);
  }
}
