// member_metrics: what this node's part in etcd counts. Any thread reads; the member writes.
#pragma once

#include "actors/cluster/controller.hpp"
#include "actors/metrics.hpp"

#include <array>

namespace greenroom::cluster {

struct member_metrics {
  counter lease_grants;
  counter lease_renewals;         // answered
  counter lease_renewal_failures; // refused, or not answered in time
  counter leases_lost;
  counter registrations; // of the node's key, each followed by reading all records
  counter nodes_alive;   // gauge: by etcd's word
  counter watch_listings;
  counter proposals;        // of records, by this node's replicas
  counter proposal_repeats; // because the outcome was not known
  counter proposals_done;
  counter proposals_refused; // the record had changed
  counter controller;        // gauge: 1 where this node is the controller
  counter controller_terms;
  static constexpr size_t move_kinds = 5;
  std::array<counter, move_kinds> moves;        // written, by controller::step::kind
  std::array<counter, move_kinds> moves_failed; // refused, or nobody knows
  counter draining;                             // gauge: 1 where this node drains
  counter requests;                             // of the controller, told to this node's replicas
};

} // namespace greenroom::cluster
