// Vital signs: that each figure is what its name says, of actors on a host and of those with a thread of their own.
#include "tests/actors/scene.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>
#include <map>
#include <semaphore>
#include <set>
#include <thread>

using namespace greenroom;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

// -- actors whose figures are known ----------------------------------------------------------------------------------

struct work {
  using local = message_tag;
  std::chrono::nanoseconds time{0};
};
struct wait_for {
  using local = message_tag;
  std::shared_ptr<std::counting_semaphore<>> what;
};
struct complain {
  using local = message_tag;
  std::string about;
};
struct change_name {
  using local = message_tag;
  std::string to;
};
struct fail_now {
  using local = message_tag;
};
struct finish {
  using local = message_tag;
};
using worker = caf::typed_actor<caf::reacts_to<work>, caf::reacts_to<wait_for>, caf::reacts_to<complain>,
                                caf::reacts_to<change_name>, caf::reacts_to<fail_now>, caf::reacts_to<finish>>;

void spin(std::chrono::nanoseconds time) {
  for (auto end = steady::now() + time; steady::now() < end;)
    ;
}

/// What was seen of one actor at one moment.
struct look {
  actor_kind kind{};
  uint64_t id = 0;
  std::string name, last_error;
  steady::time_point born;
  uint64_t received = 0, handled = 0, depth = 0;
  std::chrono::nanoseconds busy{0};
};
std::map<uint64_t, look> look_at(const directory& living) {
  std::map<uint64_t, look> result;
  living.each([&](const vital_signs& s) {
    result[s.id] = {s.kind,
                    s.id,
                    s.name(),
                    std::string(s.last_error()),
                    s.born,
                    s.received,
                    s.handled,
                    s.mailbox_depth(),
                    std::chrono::nanoseconds(s.busy_ns.load())};
  });
  return result;
}

class hosted_worker : public hosted_actor<hosted_worker, worker> {
public:
  hosted_worker(caf::actor_config& cfg, host& on, directory& living, std::string name, std::string* at_the_end)
      : hosted_actor(cfg, on, actor_kind::room, std::move(name), living), living_(living), at_the_end_(at_the_end) {}
  void receive(const work& x) { spin(x.time); }
  void receive(const wait_for& x) { x.what->acquire(); }
  void receive(const complain& x) { signs().failed(x.about); }
  void receive(const change_name& x) { signs().rename(x.to); }
  void receive(const fail_now&) { throw std::runtime_error("the roof is leaking"); }
  void receive(const finish&) { quit(); }

private:
  void on_failure() override { *at_the_end_ = look_at(living_).at(id()).last_error; }

  directory& living_;
  std::string* at_the_end_;
};

class detached_worker : public detached_actor<worker> {
public:
  detached_worker(caf::actor_config& cfg, directory& living, std::string name)
      : detached_actor(cfg, actor_kind::reader, std::move(name), living) {}
  behavior_type make_behavior() override {
    return {
        [](const work& x) { spin(x.time); },
        [](const wait_for& x) { x.what->acquire(); },
        [this](const complain& x) { signs().failed(x.about); },
        [this](const change_name& x) { signs().rename(x.to); },
        [](const fail_now&) { throw std::runtime_error("the cellar is flooded"); },
        [this](const finish&) { this->quit(); },
    };
  }
};

class host_by_hand final : public host {
public:
  host_by_hand() : host(1'000) {}
  bool step() { return run_ready(); }

private:
  void schedule() override {}
};

struct one_worker : caf::actor_system_config {
  one_worker() { set("scheduler.max-threads", 1); }
};

struct workplace {
  ~workplace() {
    for (const auto& x : all)
      tell(x, finish{});
    while (on.step())
      ;
    all.clear();
    system.await_all_actors_done();
  }
  worker hosted(const std::string& name) {
    return all.emplace_back(system.spawn<hosted_worker>(on, living, name, &at_the_end));
  }
  worker detached(const std::string& name) {
    return all.emplace_back(system.spawn<detached_worker, caf::detached>(living, name));
  }
  look of(const worker& x) { return look_at(living).at(x->id()); }
  bool lives(const worker& x) { return look_at(living).count(x->id()) > 0; }
  /// Waits for what the thread of a detached actor does.
  bool eventually(const std::function<bool()>& condition) {
    for (auto end = steady::now() + 60s; steady::now() < end; std::this_thread::yield())
      if (condition())
        return true;
    return false;
  }

  directory living;
  host_by_hand on;
  std::string at_the_end; // the last error of a hosted one, when it failed
  one_worker config;
  caf::actor_system system{config};
  std::vector<worker> all;
};

} // namespace

TEST_CASE("who an actor is and since when", "[vital_signs]") {
  workplace w;
  auto before = steady::now();
  auto hosted = w.hosted("lobby");
  auto detached = w.detached("3");
  auto after = steady::now();
  for (const auto& x : {hosted, detached}) {
    auto seen = w.of(x);
    CHECK(seen.id == x->id());
    CHECK(seen.born >= before);
    CHECK(seen.born <= after);
    CHECK(seen.last_error.empty());
  }
  CHECK(hosted->id() != detached->id());
  CHECK(w.of(hosted).kind == actor_kind::room);
  CHECK(w.of(hosted).name == "lobby");
  CHECK(w.of(detached).kind == actor_kind::reader);
  CHECK(w.of(detached).name == "3");
  CHECK(w.living.count(actor_kind::room) == 1);
  CHECK(w.living.count(actor_kind::reader) == 1);
  CHECK(w.living.count(actor_kind::user) == 0);

  for (const auto& x : {hosted, detached})
    tell(x, change_name{"another"});
  w.on.step();
  CHECK(w.of(hosted).name == "another");
  CHECK(w.eventually([&] { return w.of(detached).name == "another"; }));
  for (const auto& x : {hosted, detached})
    tell(x, finish{});
  w.on.step();
  CHECK_FALSE(w.lives(hosted));
  CHECK(w.eventually([&] { return !w.lives(detached); }));
  CHECK(w.living.count(actor_kind::room) == 0);
  CHECK(w.living.count(actor_kind::reader) == 0);
}

TEST_CASE("every kind of actor has a name of its own", "[vital_signs]") {
  std::set<std::string> names;
  for (size_t i = 0; i < actor_kinds; ++i)
    names.insert(to_string(static_cast<actor_kind>(i)));
  CHECK(names.size() == actor_kinds);
  CHECK_FALSE(names.contains("?"));
}

TEST_CASE("received, handled and what waits between the two", "[vital_signs]") {
  workplace w;
  auto check = [&](const worker& x, uint64_t received, uint64_t handled) {
    auto seen = w.of(x);
    CHECK(seen.received == received);
    CHECK(seen.handled == handled);
    CHECK(seen.depth == received - handled);
  };
  SECTION("on a host") {
    auto x = w.hosted("lobby"), other = w.hosted("hall");
    w.on.step();
    check(x, 0, 0);
    for (int i = 0; i < 5; ++i)
      tell(x, work{});
    check(x, 5, 0);
    check(other, 0, 0);
    w.on.step();
    check(x, 5, 5);
    tell(x, work{});
    tell(other, work{});
    check(x, 6, 5);
    w.on.step();
    check(x, 6, 6);
    check(other, 1, 1);
  }
  SECTION("on a thread of its own, of what it has in hand as well") {
    auto gate = std::make_shared<std::counting_semaphore<>>(0);
    auto x = w.detached("3");
    for (int i = 0; i < 5; ++i)
      tell(x, wait_for{gate});
    check(x, 5, 0);
    gate->release(2);
    CHECK(w.eventually([&] { return w.of(x).handled == 2; }));
    check(x, 5, 2); // the third stays in hand
    gate->release(3);
    CHECK(w.eventually([&] { return w.of(x).handled == 5; }));
    check(x, 5, 5);
  }
}

TEST_CASE("busy is the time spent in one's own handlers", "[vital_signs]") {
  workplace w;
  constexpr auto job = 5ms;
  auto start = steady::now();
  auto detached = w.detached("3");
  auto works = [&](std::chrono::nanoseconds all) { return [&w, detached, all] { return w.of(detached).busy >= all; }; };
  tell(detached, work{job});
  CHECK(w.eventually(works(job)));
  auto of_detached = steady::now() - start;

  // While these two work it rests.
  auto lobby = w.hosted("lobby"), hall = w.hosted("hall"), idle = w.hosted("idle");
  tell(lobby, work{job});
  tell(lobby, work{job});
  tell(hall, work{4 * job});
  start = steady::now();
  w.on.step();
  auto of_hosted = steady::now() - start;
  CHECK(w.of(lobby).busy >= 2 * job);
  CHECK(w.of(hall).busy >= 4 * job);
  // None has another's time: together they have no more than has passed.
  CHECK(w.of(lobby).busy + w.of(hall).busy + w.of(idle).busy <= of_hosted);

  start = steady::now();
  tell(detached, work{job});
  CHECK(w.eventually(works(2 * job)));
  of_detached += steady::now() - start;
  CHECK(w.of(detached).busy <= of_detached);
}

TEST_CASE("the last error is the last, and stays while the actor goes on", "[vital_signs]") {
  workplace w;
  for (const auto& x : {w.hosted("lobby"), w.detached("3")}) {
    auto says = [&](const std::string& what) {
      return w.eventually([&] {
        w.on.step();
        return w.of(x).last_error == what;
      });
    };
    tell(x, complain{"no paper"});
    CHECK(says("no paper"));
    tell(x, complain{"no ink"});
    tell(x, work{});
    CHECK(says("no ink"));
    CHECK(w.eventually([&] {
      w.on.step();
      return w.of(x).handled == 3;
    }));
    CHECK(w.of(x).last_error == "no ink");
  }
}

TEST_CASE("an actor that fails says why, and is not found any more afterwards", "[vital_signs]") {
  spdlog::set_level(spdlog::level::off);
  workplace w;
  auto hosted = w.hosted("lobby");
  auto detached = w.detached("3");
  for (const auto& x : {hosted, detached})
    tell(x, fail_now{});
  w.on.step();
  CHECK(w.at_the_end == "the roof is leaking");
  CHECK_FALSE(w.lives(hosted));
  CHECK(w.eventually([&] { return !w.lives(detached); }));
}

TEST_CASE("the storage actor shows why a write failed, and nobody else does", "[vital_signs][storage_actor]") {
  greenroom::testing::scene s;
  auto ada = s.enter("ada");
  ada.hello().create("lobby");
  auto complaints = [&] {
    std::map<actor_kind, std::string> result;
    for (const auto& [id, x] : look_at(s.home->living))
      if (!x.last_error.empty())
        result[x.kind] = x.last_error;
    return result;
  };
  CHECK(complaints().empty());
  s.disk.fail_at(1, greenroom::testing::fault::no_space);
  ada.say("lobby", "hi");
  auto seen = complaints();
  REQUIRE(seen.size() == 1);
  CHECK(seen.begin()->first == actor_kind::storage);
  s.disk.heal();
  s.pass(2s);
  CHECK(s.store->healthy());
  CHECK(complaints().size() == 1); // what was is still worth knowing
}
