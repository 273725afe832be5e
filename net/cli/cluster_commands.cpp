// cluster init | status | nodes | shards: what stands in etcd about the cluster of the configured node, and its
// founding. Talks to etcd, not to nodes. The other commands of the group are in certs_command.cpp, drain_command.cpp
// and remove_command.cpp.
#include "actors/cluster/founding.hpp"
#include "config/ids.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/cluster_etcd.hpp"
#include "net/cli/cluster_tables.hpp"
#include "storage/store.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <iostream>

namespace greenroom::cli {
namespace {

using cluster::cluster_view;
using cluster::record_keys;

int init(const config::sources& from) {
  const auto here = etcd_or_complain(from);
  if (!here)
    return 1;
  const settings& s = here->of;
  auto& etcd = *here->etcd;
  const record_keys keys(s.cluster.name);
  // Asked before anything is changed. The store is not known yet, so records without a cluster are looked at below.
  if (auto there = cluster::cluster_now(etcd, keys); there)
    return complain(fail(errc::exists, "the cluster \"" + s.cluster.name + "\" is founded already, with the id " +
                                           there->id + ": a node joins it by being started"));
  else if (there.error().code != errc::not_found)
    return complain(there.error());

  storage::store_options o;
  o.path = s.node.data_dir + "/store";
  std::error_code ignored; // open() says what is wrong
  std::filesystem::create_directories(s.node.data_dir, ignored);
  auto store = storage::store::open(o);
  if (!store)
    return complain(fail(store.error().code, store.error().message + " (the node must not run meanwhile)"));
  const auto id = (*store)->id();
  auto all = cluster::list_now(etcd, keys.prefix());
  if (!all)
    return complain(all.error());
  if (auto may = cluster::may_found(*all, keys, id); !may)
    return complain(may.error());
  if (auto done = cluster::found_store(**store); !done)
    return complain(done.error());
  const cluster::cluster_record wished{random_id(), shard_count, s.cluster.replicas, s.cluster.min_in_sync};
  if (auto done = cluster::found_cluster(etcd, keys, wished, id); !done) {
    std::cerr << "greenroom: the store is ready, but etcd is not: run the same command again\n";
    return complain(done.error());
  }
  std::cout << "founded the cluster \"" << s.cluster.name << "\" with the data in " << s.node.data_dir << "\n"
            << table_of({{"id", wished.id},
                         {"store", id},
                         {"shards", std::to_string(wished.shards) + ", all of them on this store"},
                         {"copies", std::to_string(wished.replicas) + " of each, at least " +
                                        std::to_string(wished.min_in_sync) + " in sync, once there are so many nodes"}})
            << "Now start this node, then the others: each with the same cluster.etcd, cluster.name and token secret, "
               "and a node.name of its own. `greenroom cluster status` shows how far they are.\n";
  return 0;
}

/// Reads etcd and shows something of it.
int show(const config::sources& from, const std::function<int(const std::string& name, const cluster_view&)>& what) {
  const auto here = etcd_or_complain(from);
  if (!here)
    return 1;
  const auto& name = here->of.cluster.name;
  auto view = view_now(*here->etcd, name);
  return view ? what(name, *view) : complain(view.error());
}

} // namespace

void add_cluster_commands(CLI::App& program, context& shared) {
  auto* group = program.add_subcommand("cluster", "found a cluster, look at it, empty its nodes and take them away");
  group->require_subcommand(1);

  group->add_subcommand("init", "found the cluster of the configured node with its data; the node must be stopped")
      ->callback([&shared] { shared.run = [&shared] { return init(shared.from); }; });

  add_certs_command(*group, shared);
  add_drain_command(*group, shared);
  add_remove_command(*group, shared);

  const auto showing = [&shared, group](const std::string& name, const std::string& help, auto text, auto data) {
    auto* command = group->add_subcommand(name, help);
    auto as_json = std::make_shared<bool>(false);
    command->add_flag("--json", *as_json, "for programs");
    command->callback([&shared, as_json, text, data] {
      shared.run = [&shared, as_json, text, data] {
        return show(shared.from, [&](const std::string& cluster_name, const cluster_view& view) {
          std::cout << (*as_json ? data(view).dump(2) + "\n" : text(cluster_name, view));
          return figures_of(view).shards_without == 0 ? 0 : 1;
        });
      };
    });
  };
  showing("status", "in short; exit code 1 if a shard has no live primary", status_text, status_json);
  const auto unnamed = [](auto f) { return [f](const std::string&, const cluster_view& view) { return f(view); }; };
  showing("nodes", "nodes and their stores", unnamed(nodes_text), nodes_json);
  showing("shards", "who leads and who has copies", unnamed(shards_text), shards_json);
}

} // namespace greenroom::cli
