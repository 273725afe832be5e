// Webhooks: what is pushed, in which order, and what becomes of it when receivers and nodes fail.
#include "tests/actors/scene.hpp"

#include <chrono>

namespace greenroom::testing {
namespace {

using namespace std::chrono_literals;
using strings = std::vector<std::string>;

hooks::webhook_ptr hook(std::string name, const std::function<void(settings::webhook_settings&)>& adjust = {}) {
  hooks::webhook w;
  w.name = std::move(name);
  w.what.url = "http://127.0.0.1/" + w.name;
  w.what.events = {"message", "edited", "revoked", "room"};
  if (adjust)
    adjust(w.what);
  w.secrets = {"0123456789abcdef"};
  w.kinds = hooks::kinds_of(w.what.events);
  return std::make_shared<const hooks::webhook>(std::move(w));
}

/// What is posted now.
std::string posted(const scene& s) {
  std::string all;
  for (const auto& body : s.web.open())
    all += (all.empty() ? "" : " | ") + body;
  return all;
}

std::string header(const http_post& p, const std::string& name) {
  for (const auto& [n, v] : p.headers)
    if (n == name)
      return v;
  return {};
}

answer replay(scene& s, uint64_t seq, int64_t ts = 0) {
  return s.perform("root", admin::any{admin::replay{"audit", s.room("lobby"), seq, ts}}, "s_admin");
}

} // namespace

TEST_CASE("a webhook gets what it wants, in order, one delivery of a room at a time", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  CHECK(posted(s) == "audit lobby 2-2: 2=one");
  bob.say("lobby", "two").say("lobby", "three");
  CHECK(posted(s) == "audit lobby 2-2: 2=one"); // the next one when this is answered
  s.web_says(200);
  CHECK(posted(s) == "audit lobby 3-4: 3=two 4=three");
  s.web_says(204);
  CHECK(posted(s).empty());
  bob.ask(50, op::react{s.room("lobby"), 2, "r", "+1", true});
  CHECK(posted(s).empty()); // not of a kind that it wants
  bob.say("lobby", "four");
  CHECK(posted(s) == "audit lobby 5-6: 6=four");
  CHECK(header(s.web.posts.back().what, "Greenroom-Hook") == "audit");
  CHECK(header(s.web.posts.back().what, "Greenroom-Signature") ==
        "v1=" + hooks::sign("0123456789abcdef", header(s.web.posts.back().what, "Greenroom-Timestamp"),
                            s.web.posts.back().what.body));
}

TEST_CASE("a webhook begins at the head of a room, or with its first event", "[hooks]") {
  scene s;
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "before");
  s.use_hooks({{hook("audit"), hook("first", [](auto& w) { w.start = "first"; })}, nullptr});
  CHECK(posted(s).empty());
  bob.say("lobby", "after");
  CHECK(posted(s) == "audit lobby 3-3: 3=after | first lobby 1-3: 2=before 3=after");
}

TEST_CASE("a webhook gets only the rooms that it means", "[hooks]") {
  CHECK(hooks::covers({"*"}, "@alice+bob"));
  CHECK_FALSE(hooks::covers({"*", "!@*"}, "@alice+bob"));
  CHECK_FALSE(hooks::covers({"!lobby", "*"}, "lobby"));
  CHECK(hooks::covers({"shop/*", "lobby"}, "shop/a"));
  CHECK(hooks::covers({"*a*b"}, "xaxbxb"));
  CHECK_FALSE(hooks::covers({"shop/*", "lobby"}, "lobby2"));
  CHECK_FALSE(hooks::covers({}, "lobby"));
  CHECK_FALSE(hooks::covers({"*a*b"}, "xaxbx"));
  scene s;
  s.use_hooks({{hook("audit", [](auto& w) { w.rooms = {"shop/*"}; })}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "no").create("shop/a").say("shop/a", "yes");
  CHECK(posted(s) == "audit shop/a 2-2: 2=yes");
}

TEST_CASE("what failed is tried again after a while that grows, and nothing overtakes it", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.web_says(500);
  CHECK(posted(s).empty());
  bob.say("lobby", "two");
  CHECK(posted(s).empty());
  s.pass(2s);
  CHECK(posted(s) == "audit lobby 2-2: 2=one"); // the same once more, not the next
  const auto first = header(s.web.posts.front().what, "Greenroom-Delivery");
  CHECK(header(s.web.posts.back().what, "Greenroom-Delivery") == first);
  CHECK(header(s.web.posts.back().what, "Greenroom-Attempt") == "2");
  s.web_says(503);
  s.pass(1s);
  CHECK(posted(s).empty()); // twice as long, give or take a quarter
  s.pass(3s);
  CHECK(posted(s) == "audit lobby 2-2: 2=one");
  s.web_says(200);
  CHECK(posted(s) == "audit lobby 3-3: 3=two");
  CHECK(header(s.web.posts.back().what, "Greenroom-Delivery") != first);
  CHECK(header(s.web.posts.back().what, "Greenroom-Attempt") == "1");
  const auto counts = s.home->hooks.figures_of("audit");
  CHECK(counts->failures.get() == 2);
  CHECK(counts->deliveries.get() == 1);
}

TEST_CASE("a receiver that asks for patience gets it, for all rooms", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").create("other").say("lobby", "one");
  s.web_says(429, {}, 30'000);
  bob.say("other", "two");
  s.pass(29s);
  CHECK(posted(s).empty());
  s.pass(2s);
  CHECK(posted(s) == "audit other 2-2: 2=two | audit lobby 2-2: 2=one");
}

TEST_CASE("a receiver that goes on failing is asked by one delivery at a time", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello();
  for (auto room : {"a", "b", "c", "d"})
    bob.create(room).say(room, "hi");
  CHECK(s.web.open().size() == 4);
  for (int i = 0; i < 4; ++i)
    s.web_says(410);
  s.pass(5s);
  CHECK(s.web.open().size() == 1);
  s.web_says(200);
  CHECK(s.web.open().size() == 3);
}

TEST_CASE("what was not answered is pushed again after a restart, what was is not", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  {
    auto bob = s.enter("bob");
    bob.hello().create("lobby").say("lobby", "one");
    s.web_says(200);
    bob.say("lobby", "two");
    CHECK(posted(s) == "audit lobby 3-3: 3=two");
    bob.hang_up();
  }
  s.restart(); // nobody comes near the room: the shard's index knows
  s.pass(1s);
  CHECK(posted(s) == "audit lobby 3-3: 3=two");
  s.web_says(200);
  s.restart();
  s.pass(2s);
  CHECK(posted(s).empty());
}

TEST_CASE("a delivery that could not be noted is made again", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.disk.fail_at(1, fault::io_error);
  s.web_says(200); // the room's write fails
  s.disk.heal();
  s.pass(15s);
  while (!s.web.open().empty())
    s.web_says(200);
  bob.say("lobby", "two");
  CHECK(posted(s) == "audit lobby 3-3: 3=two");
}

TEST_CASE("what was revoked before it could be pushed comes without its text", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.web_says(500);
  bob.say("lobby", "secret").ask(60, op::revoke{s.room("lobby"), 3, "k"});
  s.pass(2s);
  s.web_says(200);
  CHECK(posted(s) == "audit lobby 3-4: 3=(revoked) 4=");
}

TEST_CASE("what history has dropped is skipped, and the delivery says so", "[hooks]") {
  scene s([](settings& c) { c.rooms.retention_minutes = 1; });
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one").say("lobby", "two").say("lobby", "three");
  s.web_says(500, {}, 180'000);
  op::configure keep;
  keep.room = s.room("lobby");
  keep.history_events = 2;
  bob.ask(70, keep);
  s.pass(185s);
  CHECK(posted(s) == "audit lobby 4-5 missed: 4=three 5=");
}

TEST_CASE("an operator sets a webhook back to an event or a time", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.pass(1s);
  const auto between = s.clock;
  bob.say("lobby", "two");
  while (!s.web.open().empty())
    s.web_says(200);
  const auto ids = [&] { return header(s.web.posts.back().what, "Greenroom-Delivery"); };
  const auto before = ids();

  auto refused = s.perform("bob", admin::any{admin::replay{"audit", s.room("lobby"), 1, 0}});
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == errc::forbidden);
  auto unknown = s.perform("root", admin::any{admin::replay{"other", s.room("lobby"), 1, 0}}, "s_admin");
  REQUIRE(unknown.has_error());
  CHECK(unknown.error().code == errc::not_found);
  REQUIRE(replay(s, 9).has_error());

  auto done = replay(s, 3);
  REQUIRE(done.has_value());
  CHECK(std::get<ok::replay>(*done).from == 3);
  CHECK(posted(s) == "audit lobby 3-3: 3=two");
  CHECK(ids() != before); // a receiver that knows the other one takes this
  s.web_says(200);
  CHECK(posted(s).empty());
  REQUIRE(replay(s, 0, between).has_value());
  CHECK(posted(s) == "audit lobby 3-3: 3=two");
  // Set back once more while that is under way.
  REQUIRE(replay(s, 1).has_value());
  s.web_says(200);
  CHECK(posted(s) == "audit lobby 1-3: 2=one 3=two");
  s.web_says(200);
  CHECK(posted(s).empty());
}

TEST_CASE("webhooks that are taken away and come back go on where they were", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.web_says(500);
  s.use_hooks({{}, nullptr});
  bob.say("lobby", "two");
  s.pass(5s);
  CHECK(posted(s).empty());
  s.use_hooks({{hook("audit")}, nullptr});
  CHECK(posted(s) == "audit lobby 2-3: 2=one 3=two");
}

TEST_CASE("rooms over the bound wait on the disk", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit", [](auto& w) { w.pending_rooms = 1; })}, nullptr});
  auto bob = s.enter("bob");
  bob.hello();
  for (auto room : {"a", "b", "c"})
    bob.create(room).say(room, "hi");
  std::set<std::string> got;
  for (int i = 0; i < 20 && got.size() < 3; ++i) {
    REQUIRE(s.web.open().size() == 1);
    CHECK(s.home->hooks.figures_of("audit")->pending.get() == 1);
    got.insert(s.web.open().front());
    s.web_says(200);
    s.pass(1s);
  }
  CHECK(got == std::set<std::string>{"audit a 2-2: 2=hi", "audit b 2-2: 2=hi", "audit c 2-2: 2=hi"});
}

TEST_CASE("a room that was deleted stays until its webhooks know, and no longer than they may take", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit", [](auto& w) { w.deleted_s = 60; })}, nullptr});
  auto bob = s.enter("bob");
  bob.hello();
  const auto remove = [&](const std::string& room, int64_t id) {
    op::configure gone;
    gone.room = s.room(room);
    gone.remove = true;
    bob.ask(id, gone);
  };
  bob.create("a").say("a", "last words");
  s.web_says(500);
  remove("a", 80);
  s.pass(30s);
  CHECK(s.store->load_room(s.room("a"), 0, 0).value().has_value());
  CHECK(posted(s) == "audit a 2-2: 2=last words");
  s.web_says(200);
  CHECK(posted(s) == "audit a 3-3: 3=");
  s.web_says(200);
  s.pass(30s);
  CHECK_FALSE(s.store->load_room(s.room("a"), 0, 0).value().has_value());

  bob.create("b").say("b", "last words");
  remove("b", 81);
  s.pass(100s);
  CHECK_FALSE(s.store->load_room(s.room("b"), 0, 0).value().has_value());
}

TEST_CASE("operators see what is left to push", "[hooks]") {
  scene s;
  s.use_hooks({{hook("audit")}, nullptr});
  auto bob = s.enter("bob");
  bob.hello().create("lobby").say("lobby", "one");
  s.web_says(500);
  s.pass(10s);
  auto seen = s.perform("root", admin::any{admin::webhooks{}}, "s_admin");
  REQUIRE(seen.has_value());
  const auto& all = std::get<ok::webhooks>(*seen).list;
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "audit");
  CHECK(all[0].pending_rooms == 1);
  CHECK(all[0].failures == 1);
  CHECK(all[0].lag_ms >= 9'000);
  CHECK(all[0].last_failure == "the answer has status 500");
}

} // namespace greenroom::testing
