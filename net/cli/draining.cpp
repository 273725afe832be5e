#include "net/cli/draining.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace greenroom::cli {
namespace {

using cluster::cluster_view;
using cluster::store_id;

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

std::string count_of(uint64_t n, const std::string& one, const std::string& many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

failure no_such_node(const cluster_view& view, const std::string& node) {
  const auto is_stored = std::any_of(view.stores().begin(), view.stores().end(),
                                     [&](const auto& s) { return s.second.what.node == node; });
  if (is_stored)
    return fail(errc::not_found, "the node " + node + " does not run: there is nothing to drain");
  std::string names;
  for (const auto& [name, what] : view.nodes())
    names += (names.empty() ? "" : ", ") + name;
  return fail(errc::not_found,
              "there is no node " + node + ". Those that run: " + (names.empty() ? std::string("none") : names));
}

/// By what is in sync and alive now.
struct losses {
  size_t alone = 0;       // shards that nobody else could lead
  size_t for_now = 0;     // left with fewer than min_in_sync copies, while others are still catching up or away
  size_t in_any_case = 0; // the same, though all are there that the cluster can have
};

losses losses_of(const cluster_view& view, const store_id& leaving) {
  const auto alive = view.alive();
  const auto& c = view.cluster()->what;
  const size_t full = std::min<size_t>(c.replicas, view.stores().size());
  losses out;
  for (const auto& s : view.shards()) {
    if (!has(s.what.in_sync, leaving))
      continue;
    const auto others = static_cast<size_t>(std::count_if(
        s.what.in_sync.begin(), s.what.in_sync.end(), [&](const auto& id) { return id != leaving && has(alive, id); }));
    if (others == 0)
      ++out.alone;
    else if (others < c.min_in_sync)
      ++(others + 1 < full ? out.for_now : out.in_any_case);
  }
  return out;
}

} // namespace

outcome<drain_plan> plan_drain(const cluster_view& view, const std::string& node, bool force) {
  const auto found = view.nodes().find(node);
  if (found == view.nodes().end())
    return no_such_node(view, node);
  const auto& store = found->second.what.store;
  drain_plan plan;
  plan.ordered = view.drain_of(node) != nullptr;
  if (plan.ordered)
    return plan;
  if (view.alive().size() < 2)
    return fail(errc::unsupported, node + " is the only node that runs: nobody could take over. SIGTERM stops it");
  const auto lost = losses_of(view, store);
  if (!force) {
    for (const auto& [other, what] : view.nodes())
      if (view.drain_of(other))
        return fail(errc::conflict, other + " drains: one node at a time. Wait until it is back, or use --force");
    if (lost.alone > 0)
      return fail(errc::conflict, count_of(lost.alone, "shard has", "shards have") +
                                      " no other live copy in sync, and could not be used while " + node +
                                      " is away. Wait until `greenroom cluster status` shows fewer under-replicated "
                                      "shards, or use --force");
    if (lost.for_now > 0)
      return fail(errc::conflict, count_of(lost.for_now, "shard", "shards") +
                                      " would have too few live copies in sync for sends while " + node +
                                      " is away, and copies are still to come. Wait until `greenroom cluster status` "
                                      "shows fewer under-replicated shards, or use --force");
  }
  plan.shards_short = lost.in_any_case + lost.for_now + lost.alone;
  const auto stale = view.drains().find(node);
  plan.conditions = {{view.keys().node(node), found->second.revision},
                     {view.keys().drain(node), stale == view.drains().end() ? 0 : stale->second.revision}};
  if (!force) // nobody else may have ordered another one meanwhile
    for (const auto& [other, what] : view.nodes())
      if (auto theirs = view.drains().find(other); other != node)
        plan.conditions.push_back(
            {view.keys().drain(other), theirs == view.drains().end() ? 0 : theirs->second.revision});
  plan.changes = {{view.keys().drain(node), encode(cluster::drain_record{store}), found->second.lease}};
  return plan;
}

drain_progress progress_of(const cluster_view& view, const std::string& node, const store_id& store) {
  drain_progress x;
  const auto now = view.nodes().find(node);
  const auto* order = view.drain_of(node);
  x.gone = now == view.nodes().end() || now->second.what.store != store || !order;
  if (x.gone)
    return x;
  x.leads = static_cast<size_t>(std::count_if(view.shards().begin(), view.shards().end(),
                                              [&](const auto& s) { return s.what.primary == store; }));
  x.connections = order->what.connections;
  return x;
}

std::string text_of(const std::string& node, const drain_progress& x) {
  if (x.gone)
    return node + " has gone from etcd: its process ends";
  return node + " drains: it leads " + count_of(x.leads, "shard", "shards") + ", " +
         (x.connections ? count_of(*x.connections, "client is", "clients are") + " connected"
                        : std::string("it has not answered yet"));
}

nlohmann::json json_of(const std::string& node, const drain_progress& x) {
  nlohmann::json out;
  out["node"] = node;
  out["state"] = x.gone ? "gone" : "draining";
  out["leads"] = x.leads;
  out["connections"] = x.connections ? nlohmann::json(*x.connections) : nlohmann::json();
  return out;
}

} // namespace greenroom::cli
