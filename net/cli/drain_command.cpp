// cluster drain NODE: orders a node to give up its shards and clients and to stop, and waits until it has gone. Talks
// to etcd, not to nodes: so it can be run anywhere, and what it has ordered goes on when it is ended.
#include "actors/cluster/founding.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/cluster_etcd.hpp"
#include "net/cli/draining.hpp"

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
// Somebody may have changed the same keys in between.
constexpr int attempts_max = 5;

struct drain_flags {
  std::string node;
  bool no_wait = false;
  bool force = false;
  bool as_json = false;
};

void show(const drain_flags& flags, const drain_progress& x) {
  std::cout << (flags.as_json ? json_of(flags.node, x).dump() : text_of(flags.node, x)) << "\n" << std::flush;
}

/// Answers the node's store.
outcome<cluster::store_id> order(cluster::agreement& etcd, const std::string& cluster_name, const drain_flags& flags) {
  for (int attempt = 1;; ++attempt) {
    auto view = view_now(etcd, cluster_name);
    if (!view)
      return std::move(view).error();
    auto plan = plan_drain(*view, flags.node, flags.force);
    if (!plan)
      return std::move(plan).error();
    auto store = view->nodes().at(flags.node).what.store;
    if (plan->ordered) {
      if (attempt == 1) // else it was us
        std::cerr << "greenroom: " << flags.node << " drains already\n";
      return store;
    }
    // An outcome that is not known is found out by looking again.
    auto done = cluster::commit_now(etcd, plan->conditions, plan->changes);
    if (done && done->done) {
      if (plan->shards_short > 0)
        std::cerr << "greenroom: " << plan->shards_short << " of " << view->shards().size()
                  << " shards will have fewer than " << view->cluster()->what.min_in_sync
                  << " live copies in sync while " << flags.node << " is away: sends to them are refused meanwhile\n";
      return store;
    }
    if (attempt == attempts_max)
      return done ? fail(errc::conflict, "the keys of " + flags.node + " in etcd change all the time; try again")
                  : std::move(done).error();
    std::this_thread::sleep_for(look_every);
  }
}

int drain(const config::sources& from, const drain_flags& flags) {
  const auto here = etcd_or_complain(from);
  if (!here)
    return 1;
  auto& etcd = *here->etcd;
  const auto& name = here->of.cluster.name;
  const auto store = order(etcd, name, flags);
  if (!store)
    return complain(store.error());
  std::string trouble;
  for (std::optional<drain_progress> shown;; std::this_thread::sleep_for(look_every)) {
    auto view = view_now(etcd, name);
    if (!view && view.error().code != errc::unavailable)
      return complain(view.error());
    if (!view) { // the node goes on with it; etcd may be back in a moment
      if (std::exchange(trouble, view.error().message) != trouble)
        std::cerr << "greenroom: " << trouble << "; waiting\n";
      continue;
    }
    const auto now = progress_of(*view, flags.node, *store);
    if (shown != now)
      show(flags, now);
    if (now.gone && shown && shown->leads > 0)
      return complain(fail(errc::unavailable, flags.node + " has gone from etcd while it led " +
                                                  std::to_string(shown->leads) + " shards: it has not drained"));
    shown = now;
    if (now.gone || flags.no_wait)
      return 0;
  }
}

} // namespace

void add_drain_command(CLI::App& cluster, context& shared) {
  auto* command = cluster.add_subcommand(
      "drain", "have a node hand over its shards, send its clients to other nodes and stop; waits until it has gone");
  auto flags = std::make_shared<drain_flags>();
  command->add_option("NODE", flags->node, "its node.name")->required();
  command->add_flag("--no-wait", flags->no_wait, "only give the order");
  command->add_flag("--force", flags->force,
                    "also if another node drains, or copies are missing that are expected to come back");
  command->add_flag("--json", flags->as_json, "for programs: an object per line, as it goes");
  command->callback([&shared, flags] { shared.run = [&shared, flags] { return drain(shared.from, *flags); }; });
}

} // namespace greenroom::cli
