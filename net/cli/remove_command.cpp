// cluster remove NODE-OR-STORE: takes a store out of the cluster whose node is gone for good and on which no shard
// counts any more. Talks to etcd, not to nodes.
#include "actors/cluster/founding.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/cluster_etcd.hpp"
#include "net/cli/removal.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>

namespace greenroom::cli {
namespace {

constexpr std::chrono::milliseconds look_every{500};
// Somebody may have changed the same keys in between, and an answer may have been lost.
constexpr int attempts_max = 5;

struct remove_flags {
  std::string node_or_store;
  bool as_json = false;
};

struct removed_store {
  cluster::store_id id;
  removal how;
};

outcome<removed_store> remove_now(cluster::agreement& etcd, const settings& s, const std::string& node_or_store) {
  const patience wait{s.cluster.lease_ms, s.cluster.replace_s};
  // Once it is known who is meant, another one that comes to have the name is not.
  std::optional<cluster::store_id> store;
  std::optional<removal> asked; // the outcome is not known
  for (int attempt = 1;; ++attempt) {
    auto view = view_now(etcd, s.cluster.name);
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
    std::this_thread::sleep_for(look_every);
  }
}

int remove(const config::sources& from, const remove_flags& flags) {
  const auto here = etcd_or_complain(from);
  if (!here)
    return 1;
  const auto removed = remove_now(*here->etcd, here->of, flags.node_or_store);
  if (!removed)
    return complain(removed.error());
  const auto& [id, how] = *removed;
  if (flags.as_json)
    std::cout << nlohmann::json{{"node", how.node}, {"store", id}, {"state", "removed"}}.dump() << "\n";
  else
    std::cout << "removed " << how.node << " (store " << id << ") from the cluster \"" << here->of.cluster.name
              << "\". Started again with the same data directory it would join as a new store, its old copies not "
                 "counting\n";
  if (how.copies_short > 0)
    std::cerr << "greenroom: the cluster wants " << how.copies_short << " more "
              << (how.copies_short == 1 ? "copy" : "copies") << " of each shard than there are stores now\n";
  return 0;
}

} // namespace

void add_remove_command(CLI::App& cluster, context& shared) {
  auto* command = cluster.add_subcommand(
      "remove", "forget a node that is gone for good, once its shards have their copies on others");
  auto flags = std::make_shared<remove_flags>();
  command->add_option("NODE-OR-STORE", flags->node_or_store, "its node.name, or its store as `cluster nodes` shows it")
      ->required();
  command->add_flag("--json", flags->as_json, "for programs");
  command->callback([&shared, flags] { shared.run = [&shared, flags] { return remove(shared.from, *flags); }; });
}

} // namespace greenroom::cli
