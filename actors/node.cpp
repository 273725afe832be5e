#include "actors/node.hpp"

#include "actors/beat.hpp"
#include "actors/cluster/assembly.hpp"
#include "actors/connection.hpp"
#include "actors/house.hpp"
#include "actors/requester.hpp"

#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <sodium.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <list>
#include <stdexcept>
#include <thread>

namespace greenroom {
namespace {

constexpr uint64_t tick_ms = 1'000; // of the shards
constexpr auto stop_limit = std::chrono::seconds(20);
constexpr auto reload_limit = std::chrono::seconds(10);

std::string random_text(size_t characters) {
  static constexpr char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string text(characters, '\0');
  randombytes_buf(text.data(), text.size());
  for (auto& c : text)
    c = alphabet[static_cast<unsigned char>(c) % 32];
  return text;
}

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

/// CAF takes its settings from code only: its own parser ignores mistakes in silence (handbook 5).
struct system_config : caf::actor_system_config {
  system_config(const settings& config, const std::string& store, bool in_cluster) {
    auto threads = config.scheduler.threads;
    if (threads == 0)
      threads = std::max(1u, std::thread::hardware_concurrency());
    set("scheduler.max-threads", threads);
    set("scheduler.max-throughput", config.scheduler.throughput);
    // No polling with sleeps in between: the default burns a fifth of a core on a few ticks, and a worker that sleeps
    // 50 us adds them to every message that comes meanwhile.
    set("work-stealing.moderate-poll-attempts", 0);
    if (in_cluster) {
      cluster::gateway::draw_node_id(*this);
      cluster::gateway::configure(*this, cluster::link_options_of(config, store));
    }
  }
};

/// Has its turn on a lane when whatever the lane was running before has returned.
class passage : public hosted {
public:
  void drain(clock::time_point&, size_t) override {
    auto passed = passed_; // this object may be gone as soon as somebody knows
    passed->set_value();
  }
  std::future<void> passed() { return passed_->get_future(); }

private:
  std::shared_ptr<std::promise<void>> passed_ = std::make_shared<std::promise<void>>();
};

} // namespace

struct node::impl {
  explicit impl(const parts& p)
      : home(p.config, p.store, p.encode, p.tokens, p.metrics), config(p.config, p.store.id(), p.decide != nullptr),
        system(config), lanes(p.lanes) {}

  house home;
  system_config config; // must outlive the system
  // Null: the node is by itself. It holds strands, on which CAF's workers may be until the system has ended.
  std::unique_ptr<cluster::assembly> cluster;
  caf::actor_system system;
  const std::vector<lane*> lanes;
  std::list<passage> passages;               // at the end, one per lane
  std::vector<requester::handle> requesters; // by lane index
  beat::handle clock;                        // of the shards
  std::atomic<bool> stopping{false};
  bool stopped = false;
};

node::node(parts p) {
  if (sodium_init() < 0)
    throw std::runtime_error("libsodium can't start");
  impl_ = std::make_unique<impl>(p);
  auto& h = impl_->home;
  auto& system = impl_->system;
  h.now_ms = now_ms;
  h.steady_ms = steady_ms;
  h.random_text = random_text;
  if (p.decide)
    h.cluster = std::make_unique<cluster::cluster_house>(*p.decide);
  h.storage = system.spawn<persist::storage_actor, caf::detached>(h);
  h.hasher = system.spawn<hasher::hasher_actor, caf::detached>(h);
  h.scrubber = system.spawn<scrubber::scrubber_actor, caf::detached>(h);
  h.bulk = system.spawn<bulk::bulk_actor, caf::detached>(h);
  for (uint32_t i = 0; i < p.config.storage.readers; ++i)
    h.readers.push_back(system.spawn<reader::reader_actor, caf::detached>(h, i));
  for (auto* l : p.lanes)
    h.relay_lanes.push_back(system.spawn<relay_lane::relay_lane_actor>(h, *l));
  for (auto* l : p.lanes)
    impl_->requesters.push_back(system.spawn<requester::requester_actor>(h, *l));
  for (unsigned s = 0; s < shard_count; ++s)
    h.strands.push_back(std::make_unique<strand>(system, p.config.scheduler.throughput));
  h.web = p.web;
  h.wire = p.wire;
  if (h.web && h.wire && (!p.hooks.webhooks.empty() || p.hooks.before_send))
    h.hooks.use(std::make_shared<const hooks::hook_set>(std::move(p.hooks)));
  h.hook_strand = std::make_unique<strand>(system, p.config.scheduler.throughput);
  h.pusher = system.spawn<pusher::pusher_actor>(h, *h.hook_strand);
  h.vetter = system.spawn<vetter::vetter_actor>(h, *h.hook_strand);
  for (unsigned s = 0; s < shard_count; ++s)
    h.shards.push_back(system.spawn<shard::shard_actor>(h, static_cast<shard_id>(s)));
  impl_->clock = system.spawn<beat::beat_actor>(*p.lanes.front(), std::string(), h.living, tick_ms, [&h] {
    for (const auto& s : h.shards)
      tell(s, shard::tick{});
    tell(h.bulk, bulk::tick{});
    tell(h.pusher, pusher::tick{});
    if (!h.scrub_asked.exchange(true))
      tell(h.scrubber, scrubber::turn{});
  });
  if (!h.cluster)
    return;
  try {
    impl_->cluster = std::make_unique<cluster::assembly>(h, system, *p.lanes.front(), p.front, std::move(p.drained));
  } catch (const std::exception& e) {
    spdlog::error("what=cluster_not_joined reason=\"{}\"", e.what());
    if (!stop())
      std::_Exit(EXIT_FAILURE); // as below
    throw;
  }
}

node::~node() {
  if (!stop())
    std::_Exit(EXIT_FAILURE); // destroying the actor system would wait for ever; everything acknowledged is on disk
}

std::unique_ptr<client> node::connect(lane& on, std::shared_ptr<transport> socket, std::optional<identity> who,
                                      const remote& from) {
  return connection::make_client(impl_->system.spawn<connection::connection_actor>(impl_->home, on, std::move(socket),
                                                                                   std::move(who), from.network));
}

void node::perform(lane& on, const identity& who, op::any what, std::function<void(answer)> done) {
  tell(impl_->requesters[on.index()],
       requester::perform{std::make_shared<requester::call>(requester::call{who, std::move(what), std::move(done)})});
}

void node::perform(lane& on, const identity& who, account::any what, std::function<void(answer)> done) {
  tell(impl_->requesters[on.index()],
       requester::perform{std::make_shared<requester::call>(requester::call{who, std::move(what), std::move(done)})});
}

void node::perform(lane& on, const identity& who, admin::any what, std::function<void(answer)> done) {
  tell(impl_->requesters[on.index()],
       requester::perform{std::make_shared<requester::call>(requester::call{who, std::move(what), std::move(done)})});
}

bool node::may_reload() { return impl_->home.limits.settle(reload_limit); }

void node::reload(const limits& l) {
  std::vector<host*> hosts{impl_->lanes.begin(), impl_->lanes.end()};
  for (const auto& s : impl_->home.strands)
    hosts.push_back(s.get());
  if (impl_->cluster)
    for (auto* s : impl_->cluster->strands())
      hosts.push_back(s);
  impl_->home.limits.replace(l, hosts);
}

void node::reload(hooks::hook_set set) {
  impl_->home.hooks.use(std::make_shared<const hooks::hook_set>(std::move(set)));
  tell(impl_->home.pusher, pusher::changed{});
}

std::vector<std::pair<std::string, hooks::figures_ptr>> node::hook_figures() const {
  return impl_->home.hooks.all_figures();
}

const limits* node::limits_now() const { return impl_->home.limits_now(); }

std::shared_ptr<const limits> node::limits_kept() const { return impl_->home.limits.kept(); }

flood_control& node::floods() { return impl_->home.floods; }

const tenants& node::tenant_figures() const { return impl_->home.tenants; }

const cluster::figures* node::cluster_figures() const {
  return impl_->home.cluster ? &impl_->home.cluster->counts : nullptr;
}

bool node::ready() const {
  const auto& h = impl_->home;
  return !impl_->stopping && !draining() && h.store.healthy() &&
         (h.cluster ? h.cluster->lease_holds() : h.shards_started == shard_count);
}

bool node::draining() const { return impl_->home.draining(); }

bool node::turns_clients_away() const {
  const auto& h = impl_->home;
  return h.draining() && h.steady_ms() - h.drains_since >= h.config.cluster.drain_spread_ms;
}

bool node::stop() {
  if (impl_->stopping.exchange(true))
    return impl_->stopped;
  auto& h = impl_->home;
  auto deadline = std::chrono::steady_clock::now() + stop_limit;
  tell(impl_->clock, beat::stop{});
  for (const auto& r : impl_->requesters)
    tell(r, requester::stop{});
  if (impl_->cluster)
    impl_->cluster->stop(impl_->system, deadline);
  // Rooms and users finish what is in flight; then their shards end. Only afterwards may the storage actor go.
  {
    caf::scoped_actor self{impl_->system};
    size_t left = h.shards.size();
    for (const auto& s : h.shards) {
      self->monitor(s);
      tell(s, shard::stop{});
    }
    bool late = false;
    while (left > 0 && !late) {
      auto wait = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero());
      self->receive([&](const caf::down_msg&) { --left; },
                    caf::after(std::chrono::duration_cast<std::chrono::milliseconds>(wait)) >> [&] { late = true; });
    }
    if (late)
      spdlog::error("what=stop_late shards={}", left);
  }
  // The rest has nothing to wait for. Who is just ending may still use the handles of all others: connections, a beat
  // in its tick, rooms and users that their shard has abandoned. So they are kept until nobody is left.
  tell(h.storage, persist::stop{});
  tell(h.hasher, hasher::stop{});
  h.store.end_scrubs();
  tell(h.scrubber, scrubber::stop{});
  tell(h.bulk, bulk::stop{});
  tell(h.pusher, pusher::stop{});
  tell(h.vetter, vetter::stop{});
  for (const auto& r : h.readers)
    tell(r, reader::stop{});
  for (const auto& l : h.relay_lanes)
    tell(l, relay_lane::stop{});
  // Waits on another thread, because CAF's own wait has no limit.
  auto done = std::make_shared<std::promise<void>>();
  auto ended = done->get_future();
  std::thread([done, &system = impl_->system] {
    system.await_all_actors_done();
    done->set_value();
  }).detach();
  impl_->stopped = ended.wait_until(deadline) == std::future_status::ready;
  if (!impl_->stopped) {
    spdlog::error("what=stop_incomplete actors={}", impl_->system.registry().running());
    return false;
  }
  // An actor counts as done before it has returned to its lane, which may run a strand besides; the workers are joined
  // by the actor system.
  for (auto* l : impl_->lanes) {
    auto& last = impl_->passages.emplace_back();
    auto passed = last.passed();
    l->add({}, last);
    impl_->stopped = passed.wait_until(deadline) == std::future_status::ready;
    if (!impl_->stopped) {
      spdlog::error("what=stop_incomplete lane={}", l->index());
      return false;
    }
  }
  // Those of detached actors must go before the system does (handbook 3.5).
  h.storage = persist::handle{};
  h.hasher = hasher::handle{};
  h.scrubber = scrubber::handle{};
  h.bulk = bulk::handle{};
  h.pusher = pusher::handle{};
  h.vetter = vetter::handle{};
  h.readers.clear();
  if (impl_->cluster)
    impl_->cluster->forget();
  h.relay_lanes.clear();
  h.shards.clear();
  impl_->requesters.clear();
  impl_->clock = beat::handle{};
  return true;
}

} // namespace greenroom
