// Limits that are replaced while others read them: everybody has the new ones at once, and the old ones go when nobody
// can look at them any more.
#include "actors/limits_in_force.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <thread>

using namespace greenroom;
using namespace std::chrono_literals;

namespace {

/// Runs when told to.
class host_by_hand final : public host {
public:
  host_by_hand() : host(10) {}
  void run() {
    while (run_ready())
      ;
  }

private:
  void schedule() override {}
};

limits allowing(uint32_t subscriptions) {
  limits l;
  l.subscriptions = subscriptions;
  return l;
}

} // namespace

TEST_CASE("replaced limits are freed when every host has done what it was at, and not before", "[limits]") {
  host_by_hand a, b;
  limits_in_force in_force{allowing(1)};
  std::weak_ptr<const limits> before = in_force.kept();
  REQUIRE(in_force.settle(0ms));
  in_force.replace(allowing(2), {&a, &b});
  CHECK(in_force.now()->subscriptions == 2);
  CHECK(in_force.kept()->subscriptions == 2);
  a.run();
  CHECK_FALSE(before.expired());
  CHECK_FALSE(in_force.settle(0ms));
  SECTION("nobody has kept them") {
    b.run();
    CHECK(before.expired());
  }
  SECTION("somebody has kept them") {
    auto kept = before.lock();
    b.run();
    CHECK(kept->subscriptions == 1);
    kept.reset();
    CHECK(before.expired());
  }
  CHECK(in_force.settle(0ms));
}

TEST_CASE("however often limits are replaced, there are two at most", "[limits]") {
  host_by_hand on;
  limits_in_force in_force{allowing(0)};
  std::deque<std::weak_ptr<const limits>> all{in_force.kept()};
  for (uint32_t i = 1; i < 1'000; ++i) {
    REQUIRE(in_force.settle(0ms));
    in_force.replace(allowing(i), {&on});
    all.emplace_back(in_force.kept());
    size_t alive = 0;
    for (const auto& l : all)
      alive += l.expired() ? 0 : 1;
    CHECK(alive <= 2);
    while (all.front().expired())
      all.pop_front();
    on.run();
  }
}

TEST_CASE("threads that look at limits while these are replaced see whole ones", "[limits]") {
  struct looking : hosted {
    void drain(clock::time_point&, size_t) override {
      auto l = in_force->now();
      wrong += l->subscriptions == l->hello_rooms && l->hello_rooms == l->history_page ? 0 : 1;
    }
    limits_in_force* in_force = nullptr;
    int wrong = 0;
  };
  auto alike = [](uint32_t n) {
    limits l;
    l.subscriptions = l.hello_rooms = l.history_page = n;
    return l;
  };
  limits_in_force in_force{alike(0)};
  constexpr size_t count = 3;
  host_by_hand on[count];
  looking look[count];
  std::vector<host*> hosts;
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (size_t i = 0; i < count; ++i) {
    look[i].in_force = &in_force;
    hosts.push_back(&on[i]);
    threads.emplace_back([&, i] {
      while (!over) {
        on[i].add({}, look[i]);
        on[i].run();
      }
    });
  }
  bool settled = true;
  for (uint32_t i = 1; i < 2'000 && settled; ++i) {
    settled = in_force.settle(60s);
    if (settled)
      in_force.replace(alike(i), hosts);
  }
  settled = settled && in_force.settle(60s);
  over = true;
  for (auto& t : threads)
    t.join();
  CHECK(settled);
  for (const auto& l : look)
    CHECK(l.wrong == 0);
}
