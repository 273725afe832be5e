// Sends that are made later: kept, listed, cancelled, made once when their time has come, whatever happens meanwhile.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

op::send later(const scene& s, std::string text, std::string key, std::chrono::milliseconds in, uint64_t reply_to = 0) {
  op::send x;
  x.room = s.room("lobby");
  x.text = std::move(text);
  x.key = std::move(key);
  x.at = s.clock + in.count();
  x.reply_to = reply_to;
  return x;
}
op::scheduled mine(const scene& s) { return {s.room("lobby")}; }
op::cancel cancel(const scene& s, std::string key) { return {s.room("lobby"), std::move(key)}; }

struct lobby : scene {
  lobby() : lobby(std::function<void(settings&)>{}) {}
  explicit lobby(const std::function<void(settings&)>& adjust)
      : scene(adjust), ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.heard(), bob.heard();
  }
  void come_back() {
    ada.hang_up(), bob.hang_up();
    restart();
    ada = enter("ada"), bob = enter("bob", 1);
    ada.hello(), bob.hello();
    ada.heard(), bob.heard();
  }
  person ada, bob;
};

} // namespace

TEST_CASE("a send with a time is made then, once", "[due]") {
  lobby s;
  const auto first = later(s, "good morning", "a", 10s);
  s.ada.ask(10, first).ask(11, first).ask(12, later(s, "else", "a", 10s));
  CHECK(s.ada.heard() == lines{"10 kept lobby a", "11 kept lobby a duplicate", "12 conflict"});
  s.pass(8s);
  CHECK(s.bob.heard().empty());
  SECTION("on a node that runs") {}
  SECTION("on one that was started anew") { s.come_back(); }
  SECTION("while nobody is there") {
    s.ada.hang_up(), s.bob.hang_up();
    s.pass(70s); // the room has left memory
    s.ada = s.enter("ada"), s.bob = s.enter("bob");
    s.ada.hello();
    op::hello h;
    h.resume = {{s.room("lobby"), {s.epoch_of("lobby"), 2}}};
    s.bob.hello("bob", h);
    CHECK(s.bob.heard() == lines{"1 hello bob lobby#3 lobby=recovered", "lobby#3 ada: good morning"});
    return;
  }
  s.pass(4s);
  CHECK(s.bob.heard() == lines{"lobby#3 ada: good morning"});
  CHECK(s.ada.heard() == lines{"lobby#3 ada: good morning"});
  s.ada.ask(20, first); // the answer that it has by now
  CHECK(s.ada.heard() == lines{"20 sent lobby#3 duplicate"});
  s.ada.ask(21, mine(s)).ask(22, cancel(s, "a"));
  CHECK(s.ada.heard() == lines{"21 scheduled", "22 conflict"});
  s.pass(20s);
  CHECK(s.bob.heard().empty());
}

TEST_CASE("scheduled sends are one's own to see and to cancel", "[due]") {
  lobby s;
  s.ada.ask(10, later(s, "second", "b", 20s)).ask(11, later(s, "first", "a", 10s));
  s.bob.ask(10, later(s, "third", "c", 15s));
  s.ada.heard(), s.bob.heard();
  s.ada.ask(12, mine(s));
  s.bob.ask(12, mine(s)).ask(13, cancel(s, "a"));
  CHECK(s.ada.heard() == lines{"12 scheduled a:first b:second"});
  CHECK(s.bob.heard() == lines{"12 scheduled c:third", "13 not_found"});
  s.ada.ask(14, cancel(s, "a")).ask(15, cancel(s, "a")).ask(16, mine(s)).ask(17, later(s, "first", "a", 10s));
  CHECK(s.ada.heard() == lines{"14 ok", "15 ok", "16 scheduled b:second", "17 conflict"});
  s.ada.ask_later(18, later(s, "fourth", "d", 5s)).ask_later(19, cancel(s, "d")).ask_later(20, mine(s));
  s.run();
  CHECK(s.ada.heard() == lines{"18 kept lobby d", "19 ok", "20 scheduled b:second"});
  s.pass(30s);
  CHECK(s.bob.heard() == lines{"lobby#3 bob: third", "lobby#4 ada: second"});
}

TEST_CASE("what may not be scheduled", "[due]") {
  lobby s([](settings& c) {
    c.limits.scheduled_per_room = 2;
    c.limits.schedule_days = 1;
  });
  auto eve = s.enter("eve");
  eve.hello().ask(10, later(s, "x", "a", 10s));
  CHECK(eve.heard() == lines{"1 hello eve", "10 not_member"});
  s.ada.ask(10, later(s, "x", "a", 0s)).ask(11, later(s, "x", "b", 25h));
  CHECK(s.ada.heard() == lines{"10 bad_request", "11 too_large"});
  s.ada.ask(12, later(s, "x", "c", 10s)).ask(13, later(s, "x", "d", 10s)).ask(14, later(s, "x", "e", 10s));
  CHECK(s.ada.heard() == lines{"12 kept lobby c", "13 kept lobby d", "14 too_large"});
}

TEST_CASE("whether its author may say it is judged when its time has come", "[due]") {
  lobby s;
  s.bob.ask(10, later(s, "x", "a", 10s)).ask(11, later(s, "y", "b", 20s));
  s.ada.ask(10,
            op::moderate{s.room("lobby"), op::moderate::act::mute, user_id::trusted("bob"), s.clock + 15'000, {}, {}});
  s.ada.heard(), s.bob.heard();
  s.pass(30s);
  CHECK(s.ada.heard() == lines{"lobby#4 bob: y"});
  s.bob.heard();
  s.bob.ask(12, mine(s));
  CHECK(s.bob.heard() == lines{"12 scheduled"});
}

TEST_CASE("a scheduled reply joins the thread that it finds", "[due]") {
  lobby s;
  s.ada.say("lobby", "root");
  s.bob.ask(10, later(s, "second", "a", 10s, 3)).ask(11, later(s, "third", "b", 11s, 3));
  s.ada.ask(10, op::send{s.room("lobby"), {}, "k", "first", {}, 3});
  s.pass(13s);
  s.ada.heard();
  op::history all;
  all.room = s.room("lobby");
  s.ada.ask(12, op::thread{s.room("lobby"), 3, 0, 50, 0}).ask(13, all);
  CHECK(s.ada.heard() == lines{"12 thread 4 5 6 read 0", "13 page 1 2 3{3 replies, last 6} 4 5 6"});
}

TEST_CASE("a disk that fails makes a scheduled send later, not twice and not never", "[due]") {
  for (uint64_t at = 1;; ++at) {
    lobby s;
    s.ada.ask(10, later(s, "x", "a", 5s)).ask(11, later(s, "y", "b", 5s));
    s.ada.heard(), s.bob.heard();
    s.pass(4s);
    s.disk.fail_at(at, fault::io_error);
    s.pass(4s);
    const bool failed = s.disk.failed();
    s.disk.heal();
    s.pass(20s);
    auto page = s.store->events_after(s.room("lobby"), 2, 100, 1 << 20);
    REQUIRE(page.has_value());
    lines said;
    for (const auto& e : page->events)
      said.push_back(e.text);
    std::sort(said.begin(), said.end());
    CAPTURE(at);
    CHECK(said == lines{"x", "y"});
    if (!failed)
      break;
  }
}

TEST_CASE("a shard keeps the first of what is due in memory, and finds the rest in time", "[due]") {
  lobby s([](settings& c) { c.rooms.due = 2; });
  for (int i = 9; i >= 1; --i)
    s.ada.ask(10 + i, later(s, std::to_string(i), "k" + std::to_string(i), std::chrono::seconds(i)));
  s.ada.heard(), s.bob.heard();
  if (GENERATE(false, true))
    s.come_back();
  s.pass(40s);
  lines expected;
  for (int i = 1; i <= 9; ++i)
    expected.push_back("lobby#" + std::to_string(i + 2) + " ada: " + std::to_string(i));
  CHECK(s.bob.heard() == expected);
}

TEST_CASE("what was acknowledged as scheduled is made, though the write had seemed to fail", "[due]") {
  for (uint64_t at = 1;; ++at) {
    lobby s;
    const auto what = later(s, "x", "a", 30s);
    s.disk.fail_at(at, fault::io_error);
    s.ada.ask(10, what);
    const bool failed = s.disk.failed();
    s.disk.heal();
    s.pass(5s); // the store is open again
    s.ada.heard();
    s.ada.ask(11, what);
    CAPTURE(at);
    CHECK(s.ada.heard().front().starts_with("11 kept"));
    s.pass(40s);
    auto page = s.store->events_after(s.room("lobby"), 2, 100, 1 << 20);
    REQUIRE(page.has_value());
    REQUIRE(page->events.size() == 1);
    CHECK(page->events[0].text == "x");
    if (!failed)
      break;
  }
}

TEST_CASE("who subscribes while a first word is being scheduled hears of that nothing", "[due]") {
  lobby s;
  auto eve = s.enter("eve");
  eve.hello();
  eve.heard();
  op::send x = later(s, "psst", "k", 5s);
  x.room = {};
  x.to = user_id::trusted("eve");
  s.ada.ask_later(10, x);
  eve.ask_later(10, op::subscribe{s.room("@ada+eve"), {}});
  s.run();
  CHECK(s.ada.heard() == lines{"10 kept @ada+eve k"});
  CHECK(eve.heard() == lines{"10 joined #0 1/2"});
  s.pass(7s);
  CHECK(eve.heard() == lines{"@ada+eve#1 ada: psst"});
}

TEST_CASE("sends that are stuck hold up nothing else that is due", "[due]") {
  lobby s([](settings& c) { c.attachments.unused_minutes = 1; });
  hooks::presend silent;
  silent.what.url = "http://127.0.0.1/silent";
  silent.secrets = {"0123456789abcdef"};
  s.use_hooks({{}, std::make_shared<const hooks::presend>(std::move(silent))});
  auto begun = s.perform("ada", op::any{op::upload{s.room("lobby"), {}, "cat.png", "image/png", 3, {}}});
  REQUIRE(begun.has_value());
  const auto id = std::get<ok::file>(*begun).id;
  for (int i = 0; i < 40; ++i) {
    s.ada.ask(10 + i, later(s, "x", "k" + std::to_string(i), 20s));
    if (i % 5 == 4)
      s.pass(1s); // within what anybody may send
  }
  for (const auto& line : s.ada.heard())
    CHECK(line.find("kept") != std::string::npos);
  s.pass(30s);
  CHECK(s.web.open().size() == 32); // of which none is answered, so that none of the others is asked about
  CHECK(s.store->load_file(s.room("lobby"), id).value().has_value());
  s.pass(30s);
  CHECK(s.web.open().size() == 32);
  CHECK_FALSE(s.store->load_file(s.room("lobby"), id).value().has_value());
  while (!s.web.open().empty())
    s.web_says(200, "allow");
  s.pass(2s);
  while (!s.web.open().empty())
    s.web_says(200, "allow");
  CHECK(s.store->events_after(s.room("lobby"), 2, 100, 1 << 20).value().events.size() == 40);
}

TEST_CASE("a send of a room that was deleted does not wait with the room for its webhooks", "[due]") {
  lobby s;
  hooks::webhook w;
  w.name = "audit";
  w.what.url = "http://127.0.0.1/audit";
  w.what.events = {"message", "room"};
  w.secrets = {"0123456789abcdef"};
  w.kinds = hooks::kinds_of(w.what.events);
  s.use_hooks({{std::make_shared<const hooks::webhook>(std::move(w))}, nullptr});
  op::configure gone;
  gone.room = s.room("lobby");
  gone.remove = true;
  s.ada.say("lobby", "last words").ask(10, later(s, "x", "a", 5s)).ask(11, gone);
  s.pass(20s);
  CHECK_FALSE(s.web.open().empty()); // nobody answers
  CHECK(s.store->load_room(s.room("lobby"), 0, 0).value().has_value());
  const auto due = s.store->due(s.room("lobby").shard(), 100).value();
  CHECK(std::none_of(due.begin(), due.end(), [](const auto& x) { return x.what == storage::due_entry::kind::send; }));
  CHECK_FALSE(due.empty()); // the room itself
}

TEST_CASE("scheduled sends are bounded in bytes and reply to what is there", "[due]") {
  lobby s([](settings& c) { c.limits.page_bytes = 65'536; });
  s.ada.ask(10, later(s, "x", "a", 10s, 9));
  CHECK(s.ada.heard() == lines{"10 bad_request"});
  int kept = 0;
  for (int i = 0; i < 8; ++i)
    s.ada.ask(20 + i, later(s, std::string(10'000, 'x'), "k" + std::to_string(i), 10s));
  for (const auto& line : s.ada.heard())
    kept += line.find("kept") != std::string::npos ? 1 : 0;
  CHECK(kept == 6);
}

TEST_CASE("what is scheduled is listed page by page, whatever is made or cancelled between two of them", "[due]") {
  lobby s;
  for (const auto* key : {"d", "a", "c", "b"})
    s.ada.ask(10, later(s, key, key, std::chrono::seconds(100 + 10 * (key[0] - 'a'))));
  s.ada.heard();
  std::string after;
  const auto page = [&](uint32_t limit) {
    auto x = mine(s);
    x.after = after;
    x.limit = limit;
    auto found = s.perform("ada", op::any{x});
    REQUIRE(found.has_value());
    const auto& got = std::get<ok::scheduled>(*found);
    after = got.next;
    lines keys;
    for (const auto& send : got.list)
      keys.push_back(send.key);
    return keys;
  };
  CHECK(page(2) == lines{"a", "b"});
  REQUIRE_FALSE(after.empty());
  SECTION("nothing") { CHECK(page(1) == lines{"c"}); }
  SECTION("the last one that was shown is cancelled") {
    s.ada.ask(20, cancel(s, "b"));
    CHECK(page(1) == lines{"c"});
  }
  CHECK(page(5) == lines{"d"});
  CHECK(after.empty());
}
