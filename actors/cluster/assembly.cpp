#include "actors/cluster/assembly.hpp"

#include "actors/cluster/survey.hpp"
#include "actors/house.hpp"
#include "actors/strand.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace greenroom::cluster {
namespace {

constexpr uint64_t beat_ms = 200;

/// A node that has had no lease for long closes its sessions: which of them were revoked meanwhile it does not know.
class lease_watch {
public:
  explicit lease_watch(house& in) : house_(in) {}

  void look() {
    const auto now = house_.steady_ms();
    if (house_.cluster->lease_holds()) {
      held_ms_ = now;
      return;
    }
    if (now - held_ms_ < house_.config.cluster.unconfirmed_ms)
      return;
    held_ms_ = now; // once more when it takes as long again, for those who come meanwhile
    if (house_.living.count(actor_kind::connection) == 0)
      return;
    spdlog::warn("what=sessions_unconfirmed reason=\"no lease for cluster.unconfirmed_ms\"");
    for (const auto& l : house_.relay_lanes)
      tell_ahead(l, go_away{.at_once = true});
  }

private:
  house& house_;
  int64_t held_ms_ = house_.steady_ms(); // when the lease was last seen to hold, or clients were closed
};

replica_options replica_options_of(const settings& config) {
  replica_options o;
  o.limits.lease_ms = config.cluster.lease_ms;
  o.log_bytes = size_t{config.cluster.log_kb} << 10;
  o.log_ms = int64_t{config.cluster.log_minutes} * 60'000;
  o.installs_max = config.cluster.snapshots;
  o.limits.message_bytes = size_t{config.cluster.append_kb} << 10;
  o.limits.window_bytes = size_t{config.cluster.window_kb} << 10;
  o.limits.memory_bytes = size_t{config.cluster.recent_kb} << 10;
  o.piece_bytes = size_t{config.cluster.snapshot_kb} << 10;
  o.crowd_bytes = (size_t{config.cluster.link_queue_kb} << 10) / 8;
  return o;
}

/// Where others dial this node.
std::string address_of(const settings& config) {
  const auto& c = config.cluster;
  const auto& host = c.advertise_address.empty() ? c.listen_address : c.advertise_address;
  const auto port = ":" + std::to_string(c.listen_port);
  return host.find(':') == std::string::npos ? host + port : "[" + host + "]" + port;
}

member::options member_options_of(const settings& config, const std::string& store) {
  member::options o;
  o.cluster = config.cluster.name;
  o.node = config.node.name;
  o.store = store;
  o.zone = config.cluster.zone;
  o.address = address_of(config);
  o.version = GREENROOM_VERSION;
  o.lease_ms = config.cluster.lease_ms;
  o.proposals_max = config.cluster.proposals;
  o.control.replace_s = config.cluster.replace_s;
  o.control.requests_max = config.cluster.moves;
  o.control.drain_requests_max = config.cluster.drain_moves;
  o.control.commits_max = config.cluster.commits;
  o.drain_ms = config.cluster.drain_ms;
  o.drain_notice_ms = config.cluster.drain_spread_ms;
  return o;
}

/// Waits until the actors have ended, at most until `deadline`.
template <class Handle>
void await_end(caf::actor_system& system, const std::vector<Handle>& all,
               std::chrono::steady_clock::time_point deadline, const char* what) {
  caf::scoped_actor self{system};
  size_t left = all.size();
  for (const auto& a : all)
    self->monitor(a);
  bool late = false;
  while (left > 0 && !late) {
    auto wait = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero());
    self->receive([&](const caf::down_msg&) { --left; },
                  caf::after(std::chrono::duration_cast<std::chrono::milliseconds>(wait)) >> [&] { late = true; });
  }
  if (late)
    spdlog::error("what=stop_late which={} left={}", what, left);
}

} // namespace

link_options link_options_of(const settings& config, const std::string& store) {
  link_options o;
  o.name = config.node.name;
  o.cluster = config.cluster.name;
  o.store = store;
  o.connection_timeout_ms = config.cluster.lease_ms;
  o.batch_bytes = size_t{config.cluster.frame_kb} << 10;
  o.credit_control_bytes = o.credit_bulk_bytes = size_t{config.cluster.credit_kb} << 10;
  o.letter_bytes_max = size_t{config.cluster.letter_kb} << 10;
  o.queue_bytes = size_t{config.cluster.link_queue_kb} << 10;
  if (config.cluster.tls_certificate_file.empty()) {
    o.port = config.cluster.listen_port;
  } else {
    o.port = 0; // the front has the configured one
    o.hello_timeout_ms += config.cluster.tls_handshake_ms;
  }
  return o;
}

assembly::assembly(house& in, caf::actor_system& system, lane& beat_on, front* links, std::function<void()> drained)
    : house_(in), member_strand_(std::make_unique<strand>(system, in.config.scheduler.throughput)),
      survey_strand_(std::make_unique<strand>(system, in.config.scheduler.throughput)) {
  auto& c = *in.cluster;
  const auto& store = in.store.id();
  // First, because it may fail: the port may be taken. It lets nobody in before it knows who there is.
  link_events events;
  events.up = [this](const peer_ptr& who) { tell_all(peer_up{who}); };
  events.down = [this](const peer_ptr& who) { tell_all(peer_down{who}); };
  events.received = [this](const peer_ptr& from, channel, std::vector<letter> letters) {
    received(from, std::move(letters));
  };
  find_way way;
  if (links)
    way = [links](const known_peer& to, found_way found) { links->dial(to, std::move(found)); };
  auto gateway = gateway::start(system, gateway::parts{link_options_of(in.config, store), std::move(events),
                                                       std::move(way), in.living, c.counts.links});
  gateway_ = gateway.actor;
  for (unsigned s = 0; s < shard_count; ++s) {
    auto r = system.spawn<replica_actor>(in, static_cast<shard_id>(s), caf::actor_cast<replicated>(in.shards[s]),
                                         replica_options_of(in.config));
    c.replicas.push_back(caf::actor_cast<replica_handle>(r));
    c.committers.push_back(caf::actor_cast<persist::sink>(r));
  }
  c.survey = system.spawn<survey::survey_actor>(in, *survey_strand_);
  if (links)
    links->open(gateway.port);
  c.member = system.spawn<member::member_actor>(
      *member_strand_,
      member::parts{
          .options = member_options_of(in.config, store),
          .house = c,
          .living = in.living,
          .metrics = c.counts.member,
          .know = [this, links](std::vector<known_peer> nodes) { know(std::move(nodes), links); },
          .found = [&c](const cluster_record& founded) { c.min_in_sync = founded.min_in_sync; },
          .drains = [this] { send_clients_away(); },
          .connections = [&in] { return static_cast<uint64_t>(std::max<int64_t>(in.metrics.connections.get(), 0)); },
          .drained = std::move(drained)});
  // The time of replicas, routers and the survey.
  beat_ =
      system.spawn<beat::beat_actor>(beat_on, "cluster", in.living, beat_ms, [&in, lease = lease_watch(in)]() mutable {
        for (const auto& r : in.cluster->replicas)
          tell(r, replica_tick{});
        for (const auto& s : in.shards)
          tell(s, shard::route_tick{});
        tell(in.cluster->survey, survey_tick{});
        lease.look();
      });
}

assembly::~assembly() = default;

template <class Message>
void assembly::tell_all(const Message& x) {
  for (const auto& r : house_.cluster->replicas)
    tell(r, x);
  for (const auto& s : house_.shards)
    tell(s, x);
  tell(house_.cluster->survey, x);
}

void assembly::know(std::vector<known_peer> nodes, front* links) {
  auto names = std::make_shared<std::set<std::string>>();
  for (const auto& n : nodes)
    names->insert(n.name);
  tell(house_.cluster->survey, survey_know{std::move(names)});
  if (links) // first: the gateway dials at once
    links->know(nodes);
  tell(gateway_, gateway::know{std::move(nodes)});
}

void assembly::send_clients_away() {
  house_.drains_since = house_.steady_ms(); // first: who has greeted after the lanes were told sees it
  for (const auto& l : house_.relay_lanes)
    tell_ahead(l, go_away{});
}

void assembly::received(const peer_ptr& from, std::vector<letter> letters) {
  for (auto& l : letters) {
    if (l.to < shard_count)
      tell(house_.cluster->replicas[l.to], arrived{from, std::move(l.what)});
    else if (l.to < survey_mailbox)
      tell(house_.shards[l.to - shard_count], arrived{from, std::move(l.what)});
    else if (l.to == survey_mailbox)
      tell(house_.cluster->survey, arrived{from, std::move(l.what)});
    else
      spdlog::error("what=letter_for_nobody from={} mailbox={}", from->name, l.to);
  }
}

void assembly::stop(caf::actor_system& system, std::chrono::steady_clock::time_point deadline) {
  auto& c = *house_.cluster;
  tell(c.member, member_stop{});
  await_end(system, std::vector{c.member}, deadline, "member");
  tell(beat_, beat::stop{});
  tell(gateway_, gateway::stop{});
  await_end(system, std::vector{gateway_}, deadline, "gateway");
  tell(c.survey, survey_stop{});
  for (const auto& r : c.replicas)
    tell(r, replica_stop{});
  await_end(system, c.replicas, deadline, "replicas");
  // What is not acknowledged by now never will be; the clients are gone, and ask again elsewhere.
  for (const auto& s : house_.shards)
    tell(s, yield{});
}

void assembly::forget() {
  auto& c = *house_.cluster;
  c.replicas.clear();
  c.committers.clear();
  c.member = member_handle{};
  c.survey = survey_handle{};
  gateway_ = gateway::handle{};
  beat_ = beat::handle{};
}

} // namespace greenroom::cluster
