#include "net/cli/cluster_etcd.hpp"

#include "actors/cluster/founding.hpp"
#include "config/ids.hpp"
#include "net/cli/cli.hpp"
#include "net/etcd/configured.hpp"

#include <iostream>

namespace greenroom::cli {

namespace {

outcome<std::unique_ptr<net::etcd::client>> etcd_of(const settings& s) {
  if (s.cluster.etcd.empty())
    return fail(errc::bad_request, "cluster.etcd is not set: this node is by itself. Go to the folder of a node of the "
                                   "cluster, or name it by --config FILE or --cluster.etcd=http://HOST:2379");
  auto options = net::etcd::configured(s);
  if (!options)
    return std::move(options).error();
  return net::etcd::client::open(std::move(*options));
}

} // namespace

std::optional<configured_etcd> etcd_or_complain(const config::sources& from) {
  auto loaded = load_or_complain(from);
  if (!loaded)
    return std::nullopt;
  auto etcd = etcd_of(loaded->values);
  if (!etcd) {
    complain(etcd.error());
    return std::nullopt;
  }
  return configured_etcd{std::move(loaded->values), std::move(*etcd)};
}

outcome<cluster::cluster_view> view_now(cluster::agreement& etcd, const std::string& cluster_name) {
  cluster::cluster_view view{cluster::record_keys(cluster_name), shard_count,
                             [](const std::string& key, const failure& why) {
                               std::cerr << "greenroom: " << key << ": " << why.message << "\n";
                             }};
  auto all = cluster::list_now(etcd, view.keys().prefix());
  if (!all)
    return std::move(all).error();
  view.take(*all);
  if (!view.cluster())
    return fail(errc::not_found, "etcd has no cluster \"" + cluster_name +
                                     "\": run `greenroom cluster init` once, on the node whose data founds it");
  return view;
}

} // namespace greenroom::cli
