// The user's promises: sessions that stay revoked, read positions that only move forward, a list that follows the
// rooms.
#include "tests/actors/scene.hpp"

#include <sodium.h>

#include <set>

using namespace greenroom;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

ok::grant granted(const answer& a) {
  REQUIRE(a.has_value());
  return std::get<ok::grant>(*a);
}
errc refused(const answer& a) {
  REQUIRE_FALSE(a.has_value());
  return a.error().code;
}

} // namespace

TEST_CASE("an account is registered once, and only its password opens it", "[user]") {
  scene s;
  auto ada = user_id::trusted("ada");
  account::any enlist = account::register_user{ada, "correct horse", "laptop"};
  CHECK(granted(s.perform("", enlist)).who.user == ada);
  CHECK(refused(s.perform("", enlist)) == errc::exists);
  CHECK(refused(s.perform("", account::any{account::log_in{ada, "wrong horse", ""}})) == errc::unauthenticated);
  CHECK(refused(s.perform("", account::any{account::log_in{user_id::trusted("bob"), "correct horse", ""}})) ==
        errc::unauthenticated);
  s.restart();
  CHECK(granted(s.perform("", account::any{account::log_in{ada, "correct horse", ""}})).who.user == ada);
  CHECK(refused(s.perform("", account::any{account::register_user{user_id::trusted("carl"), "short", ""}})) ==
        errc::bad_request);
  CHECK(refused(s.perform("", account::any{account::register_user{user_id::trusted("guest-x"), "long enough", ""}})) ==
        errc::forbidden);
}

TEST_CASE("an account whose making is repeated, because the answer was lost, is made once and can be used", "[user]") {
  scene s;
  auto ada = user_id::trusted("ada");
  account::register_user enlist{ada, "correct horse", "laptop"};
  auto first = granted(s.perform("", account::any{enlist}));
  auto again = granted(s.perform_again(ada, enlist));
  CHECK(again.who.user == ada);
  CHECK(again.who.session != first.who.session);
  CHECK(granted(s.perform("", account::any{account::refresh{again.refresh_token}})).who.user == ada);
  // Somebody else's request for the same name learns nothing by being repeated.
  CHECK(refused(s.perform_again(ada, account::register_user{ada, "another horse", "laptop"})) == errc::exists);
  auto guest = granted(s.perform("", account::any{account::guest{"phone"}}));
  CHECK(granted(s.perform_again(guest.who.user, account::guest{"phone"})).who.user == guest.who.user);
  CHECK(refused(s.perform_again(ada, account::guest{"phone"})) == errc::unavailable);
}

TEST_CASE("a connection that is known may change its session, also where no further one is allowed", "[user]") {
  scene s{[](settings& c) { c.limits.connections_per_user = 1; }};
  auto ada = s.enter("ada");
  ada.hello().ask(2, op::refresh{"ada/other"});
  CHECK(ada.heard() == lines{"1 hello ada", "2 refreshed"});
  CHECK_FALSE(ada.socket().closed);
  auto more = s.enter("ada");
  more.hello();
  CHECK(more.socket().closed == close_code::too_many_connections);
}

TEST_CASE("passwords can't be tried out: attempts on one account are throttled", "[user]") {
  scene s{[](settings& c) { c.limits.logins_per_minute = 3; }};
  auto ada = user_id::trusted("ada");
  s.perform("", account::any{account::register_user{ada, "correct horse", ""}});
  s.pass(61s);
  account::any guess = account::log_in{ada, "wrong horse", ""};
  for (int i = 0; i < 3; ++i)
    CHECK(refused(s.perform("", guess)) == errc::unauthenticated);
  auto a = s.perform("", account::any{account::log_in{ada, "correct horse", ""}});
  CHECK(refused(a) == errc::rate_limited);
  CHECK(a.error().retry_after_ms > 0);
  s.pass(61s);
  CHECK(s.perform("", account::any{account::log_in{ada, "correct horse", ""}}).has_value());
}

TEST_CASE("logging out closes the session's connections and keeps its tokens refused, also after a restart", "[user]") {
  scene s;
  auto grant = granted(s.perform("", account::any{account::guest{"phone"}}));
  auto name = grant.who.user.str();
  auto token = name + "/" + grant.who.session.substr(2);
  auto one = s.enter(name), other = s.enter(name);
  one.hello(token);
  other.hello(name + "/another");
  CHECK(s.perform(name, account::any{account::end_session{}}, grant.who.session).has_value());
  CHECK(one.socket().closed == close_code::revoked);
  CHECK_FALSE(other.socket().closed);
  auto again = s.enter(name);
  again.hello(token);
  CHECK(again.socket().closed == close_code::revoked);
  CHECK(refused(s.perform(name, op::any{op::rooms{}}, grant.who.session)) == errc::unauthenticated);
  CHECK(refused(s.perform("", account::any{account::refresh{grant.refresh_token}})) == errc::unauthenticated);
  one.hang_up(), other.hang_up(), again.hang_up();
  s.restart();
  auto later = s.enter(name);
  later.hello(token);
  CHECK(later.socket().closed == close_code::revoked);
}

TEST_CASE("the end of a session overtakes what its connection has been flooded with", "[user]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  auto grant = granted(s.perform("", account::any{account::guest{"phone"}}));
  auto name = grant.who.user.str();
  auto flooder = s.enter(name, 1);
  flooder.hello(name + "/" + grant.who.session.substr(2)).join("lobby");
  flooder.heard(), ada.heard();
  s.stuck_lane = 1;
  for (int i = 0; i < 1'000; ++i)
    flooder.say_later("lobby", "and on, and on");
  CHECK(s.perform(name, account::any{account::end_session{}}, grant.who.session).has_value());
  s.stuck_lane = std::nullopt;
  s.run();
  CHECK(flooder.socket().closed == close_code::revoked);
  CHECK(flooder.heard().empty());
  CHECK(ada.heard().empty());
}

TEST_CASE("a busy room tells its members' inboxes, some with each tick, and wakes nobody", "[user]") {
  scene s{[](settings& c) {
    c.rooms.activity_members = 4;
    c.rooms.activity_s = 2;
    c.users.idle_s = 1;
  }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  std::vector<std::string> names{"bob", "cy", "dan", "eve", "fay"};
  for (const auto& n : names)
    s.perform(n, op::any{op::join{s.room("lobby"), {}}});
  s.pass(20s); // all but ada sleep
  auto awake = s.figures.users_activated.get();
  auto told = [&](const std::string& n) {
    auto found = s.store->load_activity(user_id::trusted(n)).value();
    REQUIRE(found.size() == 1);
    CHECK(found[0].first == s.room("lobby"));
    return found[0].second.seq;
  };
  ada.say("lobby", "hi"); // #7
  s.pass(1s);
  ada.say("lobby", "ho"); // #8
  s.pass(20s);
  for (const auto& n : names)
    CHECK(told(n) == 8);
  CHECK(told("ada") == 8);
  CHECK(s.figures.users_activated.get() == awake);
  CHECK(s.store->load_activity(user_id::trusted("ada")).value()[0].second.epoch == s.epoch_of("lobby"));
  s.perform("bob", op::any{op::leave{s.room("lobby")}});
  CHECK(s.store->load_activity(user_id::trusted("bob")).value().empty());
}

TEST_CASE("what inboxes are told is written at once when a shard holds its share of it", "[user]") {
  scene s{[](settings& c) {
    c.users.activity_held = shard_count; // one each
    c.rooms.activity_s = 3'600;
  }};
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  s.pass(1s);
  CHECK(s.store->load_activity(user_id::trusted("ada")).value().size() == 1);
}

namespace {

/// What somebody does with refresh tokens.
struct holder {
  scene& s;
  answer show(const std::string& token) { return s.perform("", account::any{account::refresh{token}}); }
  std::string next_of(const std::string& token) { return granted(show(token)).refresh_token; }
};

} // namespace

TEST_CASE("a refresh token is good for its session, and for nothing else", "[user]") {
  scene s;
  holder ada{s};
  auto grant = granted(s.perform("", account::any{account::guest{""}}));
  auto fresh = granted(ada.show(grant.refresh_token));
  CHECK(fresh.who.session == grant.who.session);
  for (auto text : {std::string{}, std::string{"x"}, std::string{"::"}, "eve" + fresh.refresh_token,
                    fresh.refresh_token.substr(0, fresh.refresh_token.rfind(':')),
                    fresh.refresh_token.substr(0, fresh.refresh_token.rfind(':') + 1) + std::string(104, 'r')})
    CHECK(refused(ada.show(text)) == errc::unauthenticated);
  // Who only knows the name of a session can't end it.
  CHECK(granted(ada.show(fresh.refresh_token)).who.session == grant.who.session);
  CHECK(s.figures.refresh_reuses.get() == 0);
}

TEST_CASE("each refresh token gives another one, and is spent by that", "[user]") {
  scene s;
  holder ada{s};
  auto token = granted(s.perform("", account::any{account::guest{""}})).refresh_token;
  std::set<std::string> seen{token};
  for (int i = 0; i < 5; ++i) {
    token = ada.next_of(token);
    CHECK(seen.insert(token).second);
    s.pass(1h);
    if (i == 2)
      s.restart();
  }
}

TEST_CASE("a session goes on as long as it is refreshed", "[user]") {
  scene s{[](settings& c) { c.auth.session_days = 1; }};
  holder ada{s};
  auto token = granted(s.perform("", account::any{account::guest{""}})).refresh_token;
  for (int i = 0; i < 3; ++i) {
    s.clock += 20 * 3'600'000;
    token = ada.next_of(token);
  }
  s.clock += 25 * 3'600'000;
  CHECK(refused(ada.show(token)) == errc::unauthenticated);
  CHECK(s.figures.refresh_reuses.get() == 0);
}

TEST_CASE("whose answer got lost asks again and gets the same one, for a moment", "[user]") {
  scene s{[](settings& c) { c.auth.refresh_grace_s = 30; }};
  holder ada{s};
  auto first = granted(s.perform("", account::any{account::guest{""}})).refresh_token;
  auto second = ada.next_of(first);
  s.clock += 29'000;
  CHECK(ada.next_of(first) == second);
  s.restart(); // nothing in memory is needed for that
  CHECK(ada.next_of(first) == second);
  auto third = ada.next_of(second);
  CHECK(ada.next_of(second) == third);
  CHECK(s.figures.refresh_reuses.get() == 0);
}

TEST_CASE("a refresh token that is used again ends its session, with its connections, and no other", "[user]") {
  scene s{[](settings& c) { c.auth.refresh_grace_s = 30; }};
  holder ada{s};
  auto grant = granted(s.perform("", account::any{account::guest{""}}));
  auto name = grant.who.user.str();
  auto device = s.enter(name), other = s.enter(name);
  device.hello(name + "/" + grant.who.session.substr(2));
  other.hello(name + "/another");
  const auto first = grant.refresh_token;
  const auto second = ada.next_of(first);
  auto newest = second;
  SECTION("when its moment is over") { s.clock += 30'000; }
  SECTION("in its moment, when its successor has been used") { newest = ada.next_of(second); }
  SECTION("however old it is") {
    for (int i = 0; i < 5; ++i)
      newest = ada.next_of(newest);
    s.clock += 3'600'000;
  }
  SECTION("by somebody who made up what follows the family") {
    const auto secret = first.rfind(':') + 1;
    CHECK(refused(ada.show(first.substr(0, secret + 40) + std::string(64, '0'))) == errc::unauthenticated);
  }
  CHECK(refused(ada.show(first)) == errc::unauthenticated);
  CHECK(device.socket().closed == close_code::revoked);
  CHECK_FALSE(other.socket().closed);
  CHECK(s.figures.refresh_reuses.get() == 1);
  CHECK(s.figures.sessions_revoked.get() == 1);
  for (const auto& token : {first, second, newest})
    CHECK(refused(ada.show(token)) == errc::unauthenticated);
  CHECK(refused(s.perform(name, op::any{op::rooms{}}, grant.who.session)) == errc::unauthenticated);
  device.hang_up(), other.hang_up();
  s.restart();
  CHECK(refused(ada.show(newest)) == errc::unauthenticated);
  CHECK(s.figures.refresh_reuses.get() == 1); // told once
}

TEST_CASE("a refresh that another node repeats is the same one, however late it comes", "[user]") {
  scene s{[](settings& c) { c.auth.refresh_grace_s = 0; }};
  holder ada{s};
  auto grant = granted(s.perform("", account::any{account::guest{""}}));
  auto second = ada.next_of(grant.refresh_token);
  s.clock += 60'000;
  auto again = granted(s.perform_again(grant.who.user, account::refresh{grant.refresh_token}));
  CHECK(again.refresh_token == second);
  CHECK(ada.next_of(second) != second);
}

TEST_CASE("a refresh that can't be stored gives nothing, and the token stays good", "[user]") {
  scene s;
  holder ada{s};
  auto first = granted(s.perform("", account::any{account::guest{""}})).refresh_token;
  s.disk.fail_at(1, greenroom::testing::fault::no_space);
  // Both at once: the second must not be answered by what the first has only in memory.
  std::vector<answer> answers;
  for (int i = 0; i < 2; ++i)
    s.perform_later("", account::any{account::refresh{first}}, [&](answer a) { answers.push_back(std::move(a)); });
  s.run();
  REQUIRE(answers.size() == 2);
  for (const auto& a : answers)
    CHECK(refused(a) == errc::unavailable);
  s.disk.heal();
  s.pass(5s);
  auto second = ada.next_of(first);
  CHECK(ada.next_of(second) != second);
  CHECK(s.figures.refresh_reuses.get() == 0);
}

TEST_CASE("a session of before rotation goes on with it, and its old token is known", "[user]") {
  scene s{[](settings& c) { c.auth.refresh_grace_s = 0; }};
  holder ada{s};
  auto grant = granted(s.perform("", account::any{account::guest{""}}));
  // As it was stored then: one secret of 40 characters, and its digest.
  const std::string secret(40, 'o');
  storage::session_record old;
  old.created = s.clock;
  old.expires = s.clock + 86'400'000;
  std::string digest(32, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(digest.data()), digest.size(),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), nullptr, 0);
  old.refresh = old.family = digest;
  const auto& user = grant.who.user;
  storage::batch batch(user.shard());
  batch.put(user, "s_old", old);
  const storage::batch* all[] = {&batch};
  REQUIRE(s.store->commit(all).has_value());
  s.restart();
  const auto first = user.str() + ":s_old:" + secret;
  const auto second = ada.next_of(first);
  const auto third = ada.next_of(second);
  CHECK(refused(ada.show(first)) == errc::unauthenticated);
  CHECK(s.figures.refresh_reuses.get() == 1);
  CHECK(refused(ada.show(third)) == errc::unauthenticated);
}

TEST_CASE("a read position moves forward only, is told to others when it moves, and survives a restart", "[user]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.say("lobby", "one").say("lobby", "two");
  ada.heard(), bob.heard();
  bob.ask(3, op::read{s.room("lobby"), 3}).ask(4, op::read{s.room("lobby"), 2}).ask(5, op::read{s.room("lobby"), 9});
  CHECK(bob.heard() == lines{"3 read 3", "lobby bob read 3", "4 read 3", "5 bad_request"});
  CHECK(ada.heard() == lines{"lobby bob read 3"});
  bob.ask(6, op::rooms{});
  CHECK(bob.heard() == lines{"6 rooms lobby#4:1"});
  ada.hang_up(), bob.hang_up();
  s.restart();
  auto again = s.enter("bob");
  again.hello().ask(2, op::rooms{});
  CHECK(again.heard().back() == "2 rooms lobby#4:1");
}

TEST_CASE("the inbox is paged, and leaves out what the user has left", "[user]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  for (auto name : {"a", "b", "c", "d"})
    ada.create(name);
  ada.ask(10, op::leave{s.room("b")});
  ada.heard();
  ada.ask(11, op::rooms{"", 2}).ask(12, op::rooms{"c", 2});
  CHECK(ada.heard() == lines{"11 rooms a#1:0 c#1:0 next=c", "12 rooms d#1:0"});
}

TEST_CASE("every session of a user, and for an admin of everybody, can be seen", "[user]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello(), bob.hello();
  auto own = s.perform("ada", account::any{account::list_sessions{}});
  REQUIRE(own.has_value());
  CHECK(std::get<ok::sessions>(*own).list.size() == 1);
  CHECK(refused(s.perform("ada", account::any{account::list_sessions{true}})) == errc::forbidden);
  auto all = s.perform("root", account::any{account::list_sessions{true}}, "s_admin");
  REQUIRE(all.has_value());
  CHECK(std::get<ok::sessions>(*all).list.size() == 2);
}

TEST_CASE("a profile is one's own to change and everybody's to see", "[user]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello(), bob.hello();
  ada.heard(), bob.heard();
  op::profile mine, hers;
  mine.name = "Ada";
  hers.user = user_id::trusted("ada");
  ada.ask(2, mine);
  mine.name = {};
  mine.fields = R"({"x":1})";
  ada.ask(3, mine);
  CHECK(ada.heard() == lines{"2 profile ada Ada", R"(3 profile ada Ada{"x":1})"});
  bob.ask(2, hers);
  CHECK(bob.heard() == lines{R"(2 profile ada Ada{"x":1})"});
  hers.user = user_id::trusted("nobody");
  bob.ask(3, hers).ask(4, op::profile{});
  CHECK(bob.heard() == lines{"3 not_found", "4 profile bob "});
  ada.hang_up(), bob.hang_up();
  s.restart();
  auto again = s.enter("bob");
  hers.user = user_id::trusted("ada");
  again.hello().ask(2, hers);
  CHECK(again.heard() == lines{"1 hello bob", R"(2 profile ada Ada{"x":1})"});
}

TEST_CASE("how far a room was delivered is a position of its own, and may be kept to oneself", "[user]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello().create("lobby");
  bob.hello().join("lobby");
  ada.say("lobby", "one").say("lobby", "two");
  ada.heard(), bob.heard();
  auto at = [&](uint64_t seq, bool arrived, bool quiet) {
    op::read x;
    x.room = s.room("lobby");
    x.seq = seq;
    x.arrived = arrived;
    x.quiet = quiet;
    return x;
  };
  bob.ask(10, at(3, true, false)).ask(11, at(2, true, false)).ask(12, at(4, true, true));
  CHECK(bob.heard() == lines{"10 read 3", "lobby bob has 3", "11 read 3", "12 read 4"});
  CHECK(ada.heard() == lines{"lobby bob has 3"});
  bob.ask(13, at(3, false, false)).ask(14, at(4, false, true)).ask(15, at(3, true, false));
  CHECK(bob.heard() == lines{"13 read 3", "lobby bob read 3", "14 read 4", "15 read 4"});
  CHECK(ada.heard() == lines{"lobby bob read 3"});
}
