// cluster remove NODE-OR-STORE: takes a store out of the cluster whose node is gone for good and on which no shard
// counts any more. Talks to etcd, not to nodes.
#include "net/cli/cli.hpp"
#include "net/cli/cluster_etcd.hpp"
#include "net/cli/removal.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <iostream>
#include <thread>

namespace greenroom::cli {
namespace {

constexpr std::chrono::milliseconds look_every{500};

struct remove_flags {
  std::string node_or_store;
  bool as_json = false;
};

int remove(const config::sources& from, const remove_flags& flags) {
  const auto here = etcd_or_complain(from);
  if (!here)
    return 1;
  const auto& s = here->of.cluster;
  const auto removed = remove_now(*here->etcd, s.name, flags.node_or_store, {s.lease_ms, s.replace_s},
                                  [] { std::this_thread::sleep_for(look_every); });
  if (!removed)
    return complain(removed.error());
  const auto& [id, how] = *removed;
  if (flags.as_json)
    std::cout << nlohmann::json{{"node", how.node}, {"store", id}, {"state", "removed"}}.dump() << "\n";
  else
    std::cout << "removed " << how.node << " (store " << id << ") from the cluster \"" << s.name
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
