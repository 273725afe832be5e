// metrics: the node's figures in Prometheus' text format (version 0.0.4), for GET /metrics.
#pragma once

#include "actors/metrics.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::net {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// Our counters (greenroom_*), the store's own figures (greenroom_store_*, named after RocksDB's properties) and those
/// of the process (process_*, as Prometheus names them). Times in seconds, sizes in bytes. Any thread.
std::string render_metrics(const metrics& figures, const std::vector<std::pair<std::string, uint64_t>>& store_figures);

} // namespace greenroom::net
