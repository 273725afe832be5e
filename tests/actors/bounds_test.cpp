// What is answered, or done instead, when a bound of config/ is reached that is no other test's subject here.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

/// REST calls of ada's, all at once: the answers in the order in which they came.
std::vector<answer> all_at_once(scene& s, int calls) {
  std::vector<answer> answers;
  for (int i = 0; i < calls; ++i)
    s.perform_later("ada", op::any{op::rooms{}}, [&](answer a) { answers.push_back(std::move(a)); });
  s.run();
  return answers;
}

/// As many of the answers as are expected to are refusals that name the bound, the others are good.
void check_refused(const std::vector<answer>& answers, size_t refused, const std::string& bound) {
  size_t found = 0;
  for (const auto& a : answers) {
    if (a)
      continue;
    CHECK(a.error().code == errc::unavailable);
    CHECK(a.error().message.find(bound) == 0);
    ++found;
  }
  CHECK(found == refused);
}

size_t count(const lines& heard, std::string_view part) {
  size_t n = 0;
  for (const auto& f : heard)
    n += f.find(part) != f.npos ? 1 : 0;
  return n;
}

} // namespace

TEST_CASE("over limits.rest_requests a request is refused, until others have been answered", "[bounds]") {
  scene s{[](settings& c) { c.limits.rest_requests = 2; }};
  auto answers = all_at_once(s, 5);
  REQUIRE(answers.size() == 5);
  CHECK_FALSE(answers.front().has_value()); // it has not waited for the others
  check_refused(answers, 3, "limits.rest_requests: 2");
  check_refused(all_at_once(s, 2), 0, "");
  CHECK(s.figures.errors[static_cast<size_t>(errc::unavailable)].get() == 3);
}

TEST_CASE("over users.pending a request is refused while the user is read, and the others are done", "[bounds]") {
  scene s{[](settings& c) { c.users.pending = 3; }};
  auto answers = all_at_once(s, 5);
  REQUIRE(answers.size() == 5);
  check_refused(answers, 2, "users.pending: 3");
  check_refused(all_at_once(s, 3), 0, "");
}

TEST_CASE("over users.inbox_pages a page is refused, and the others are read", "[bounds]") {
  scene s{[](settings& c) { c.users.inbox_pages = 2; }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  ada.heard();
  for (int64_t id = 10; id < 14; ++id)
    ada.ask_later(id, op::rooms{});
  s.run();
  auto heard = ada.heard();
  CHECK(count(heard, "rooms lobby#1:0") == 2);
  CHECK(count(heard, "unavailable") == 2);
  check_refused(all_at_once(s, 1), 0, "");
}

TEST_CASE("a connection that is far behind reads limits.pull_events at a time", "[bounds]") {
  scene s{[](settings& c) {
    c.limits.pull_events = 10;
    c.rooms.ring_events = GENERATE(1u, 1'000u); // from the disk and from memory
  }};
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  bob.hang_up();
  for (int i = 0; i < 100; ++i)
    ada.say("lobby", "x");
  CHECK(s.figures.pulls.get() == 0);
  auto again = s.enter("bob");
  op::hello back;
  back.resume = {{s.room("lobby"), {s.epoch_of("lobby"), 2}}};
  again.hello({}, back);
  s.run();
  CHECK(count(again.heard(), "ada: x") == 100);
  CHECK(s.figures.pulls.get() >= 10);
  CHECK(s.figures.pulls.get() <= 11);
}

TEST_CASE("over rooms.effects a change of membership is tried once, and again when there is room", "[bounds]") {
  scene s{[](settings& c) { c.rooms.effects = 1; }};
  auto ada = s.enter("ada"), bob = s.enter("bob"), carl = s.enter("carl");
  ada.hello().create("lobby");
  bob.hello(), carl.hello();
  bob.heard(), carl.heard();
  s.config.users.pending = 0; // no user takes anything, so that effects wait
  bob.join("lobby");
  CHECK(bob.heard().empty());
  SECTION("it holds up nobody else") {
    s.config.users.pending = 10;
    carl.join("lobby");
    CHECK(carl.heard() == lines{"2 joined #3 2/3"});
    CHECK(bob.heard().empty());
    s.pass(6s);
    CHECK(bob.heard().front() == "2 joined #2 3/3");
  }
  SECTION("it waits until the other is done") {
    carl.join("lobby");
    s.config.users.pending = 10;
    CHECK(carl.heard().empty());
    s.pass(5s);
    CHECK(count(bob.heard(), "2 joined") == 1);
    CHECK(carl.heard().empty());
    s.pass(2s);
    CHECK(count(carl.heard(), "2 joined") == 1);
  }
  SECTION("after a restart they are read one by one") {
    carl.join("lobby");
    ada.hang_up(), bob.hang_up(), carl.hang_up();
    s.config.users.pending = 10;
    s.restart();
    s.pass(10s);
    for (auto name : {"bob", "carl"}) {
      auto again = s.enter(name);
      again.hello();
      CHECK(again.heard() == lines{"1 hello " + std::string(name) + " lobby#3"});
    }
  }
  CHECK(s.store->effects(s.room("lobby").shard(), 10)->empty());
}
