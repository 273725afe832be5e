#include "net/cli/removal.hpp"

#include "actors/cluster/founding.hpp"
#include "net/cli/cluster_etcd.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace greenroom::cli {
namespace {

using cluster::cluster_view;
using cluster::store_id;

// Somebody may change the same keys in between, and answers may be lost.
constexpr int attempts_max = 5;

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

std::string count_of(size_t n, const std::string& one, const std::string& many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

failure nothing_called(const cluster_view& view, const std::string& node_or_store) {
  std::set<std::string> known;
  for (const auto& [id, store] : view.stores())
    known.insert(store.what.node);
  std::string names;
  for (const auto& name : known)
    names += (names.empty() ? "" : ", ") + name;
  return fail(errc::not_found, "there is no node or store " + node_or_store +
                                   ". Those that are known: " + (names.empty() ? std::string("none") : names));
}

failure still_runs(const cluster_view& view, const store_id& store, const std::string& node, const patience& wait) {
  if (view.drains(store))
    return fail(errc::conflict, node + " drains and still runs: wait until `greenroom cluster drain " + node +
                                    "` says that it has gone");
  return fail(errc::conflict, node + " runs: have it stopped by `greenroom cluster drain " + node +
                                  "` first. If it has just died, wait until its lease has ended (cluster.lease_ms, " +
                                  std::to_string(wait.lease_ms) + " ms here)");
}

/// The shards that count on one store, by number.
struct claims {
  std::vector<uint32_t> unknown; // there is no record of them that can be read
  std::vector<uint32_t> all;
  std::vector<uint32_t> leads;
  std::vector<uint32_t> in_sync;
  std::vector<uint32_t> learns;
  std::vector<uint32_t> dead; // in sync, and so is nobody who lives
  std::vector<uint32_t> held; // in sync, and in_sync can't do without: others have to come in first
};

claims claims_of(const cluster_view& view, const store_id& store) {
  const auto alive = view.alive();
  claims out;
  for (uint32_t s = 0; s < view.shards().size(); ++s) {
    const auto& x = view.shards()[s];
    if (x.revision == 0) {
      out.unknown.push_back(s);
      continue;
    }
    const bool leads = x.what.primary == store;
    const bool in_sync = has(x.what.in_sync, store);
    const bool replica = has(x.what.replicas, store);
    if (!leads && !in_sync && !replica)
      continue;
    out.all.push_back(s);
    if (leads)
      out.leads.push_back(s);
    (in_sync ? out.in_sync : out.learns).push_back(s);
    const bool lives = std::any_of(x.what.in_sync.begin(), x.what.in_sync.end(),
                                   [&](const auto& id) { return id != store && has(alive, id); });
    if (in_sync && !lives)
      out.dead.push_back(s);
    else if (in_sync && x.what.in_sync.size() <= view.cluster()->what.min_in_sync)
      out.held.push_back(s);
  }
  return out;
}

failure counted_on(const cluster_view& view, const store_id& store, const std::string& node, const claims& by,
                   const patience& wait) {
  std::string what;
  const auto add = [&](const std::string& role, const std::vector<uint32_t>& shards) {
    if (!shards.empty())
      what += (what.empty() ? "" : ", ") + role + " " + std::to_string(shards.size()) + " (" + ranges_of(shards) + ")";
  };
  add("leads", by.leads);
  add("is in sync in", by.in_sync);
  add("learns", by.learns);
  std::string todo;
  const auto alive = view.alive().size(); // the store is not among them
  const auto min_in_sync = view.cluster()->what.min_in_sync;
  if (!by.dead.empty())
    todo = "No copy in sync of " + count_of(by.dead.size(), "shard", "shards") + " (" + ranges_of(by.dead) +
           ") is on a node that runs: start one again that has it, or what is in there is lost";
  else if (!by.held.empty() && alive < min_in_sync)
    todo = count_of(by.held.size(), "shard keeps", "shards keep") + " " + std::to_string(min_in_sync) +
           " copies in sync (min_in_sync), and " + count_of(alive, "other store is", "other stores are") +
           " alive: start another node";
  else if (const auto now = view.nodes().find(node); now != view.nodes().end()) // with another store
    todo = "They are copied to others now: wait, `greenroom cluster shards` shows how far it is";
  else
    todo = "They are copied to others when its node has been gone for cluster.replace_s (" +
           std::to_string(wait.replace_s) +
           " s here, counted anew by each new controller): wait, `greenroom cluster shards` shows how far it is";
  return fail(errc::conflict, count_of(by.all.size(), "shard counts", "shards count") + " on " + node + " (store " +
                                  store + "): it " + what + ". " + todo);
}

} // namespace

outcome<store_id> store_called(const cluster_view& view, const std::string& node_or_store) {
  if (view.stores().contains(node_or_store))
    return node_or_store;
  std::vector<store_id> found;
  for (const auto& [id, store] : view.stores())
    if (store.what.node == node_or_store)
      found.push_back(id);
  if (found.empty())
    return nothing_called(view, node_or_store);
  if (found.size() == 1)
    return found.front();
  std::string list;
  for (const auto& id : found)
    list += (list.empty() ? "" : ", ") + id + (view.node_of(id) ? " (alive)" : " (gone)");
  return fail(errc::conflict, count_of(found.size(), "store has", "stores have") + " been called " + node_or_store +
                                  ": " + list + ". Name the one that is meant by its store");
}

outcome<removal> plan_removal(const cluster_view& view, const store_id& store, const patience& wait) {
  const auto found = view.stores().find(store);
  if (found == view.stores().end())
    return nothing_called(view, store);
  const auto& node = found->second.what.node;
  if (const auto* runs_as = view.node_of(store))
    return still_runs(view, store, *runs_as, wait);
  const auto by = claims_of(view, store);
  if (!by.unknown.empty())
    return fail(errc::conflict, "whether " + count_of(by.unknown.size(), "shard counts", "shards count") + " on " +
                                    node + " is not known: no record that can be read (" + ranges_of(by.unknown) + ")");
  if (!by.all.empty())
    return counted_on(view, store, node, by, wait);
  removal plan;
  plan.node = node;
  // Every registration of the store writes the first; the second is what a node of that name would come back with.
  plan.conditions = {{view.keys().store(store), found->second.revision},
                     {view.keys().node(node), view.node_revision(node)}};
  plan.changes = {{view.keys().store(store), std::nullopt, 0}};
  const size_t left = view.stores().size() - 1;
  const size_t wanted = view.cluster()->what.replicas;
  plan.copies_short = wanted > left ? wanted - left : 0;
  return plan;
}

outcome<removed_store> remove_now(cluster::agreement& etcd, const std::string& cluster_name,
                                  const std::string& node_or_store, const patience& wait,
                                  const std::function<void()>& pause) {
  // Once it is known who is meant, another one that comes to have the name is not.
  std::optional<store_id> store;
  std::optional<removal> asked; // the outcome is not known
  for (int attempt = 1;; ++attempt) {
    auto view = view_now(etcd, cluster_name);
    if (!view)
      return std::move(view).error();
    if (!store) {
      auto called = store_called(*view, node_or_store);
      if (!called)
        return std::move(called).error();
      store = std::move(*called);
    }
    if (asked && !view->stores().contains(*store))
      return removed_store{*store, std::move(*asked)};
    auto plan = plan_removal(*view, *store, wait);
    if (!plan)
      return std::move(plan).error();
    auto done = cluster::commit_now(etcd, plan->conditions, plan->changes);
    if (done && done->done)
      return removed_store{*store, std::move(*plan)};
    if (attempt == attempts_max || (!done && done.error().code != errc::unavailable))
      return done ? fail(errc::conflict, "the keys of " + plan->node + " in etcd change all the time; try again")
                  : std::move(done).error();
    if (!done)
      asked = std::move(*plan);
    pause();
  }
}

std::string ranges_of(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t first = i;
    while (i + 1 < numbers.size() && numbers[i + 1] == numbers[i] + 1)
      ++i;
    out += (out.empty() ? "" : ", ") + std::to_string(numbers[first]);
    if (i > first)
      out += "-" + std::to_string(numbers[i]);
  }
  return out;
}

} // namespace greenroom::cli
