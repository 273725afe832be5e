// figures: what this node counts of the cluster. Part of the cluster's house; net/ renders them for Prometheus.
#pragma once

#include "actors/cluster/link_metrics.hpp"
#include "actors/cluster/member_metrics.hpp"

namespace greenroom::cluster {

/// What the replicas count, all shards together. Any thread reads; the replicas write.
struct replica_metrics {
  counter leading;  // gauge: shards that this node serves
  counter short_of; // gauge: of these, those with fewer members in sync than stores that should hold them
  counter serves;
  counter yields;
  counter snapshots_out;  // sent whole
  counter snapshots_in;   // taken whole
  counter letters_unread; // another node speaks another version
};

struct figures {
  link_metrics links;
  member_metrics member;
  replica_metrics replicas;
};

} // namespace greenroom::cluster
