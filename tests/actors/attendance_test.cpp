// Who is online is counted once, wherever and however often they listen.
#include "actors/attendance.hpp"

#include <catch2/catch.hpp>

using greenroom::attendance;
using greenroom::restless_rooms;
using greenroom::room_id;
using greenroom::seen_as;
using greenroom::user_id;

namespace {

const auto online = seen_as::online;

struct lobby {
  std::shared_ptr<restless_rooms> noted = std::make_shared<restless_rooms>();
  attendance a{room_id::trusted("lobby"), noted};
  int64_t now = 100'000;

  auto news(bool names, bool complete = true) { return a.take_news(names, complete, now += 1'000); }
};

} // namespace

TEST_CASE("a member is online once, on whatever connections and nodes", "[attendance]") {
  lobby l;
  auto& a = l.a;
  auto ada = user_id::trusted("ada");
  CHECK(a.enter(ada, true, true, online));
  CHECK_FALSE(a.enter(ada, true, true, online));
  a.report(3, ada, online);
  a.report(5, ada, online);
  CHECK(a.count() == 1);
  CHECK_FALSE(a.leave(ada));
  CHECK(a.leave(ada)); // the last one here
  CHECK(a.status(ada) == online);
  a.forget(3);
  CHECK(a.status(ada) == online);
  a.report(5, ada, seen_as::offline);
  CHECK(a.status(ada) == seen_as::offline);
  CHECK(a.count() == 0);
}

TEST_CASE("a stranger who listens is not online until they join", "[attendance]") {
  lobby l;
  auto& a = l.a;
  auto bob = user_id::trusted("bob");
  CHECK_FALSE(a.enter(bob, false, true, online));
  CHECK(a.count() == 0);
  CHECK(a.count_with(bob, true) == 1);
  CHECK(a.enter(bob, true, false, online)); // the same connection
  CHECK(a.count() == 1);
  CHECK(a.count_with(bob, true) == 1);
  CHECK(a.here().size() == 1);
  CHECK(a.leave(bob));
  CHECK(a.here().empty());
}

TEST_CASE("who is invisible is not there, and who is away is there as away", "[attendance]") {
  lobby l;
  auto ada = user_id::trusted("ada");
  CHECK_FALSE(l.a.enter(ada, true, true, seen_as::offline));
  CHECK(l.a.count() == 0);
  CHECK(l.a.count_with(ada, true) == 1); // as far as she herself is told
  CHECK(l.a.here().empty());
  CHECK(l.a.appear(ada, seen_as::away));
  CHECK(l.a.status(ada) == seen_as::away);
  CHECK(l.a.status_here(ada) == seen_as::away);
  CHECK_FALSE(l.a.enter(ada, true, false, online)); // the same connection joins: what was chosen stays
  CHECK(l.a.status(ada) == seen_as::away);
  CHECK(l.a.appear(ada, seen_as::offline));
  CHECK(l.a.count() == 0);
  CHECK_FALSE(l.a.appear(user_id::trusted("bob"), online)); // is not here
}

TEST_CASE("what has changed is told together, once, and by name only where it is few", "[attendance]") {
  lobby l;
  auto ada = user_id::trusted("ada");
  CHECK_FALSE(l.news(true));
  l.a.enter(ada, true, true, online);
  l.a.leave(ada);
  l.a.enter(ada, true, true, online);
  CHECK(l.noted->size() == 1);
  auto news = l.news(true);
  REQUIRE(news);
  CHECK(news->online == 1);
  REQUIRE(news->users.size() == 1);
  CHECK(news->users[0] == std::pair{ada, online});
  CHECK_FALSE(l.news(true));
  for (int i = 0; i < 1'000; ++i)
    l.a.enter(user_id::trusted("u" + std::to_string(i)), true, true, online);
  CHECK(l.noted->size() == 2);
  news = l.news(true);
  REQUIRE(news);
  CHECK(news->online == 1'001);
  CHECK(news->users.empty()); // too many to be told by name
}

TEST_CASE("a large room is told a number that has changed, and the seldomer the larger it is", "[attendance]") {
  lobby l;
  for (int i = 0; i < 5'000; ++i)
    l.a.enter(user_id::trusted("u" + std::to_string(i)), true, true, online);
  CHECK(l.news(false)->online == 5'000);
  const auto ada = user_id::trusted("ada");
  l.noted->clear();
  l.a.enter(ada, true, true, online);
  for (int s = 1; s <= 5; ++s)
    CHECK_FALSE(l.news(false));
  CHECK(l.noted->size() == 6); // it is looked at again each time
  CHECK(l.news(false)->online == 5'001);
  l.a.leave(ada);
  l.a.enter(ada, true, true, online);
  CHECK_FALSE(l.news(false));
  CHECK_FALSE(l.news(false)); // and it has nothing to say any more
  l.noted->clear();
  l.a.leave(ada);
  CHECK(l.noted->size() == 1);
}

TEST_CASE("where listeners may have been told otherwise all are named once, when all nodes have reported",
          "[attendance]") {
  lobby l;
  const auto ada = user_id::trusted("ada"), bob = user_id::trusted("bob");
  l.a.enter(ada, true, true, online);
  CHECK_FALSE(l.news(true)->whole);
  l.a.look_anew();
  CHECK_FALSE(l.news(true, false));
  l.a.report(2, bob, seen_as::away);
  auto news = l.news(true);
  REQUIRE(news);
  CHECK(news->whole);
  CHECK(news->users.size() == 2);
  CHECK_FALSE(l.news(true));
  l.a.look_anew();
  CHECK(l.news(false)->online == 2); // also if it is no other number
}
