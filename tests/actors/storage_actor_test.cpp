// The storage actor's promise: what waits is one synced write, and a failed one voids all that was built on it.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using namespace std::chrono_literals;

TEST_CASE("whatever waits is one synced write", "[storage_actor]") {
  scene s;
  std::vector<greenroom::testing::person> people;
  for (int i = 0; i < 20; ++i) {
    auto name = "user-" + std::to_string(i);
    people.push_back(s.enter(name));
    people.back().hello().create("room-" + std::to_string(i));
  }
  auto before = s.figures.commits.get();
  auto batches = s.figures.commit_batches.sum();
  for (int i = 0; i < 20; ++i)
    people[static_cast<size_t>(i)].say_later("room-" + std::to_string(i), "hi");
  s.run();
  CHECK(s.figures.commit_batches.sum() - batches == 20);
  CHECK(s.figures.commits.get() - before <= 3);
}

TEST_CASE("what was built on a failed write is refused, whichever room it belongs to, and all goes on afterwards",
          "[storage_actor]") {
  scene s;
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().create("one");
  bob.hello().create("two");
  ada.heard(), bob.heard();
  s.disk.fail_at(1, fault::no_space);
  ada.say("one", "a").say("one", "b");
  bob.say("two", "c");
  CHECK(ada.heard() == lines{"3 unavailable", "4 unavailable"});
  CHECK(bob.heard() == lines{"3 unavailable"});
  CHECK_FALSE(s.store->healthy());
  s.disk.heal();
  s.pass(1s);
  CHECK(s.store->healthy());
  // The first request after the recovery is served: nobody is told of a trouble that is over.
  ada.say("one", "a");
  bob.say("two", "c");
  CHECK(ada.heard() == lines{"5 sent one#2", "one#2 ada: a"});
  CHECK(bob.heard() == lines{"4 sent two#2", "two#2 bob: c"});
}
