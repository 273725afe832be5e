#include "actors/timer_wheel.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using greenroom::timer_wheel;

namespace {

int ticks_until(timer_wheel& wheel, const int& fired, int limit) {
  int n = 0;
  while (fired == 0 && n < limit) {
    wheel.tick();
    ++n;
  }
  return n;
}

} // namespace

TEST_CASE("a deadline fires once, never early and at most two ticks late", "[timer_wheel]") {
  for (uint64_t ms : {0u, 1u, 99u, 100u, 101u, 5'000u, 51'200u, 60'000u, 200'000u}) {
    timer_wheel wheel;
    int fired = 0;
    timer_wheel::entry e{[&] { ++fired; }};
    for (int i = 0; i < 7; ++i)
      wheel.tick();
    wheel.arm(e, ms);
    auto n = static_cast<uint64_t>(ticks_until(wheel, fired, 10'000));
    INFO(ms);
    CHECK(fired == 1);
    CHECK(n * timer_wheel::tick_ms >= ms);
    CHECK(n * timer_wheel::tick_ms <= ms + 2 * timer_wheel::tick_ms);
    for (int i = 0; i < 2'000; ++i)
      wheel.tick();
    CHECK(fired == 1);
  }
}

TEST_CASE("a cancelled, moved or destroyed deadline does not fire at its old time", "[timer_wheel]") {
  timer_wheel wheel;
  int cancelled = 0, moved = 0, destroyed = 0;
  timer_wheel::entry a{[&] { ++cancelled; }};
  timer_wheel::entry b{[&] { ++moved; }};
  auto c = std::make_unique<timer_wheel::entry>([&] { ++destroyed; });
  wheel.arm(a, 200);
  wheel.arm(b, 200);
  wheel.arm(*c, 200);
  a.cancel();
  wheel.arm(b, 1'000);
  c.reset();
  for (int i = 0; i < 5; ++i)
    wheel.tick();
  CHECK(cancelled + moved + destroyed == 0);
  for (int i = 0; i < 10; ++i)
    wheel.tick();
  CHECK(moved == 1);
  CHECK_FALSE(a.armed());
}

TEST_CASE("whoever fires may arm, cancel and destroy any deadline, itself included", "[timer_wheel]") {
  timer_wheel wheel;
  int periodic = 0, victim = 0;
  std::vector<std::unique_ptr<timer_wheel::entry>> entries;
  timer_wheel::entry p{[&] {
    if (++periodic < 5)
      wheel.arm(p, 0);
  }};
  entries.push_back(std::make_unique<timer_wheel::entry>([&] { entries.clear(); })); // destroys itself and the next
  entries.push_back(std::make_unique<timer_wheel::entry>([&] { ++victim; }));
  wheel.arm(p, 100);
  for (auto& e : entries)
    wheel.arm(*e, 100);
  for (int i = 0; i < 20; ++i)
    wheel.tick();
  CHECK(periodic == 5);
  CHECK(victim == 0);
  CHECK(entries.empty());
}
