#include "replica_world.hpp"

#include "bare_house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace greenroom::cluster::test {
namespace {

class ear_actor : public hosted_actor<ear_actor, ear> {
public:
  ear_actor(caf::actor_config& cfg, house& in, shard_id on, told& into)
      : hosted_actor(cfg, *in.strands[on], actor_kind::shard, "ear", in.living), told_(into) {}

  void receive(const primary_is& x) { told_.primary = x; }
  void receive(const serve& x) {
    CHECK_FALSE(told_.serves);
    told_.served.push_back(x.epoch);
    told_.serves = true;
  }
  void receive(const yield&) {
    CHECK(told_.serves);
    ++told_.yields;
    told_.serves = false;
  }
  void receive(const greenroom::committed& x) {
    bool in_order = told_.ended.empty() || told_.ended.back().token < x.token;
    CHECK(in_order);
    told_.ended.push_back(x);
  }
  void receive(const propose& x) { told_.proposals.push_back(x); }
  void receive(const persist::logged& x) { told_.logged.push_back(x); }
  void receive(const etcd_says&) {}
  void receive(const member_tick&) {}
  void receive(const member_stop&) { quit(); }

private:
  told& told_;
};

} // namespace

/// The other end of a link is a pair of queues.
class replica_world::test_peer : public peer {
public:
  test_peer(const replica_node& to, uint64_t number, std::shared_ptr<letter_box> into)
      : peer(to.name, to.id, number), into_(std::move(into)) {}
  bool post(channel by, letter what) const override {
    auto into = into_.lock();
    if (into)
      (*into)[static_cast<size_t>(by)].push_back(std::move(what));
    return into != nullptr;
  }
  size_t queued() const override {
    size_t bytes = 0;
    if (auto into = into_.lock())
      for (const auto& waiting : *into)
        for (const auto& x : waiting)
          bytes += x.what->size();
    return bytes;
  }

private:
  std::weak_ptr<letter_box> into_;
};

// -- a node ----------------------------------------------------------------------------------------------------------

replica_node::replica_node(replica_world& in, std::string n) : name(std::move(n)), world_(in) {}
replica_node::~replica_node() = default;

void replica_node::open() {
  storage::store_options o;
  o.path = world_.directory_.path() / name;
  o.env = disk.env();
  o.min_free_bytes = 0;
  auto opened = storage::store::open(o);
  if (!opened)
    throw std::runtime_error(opened.error().message);
  store = std::move(*opened);
  id = store->id();
}

void replica_node::start() {
  if (!store)
    open();
  heard = {};
  last_token_ = 0;
  auto& system = *world_.system_;
  home = std::make_unique<house>(world_.config, *store, encoder_of_all, tokens_of_all, figures);
  home->now_ms = home->steady_ms = [this] { return world_.now; };
  for (unsigned s = 0; s < shard_count; ++s)
    home->strands.push_back(std::make_unique<strand>(system, 100));
  home->storage = system.spawn<persist::storage_actor>(*home);
  home->readers.push_back(system.spawn<reader::reader_actor>(*home, 0));
  home->cluster = std::make_unique<cluster_house>(agreement_of_all);
  ear_of_all = system.spawn<ear_actor>(*home, world_.shard, heard);
  home->cluster->member = member_handle{ear_of_all};
  auto r = system.spawn<replica_actor>(*home, world_.shard, replicated{ear_of_all}, world_.options);
  home->cluster->committers.assign(shard_count, r);
  replica = r;
}

void replica_node::stop() {
  tell(replica, replica_stop{});
  world_.run();
  tell(home->storage, persist::stop{});
  tell(home->readers.front(), reader::stop{});
  tell(ear_of_all, member_stop{});
  world_.run();
  world_.scheduler().trigger_timeouts();
  world_.run();
  CHECK(home->commits_waiting == 0);
  replica = replica_handle{};
  ear_of_all = ear{};
  home->storage = persist::handle{};
  home->readers.clear();
  home->cluster->member = member_handle{};
  home->cluster->committers.clear();
  home.reset();
  store.reset();
  disk.lose_power(false);
}

uint64_t replica_node::commit(uint64_t seq, const std::string& text) {
  return commit(seq, text, home->era_of(world_.shard));
}

uint64_t replica_node::commit(uint64_t seq, const std::string& text, uint64_t era) {
  storage::event e;
  e.kind = storage::event_kind::message;
  e.seq = seq;
  e.ts = static_cast<int64_t>(seq);
  e.from = user_id::trusted("ada");
  e.text = text;
  auto batch = std::make_shared<storage::batch>(world_.shard);
  batch->put(world_.room, e);
  home->commits_waiting.fetch_add(1);
  tell(home->committer_of(world_.shard), persist::commit{std::move(batch), era, ++last_token_, committer{ear_of_all}});
  return last_token_;
}

std::vector<uint64_t> replica_node::seqs() const {
  std::vector<uint64_t> result;
  for (const auto& e : store->events_after(world_.room, 0, SIZE_MAX, SIZE_MAX).value().events)
    result.push_back(e.seq);
  return result;
}

storage::shard_state replica_node::state() const { return store->load_shard(world_.shard).value(); }

std::string replica_node::contents() const {
  auto all = store->snapshot(world_.shard);
  return all ? all->get()->next(SIZE_MAX).value().bytes : std::string("installing");
}

// -- the world -------------------------------------------------------------------------------------------------------

replica_world::replica_world(const std::vector<std::string>& names, replica_options o) : options(o) {
  spdlog::set_level(std::getenv("GREENROOM_TEST_LOG") ? spdlog::level::debug : spdlog::level::off);
  caf_config_ = std::make_unique<caf_settings>();
  system_ = std::make_unique<caf::actor_system>(*caf_config_);
  for (const auto& n : names)
    nodes[n] = std::make_unique<replica_node>(*this, n);
}

replica_world::~replica_world() {
  for (auto& [name, n] : nodes)
    if (n->is_running())
      stop(name);
  system_.reset();
  nodes.clear();
}

caf::scheduler::test_coordinator& replica_world::scheduler() {
  return dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
}

void replica_world::found(const std::vector<std::string>& in_sync) {
  for (auto& [name, n] : nodes) {
    n->open();
    record.replicas.push_back(n->id);
  }
  for (const auto& name : in_sync) {
    auto& n = *nodes.at(name);
    record.in_sync.push_back(n.id);
    std::vector<storage::mutation> founding{storage::found_log{shard}};
    REQUIRE(n.store->write(founding).has_value());
  }
  record.epoch = 1;
  record.primary = record.in_sync.front();
  revision = 1;
  for (auto& [name, n] : nodes)
    start(name);
}

void replica_world::start(const std::string& name) {
  auto& n = *nodes.at(name);
  n.start();
  for (auto& [other, x] : nodes)
    if (other != name && x->is_running())
      link(name, other, true);
  tell_record(n);
  run();
}

void replica_world::stop(const std::string& name) {
  auto& n = *nodes.at(name);
  for (auto& [other, x] : nodes)
    if (other != name && x->is_running())
      link(name, other, false);
  n.stop();
}

void replica_world::link(const std::string& a, const std::string& b, bool up) {
  if (ways_.contains({a, b}) == up)
    return;
  if (up) {
    ++incarnations_;
    for (auto [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
      auto waiting = std::make_shared<letter_box>();
      ways_[{from, to}] = {std::make_shared<const test_peer>(*nodes.at(to), incarnations_, waiting), waiting};
    }
  }
  for (auto [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
    if (const auto& to_whom = ways_[{from, to}].to; up)
      tell(nodes.at(from)->replica, peer_up{to_whom});
    else
      tell(nodes.at(from)->replica, peer_down{to_whom});
    answered_[to] = pieces[to];
  }
  if (!up) {
    ways_.erase({a, b});
    ways_.erase({b, a});
  }
}

bool replica_world::deliver() {
  bool any = false;
  for (auto& [names, w] : ways_) {
    auto& to = *nodes.at(names.second);
    auto back = ways_.at({names.second, names.first}).to;
    for (auto by : {channel::control, channel::bulk}) {
      if (by == channel::bulk && !bulk_flows)
        continue;
      auto& queue = (*w.waiting)[static_cast<size_t>(by)];
      while (!queue.empty() && (by == channel::control || pieces_to_flow != 0u)) {
        auto what = std::move(queue.front());
        queue.pop_front();
        CHECK(what.to == replica_mailbox(shard));
        if (auto read = read_replica_letter(*what.what)) {
          if (auto* piece = std::get_if<install_piece>(&*read)) {
            if (pieces_to_flow)
              --*pieces_to_flow;
            if (piece_to_damage != 0 && --piece_to_damage == 0) {
              piece->bytes.back() ^= 1;
              what.what = std::make_shared<const std::string>(encode(*read));
            }
            if (piece->number == 0)
              first_piece = *piece;
            ++pieces[to.name];
            auto& most = most_under_way[to.name];
            most = std::max<uint64_t>(most, pieces[to.name] - answered_[to.name]);
          } else if (std::holds_alternative<installed_piece>(*read)) {
            if (answers_lost)
              continue;
            ++answered_[names.first];
          }
        }
        tell(to.replica, arrived{back, what.what});
        any = true;
      }
    }
  }
  return any;
}

bool replica_world::decide() {
  if (!etcd_answers)
    return false;
  bool any = false;
  for (auto& [name, n] : nodes)
    while (n->is_running() && !n->heard.proposals.empty()) {
      auto p = std::move(n->heard.proposals.front());
      n->heard.proposals.pop_front();
      any = true;
      if (p.revision == revision) {
        record = p.wanted;
        ++revision;
        for (auto& [other, x] : nodes)
          tell_record(*x);
      }
      tell_record(*n);
      tell(n->replica, settled{});
    }
  return any;
}

void replica_world::tell_record(replica_node& to) {
  if (to.is_running())
    tell(to.replica, record_now{record, revision});
}

void replica_world::write_record(const std::function<void(shard_record&)>& change) {
  change(record);
  ++revision;
  for (auto& [name, n] : nodes)
    tell_record(*n);
}

bool replica_world::in_sync(const std::string& name) const {
  const auto& id = nodes.at(name)->id;
  return std::count(record.in_sync.begin(), record.in_sync.end(), id) == 1;
}

void replica_world::inject(const std::string& from, const std::string& to, std::string bytes) {
  tell(nodes.at(to)->replica, arrived{ways_.at({to, from}).to, std::make_shared<const std::string>(std::move(bytes))});
}

void replica_world::inject_misfit(const std::string& on) {
  auto& n = *nodes.at(on);
  auto elsewhere = std::make_shared<const storage::batch>(static_cast<shard_id>((shard + 1) % shard_count));
  n.home->commits_waiting.fetch_add(1);
  tell(n.home->committer_of(shard), persist::commit{elsewhere, n.home->era_of(shard), 0, committer{}});
}

void replica_world::run() {
  bool more = true;
  while (more) {
    more = scheduler().run() > 0;
    more = deliver() || more;
    more = decide() || more;
  }
}

void replica_world::pass(int64_t ms) {
  constexpr int64_t tick_ms = 100;
  for (int64_t gone = 0; gone < ms; gone += tick_ms) {
    now += tick_ms;
    scheduler().advance_time(std::chrono::milliseconds(tick_ms));
    auto living = std::make_shared<std::vector<store_id>>();
    for (auto& [name, n] : nodes)
      if (n->is_running())
        living->push_back(n->id);
    for (auto& [name, n] : nodes)
      if (n->is_running()) {
        tell(n->replica, greenroom::cluster::alive{living});
        tell(n->replica, replica_tick{});
      }
    run();
  }
}

bool replica_world::until(const std::function<bool()>& holds, int64_t ms) {
  run();
  for (int64_t gone = 0; gone < ms && !holds(); gone += 100)
    pass(100);
  return holds();
}

void replica_world::serve_on(const std::string& name) {
  INFO(name);
  REQUIRE(until([&] { return nodes.at(name)->serves(); }));
}

bool replica_world::alike() const {
  std::optional<std::string> first;
  for (const auto& [name, n] : nodes) {
    if (!n->is_running())
      continue;
    auto state = n->state();
    auto now_here = n->contents();
    if (state.applied != state.last || (first && *first != now_here))
      return false;
    first = std::move(now_here);
  }
  return true;
}

} // namespace greenroom::cluster::test
