// Who is online is counted once, wherever and however often they listen.
#include "actors/attendance.hpp"

#include <catch2/catch.hpp>

using greenroom::attendance;
using greenroom::user_id;

TEST_CASE("a member is online once, on whatever connections and nodes", "[attendance]") {
  attendance a;
  auto ada = user_id::trusted("ada");
  CHECK(a.enter(ada, true, true));
  CHECK_FALSE(a.enter(ada, true, true));
  a.report(3, ada, true);
  a.report(5, ada, true);
  CHECK(a.count() == 1);
  CHECK_FALSE(a.leave(ada));
  CHECK(a.leave(ada)); // the last one here
  CHECK(a.online(ada));
  a.forget(3);
  CHECK(a.online(ada));
  a.report(5, ada, false);
  CHECK_FALSE(a.online(ada));
  CHECK(a.count() == 0);
}

TEST_CASE("a stranger who listens is not online until they join", "[attendance]") {
  attendance a;
  auto bob = user_id::trusted("bob");
  CHECK_FALSE(a.enter(bob, false, true));
  CHECK(a.count() == 0);
  CHECK(a.count_with(bob, true) == 1);
  CHECK(a.enter(bob, true, false)); // the same connection
  CHECK(a.count() == 1);
  CHECK(a.count_with(bob, true) == 1);
  CHECK(a.here().size() == 1);
  CHECK(a.leave(bob));
  CHECK(a.here().empty());
}
