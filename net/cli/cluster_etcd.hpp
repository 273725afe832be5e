// cluster_etcd: how the commands about a cluster get at what stands in etcd about it.
#pragma once

#include "actors/cluster/view.hpp"
#include "config/load.hpp"
#include "net/etcd/client.hpp"

#include <memory>
#include <optional>
#include <string>

namespace greenroom::cli {

/// The configured node's settings, and its etcd.
struct configured_etcd {
  settings of;
  std::unique_ptr<net::etcd::client> etcd;
};
/// Prints what is wrong and answers nothing if the configuration has mistakes, or the node is by itself.
std::optional<configured_etcd> etcd_or_complain(const config::sources& from);

/// All records; not_found: nobody has founded the cluster. Those that can't be read are complained about and left out.
outcome<cluster::cluster_view> view_now(cluster::agreement& etcd, const std::string& cluster_name);

} // namespace greenroom::cli
