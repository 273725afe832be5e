#include "net/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace greenroom::net {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class page {
public:
  void counter(std::string name, std::string help, double value) {
    add(std::move(name), std::move(help), MetricType::Counter).counter.value = value;
  }
  void counter(std::string name, std::string help, const greenroom::counter& value) {
    counter(std::move(name), std::move(help), static_cast<double>(value.get()));
  }
  void gauge(std::string name, std::string help, double value) {
    add(std::move(name), std::move(help), MetricType::Gauge).gauge.value = value;
  }
  void gauge(std::string name, std::string help, const greenroom::counter& value) {
    gauge(std::move(name), std::move(help), static_cast<double>(value.get()));
  }
  /// One more series of the family that was added last.
  void labelled(MetricType type, const std::string& name, const std::string& help, std::string label, std::string text,
                double value) {
    if (families_.empty() || families_.back().name != name)
      families_.push_back({name, help, type, {}});
    auto& series = families_.back().metric.emplace_back();
    series.label.push_back({std::move(label), std::move(text)});
    (type == MetricType::Gauge ? series.gauge.value : series.counter.value) = value;
  }
  /// `unit`: what one step of the recorded values is worth.
  template <size_t Buckets>
  void histogram(std::string name, std::string help, const greenroom::histogram<Buckets>& values, double unit) {
    auto& out = add(std::move(name), std::move(help), MetricType::Histogram).histogram;
    uint64_t total = 0;
    for (size_t i = 0; i < Buckets; ++i) {
      total += values.count(i);
      out.bucket.push_back({total, std::ldexp(unit, static_cast<int>(i))});
    }
    out.sample_count = total + values.count(Buckets);
    out.sample_sum = static_cast<double>(values.sum()) * unit;
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, families_);
    return std::move(out).str();
  }

private:
  ClientMetric& add(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back().metric.emplace_back();
  }

  std::vector<MetricFamily> families_;
};

void add_node(page& p, const metrics& m) {
  p.labelled(MetricType::Gauge, "greenroom_build_info", "Always 1; the version is a label.", "version",
             GREENROOM_VERSION, 1);
  p.gauge("greenroom_connections", "Open WebSocket connections.", m.connections);
  p.counter("greenroom_connections_total", "WebSocket connections accepted.", m.connections_total);
  p.counter("greenroom_handshakes_refused_total", "Upgrade requests refused.", m.handshakes_refused);
  p.counter("greenroom_http_requests_total", "HTTP requests answered.", m.http_requests);
  p.counter("greenroom_frames_received_total", "Protocol frames from clients.", m.frames_in);
  p.counter("greenroom_received_bytes_total", "Bytes read from clients.", m.bytes_in);
  p.counter("greenroom_sent_bytes_total", "Bytes written to clients.", m.bytes_out);
  p.counter("greenroom_socket_writes_total", "System calls that wrote to a client.", m.writes);
  p.gauge("greenroom_outbox_bytes", "Bytes that wait for slow sockets.", m.queue_bytes);
  p.counter("greenroom_deliveries_total", "Durable events handed to a connection.", m.deliveries);
  p.counter("greenroom_ephemeral_dropped_total", "Ephemeral events dropped for slow connections.", m.ephemeral_dropped);
  p.counter("greenroom_sends_total", "Send requests admitted.", m.sends);
  p.counter("greenroom_changes_total", "Edits, revocations and reactions admitted.", m.changes);
  p.counter("greenroom_acks_total", "Sends and changes acknowledged after they were durable.", m.acks);
  p.counter("greenroom_attachment_bytes_total", "Bytes of attachments that were stored.", m.attachment_bytes);
  p.counter("greenroom_attachments_removed_total", "Attachments that were removed.", m.attachments_removed);
  p.counter("greenroom_scrubbed_total", "Ranges of keys from which what was revoked or deleted has left the disk.",
            m.scrubbed);
  p.counter("greenroom_duplicates_total", "Sends and changes answered with the first result of their key.",
            m.duplicates);
  p.counter("greenroom_commits_total", "Synced writes.", m.commits);
  p.counter("greenroom_commit_failures_total", "Synced writes that failed.", m.commit_failures);
  p.histogram("greenroom_commit_seconds", "Time of one synced write.", m.commit_us, 1e-6);
  p.histogram("greenroom_commit_batches", "Batches joined into one synced write.", m.commit_batches, 1);
  p.counter("greenroom_store_reopens_total", "Times the store was opened again after a failed write.", m.reopens);
  p.counter("greenroom_presence_dropped_total",
            "News of presence that were dropped: more waited for a connection than limits.presence_held.",
            m.presence_dropped);
  p.counter("greenroom_delivery_losses_total", "Times that a full mailbox had lost deliveries; they are pulled.",
            m.losses);
  p.counter("greenroom_pulls_total", "Pages read because a connection was behind.", m.pulls);
  p.gauge("greenroom_rooms_active", "Room actors.", m.rooms_active);
  p.counter("greenroom_rooms_activated_total", "Room actors started.", m.rooms_activated);
  p.gauge("greenroom_users_active", "User actors.", m.users_active);
  p.counter("greenroom_users_activated_total", "User actors started.", m.users_activated);
  p.gauge("greenroom_relays_active", "Relay actors.", m.relays_active);
  p.counter("greenroom_logins_total", "Logins, registrations and guests that were let in.", m.logins);
  p.counter("greenroom_erasures_total", "Accounts whose erasure was begun.", m.erasures);
  p.counter("greenroom_logins_refused_total", "Logins refused: wrong password, or too many attempts.",
            m.logins_refused);
  p.counter("greenroom_sessions_revoked_total", "Sessions ended before their time.", m.sessions_revoked);
  p.counter("greenroom_refresh_reuses_total", "Of these, because a refresh token was used again.", m.refresh_reuses);
  p.counter("greenroom_connections_denied_total", "Connections from limits.deny_addresses, closed at once.", m.denied);
  for (size_t i = 0; i < flood_count; ++i)
    p.labelled(MetricType::Counter, "greenroom_rate_limited_total", "Refusals by a limit of how often, by kind.",
               "kind", std::string(to_string(static_cast<flood>(i))), static_cast<double>(m.rate_limited[i].get()));
  for (size_t i = 0; i < flood_count; ++i)
    p.labelled(MetricType::Counter, "greenroom_abuses_total",
               "Users and addresses that went on after limits.flood_refusals refusals, by kind.", "kind",
               std::string(to_string(static_cast<flood>(i))), static_cast<double>(m.abuses[i].get()));
  for (uint8_t code = 1; code <= errc_count; ++code)
    p.labelled(MetricType::Counter, "greenroom_errors_total", "Requests refused, by error code.", "code",
               std::string(to_string(static_cast<errc>(code))), static_cast<double>(m.errors[code].get()));
  for (size_t i = 0; i <= metrics::close_codes; ++i)
    p.labelled(MetricType::Counter, "greenroom_closes_total", "Connections ended by the server, by close code.", "code",
               i == metrics::close_codes ? "other" : std::to_string(static_cast<unsigned>(metrics::known_closes[i])),
               static_cast<double>(m.closes[i].get()));
}

void add_member(page& p, const cluster::member_metrics& m) {
  p.gauge("greenroom_cluster_nodes", "Nodes that are alive, by etcd's word.", m.nodes_alive);
  p.gauge("greenroom_cluster_controller", "1 where this node is the controller.", m.controller);
  p.gauge("greenroom_cluster_draining", "1 where this node drains.", m.draining);
  p.counter("greenroom_cluster_controller_terms_total", "Times this node became the controller.", m.controller_terms);
  p.counter("greenroom_cluster_lease_renewals_total", "Renewals of the node's lease that etcd answered.",
            m.lease_renewals);
  p.counter("greenroom_cluster_lease_renewal_failures_total", "Renewals refused, or not answered in time.",
            m.lease_renewal_failures);
  p.counter("greenroom_cluster_leases_lost_total", "Leases that ended before they were renewed.", m.leases_lost);
  p.counter("greenroom_cluster_registrations_total", "Times the node's key was written.", m.registrations);
  p.counter("greenroom_cluster_watch_listings_total", "Times everything was read from etcd anew.", m.watch_listings);
  p.counter("greenroom_cluster_proposals_total", "Changes of shard records that this node's replicas asked for.",
            m.proposals);
  p.counter("greenroom_cluster_proposal_repeats_total", "Asked again, because the outcome was not known.",
            m.proposal_repeats);
  p.counter("greenroom_cluster_proposals_refused_total", "Refused, because the record had changed.",
            m.proposals_refused);
  for (size_t i = 0; i < m.moves.size(); ++i)
    p.labelled(MetricType::Counter, "greenroom_cluster_moves_total", "Changes that this node wrote as the controller.",
               "kind", to_string(static_cast<cluster::controller::step::kind>(i)),
               static_cast<double>(m.moves[i].get()));
  p.counter("greenroom_cluster_requests_total", "Requests of the controller that were told to replicas here.",
            m.requests);
}

void add_replicas(page& p, const cluster::replica_metrics& m) {
  p.gauge("greenroom_cluster_shards_leading", "Shards that this node serves.", m.leading);
  p.gauge("greenroom_cluster_shards_short", "Of these, with fewer copies in sync than there should be.", m.short_of);
  p.counter("greenroom_cluster_serves_total", "Times a shard began to be served here.", m.serves);
  p.counter("greenroom_cluster_yields_total", "Times a shard ended to be served here.", m.yields);
  p.counter("greenroom_cluster_snapshots_sent_total", "Snapshots of shards sent whole.", m.snapshots_out);
  p.counter("greenroom_cluster_snapshots_taken_total", "Snapshots of shards taken whole.", m.snapshots_in);
  p.counter("greenroom_cluster_letters_unread_total", "Letters of other nodes that could not be read.",
            m.letters_unread);
}

void add_links(page& p, const cluster::link_metrics& m) {
  p.gauge("greenroom_cluster_links", "Links to other nodes that are up.", m.links_up);
  p.counter("greenroom_cluster_links_total", "Links that came up.", m.links_total);
  p.counter("greenroom_cluster_link_losses_total", "Links that ended, but for our own stop.", m.link_losses);
  p.counter("greenroom_cluster_link_overflows_total", "Links that ended because too much waited.", m.overflows);
  p.gauge("greenroom_cluster_link_queue_bytes", "Bytes that wait for other nodes.", m.queue_bytes);
  p.counter("greenroom_cluster_dials_total", "Attempts to reach another node.", m.dials);
  p.counter("greenroom_cluster_dials_failed_total", "Attempts without an answer.", m.dials_failed);
  p.counter("greenroom_cluster_hellos_refused_total", "Refusals said and heard.", m.refusals);
  p.counter("greenroom_cluster_decode_errors_total", "Messages on links that could not be read.", m.decode_errors);
  using by_channel = cluster::link_metrics::by_channel;
  auto per_channel = [&](const char* name, const char* help, const greenroom::counter by_channel::*what) {
    for (size_t i = 0; i < m.of.size(); ++i)
      p.labelled(MetricType::Counter, name, help, "channel",
                 static_cast<cluster::channel>(i) == cluster::channel::control ? "control" : "bulk",
                 static_cast<double>((m.of[i].*what).get()));
  };
  per_channel("greenroom_cluster_letters_sent_total", "Letters to other nodes.", &by_channel::letters_out);
  per_channel("greenroom_cluster_letters_received_total", "Letters from other nodes.", &by_channel::letters_in);
  per_channel("greenroom_cluster_link_sent_bytes_total", "Bytes of frames to other nodes.", &by_channel::bytes_out);
  per_channel("greenroom_cluster_link_received_bytes_total", "Bytes of frames from other nodes.",
              &by_channel::bytes_in);
  per_channel("greenroom_cluster_credit_waits_total", "Times that letters began to wait for credit.",
              &by_channel::credit_waits);
}

void add_front(page& p, const front::front_metrics& m) {
  p.gauge("greenroom_cluster_tls_connections", "Encrypted connections to other nodes, both ways.", m.connections);
  p.gauge("greenroom_cluster_tls_pending", "Connections that are not let in yet.", m.pending);
  p.counter("greenroom_cluster_tls_accepted_total", "Connections taken.", m.accepted);
  p.counter("greenroom_cluster_tls_replaced_total", "Ended because a newer one of the same node came.", m.replaced);
  auto by_reason = [&](const char* name, const char* help, const auto& counts) {
    for (size_t i = 0; i < counts.size(); ++i)
      p.labelled(MetricType::Counter, name, help, "reason", to_string(static_cast<front::refusal>(i)),
                 static_cast<double>(counts[i].get()));
  };
  by_reason("greenroom_cluster_tls_refused_total", "Connections not let in, by reason.", m.refused_in);
  by_reason("greenroom_cluster_tls_dials_failed_total", "Ways to other nodes not found, by reason.", m.refused_out);
}

void add_hooks(page& p, const metrics& node, const std::vector<std::pair<std::string, hooks::figures_ptr>>& webhooks) {
  const auto each = [&](MetricType type, const char* name, const char* help, counter hooks::figures::*what,
                        double unit = 1) {
    for (const auto& [hook, f] : webhooks)
      p.labelled(type, name, help, "hook", hook, static_cast<double>(((*f).*what).get()) * unit);
  };
  using f = hooks::figures;
  each(MetricType::Counter, "greenroom_webhook_deliveries_total", "Deliveries answered with 2xx, by webhook.",
       &f::deliveries);
  each(MetricType::Counter, "greenroom_webhook_events_total", "Events in them.", &f::events);
  each(MetricType::Counter, "greenroom_webhook_failures_total", "Deliveries that were not; they are tried again.",
       &f::failures);
  each(MetricType::Gauge, "greenroom_webhook_pending_rooms", "Rooms of this node with something to push, in memory.",
       &f::pending);
  each(MetricType::Gauge, "greenroom_webhook_in_flight", "Rooms of which something is being pushed.", &f::in_flight);
  each(MetricType::Gauge, "greenroom_webhook_lag_seconds", "Age of the oldest event that is known to wait.", &f::lag_ms,
       1e-3);
  p.counter("greenroom_presend_asked_total", "Messages about which the pre-send hook was asked.", node.presend_asked);
  p.counter("greenroom_presend_rejected_total", "Of these, refused by it.", node.presend_rejected);
  p.counter("greenroom_presend_replaced_total", "Of these, changed by it.", node.presend_replaced);
  p.counter("greenroom_presend_failed_total", "Of these, without a good answer in time.", node.presend_failed);
  p.counter("greenroom_presend_refused_total", "Messages refused because too many wait (presend.waiting).",
            node.presend_refused);
}

void add_provider(page& p, const provider_figures& m) {
  const auto value = [](const std::atomic<int64_t>& x) {
    return static_cast<double>(x.load(std::memory_order_relaxed));
  };
  p.gauge("greenroom_provider_keys", "Keys of the outside identity provider in force.", value(m.keys));
  p.gauge("greenroom_provider_keys_timestamp_seconds", "When they were last read or fetched, and found good.",
          value(m.read_at));
  p.counter("greenroom_provider_fetches_total", "Fetches of the provider's keys.", value(m.fetches));
  p.counter("greenroom_provider_fetch_failures_total", "Of these, without a good set of keys.", value(m.failures));
  p.counter("greenroom_provider_unknown_keys_total", "Tokens refused because they name a key that is not there.",
            value(m.unknown));
}

// "rocksdb.estimate-num-keys" -> "greenroom_store_estimate_num_keys"
std::string store_name(std::string_view property) {
  constexpr std::string_view prefix = "rocksdb.";
  if (property.starts_with(prefix))
    property.remove_prefix(prefix.size());
  std::string name = "greenroom_store_";
  for (unsigned char c : property)
    name += std::isalnum(c) != 0 ? static_cast<char>(c) : '_';
  return name;
}

// Figures of this process that can't be read are left out rather than shown as 0.
void add_process(page& p) {
  if (std::ifstream statm("/proc/self/statm"); statm) {
    uint64_t total = 0;
    uint64_t resident = 0;
    if (statm >> total >> resident)
      p.gauge("process_resident_memory_bytes", "Resident memory.",
              static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  if (std::filesystem::directory_iterator fds("/proc/self/fd", error); !error)
    p.gauge("process_open_fds", "Open file descriptors.",
            static_cast<double>(std::distance(begin(fds), end(fds)) - 1)); // without the one that looks
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0)
    p.gauge("process_max_fds", "Bound on open file descriptors.", static_cast<double>(files.rlim_cur));
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) {
    auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    p.counter("process_cpu_seconds_total", "CPU time, user and system.",
              seconds(used.ru_utime) + seconds(used.ru_stime));
  }
}

/// "other": namespaces that have no section in the configuration.
void add_tenants(page& p, const tenants& all) {
  const auto each = [&](MetricType type, const char* name, const char* help, counter tenants::figures::*what) {
    for (const auto& t : all.all())
      p.labelled(type, name, help, "namespace", t->name, static_cast<double>((t->counts.*what).get()));
  };
  using f = tenants::figures;
  each(MetricType::Counter, "greenroom_namespace_sends_total", "Send requests admitted, by namespace.", &f::sends);
  each(MetricType::Counter, "greenroom_namespace_refused_total", "Sends refused by tenant.sends_per_s.", &f::refused);
  each(MetricType::Gauge, "greenroom_namespace_rooms_active", "Rooms awake here, by namespace.", &f::rooms);
}

} // namespace

std::string render_metrics(const metrics_page& of) {
  page p;
  add_node(p, of.node);
  if (of.cluster) {
    add_member(p, of.cluster->member);
    add_replicas(p, of.cluster->replicas);
    add_links(p, of.cluster->links);
  }
  if (of.front)
    add_front(p, *of.front);
  if (of.provider)
    add_provider(p, *of.provider);
  add_hooks(p, of.node, of.hooks);
  if (of.tenants)
    add_tenants(p, *of.tenants);
  for (auto& [name, value] : of.store)
    p.gauge(store_name(name), "RocksDB property " + name + ".", static_cast<double>(value));
  add_process(p);
  return p.text();
}

} // namespace greenroom::net
