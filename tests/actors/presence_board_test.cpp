// Who is watched, how they appear, and what is told of it.
#include "actors/presence_board.hpp"

#include <catch2/catch.hpp>

using greenroom::appearance;
using greenroom::presence_board;
using greenroom::seen_as;
using greenroom::user_id;

namespace {

const auto ada = user_id::trusted("ada");
constexpr int64_t grace_ms = 5'000;

struct stage {
  presence_board board;
  bool awake = false;
  int64_t now = 1'000;

  void appears(seen_as status, bool gone = false) { board.appears({ada, status, {}}, gone, now); }
  /// "online to lanes 1 and nodes 4"
  std::string settle() {
    auto list = board.settle(now, grace_ms, [this](const user_id&) { return awake; });
    now += 1'000;
    if (list.empty())
      return {};
    REQUIRE(list.size() == 1);
    return std::string(to_string(list[0].what.status)) + " to lanes " + std::to_string(list[0].lanes) + " and nodes " +
           std::to_string(list[0].nodes);
  }
};

} // namespace

TEST_CASE("who watches is told of changes, not of what it has just asked", "[presence]") {
  stage s;
  CHECK(s.board.watch(ada, 0));
  CHECK_FALSE(s.board.watch(ada, 1)); // the node does already
  s.awake = true;
  CHECK(s.settle().empty()); // she has not said anything yet
  s.appears(seen_as::online);
  CHECK(s.settle().empty());
  s.appears(seen_as::away);
  s.appears(seen_as::dnd);
  CHECK(s.settle() == "dnd to lanes 3 and nodes 0"); // the last counts
  CHECK(s.settle().empty());
  CHECK_FALSE(s.board.unwatch(ada, 0));
  s.appears(seen_as::online);
  CHECK(s.settle() == "online to lanes 2 and nodes 0");
  CHECK(s.board.unwatch(ada, 1));
  s.appears(seen_as::away);
  CHECK(s.settle().empty());
}

TEST_CASE("who comes back in time was never gone", "[presence]") {
  stage s;
  s.board.watch(ada, 0);
  s.appears(seen_as::online);
  CHECK(s.settle().empty());
  s.appears(seen_as::offline, true);
  for (int i = 0; i < 4; ++i)
    CHECK(s.settle().empty());
  s.appears(seen_as::online);
  for (int i = 0; i < 10; ++i)
    CHECK(s.settle().empty());
  s.appears(seen_as::offline, true);
  for (int i = 0; i < 5; ++i)
    CHECK(s.settle().empty());
  CHECK(s.settle() == "offline to lanes 1 and nodes 0");
  s.appears(seen_as::online);
  CHECK(s.settle() == "online to lanes 1 and nodes 0");
  s.appears(seen_as::offline); // has become invisible: at once
  CHECK(s.settle() == "offline to lanes 1 and nodes 0");
}

TEST_CASE("a home that has just begun says of nobody that they are gone", "[presence]") {
  stage s;
  s.board.watch(ada, 0);
  s.appears(seen_as::online);
  s.settle();
  s.board.begin(s.now + 3'000);
  s.board.watch_from(2, ada, true);
  for (int i = 0; i < 3; ++i)
    CHECK(s.settle().empty());
  SECTION("who does not come is") { CHECK(s.settle() == "offline to lanes 1 and nodes 4"); }
  SECTION("who has come is there, and the other node is told") {
    s.appears(seen_as::online);
    CHECK(s.settle() == "online to lanes 1 and nodes 4"); // what the last home told here is not known
    CHECK(s.settle().empty());
  }
}

TEST_CASE("who was taken for gone when asked about is told of when they are back", "[presence]") {
  stage s;
  s.board.watch(ada, 0);
  s.appears(seen_as::online);
  CHECK(s.settle().empty());
  SECTION("while she was away") {
    s.appears(seen_as::offline, true);
    CHECK(s.settle().empty());
    s.board.asked(ada, s.now);
  }
  SECTION("by a question that overtook the word of it") {
    s.board.asked(ada, s.now);
    s.appears(seen_as::offline, true);
  }
  CHECK(s.settle().empty());
  s.appears(seen_as::online);
  CHECK(s.settle() == "online to lanes 1 and nodes 0");
  CHECK(s.settle().empty());
}

TEST_CASE("what a home did not come to tell, the next one tells", "[presence]") {
  stage s;
  s.board.watch(ada, 0);
  s.appears(seen_as::online);
  s.settle();
  s.appears(seen_as::away);
  s.board.end(); // before the turn of the clock
  auto n = s.board.told({ada, seen_as::away, {}});
  REQUIRE(n);
  CHECK(n->lanes == 1);
}

TEST_CASE("other nodes are told of changes, and of how things stand when they may have missed some", "[presence]") {
  stage s;
  s.board.watch_from(2, ada, false);
  s.appears(seen_as::online);
  CHECK(s.settle().empty());
  s.board.watch_from(3, ada, true);
  CHECK(s.settle() == "online to lanes 0 and nodes 8");
  s.appears(seen_as::away);
  CHECK(s.settle() == "away to lanes 0 and nodes 12");
  s.board.forget(2);
  s.appears(seen_as::online);
  CHECK(s.settle() == "online to lanes 0 and nodes 8");
  s.board.unwatch_from(3, ada);
  s.appears(seen_as::away);
  CHECK(s.settle().empty());
}

TEST_CASE("elsewhere, what the home says is passed on", "[presence]") {
  presence_board board;
  CHECK_FALSE(board.told({ada, seen_as::online, {}}));
  board.watch(ada, 5);
  auto n = board.told({ada, seen_as::online, "hi"});
  REQUIRE(n);
  CHECK(n->lanes == 32);
  CHECK(board.told({ada, seen_as::online, "hi"})); // the home knows why
  CHECK(board.told({ada, seen_as::online, "bye"}));
  CHECK(board.watched() == std::vector{ada});
  board.rest();
  board.unwatch(ada, 5);
  CHECK(board.watched().empty());
}

TEST_CASE("whoever is taken for offline and comes is news", "[presence]") {
  stage s;
  s.board.watch(ada, 0);
  CHECK_FALSE(s.board.knows(ada));
  s.board.presume_offline(ada);
  CHECK(s.board.knows(ada));
  s.appears(seen_as::online);
  CHECK(s.settle() == "online to lanes 1 and nodes 0");
}
