// The protocol of one shard under chance: after each step the invariants of actors/cluster/README.md; at the end
// everything heals, and all replicas must be alike.
#include "chance_world.hpp"
#include "tests/support/rounds.hpp"

#include <cstdlib>
#include <string>

using namespace greenroom::cluster::test;

TEST_CASE("whatever fails, what was committed stays, in one order, with one primary an epoch", "[replication]") {
  auto from = uint32_t{1};
  auto rounds = greenroom::test::rounds(300);
  if (const char* n = std::getenv("GREENROOM_ROUNDS"))
    rounds = static_cast<uint32_t>(std::stoul(n));
  if (const char* s = std::getenv("GREENROOM_SEED")) {
    from = static_cast<uint32_t>(std::stoul(s));
    rounds = 1;
  }
  uint64_t all = 0;
  for (auto seed = from; seed < from + rounds; ++seed) {
    INFO("GREENROOM_SEED=" << seed);
    chance_world w(seed);
    for (int i = 0; i < 4'000; ++i) {
      w.step();
      if (w.one_in(60))
        w.fault();
      if (i % 50 == 0)
        w.check();
    }
    w.heal();
    int i = 0;
    for (; i < 400'000 && !w.quiet(); ++i) {
      w.talks = i < 200'000; // a busy shard is seldom the same everywhere at one moment
      w.step();
    }
    CHECK(w.quiet());
    w.check();
    all += w.committed.size();
  }
  CHECK(all > rounds * 50);
}
