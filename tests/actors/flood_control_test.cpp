// Flood control: the tables that count users and addresses, what a flood costs the one who makes it, and nobody else.
#include "actors/flood_control.hpp"
#include "tests/actors/scene.hpp"

#include <spdlog/spdlog.h>

#include <atomic>
#include <set>
#include <thread>

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

network_id network(const std::string& text) { return ip_address::parse(text)->network(); }
user_id named(const std::string& name) { return user_id::trusted(name); }

/// Flood control by itself, with a clock that moves when told.
struct desk {
  desk() { spdlog::set_level(spdlog::level::off); } // floods are no news here
  metrics figures;
  flood_control floods{figures};
  limits l;
  int64_t now = 1'000;

  int64_t abuses(flood kind) const { return figures.abuses[static_cast<size_t>(kind)].get(); }
  int64_t refusals(flood kind) const { return figures.rate_limited[static_cast<size_t>(kind)].get(); }
  /// As many as may be, and one more.
  void go_too_far(flood kind, const std::string& name, std::optional<network_id> from = std::nullopt) {
    for (uint32_t i = 0; i <= l.flood_refusals; ++i)
      floods.refused(kind, name.empty() ? user_id{} : named(name), from, l, now);
  }
};

op::any send_to(const std::string& room) {
  op::send x;
  x.room = room_id::trusted(room);
  x.key = "k-1";
  x.text = "x";
  return x;
}

} // namespace

// -- tables ----------------------------------------------------------------------------------------------------------

TEST_CASE("a table keeps a name's buckets apart from each other, and names from names", "[flood]") {
  bucket_table t{2};
  const rate r{1, 1'000, 1};
  const auto ada = t.cell_of("ada");
  CHECK(ada == t.cell_of("ada"));
  CHECK(t.take(ada, 0, r, 5) == 0);
  CHECK(t.take(ada, 0, r, 5) == 1'000);
  CHECK(t.take(ada, 1, r, 5) == 0);
  t.fill(ada, 0);
  CHECK(t.take(ada, 0, r, 5) == 0);
  CHECK(t.take(ada, 1, r, 5) == 1'000);
  std::set<uint32_t> cells;
  for (int i = 0; i < 1'000; ++i)
    cells.insert(t.cell_of("user" + std::to_string(i)));
  CHECK(cells.size() > 980);
  CHECK(*cells.rbegin() < bucket_table::cells);
  // Nobody can know which names share a cell: the next table has another key.
  bucket_table other{1};
  int same = 0;
  for (int i = 0; i < 100; ++i)
    same += t.cell_of("user" + std::to_string(i)) == other.cell_of("user" + std::to_string(i)) ? 1 : 0;
  CHECK(same < 5);
}

TEST_CASE("threads that take from one bucket at the same time get no more than there is", "[flood]") {
  bucket_table t{1};
  const rate r{1, 1'000, 10'000};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 10'000; ++n)
        taken += t.take(7, 0, r, 5) == 0 ? 1 : 0;
    });
  for (auto& x : threads)
    x.join();
  CHECK(taken == 10'000);
}

// -- bans ------------------------------------------------------------------------------------------------------------

TEST_CASE("a ban ends by itself, and one that is longer stays", "[flood]") {
  ban_list<int> bans;
  CHECK(bans.left_ms(1, 0) == 0);
  bans.add(1, 1'000, 0, 10);
  CHECK(bans.left_ms(1, 0) == 1'000);
  CHECK(bans.left_ms(1, 999) == 1);
  CHECK(bans.left_ms(2, 999) == 0);
  bans.add(1, 500, 0, 10);
  CHECK(bans.left_ms(1, 600) == 400);
  CHECK(bans.left_ms(1, 1'000) == 0);
  CHECK(bans.size() == 0);
}

TEST_CASE("bans are bounded: those that have ended make way first, then the one that ends first", "[flood]") {
  ban_list<int> bans;
  bans.add(1, 100, 0, 3);
  bans.add(2, 300, 0, 3);
  bans.add(3, 200, 0, 3);
  bans.add(4, 400, 150, 3); // 1 has ended
  CHECK(bans.size() == 3);
  CHECK(bans.left_ms(3, 150) == 50);
  bans.add(5, 500, 150, 3); // 3 ends first
  CHECK(bans.size() == 3);
  CHECK(bans.left_ms(3, 150) == 0);
  CHECK(bans.left_ms(2, 150) == 150);
  CHECK(bans.left_ms(5, 150) == 350);
  bans.add(6, 600, 150, 1); // a bound that was lowered
  CHECK(bans.size() == 1);
  CHECK(bans.left_ms(6, 150) == 450);
  bans.add(7, 700, 150, 0);
  CHECK(bans.size() == 0);
  for (int i = 0; i < 100'000; ++i)
    bans.add(i, 1'000 + i, 0, 64);
  CHECK(bans.size() == 64);
}

// -- abuse -----------------------------------------------------------------------------------------------------------

TEST_CASE("who is refused so often and goes on is counted and banned, and nobody else is", "[flood]") {
  desk d;
  d.l.flood_refusals = 5;
  d.l.ban_s = 30;
  for (int i = 0; i < 5; ++i)
    d.floods.refused(flood::sends, named("eve"), network("192.0.2.1"), d.l, d.now);
  CHECK_FALSE(d.floods.banned(named("eve"), d.now));
  CHECK(d.abuses(flood::sends) == 0);
  d.floods.refused(flood::sends, named("eve"), network("192.0.2.1"), d.l, d.now);
  CHECK(d.refusals(flood::sends) == 6);
  CHECK(d.abuses(flood::sends) == 1);
  auto why = d.floods.banned(named("eve"), d.now);
  REQUIRE(why);
  CHECK(why->code == errc::rate_limited);
  CHECK(why->retry_after_ms == 30'000);
  // Of a user who is known, the address is not to blame: others may come from it.
  CHECK_FALSE(d.floods.banned(network("192.0.2.1"), d.now));
  CHECK_FALSE(d.floods.banned(named("ada"), d.now));
  d.now += 30'000;
  CHECK_FALSE(d.floods.banned(named("eve"), d.now));
}

TEST_CASE("refusals are forgotten in time: who is refused now and then is no abuser", "[flood]") {
  desk d;
  d.l.flood_refusals = 5;
  d.l.flood_window_ms = 10'000;
  for (int i = 0; i < 1'000; ++i, d.now += 2'000)
    d.floods.refused(flood::calls, named("bot"), {}, d.l, d.now);
  CHECK(d.abuses(flood::calls) == 0);
  CHECK_FALSE(d.floods.banned(named("bot"), d.now));
}

TEST_CASE("an address is banned where no user is known, all of an IPv6 customer's at once", "[flood]") {
  desk d;
  d.l.flood_refusals = 3;
  d.go_too_far(flood::logins, "", network("2001:db8:1:2::1"));
  CHECK(d.abuses(flood::logins) == 1);
  CHECK(d.floods.banned(network("2001:db8:1:2:3::4"), d.now));
  CHECK_FALSE(d.floods.banned(network("2001:db8:1:3::1"), d.now));
  // Whoever comes from limits.allow_addresses has none.
  CHECK_FALSE(d.floods.banned(std::optional<network_id>{}, d.now));
  d.go_too_far(flood::logins, "");
  CHECK(d.abuses(flood::logins) == 1);
}

TEST_CASE("without bans abuse is still told, once for so many refusals", "[flood]") {
  desk d;
  d.l.flood_refusals = 9;
  d.l.ban_s = 0;
  for (int i = 0; i < 100; ++i)
    d.floods.refused(flood::sends, named("eve"), {}, d.l, d.now);
  CHECK(d.abuses(flood::sends) == 10);
  CHECK_FALSE(d.floods.banned(named("eve"), d.now));
  CHECK(d.floods.bans() == 0);
}

TEST_CASE("many attackers fill no memory", "[flood]") {
  desk d;
  d.l.flood_refusals = 1;
  d.l.bans = 50;
  for (int i = 0; i < 500; ++i) {
    d.go_too_far(flood::connects, "", network("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
    d.go_too_far(flood::sends, "user" + std::to_string(i));
    ++d.now;
  }
  CHECK(d.floods.bans() == 100);
  CHECK(d.floods.banned(named("user499"), d.now));
  CHECK_FALSE(d.floods.banned(named("user0"), d.now));
}

TEST_CASE("each limit by user and address holds for what it is about, and 0 is none", "[flood]") {
  desk d;
  d.l.sends_per_s = 1, d.l.sends_burst = 1;
  d.l.sends_per_s_user = 2, d.l.sends_burst_user = 2;
  d.l.joins_per_minute_user = 2;
  d.l.calls_per_s_user = 2, d.l.calls_burst_user = 2;
  d.l.connects_per_minute_address = 2;
  d.l.logins_per_minute_address = 2;
  d.l.calls_per_s_address = 2, d.l.calls_burst_address = 2;
  const auto ada = d.floods.cell_of(named("ada"));
  const auto home = network("192.0.2.1");
  const std::vector<std::pair<std::string, std::function<std::optional<failure>()>>> all{
      {"sends_per_s_user", [&] { return d.floods.send(ada, d.l, d.now); }},
      {"joins_per_minute_user", [&] { return d.floods.join(ada, d.l, d.now); }},
      {"calls_per_s_user", [&] { return d.floods.call(ada, d.l, d.now); }},
      {"connects_per_minute_address", [&] { return d.floods.connect(home, d.l, d.now); }},
      {"logins_per_minute_address", [&] { return d.floods.log_in(home, d.l, d.now); }},
      {"calls_per_s_address", [&] { return d.floods.call(home, d.l, d.now); }},
  };
  for (const auto& [key, ask] : all) {
    CAPTURE(key);
    CHECK_FALSE(ask());
    CHECK_FALSE(ask());
    auto why = ask();
    REQUIRE(why);
    CHECK(why->code == errc::rate_limited);
    CHECK(why->message.starts_with("limits." + key + ": 2 "));
    CHECK(why->retry_after_ms > 0);
  }
  // A user is never held to less than one of his connections.
  d.l.sends_per_s = d.l.sends_burst = 1'000;
  d.now += 1'000;
  for (int i = 0; i < 1'000; ++i)
    REQUIRE_FALSE(d.floods.send(ada, d.l, d.now));
  CHECK(d.floods.send(ada, d.l, d.now));
  d.l.sends_per_s_user = d.l.joins_per_minute_user = d.l.calls_per_s_user = 0;
  d.l.connects_per_minute_address = d.l.calls_per_s_address = 0;
  for (const auto& [key, ask] : all)
    if (key != "logins_per_minute_address")
      CHECK_FALSE(ask());
}

// -- connections -----------------------------------------------------------------------------------------------------

TEST_CASE("the devices of a user share what the user may send; others have their own", "[flood]") {
  scene s{[](settings& c) {
    c.limits.sends_per_s = 2, c.limits.sends_burst = 2;
    c.limits.sends_per_s_user = 3, c.limits.sends_burst_user = 3;
  }};
  auto laptop = s.enter("ada"), phone = s.enter("ada", 1), bob = s.enter("bob");
  laptop.hello().create("lobby");
  phone.hello();
  bob.hello().join("lobby");
  laptop.heard(), phone.heard(), bob.heard();
  laptop.say("lobby", "1").say("lobby", "2");
  phone.say("lobby", "3", "p-3").say("lobby", "4", "p-4");
  CHECK(phone.heard().back() == "3 rate_limited");
  bob.say("lobby", "5");
  CHECK(bob.heard().back() == "lobby#6 bob: 5");
  s.pass(1s);
  phone.say("lobby", "6", "p-6");
  CHECK(phone.heard().back() == "lobby#7 ada: 6");
}

TEST_CASE("requests that are no sends have a limit of their own, whatever they are", "[flood]") {
  scene s{[](settings& c) { c.limits.requests_per_s = 1, c.limits.requests_burst = 4; }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby").ask(3, op::ping{}).ask(4, op::ping{}).ask(5, op::ping{});
  CHECK(ada.heard().back() == "5 rate_limited");
  ada.say("lobby", "this is no request");
  CHECK(ada.heard().back().ends_with("ada: this is no request"));
  // Nor is garbage free.
  ada.garble(false);
  CHECK(ada.heard().empty()); // it had no id that an answer could name
  s.pass(1s);
  ada.garble(false);
  CHECK(ada.heard().size() == 1);
}

TEST_CASE("joining and making rooms is limited by user, over all devices", "[flood]") {
  scene s{[](settings& c) { c.limits.joins_per_minute_user = 3; }};
  auto laptop = s.enter("ada"), phone = s.enter("ada", 1);
  laptop.hello().create("one").create("two");
  phone.hello().create("three").create("four");
  CHECK(phone.heard().back() == "3 rate_limited");
  laptop.heard();
  laptop.join("one");
  CHECK(laptop.heard().back() == "4 rate_limited");
  s.pass(20s);
  laptop.join("one");
  CHECK(laptop.heard().back() != "5 rate_limited");
}

TEST_CASE("a room may be told only so much by all together, retries excepted", "[flood]") {
  scene s{[](settings& c) { c.limits.sends_per_s_room = 1, c.limits.sends_burst_room = 2; }};
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby").create("den");
  bob.hello().join("lobby");
  ada.heard(), bob.heard();
  ada.say("lobby", "1", "a-1");
  bob.say("lobby", "2");
  ada.heard(), bob.heard();
  bob.say("lobby", "3", "b-3");
  CHECK(bob.heard() == lines{"4 rate_limited"});
  ada.say("lobby", "1", "a-1"); // the first answer again, at no cost
  CHECK(ada.heard().back().find("rate_limited") == std::string::npos);
  ada.say("den", "another room is another matter");
  CHECK(ada.heard().back().ends_with("ada: another room is another matter"));
  s.pass(1s);
  bob.say("lobby", "3", "b-3"); // a refused send has used up no key
  CHECK(bob.heard().back() == "lobby#5 bob: 3");
  CHECK(s.figures.abuses[static_cast<size_t>(flood::sends)].get() == 0);
}

TEST_CASE("who floods is closed with 3429 and shut out for a while; then all is as before", "[flood]") {
  scene s{[](settings& c) {
    c.limits.sends_per_s = 1, c.limits.sends_burst = 1;
    c.limits.flood_refusals = 3;
    c.limits.ban_s = 60;
  }};
  auto eve = s.enter("eve"), other = s.enter("eve", 1), ada = s.enter("ada");
  eve.hello().create("lobby").say("lobby", "once");
  other.hello();
  ada.hello().join("lobby");
  for (int i = 0; i < 3; ++i)
    eve.say("lobby", "again");
  CHECK_FALSE(eve.socket().closed);
  eve.say("lobby", "again");
  CHECK(eve.socket().closed == close_code::flooding);
  CHECK(s.figures.abuses[static_cast<size_t>(flood::sends)].get() == 1);
  // No new connection of hers; one that keeps within the limits stays, until it does not.
  auto back = s.enter("eve");
  back.hello();
  CHECK(back.heard() == lines{"1 rate_limited"});
  CHECK(back.socket().closed == close_code::flooding);
  s.pass(2s);
  CHECK_FALSE(other.socket().closed);
  other.say("lobby", "one").say("lobby", "two").say("lobby", "three");
  CHECK(other.socket().closed == close_code::flooding);
  CHECK(s.figures.abuses[static_cast<size_t>(flood::sends)].get() == 1); // known already
  ada.heard();
  ada.say("lobby", "quiet at last");
  CHECK(ada.heard().back().ends_with("ada: quiet at last"));
  s.pass(60s);
  auto later = s.enter("eve");
  later.hello();
  CHECK(later.heard().front().starts_with("1 hello eve lobby#"));
}

TEST_CASE("what is free of what a send costs is known for every operation", "[flood]") {
  op::configure looks, changes;
  changes.title = "t";
  CHECK(kind_of(send_to("lobby")) == flood::sends);
  CHECK(kind_of(op::edit{}) == flood::sends);
  CHECK(kind_of(op::moderate{}) == flood::sends);
  CHECK(kind_of(changes) == flood::sends);
  CHECK(kind_of(looks) == flood::requests);
  CHECK(kind_of(op::join{}) == flood::joins);
  CHECK(kind_of(op::create{}) == flood::joins);
  CHECK(kind_of(op::history{}) == flood::requests);
  CHECK(kind_of(op::hello{}) == flood::requests);
}
