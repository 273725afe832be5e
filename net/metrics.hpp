// metrics: the node's figures in Prometheus' text format (version 0.0.4), for GET /metrics.
#pragma once

#include "actors/cluster/figures.hpp"
#include "actors/hooks.hpp"
#include "actors/metrics.hpp"
#include "actors/tenants.hpp"
#include "net/front/front_metrics.hpp"
#include "net/provider_keys.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::net {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

struct metrics_page {
  const metrics& node;
  std::vector<std::pair<std::string, uint64_t>> store;                // of RocksDB's properties
  const cluster::figures* cluster = nullptr;                          // null: the node is by itself
  const front::front_metrics* front = nullptr;                        // null: links are not encrypted
  const provider_figures* provider = nullptr;                         // null: tokens are our own
  std::vector<std::pair<std::string, hooks::figures_ptr>> hooks = {}; // by webhook
  const greenroom::tenants* tenants = nullptr;
};

/// Our counters (greenroom_*), the cluster's (greenroom_cluster_*), the store's own figures (greenroom_store_*, named
/// after RocksDB's properties) and those of the process (process_*, as Prometheus names them). Times in seconds, sizes
/// in bytes. Any thread.
std::string render_metrics(const metrics_page& of);

} // namespace greenroom::net
