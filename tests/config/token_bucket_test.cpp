// A token bucket against what it promises: the average, the burst, the time to wait, and rates that change.
#include "config/token_bucket.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <random>

using namespace greenroom;

TEST_CASE("a bucket gives a burst at once, then so many per time, and says when the next one is there", "[bucket]") {
  token_bucket b;
  const rate r{6, 60'000, 6};
  int64_t now = 1'000'000;
  for (int i = 0; i < 6; ++i)
    CHECK(b.take(r, now) == 0);
  CHECK(b.take(r, now) == 10'000);
  CHECK(b.take(r, now) == 10'000); // a refusal costs nothing
  now += 9'999;
  CHECK(b.take(r, now) == 1);
  now += 1;
  CHECK(b.take(r, now) == 0);
  CHECK(b.take(r, now) == 10'000);
  now += 3'600'000; // rest gives no more than a bucketful
  for (int i = 0; i < 6; ++i)
    CHECK(b.take(r, now) == 0);
  CHECK(b.take(r, now) > 0);
  b.fill();
  CHECK(b.take(r, now) == 0);
}

TEST_CASE("a bucket that was never used is full, whatever the clock begins with", "[bucket]") {
  for (int64_t now : {int64_t{0}, int64_t{1}, int64_t{1'700'000'000'000}}) {
    token_bucket b;
    const rate r{1, 1'000, 2};
    CHECK(b.take(r, now) == 0);
    CHECK(b.take(r, now) == 0);
    CHECK(b.take(r, now) == 1'000);
  }
}

TEST_CASE("a rate of 0 is no limit, and a burst of 0 is one of 1", "[bucket]") {
  token_bucket b;
  for (int i = 0; i < 1'000; ++i)
    REQUIRE(b.take({0, 1'000, 1}, 5) == 0);
  CHECK(b.take({1, 1'000, 0}, 5) == 0);
  CHECK(b.take({1, 1'000, 0}, 5) == 1'000);
}

TEST_CASE("whoever waits as long as he is told is let through, at any rate within the bounds", "[bucket]") {
  for (uint32_t count : {1u, 3u, 7u, 999u, 1'000u, 1'001u, 333'333u, 1'000'000u})
    for (uint32_t period_ms : {1'000u, 60'000u, 600'000u})
      for (uint32_t burst : {1u, 5u, 1'000u}) {
        CAPTURE(count, period_ms, burst);
        token_bucket b;
        const rate r{count, period_ms, burst};
        int64_t now = 77;
        for (int i = 0; i < 3'000; ++i)
          if (auto wait = b.take(r, now); wait != 0) {
            REQUIRE(b.take(r, now + wait - 1) != 0);
            now += wait;
            REQUIRE(b.take(r, now) == 0);
          }
      }
}

TEST_CASE("over a long time no more is let through than the average and one burst", "[bucket]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  for (const rate r : {rate{20, 1'000, 40}, rate{333, 1'000, 4}, rate{10, 60'000, 10}}) {
    token_bucket b;
    int64_t now = 0, let_through = 0;
    for (int i = 0; i < 200'000; ++i) {
      now += random() % 3;
      let_through += b.take(r, now) == 0 ? 1 : 0;
    }
    CHECK(let_through <= r.burst + now * r.count / r.period_ms + 1);
    CHECK(let_through >= now * r.count / r.period_ms - 1); // and who asks all the time gets all of it
  }
}

TEST_CASE("a faster rate is felt at once: nobody waits for what the slower one was owed", "[bucket]") {
  token_bucket b;
  const rate slow{1, 600'000, 10}, fast{10, 1'000, 10};
  for (int i = 0; i < 10; ++i)
    CHECK(b.take(slow, 0) == 0);
  CHECK(b.take(slow, 0) == 600'000);
  CHECK(b.take(fast, 0) == 100);
  CHECK(b.take(fast, 50) == 50); // what was owed is now a bucketful of the new rate, no more
  CHECK(b.take(fast, 100) == 0);
  CHECK(b.take(fast, 100) == 100);
  for (int i = 0; i < 10; ++i)
    CHECK(b.take(fast, 1'100) == 0);
}
