// The pre-send hook: what is asked, what its answer does, and that nothing loses its place meanwhile.
#include "tests/actors/scene.hpp"

#include <chrono>

namespace greenroom::testing {
namespace {

using namespace std::chrono_literals;
using strings = std::vector<std::string>;

hooks::hook_set filter(const std::function<void(settings::presend_settings&)>& adjust = {}) {
  hooks::presend p;
  p.what.url = "http://127.0.0.1/filter";
  if (adjust)
    adjust(p.what);
  p.secrets = {"0123456789abcdef"};
  return {{}, std::make_shared<const hooks::presend>(std::move(p))};
}

/// bob's room, with alice in it, and what they have heard so far forgotten.
struct talk {
  explicit talk(hooks::hook_set set = filter()) : bob(s.enter("bob")), alice(s.enter("alice")) {
    bob.hello().create("lobby");
    alice.hello().join("lobby");
    bob.heard();
    alice.heard();
    s.use_hooks(std::move(set));
  }
  scene s;
  person bob, alice;
};

} // namespace

TEST_CASE("a message waits for the pre-send hook", "[presend]") {
  talk t;
  t.bob.say("lobby", "hi");
  CHECK(t.bob.heard().empty());
  CHECK(t.s.web.open() == strings{"lobby bob: hi"});
  t.s.web_says(200, "allow");
  CHECK(t.bob.heard() == strings{"3 sent lobby#3", "lobby#3 bob: hi"});
  CHECK(t.alice.heard() == strings{"lobby#3 bob: hi"});
}

TEST_CASE("the hook refuses a message, and says why", "[presend]") {
  talk t;
  t.bob.say("lobby", "damn");
  t.s.web_says(200, "reject watch your mouth");
  CHECK(t.bob.heard() == strings{"3 forbidden"});
  CHECK(t.alice.heard().empty());
  CHECK(t.s.figures.presend_rejected.get() == 1);
  op::send again;
  again.room = t.s.room("lobby");
  again.key = "rest";
  again.text = "damn";
  std::optional<answer> got;
  t.s.perform_later("bob", op::any{again}, [&](answer a) { got = std::move(a); });
  t.s.run();
  t.s.web_says(200, "reject watch your mouth");
  REQUIRE(got.has_value());
  REQUIRE(got->has_error());
  CHECK(got->error().message == "presend: watch your mouth");
}

TEST_CASE("the hook replaces a message, and its repetition is still the same one", "[presend]") {
  talk t;
  t.bob.say("lobby", "damn", "k");
  t.s.web_says(200, "replace d***");
  CHECK(t.alice.heard() == strings{"lobby#3 bob: d***"});
  t.bob.heard();
  t.bob.say("lobby", "damn", "k");
  CHECK(t.bob.heard() == strings{"4 sent lobby#3 duplicate"});
  CHECK(t.s.web.open().empty()); // nobody is asked
}

TEST_CASE("a message that comes again while it is asked about is asked about once", "[presend]") {
  talk t;
  auto tablet = t.s.enter("bob");
  tablet.hello();
  tablet.heard();
  t.bob.say("lobby", "hi", "k");
  tablet.say("lobby", "hi", "k");
  CHECK(t.s.web.open().size() == 1);
  t.s.web_says(200, "allow");
  CHECK(t.bob.heard() == strings{"3 sent lobby#3", "lobby#3 bob: hi"});
  CHECK(tablet.heard() == strings{"2 sent lobby#3 duplicate", "lobby#3 bob: hi"});
}

TEST_CASE("what a connection asks for behind its message waits, others go on", "[presend]") {
  talk t;
  t.bob.say("lobby", "first").say("lobby", "second");
  t.bob.ask(90, op::leave{t.s.room("lobby")});
  t.alice.ask(91, op::typing{t.s.room("lobby"), true});
  CHECK(t.alice.heard().front() == "91 ok"); // not held up
  CHECK(t.s.web.open() == strings{"lobby bob: first"});
  t.s.web_says(200, "allow");
  CHECK(t.s.web.open() == strings{"lobby bob: second"});
  t.s.web_says(200, "reject no");
  CHECK(t.alice.heard() == strings{"lobby#3 bob: first", "lobby#4 alice role", "lobby#5 bob left"}); // the last owner
}

TEST_CASE("without an answer a message is refused or taken, by configuration", "[presend]") {
  const bool open = GENERATE(false, true);
  talk t(filter([&](auto& p) { p.on_failure = open ? "open" : "closed"; }));
  t.bob.say("lobby", "hi");
  t.s.web_says(500);
  CHECK(t.alice.heard() == (open ? strings{"lobby#3 bob: hi"} : strings{}));
  CHECK(t.bob.heard() == (open ? strings{"3 sent lobby#3", "lobby#3 bob: hi"} : strings{"3 unavailable"}));
  CHECK(t.s.figures.presend_failed.get() == 1);
}

TEST_CASE("no more messages wait than may", "[presend]") {
  talk t(filter([](auto& p) {
    p.waiting = 1;
    p.on_failure = "open";
  }));
  t.bob.say("lobby", "hi");
  t.alice.say("lobby", "ho");
  CHECK(t.alice.heard() == strings{"3 unavailable"});
  CHECK(t.s.web.open().size() == 1);
  CHECK(t.s.figures.presend_refused.get() == 1);
}

TEST_CASE("who may not speak is not asked about, and who may not any more is refused after all", "[presend]") {
  talk t;
  auto eve = t.s.enter("eve");
  eve.hello().say("lobby", "spam");
  CHECK(t.s.web.open().empty());
  t.alice.say("lobby", "hi");
  t.bob.ask(92, op::moderate{t.s.room("lobby"), op::moderate::act::kick, user_id::trusted("alice"), 0, {}, {}});
  t.alice.heard();
  t.s.web_says(200, "allow");
  CHECK(t.alice.heard() == strings{"3 not_member"});
}

TEST_CASE("edits and passing words are asked about, too", "[presend]") {
  talk t;
  t.bob.say("lobby", "hi");
  t.s.web_says(200, "allow");
  t.alice.heard();
  t.bob.ask(93, op::edit{t.s.room("lobby"), 3, "e", "damn", {}});
  CHECK(t.s.web.open() == strings{"lobby edits bob: damn"});
  t.s.web_says(200, "replace d***");
  CHECK(t.alice.heard() == strings{"lobby#4 bob edits #3: d***"});
  op::send passing;
  passing.room = t.s.room("lobby");
  passing.text = "psst";
  passing.ephemeral = true;
  t.bob.ask(94, passing);
  CHECK(t.s.web.open() == strings{"lobby in passing bob: psst"});
  t.s.web_says(200, "allow");
  CHECK(t.alice.heard() == strings{"lobby bob in passing: psst"});
}

TEST_CASE("a reply is asked about, and answered in its thread", "[presend]") {
  talk t;
  t.bob.say("lobby", "hi");
  t.s.web_says(200, "allow");
  op::send reply;
  reply.room = t.s.room("lobby");
  reply.key = "r";
  reply.text = "ho";
  reply.reply_to = 3;
  t.alice.ask(95, reply);
  t.s.web_says(200, "replace HO");
  t.alice.heard();
  t.alice.ask(96, op::thread{t.s.room("lobby"), 3});
  CHECK(t.alice.heard() == strings{"96 thread 4 read 0"});
}

TEST_CASE("what was scheduled is asked about when it is due", "[presend]") {
  talk t;
  op::send later;
  later.room = t.s.room("lobby");
  later.key = "a";
  later.text = "good";
  later.at = t.s.clock + 10'000;
  t.bob.ask(97, later);
  later.key = "b";
  later.text = "bad";
  t.bob.ask(98, later);
  CHECK(t.s.web.open().empty());
  t.s.pass(11s);
  REQUIRE(t.s.web.open().size() == 2);
  t.alice.heard();
  t.s.pass(20s);
  CHECK(t.s.web.open().size() == 2); // asked again by the shard, not of the hook
  for (int i = 0; i < 2; ++i) {
    const bool good = t.s.web.open().front() == "lobby bob: good (scheduled)";
    t.s.web_says(good ? 500 : 200, good ? "" : "reject no");
  }
  CHECK(t.alice.heard().empty());
  t.s.pass(10s); // nobody had answered: it is asked again
  CHECK(t.s.web.open() == strings{"lobby bob: good (scheduled)"});
  t.s.web_says(200, "replace better");
  CHECK(t.alice.heard() == strings{"lobby#3 bob: better"});
  t.s.pass(10s);
  CHECK(t.s.web.open().empty());
}

TEST_CASE("the hook is told what is attached, now and when it was scheduled", "[presend]") {
  talk t;
  const auto room = t.s.room("lobby");
  const auto upload = [&](const char* name) {
    auto begun = t.s.perform("bob", op::any{op::upload{room, {}, name, "image/png", 3, {}}});
    REQUIRE(begun.has_value());
    const auto id = std::get<ok::file>(*begun).id;
    const auto bytes = std::make_shared<const std::string>("cat");
    REQUIRE(t.s.perform("bob", op::any{op::store{room, id, 0, bytes}}).has_value());
    return id;
  };
  op::send x;
  x.room = room;
  x.key = "now";
  x.text = "look";
  x.attachments = {upload("cat.png")};
  t.bob.ask(90, x);
  CHECK(t.s.web.open() == strings{"lobby bob: look [cat.png 3]"});
  t.s.web_says(200, "allow");
  CHECK(t.alice.heard() == strings{"lobby#3 bob: look"});
  SECTION("in a thread") {
    x.key = "reply";
    x.reply_to = 3;
    x.attachments = {upload("dog.png")};
    t.bob.ask(91, x);
    CHECK(t.s.web.open() == strings{"lobby bob: look [dog.png 3]"});
  }
  SECTION("later") {
    x.key = "later";
    x.at = t.s.clock + 10'000;
    x.attachments = {upload("dog.png")};
    t.bob.ask(91, x);
    CHECK(t.s.web.open().empty());
    t.s.pass(12s);
    CHECK(t.s.web.open() == strings{"lobby bob: look [dog.png 3] (scheduled)"});
  }
  t.s.web_says(200, "allow");
  const auto last = t.s.store->events_after(room, 3, 10, 1 << 20).value().events;
  REQUIRE(last.size() == 1);
  REQUIRE(last[0].more->attachments.size() == 1);
  CHECK(last[0].more->attachments[0].name == "dog.png");
}

TEST_CASE("rooms that the pre-send hook does not mean are not asked about", "[presend]") {
  talk t(filter([](auto& p) { p.rooms = {"*", "!lobby"}; }));
  t.bob.say("lobby", "hi");
  CHECK(t.s.web.open().empty());
  CHECK(t.bob.heard() == strings{"3 sent lobby#3", "lobby#3 bob: hi"});
}

TEST_CASE("a node that stops keeps nobody waiting for the hook", "[presend]") {
  talk t;
  t.bob.say("lobby", "hi");
  t.bob.heard();
  t.bob.hang_up();
  t.alice.hang_up();
  t.s.restart();
}

} // namespace greenroom::testing
