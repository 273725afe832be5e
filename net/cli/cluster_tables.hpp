// cluster_tables: what stands in etcd about a cluster, for people (tables) and for programs (JSON). Pure functions.
#pragma once

#include "actors/cluster/view.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace greenroom::cli {

/// Rows of cells as lines, the first row as the heading; columns line up, two blanks apart.
std::string table_of(const std::vector<std::vector<std::string>>& rows);

/// In short. A shard is counted once: `without` a live primary, else `short` of live copies in sync.
struct cluster_figures {
  size_t stores = 0;
  size_t alive = 0; // of them
  size_t shards_led = 0;
  size_t shards_short = 0; // led, but with fewer live members in sync than the cluster wants and its stores allow
  size_t shards_without = 0;
};
cluster_figures figures_of(const cluster::cluster_view& view);

nlohmann::json status_json(const cluster::cluster_view& view);
std::string status_text(const std::string& name, const cluster::cluster_view& view);
nlohmann::json nodes_json(const cluster::cluster_view& view);
std::string nodes_text(const cluster::cluster_view& view);
nlohmann::json shards_json(const cluster::cluster_view& view);
std::string shards_text(const cluster::cluster_view& view);

} // namespace greenroom::cli
