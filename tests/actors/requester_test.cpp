// The requester: whom it asks before it does anything in somebody's name, that each call ends exactly once, and how
// when nobody answers.
#include "actors/requester.hpp"
#include "actors/room.hpp"
#include "actors/session_page.hpp"
#include "actors/user.hpp"
#include "tests/actors/lone_house.hpp"

#include <map>

using namespace greenroom;
using greenroom::testing::lone_house;

namespace {

/// A requester whose rooms, users and lanes are ears.
struct office : lone_house {
  office() {
    home->shards.assign(shard_count, shards.handle);
    for (auto& l : lanes)
      home->relay_lanes.push_back(l.handle);
  }
  identity as(const std::string& name) const {
    identity who;
    who.user = user_id::trusted(name);
    who.session = "s_" + name;
    who.expires_at = now + 3'600'000;
    who.admin = name == "root";
    return who;
  }
  /// Its number; what became of it is in `ended`.
  size_t call(const identity& who, decltype(requester::call::what) what) {
    auto number = ++calls;
    tell(it, requester::perform{std::make_shared<requester::call>(requester::call{
                 who, std::move(what), [this, number](answer a) { ended[number].push_back(std::move(a)); }})});
    run();
    return number;
  }
  size_t call(const std::string& name, decltype(requester::call::what) what) {
    return call(name.empty() ? identity{} : as(name), std::move(what));
  }
  user::command_ptr asked_user() { return shards.only<user::ask>().what; }
  room::command_ptr asked_room() { return shards.only<room::ask>().what; }
  void reply_to(const caller& c, answer what) {
    c.answer(std::move(what));
    run();
  }
  /// Lets the user confirm the session.
  void vouch() { reply_to(asked_user()->from, ok::any{ok::none{}}); }
  /// The one answer to a call.
  const answer& answer_to(size_t number) {
    REQUIRE(ended[number].size() == 1);
    return ended[number].front();
  }
  errc refused(size_t number) {
    const auto& a = answer_to(number);
    REQUIRE(a.has_error());
    return a.error().code;
  }

  using shard_ear = greenroom::testing::ear<shard::handle>;
  using lane_ear = greenroom::testing::ear<relay_lane::handle>;
  shard_ear shards = listen<shard::handle>();
  lane_ear lanes[2] = {listen<relay_lane::handle>(), listen<relay_lane::handle>()};
  requester::handle it = spawn<requester::requester_actor>(*home, on);
  size_t calls = 0;
  std::map<size_t, std::vector<answer>> ended;
};

const room_id lobby = room_id::trusted("lobby");
const user_id ada = user_id::trusted("ada");
op::any hello_all(const std::string& key = "a-1") {
  op::send x;
  x.room = lobby;
  x.key = key;
  x.text = "hello all";
  return x;
}
op::create create_it() {
  op::create x;
  x.room = lobby;
  return x;
}
op::members members_of_it() {
  op::members x;
  x.room = lobby;
  return x;
}
op::history history_of_it() {
  op::history x;
  x.room = lobby;
  return x;
}
ok::any sent(uint64_t seq) {
  ok::sent x;
  x.room = lobby;
  x.seq = seq;
  return x;
}
const ok::sent& what_was_sent(const answer& a) {
  REQUIRE(a.has_value());
  return std::get<ok::sent>(*a);
}
answer sessions(std::initializer_list<const char*> users) {
  ok::sessions x;
  for (const auto* name : users)
    x.list.push_back({user_id::trusted(name), "s", "phone", "n1", 0, 0});
  return ok::any{x};
}

} // namespace

TEST_CASE("before anything is done in a user's name the user confirms the session", "[requester]") {
  office w;
  auto n = w.call("ada", hello_all());
  auto first = w.asked_user();
  CHECK(first->user == ada);
  CHECK(std::get<user::vouch>(first->what).session == "s_ada");
  CHECK_FALSE(std::get<user::vouch>(first->what).one_more_room);
  CHECK(w.ended.empty());
  w.reply_to(first->from, ok::any{ok::none{}});
  auto second = w.asked_room();
  CHECK(second->room == lobby);
  CHECK(second->from.user == ada);
  CHECK(second->from.connection == 0);
  CHECK(std::get<op::send>(second->what).text == "hello all");
  w.reply_to(second->from, sent(7));
  CHECK(what_was_sent(w.answer_to(n)).seq == 7);
}

TEST_CASE("a session that the user does not confirm gets nothing done", "[requester]") {
  office w;
  for (auto what : std::initializer_list<decltype(requester::call::what)>{
           hello_all(), op::any{create_it()}, op::any{op::rooms{}}, account::any{account::end_session{}},
           account::any{account::list_sessions{}}, admin::any{admin::webhooks{}}}) {
    auto n = w.call("ada", what);
    w.reply_to(w.asked_user()->from, fail(errc::unauthenticated, "session: revoked"));
    CHECK(w.refused(n) == errc::unauthenticated);
    CHECK(w.shards.heard().empty());
    CHECK(w.lanes[0].heard().empty());
  }
}

TEST_CASE("whoever wants to be in one more room is asked whether there may be one", "[requester]") {
  office w;
  auto asks = [&](op::any what) {
    w.call("ada", std::move(what));
    return std::get<user::vouch>(w.asked_user()->what).one_more_room;
  };
  CHECK(asks(create_it()));
  CHECK(asks(op::join{lobby, {}}));
  CHECK_FALSE(asks(op::leave{lobby}));
  CHECK_FALSE(asks(history_of_it()));
  CHECK_FALSE(asks(members_of_it()));
}

TEST_CASE("who has no account yet needs nobody's word", "[requester]") {
  office w;
  w.call("", account::any{account::register_user{ada, "correct horse", "phone"}});
  auto enlist = w.asked_user();
  CHECK(enlist->user == ada);
  CHECK(std::holds_alternative<account::register_user>(enlist->what));
  w.call("", account::any{account::log_in{ada, "correct horse", "phone"}});
  CHECK(std::holds_alternative<account::log_in>(w.asked_user()->what));
  w.call("", account::any{account::refresh{"ada:secret"}});
  CHECK(w.asked_user()->user == ada);
  w.call("", account::any{account::guest{"phone"}});
  auto one = w.asked_user()->user;
  w.call("", account::any{account::guest{"phone"}});
  auto other = w.asked_user()->user;
  CHECK(one.str().starts_with("guest-"));
  CHECK(one != other);
  for (const auto* text : {"", "secret", ":secret", "No User:secret"}) {
    auto n = w.call("", account::any{account::refresh{text}});
    // "secret" is a user's name like any other: that one says whether it is a token.
    if (std::string(text) == "secret")
      w.reply_to(w.asked_user()->from, fail(errc::unauthenticated, "refresh_token: unknown, expired or revoked"));
    CHECK(w.refused(n) == errc::unauthenticated);
    CHECK(w.shards.heard().empty());
  }
}

TEST_CASE("a direct message goes to the room of both, and to nobody when it is for oneself", "[requester]") {
  office w;
  op::send x;
  x.to = user_id::trusted("bob");
  w.call("ada", op::any{x});
  w.vouch();
  CHECK(w.asked_room()->room == room_id::direct(ada, *x.to));
  x.to = ada;
  auto n = w.call("ada", op::any{x});
  w.vouch();
  CHECK(w.refused(n) == errc::bad_request);
  CHECK(w.shards.heard().empty());
}

TEST_CASE("what needs a connection is refused", "[requester]") {
  office w;
  for (const op::any& what : {op::any{op::hello{}}, op::any{op::refresh{}}, op::any{op::ping{}},
                              op::any{op::subscribe{lobby, {}}}, op::any{op::unsubscribe{lobby}}}) {
    auto n = w.call("ada", what);
    w.vouch();
    CHECK(w.refused(n) == errc::unsupported);
    CHECK(w.shards.heard().empty());
  }
}

TEST_CASE("answers find their calls, in whichever order they come", "[requester]") {
  office w;
  size_t n[3];
  caller from[3];
  for (int i = 0; i < 3; ++i) {
    n[i] = w.call("ada", hello_all("a-" + std::to_string(i)));
    w.vouch();
    from[i] = w.asked_room()->from;
  }
  w.reply_to(from[2], sent(12));
  w.reply_to(from[0], sent(10));
  CHECK(what_was_sent(w.answer_to(n[0])).seq == 10);
  CHECK(w.ended[n[1]].empty());
  CHECK(what_was_sent(w.answer_to(n[2])).seq == 12);
  w.reply_to(from[1], fail(errc::not_member, "room: you are not a member"));
  CHECK(w.refused(n[1]) == errc::not_member);
}

TEST_CASE("calls that wait for the same user reach the room in the order in which they came", "[requester]") {
  office w;
  for (int i = 0; i < 5; ++i)
    w.call("ada", hello_all("a-" + std::to_string(i)));
  auto waiting = w.shards.all<user::ask>();
  REQUIRE(waiting.size() == 5);
  w.shards.heard().clear();
  for (const auto& x : waiting)
    x.what->from.answer(ok::any{ok::none{}});
  w.run();
  auto sends = w.shards.all<room::ask>();
  REQUIRE(sends.size() == 5);
  for (size_t i = 0; i < 5; ++i)
    CHECK(std::get<op::send>(sends[i].what->what).key == "a-" + std::to_string(i));
  w.shards.heard().clear();
}

TEST_CASE("a call that nobody answers ends after limits.request_ms, and a late answer is no second one",
          "[requester]") {
  office w;
  const auto limit = static_cast<int64_t>(w.config.limits.request_ms);
  const int64_t sweep = 1'000 + timer_wheel::tick_ms; // how long after it a call may be found
  SECTION("the user does not answer, and the room hears of nothing") {
    auto n = w.call("ada", hello_all());
    auto question = w.asked_user();
    w.pass(limit);
    CHECK(w.ended.empty());
    w.pass(2 * sweep);
    CHECK(w.refused(n) == errc::unavailable);
    w.reply_to(question->from, ok::any{ok::none{}});
    CHECK(w.shards.heard().empty());
    CHECK(w.refused(n) == errc::unavailable);
  }
  SECTION("the room does not answer") {
    auto n = w.call("ada", hello_all());
    w.vouch();
    auto question = w.asked_room();
    w.pass(limit);
    CHECK(w.ended.empty());
    w.pass(2 * sweep);
    CHECK(w.refused(n) == errc::unavailable);
    CHECK(w.answer_to(n).error().message.find("limits.request_ms") != std::string::npos);
    w.reply_to(question->from, sent(7));
    CHECK(w.refused(n) == errc::unavailable);
  }
  SECTION("one that came later has its whole time") {
    auto early = w.call("ada", hello_all());
    w.pass(limit - 1'000);
    auto late = w.call("ada", hello_all());
    w.pass(1'000 + 2 * sweep);
    CHECK(w.refused(early) == errc::unavailable);
    CHECK(w.ended[late].empty());
    w.pass(limit);
    CHECK(w.refused(late) == errc::unavailable);
  }
  SECTION("the next call after all have ended has an end, too") {
    w.call("ada", hello_all());
    w.pass(limit + 3 * sweep);
    auto n = w.call("ada", hello_all());
    w.pass(limit + 2 * sweep);
    CHECK(w.refused(n) == errc::unavailable);
  }
  w.shards.heard().clear();
}

TEST_CASE("an answer that comes twice ends a call once", "[requester]") {
  office w;
  auto n = w.call("ada", hello_all());
  w.vouch();
  auto question = w.asked_room();
  w.reply_to(question->from, sent(7));
  w.reply_to(question->from, sent(8));
  CHECK(what_was_sent(w.answer_to(n)).seq == 7);
}

TEST_CASE("over the bound on calls the next one is refused at once, and served when another has ended", "[requester]") {
  office w;
  constexpr size_t far_too_many = 1'000'000;
  size_t last = 0;
  while (last < far_too_many && w.ended.empty())
    last = w.call("ada", hello_all());
  REQUIRE(last < far_too_many);
  CHECK(last > 1);
  CHECK(w.ended.size() == 1); // nobody else lost anything
  CHECK(w.refused(last) == errc::unavailable);
  auto waiting = w.shards.all<user::ask>();
  CHECK(waiting.size() == last - 1); // nobody was asked for it
  w.shards.heard().clear();
  w.reply_to(waiting.front().what->from, fail(errc::unauthenticated, "session: revoked"));
  CHECK(w.refused(1) == errc::unauthenticated);
  auto n = w.call("ada", hello_all());
  CHECK(w.asked_user()->user == ada);
  CHECK(w.ended[n].empty());
}

TEST_CASE("when the server goes down all calls are told so", "[requester]") {
  office w;
  auto one = w.call("ada", hello_all());
  auto question = w.asked_user();
  auto other = w.call("bob", hello_all());
  w.vouch();
  tell(w.it, requester::stop{});
  w.run();
  CHECK(w.refused(one) == errc::unavailable);
  CHECK(w.refused(other) == errc::unavailable);
  CHECK(w.home->living.count(actor_kind::requester) == 0);
  w.reply_to(question->from, ok::any{ok::none{}});
  w.pass(static_cast<int64_t>(w.config.limits.request_ms) + 3'000);
  CHECK(w.ended[one].size() == 1);
  w.shards.heard().clear();
}

TEST_CASE("a list of sessions comes page by page, oldest first, and each place is asked for no more", "[requester]") {
  office w;
  const auto since = [](std::initializer_list<int64_t> times) {
    ok::sessions x;
    for (auto t : times)
      x.list.push_back({ada, "s", "phone", "n1", t, 0});
    return answer{ok::any{x}};
  };
  std::vector<int64_t> seen;
  std::string after;
  for (int pages = 0; pages < 3; ++pages) {
    auto n = w.call("ada", account::any{account::list_sessions{false, after, 2}});
    w.vouch();
    auto first = w.lanes[0].only<relay_lane::list>(), second = w.lanes[1].only<relay_lane::list>();
    CHECK(first.limit == 3);
    CHECK(second.after == after);
    ok::sessions here = std::get<ok::sessions>(*since({9, 3, 5}));
    REQUIRE(keep_page(here, second.after, second.limit).has_value());
    ok::sessions there = std::get<ok::sessions>(*since({7, 1}));
    REQUIRE(keep_page(there, first.after, first.limit).has_value());
    w.reply_to(second.from, ok::any{here});
    w.reply_to(first.from, ok::any{there});
    REQUIRE(w.answer_to(n).has_value());
    const auto& page = std::get<ok::sessions>(*w.answer_to(n));
    for (const auto& x : page.list)
      seen.push_back(x.since);
    after = page.next;
  }
  CHECK(seen == std::vector<int64_t>{1, 3, 5, 7, 9});
  CHECK(after.empty());
  auto n = w.call("ada", account::any{account::list_sessions{false, "page 2", 2}});
  w.vouch();
  CHECK(w.refused(n) == errc::bad_request);
  CHECK(w.lanes[0].heard().empty());
}

TEST_CASE("connections that no cursor tells apart stay on one page", "[requester]") {
  ok::sessions all;
  for (int i = 0; i < 3; ++i)
    all.list.push_back({ada, "s", "phone", "n1", 5, 0});
  all.list.push_back({ada, "t", "phone", "n1", 5, 0});
  auto first = all;
  REQUIRE(keep_page(first, "", 1).has_value());
  CHECK(first.list.size() == 3);
  REQUIRE_FALSE(first.next.empty());
  REQUIRE(keep_page(all, first.next, 1).has_value());
  REQUIRE(all.list.size() == 1);
  CHECK(all.list[0].session == "t");
  CHECK(all.next.empty());
  CHECK(keep_page(all, "5,ada", 1).has_error());
}

TEST_CASE("a list of sessions is whole when all lanes have said theirs", "[requester]") {
  office w;
  auto asked_lane = [&](int i) { return w.lanes[i].only<relay_lane::list>(); };
  SECTION("one's own") {
    auto n = w.call("ada", account::any{account::list_sessions{}});
    w.vouch();
    auto second = asked_lane(1), first = asked_lane(0);
    CHECK(first.user == ada);
    CHECK(second.user == ada);
    w.reply_to(second.from, sessions({"ada", "ada"}));
    CHECK(w.ended.empty());
    w.reply_to(first.from, sessions({"ada"}));
    REQUIRE(w.answer_to(n).has_value());
    CHECK(std::get<ok::sessions>(*w.answer_to(n)).list.size() == 3);
  }
  SECTION("everybody's, for admins only") {
    auto n = w.call("ada", account::any{account::list_sessions{true}});
    w.vouch();
    CHECK(w.refused(n) == errc::forbidden);
    CHECK(w.lanes[0].heard().empty());
    w.call("root", account::any{account::list_sessions{true}});
    w.vouch();
    CHECK(asked_lane(0).user.empty());
    w.lanes[1].heard().clear();
  }
  SECTION("a lane does not answer") {
    auto n = w.call("ada", account::any{account::list_sessions{}});
    w.vouch();
    w.reply_to(asked_lane(0).from, sessions({"ada"}));
    w.pass(static_cast<int64_t>(w.config.limits.request_ms) + 3'000);
    CHECK(w.refused(n) == errc::unavailable);
    w.reply_to(asked_lane(1).from, sessions({"ada"}));
    CHECK(w.ended[n].size() == 1);
  }
  SECTION("in a cluster, when all other nodes have said theirs as well") {
    auto survey = w.listen<cluster::survey_handle>();
    w.home->cluster = std::make_unique<cluster::cluster_house>(cluster::test::agreement_of_all);
    w.home->cluster->survey = survey.handle;
    auto n = w.call("ada", account::any{account::list_sessions{}});
    w.vouch();
    auto question = survey.only<cluster::survey_ask>();
    CHECK(question.user == ada);
    w.reply_to(asked_lane(0).from, sessions({"ada"}));
    w.reply_to(asked_lane(1).from, sessions({}));
    CHECK(w.ended.empty());
    SECTION("they do") {
      w.reply_to(question.from, sessions({"ada", "ada"}));
      CHECK(std::get<ok::sessions>(*w.answer_to(n)).list.size() == 3);
    }
    SECTION("they can't: less than all is no list") {
      w.reply_to(question.from, fail(errc::unavailable, "sessions: node n2 can't be asked"));
      CHECK(w.refused(n) == errc::unavailable);
    }
  }
}

TEST_CASE("ending a session names one's own, or another one of the same user", "[requester]") {
  office w;
  auto ends = [&](const std::string& session) {
    w.call("ada", account::any{account::end_session{session}});
    w.vouch();
    auto command = w.asked_user();
    CHECK(command->user == ada);
    return std::get<user::end_session>(command->what);
  };
  auto until = w.as("ada").expires_at;
  CHECK(ends("").session == "s_ada");
  CHECK(ends("s_ada").expires_at == until); // so long the token itself would be good
  CHECK(ends("s_other").session == "s_other");
  CHECK(ends("s_other").expires_at == 0);
}

TEST_CASE("every refusal is counted by its code, every success is not", "[requester]") {
  office w;
  auto errors = [&](errc code) { return w.figures.errors[static_cast<size_t>(code)].get(); };
  w.call("ada", hello_all());
  w.reply_to(w.asked_user()->from, fail(errc::unauthenticated, "session: revoked"));
  CHECK(errors(errc::unauthenticated) == 1);
  w.call("ada", hello_all());
  w.vouch();
  w.reply_to(w.asked_room()->from, sent(2));
  CHECK(errors(errc::unauthenticated) == 1);
}
