// lone_house: what one actor needs that is tested by itself: a house on a real store, over a disk that fails when told
// to, on CAF's deterministic scheduler with one lane; and ears, which stand for all others: they note what they are
// told and answer nothing, so that the test answers when, and if, it wants to. Time passes when told.
#pragma once

#include "tests/cluster/bare_house.hpp"
#include "tests/support/faulty_env.hpp"
#include "tests/support/temporary_directory.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>
#include <spdlog/spdlog.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace greenroom::testing {

template <class Handle>
class ear_actor;

/// What was said to an ear with the interface `Handle`, in order.
template <class Handle>
class ear {
public:
  using any = typename ear_actor<Handle>::any;

  Handle handle;
  std::vector<any>& heard() { return *heard_; }
  /// All messages of one type.
  template <class X>
  std::vector<X> all() const {
    std::vector<X> result;
    for (const auto& x : *heard_)
      if (const auto* one = std::get_if<X>(&x))
        result.push_back(*one);
    return result;
  }
  /// The only message since the last look. It is an error if there is none or another one.
  template <class X>
  X only() {
    REQUIRE(heard_->size() == 1);
    auto x = std::move(heard_->front());
    heard_->clear();
    REQUIRE(std::holds_alternative<X>(x));
    return std::get<X>(std::move(x));
  }

private:
  friend class lone_house;
  std::shared_ptr<std::vector<any>> heard_ = std::make_shared<std::vector<any>>();
};

template <class... Messages>
class ear_actor<caf::typed_actor<caf::typed_mpi<caf::detail::type_list<Messages>, caf::output_tuple<void>>...>>
    : public hosted_actor<
          ear_actor<caf::typed_actor<caf::typed_mpi<caf::detail::type_list<Messages>, caf::output_tuple<void>>...>>,
          caf::typed_actor<caf::reacts_to<Messages>...>> {
public:
  using any = std::variant<Messages...>;
  using base = hosted_actor<ear_actor, caf::typed_actor<caf::reacts_to<Messages>...>>;

  ear_actor(caf::actor_config& cfg, host& on, directory& living, std::shared_ptr<std::vector<any>> into)
      : base(cfg, on, actor_kind::clock, "ear", living), into_(std::move(into)) {}
  template <class X>
  void receive(const X& x) {
    into_->emplace_back(x);
  }

private:
  std::shared_ptr<std::vector<any>> into_;
};

class lone_house {
  // Everything below is used by the house, and therefore ends after it.
  greenroom::test::temporary_directory directory_;
  cluster::test::caf_settings caf_config_;
  directory ears_living_; // so that house::living shows only what is tested

public:
  explicit lone_house(const std::function<void(settings&)>& adjust = {}) {
    spdlog::set_level(spdlog::level::off); // injected faults are no news
    storage::store_options o;
    o.path = directory_ / "store";
    o.env = disk.env();
    o.min_free_bytes = 0;
    store = storage::store::open(o).value();
    if (adjust)
      adjust(config);
    home =
        std::make_unique<house>(config, *store, cluster::test::encoder_of_all, cluster::test::tokens_of_all, figures);
    home->now_ms = home->steady_ms = [this] { return now; };
    home->random_text = [this](size_t characters) {
      auto number = std::to_string(++drawn);
      return std::string(characters > number.size() ? characters - number.size() : 0, 'r') + number;
    };
    for (unsigned s = 0; s < shard_count; ++s)
      home->strands.push_back(std::make_unique<strand>(system, config.scheduler.throughput));
  }
  ~lone_house() {
    disk.heal();
    for (const auto& x : all_)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    run();
    home->shards.clear();
    home->relay_lanes.clear();
    home->cluster.reset();
    all_.clear();
  }
  lone_house(const lone_house&) = delete;
  lone_house& operator=(const lone_house&) = delete;

  /// The actor that is tested; blocking ones run on the test scheduler, too.
  template <class Actor, class... Args>
  typename Actor::handle_type spawn(Args&&... args) {
    auto x = system.spawn<Actor>(std::forward<Args>(args)...);
    all_.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }
  template <class Handle>
  ear<Handle> listen() {
    ear<Handle> x;
    x.handle = spawn<ear_actor<Handle>>(*home->strands.front(), ears_living_, x.heard_);
    return x;
  }
  /// One that ends, as a user does that is put to sleep.
  template <class Handle>
  void end(const ear<Handle>& x) {
    caf::anon_send_exit(x.handle, caf::exit_reason::user_shutdown);
    run();
  }

  /// Until nothing moves any more.
  void run() {
    for (bool more = true; more;) {
      more = scheduler().run() > 0;
      if (std::exchange(lane_scheduled_, false)) {
        on.run();
        more = true;
      }
    }
  }
  void pass(int64_t ms) {
    for (; ms > 0; ms -= timer_wheel::tick_ms) {
      now += timer_wheel::tick_ms;
      on.timers().tick();
      run();
    }
  }

  int64_t now = 1'700'000'000'000;
  int drawn = 0; // random texts
  settings config;
  faulty_env disk;
  metrics figures;
  std::unique_ptr<storage::store> store;
  caf::actor_system system{caf_config_};
  lane on{0, [this] { lane_scheduled_ = true; }};
  std::unique_ptr<house> home;

private:
  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }
  bool lane_scheduled_ = false;
  std::vector<caf::strong_actor_ptr> all_;
};

} // namespace greenroom::testing
