// cluster_etcd: how the commands about a cluster get at what stands in etcd about it.
#pragma once

#include "actors/cluster/view.hpp"
#include "config/settings.hpp"
#include "net/etcd/client.hpp"

#include <memory>

namespace greenroom::cli {

/// The etcd of the configured node; bad_request: it is by itself.
outcome<std::unique_ptr<net::etcd::client>> etcd_of(const settings& s);

/// All records; not_found: nobody has founded the cluster. Those that can't be read are complained about and left out.
outcome<cluster::cluster_view> view_now(cluster::agreement& etcd, const std::string& cluster_name);

} // namespace greenroom::cli
