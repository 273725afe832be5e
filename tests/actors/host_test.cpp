// Hosts under load: many actors on strands and on lanes with real threads, with short turns, so that the ways from
// enqueue() over drain() to run_ready() cross as often as they can.
#include "actors/base.hpp"
#include "actors/lane.hpp"
#include "actors/strand.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

using namespace greenroom;

namespace {

struct ball {
  using local = message_tag;
  uint32_t from = 0;
  uint64_t number = 0; // of those from there to here
  uint32_t left = 0;
  std::shared_ptr<const int> token; // alive as long as the message
};
struct finish {
  using local = message_tag;
};
using player = caf::typed_actor<caf::reacts_to<ball>, caf::reacts_to<finish>>;

struct game {
  std::vector<player> players;
  std::atomic<uint32_t> in_play{0};
  std::atomic<uint32_t> out_of_order{0};
  std::promise<void> over;
};

/// Throws every ball on to somebody.
class player_actor : public hosted_actor<player_actor, player> {
public:
  player_actor(caf::actor_config& cfg, host& on, directory& living, game& in, uint32_t index, uint32_t players)
      : hosted_actor(cfg, on, actor_kind::room, std::to_string(index), living), game_(in), index_(index),
        dice_(index + 1), sent_(players), seen_(players + 1) {}

  void receive(const ball& x) {
    if (x.number != ++seen_[x.from])
      ++game_.out_of_order;
    if (x.left == 0) {
      if (--game_.in_play == 0)
        game_.over.set_value();
      return;
    }
    auto to = dice_() % game_.players.size();
    tell(game_.players[to], ball{index_, ++sent_[to], x.left - 1, x.token});
  }
  void receive(const finish&) { quit(); }

private:
  game& game_;
  const uint32_t index_;
  std::minstd_rand dice_;
  std::vector<uint64_t> sent_;
  std::vector<uint64_t> seen_;
};

/// A lane with a thread of its own.
class lane_thread {
public:
  explicit lane_thread(uint32_t index)
      : lane_(index,
              [this] {
                std::lock_guard guard{mutex_};
                wanted_ = true;
                changed_.notify_one();
              }),
        thread_([this] { run(); }) {}
  ~lane_thread() {
    {
      std::lock_guard guard{mutex_};
      stopped_ = true;
      changed_.notify_one();
    }
    thread_.join();
  }
  lane& operator*() noexcept { return lane_; }

private:
  void run() {
    std::unique_lock guard{mutex_};
    for (;;) {
      changed_.wait(guard, [this] { return wanted_ || stopped_; });
      if (!wanted_)
        return;
      wanted_ = false;
      guard.unlock();
      lane_.run();
      guard.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopped_ = false;
  lane lane_;
  std::thread thread_;
};

/// Notes what it handles.
class noter_actor : public hosted_actor<noter_actor, player> {
public:
  noter_actor(caf::actor_config& cfg, host& on, directory& living, std::vector<uint64_t>& notes)
      : hosted_actor(cfg, on, actor_kind::room, {}, living), notes_(notes) {}
  void receive(const ball& x) { notes_.push_back(x.number); }
  void receive(const finish&) { quit(); }

private:
  std::vector<uint64_t>& notes_;
};

/// A host that runs when told to.
class host_by_hand final : public host {
public:
  using host::host;
  bool step() { return run_ready(); }

private:
  void schedule() override {}
};

/// Counts, and may lose balls when too many wait.
class counter_actor : public hosted_actor<counter_actor, player> {
public:
  counter_actor(caf::actor_config& cfg, host& on, directory& living, std::atomic<uint32_t>& count, uint32_t last,
                size_t mailbox_max)
      : hosted_actor(cfg, on, actor_kind::room, {}, living, mailbox_max), count_(count), last_(last) {}
  void receive(const ball&) {
    if (++count_ == last_)
      quit();
  }
  void receive(const finish&) { quit(); }

private:
  bool may_drop(const caf::mailbox_element& e) const override { return e.content().match_elements<ball>(); }

  std::atomic<uint32_t>& count_;
  const uint32_t last_;
};

constexpr uint32_t never = 0;

struct two_workers : caf::actor_system_config {
  two_workers() {
    set("scheduler.max-threads", 2);
    set("work-stealing.moderate-poll-attempts", 0);
  }
};

} // namespace

TEST_CASE("between strands and lanes no message is lost or overtakes another", "[host]") {
  constexpr uint32_t strands_count = 4, players_count = 24, balls = 48, hops = 1'500;
  directory living;
  game g;
  std::vector<std::unique_ptr<strand>> strands; // outlive the system
  two_workers config;
  caf::actor_system system{config};
  lane_thread lanes[2]{lane_thread{0}, lane_thread{1}};
  for (uint32_t i = 0; i < strands_count; ++i)
    strands.push_back(std::make_unique<strand>(system, 2));
  for (uint32_t i = 0; i < players_count; ++i) {
    host* on = strands[i % strands_count].get();
    if (i % 3 == 0)
      on = &*lanes[i % 2];
    g.players.push_back(system.spawn<player_actor>(*on, living, g, i, players_count));
  }
  auto token = std::make_shared<const int>(0);
  g.in_play = balls;
  std::vector<uint64_t> thrown(players_count);
  for (uint32_t i = 0; i < balls; ++i)
    tell(g.players[i % players_count], ball{players_count, ++thrown[i % players_count], hops, token});
  auto over = g.over.get_future().wait_for(std::chrono::minutes(2));
  CHECK(over == std::future_status::ready);
  CHECK(g.out_of_order == 0);
  for (const auto& p : g.players)
    tell(p, finish{});
  if (over == std::future_status::ready)
    g.players.clear();
  system.await_all_actors_done();
  CHECK(living.count(actor_kind::room) == 0);
}

TEST_CASE("an actor that ends while others write to it leaves nothing behind", "[host]") {
  directory living;
  auto token = std::make_shared<const int>(0);
  for (uint32_t round = 0; round < 60; ++round) {
    std::atomic<uint32_t> count{0};
    std::unique_ptr<strand> on; // outlives the system
    two_workers config;
    {
      caf::actor_system system{config};
      on = std::make_unique<strand>(system, 3);
      player to = system.spawn<counter_actor>(*on, living, count, 100 + round, size_t{1'000'000});
      std::vector<std::thread> writers;
      for (uint32_t w = 0; w < 3; ++w)
        writers.emplace_back([to, token] {
          for (int i = 0; i < 200; ++i) {
            strand::alone woken;
            tell(to, ball{0, 0, 0, token});
            woken.run();
          }
        });
      for (auto& w : writers)
        w.join();
      to = player{};
      system.await_all_actors_done();
    }
    CHECK(count == 100 + round);
    CHECK(token.use_count() == 1);
    CHECK(living.count(actor_kind::room) == 0);
  }
}

TEST_CASE("what waits since an earlier turn counts against the bound of a mailbox", "[host]") {
  directory living;
  std::atomic<uint32_t> count{0};
  two_workers config;
  caf::actor_system system{config};
  host_by_hand on{2};
  player to = system.spawn<counter_actor>(on, living, count, never, size_t{4});
  auto write = [&](int n) {
    for (int i = 0; i < n; ++i)
      tell(to, ball{});
  };
  uint64_t waiting = 0;
  auto look = [&] { living.each([&](const vital_signs& s) { waiting = s.mailbox_depth(); }); };
  for (int i = 0; i < 5; ++i) {
    write(10);
    look();
    CHECK(waiting == 4);
    CHECK(on.step());
    look();
    CHECK(waiting == 2);
  }
  CHECK(count == 10);
  while (on.step())
    ;
  CHECK(count == 12);
  tell(to, finish{});
  while (on.step())
    ;
}

TEST_CASE("what is told ahead is handled first, however much waits, in its own order", "[host]") {
  directory living;
  std::vector<uint64_t> notes;
  two_workers config;
  caf::actor_system system{config};
  host_by_hand on{2};
  player to = system.spawn<noter_actor>(on, living, notes);
  for (uint64_t i = 1; i <= 6; ++i)
    tell(to, ball{0, i, 0, nullptr});
  tell_ahead(to, ball{0, 101, 0, nullptr});
  tell_ahead(to, ball{0, 102, 0, nullptr});
  on.step();
  CHECK(notes == std::vector<uint64_t>{101, 102, 1, 2});
  notes.clear();
  tell_ahead(to, ball{0, 103, 0, nullptr});
  on.step();
  CHECK(notes == std::vector<uint64_t>{103, 3, 4});
  notes.clear();
  SECTION("also the end, which drops what waits") {
    tell_ahead(to, finish{});
    on.step();
    CHECK(notes.empty());
  }
  SECTION("and what waits loses nothing by it") {
    while (on.step())
      ;
    CHECK(notes == std::vector<uint64_t>{5, 6});
    tell(to, finish{});
    on.step();
  }
  CHECK(living.count(actor_kind::room) == 0);
}
