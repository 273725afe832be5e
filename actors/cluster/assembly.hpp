// assembly: what a node starts to be part of a cluster, and ends before everything else: a replica for each shard, the
// gateway, the member, the survey, and the beat that they share. It hands what comes over the links to the mailboxes it
// is for.
#pragma once

#include "actors/beat.hpp"
#include "actors/cluster/front.hpp"
#include "actors/cluster/gateway.hpp"
#include "actors/cluster/member.hpp"
#include "actors/cluster/replica.hpp"
#include "actors/strand.hpp"
#include "config/settings.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace greenroom {
struct house;
class lane;
} // namespace greenroom

namespace greenroom::cluster {

/// What the links need to know before the actor system is made, from the settings.
link_options link_options_of(const settings& config, const std::string& store);

class assembly {
public:
  /// REQUIRES: in.cluster is there, and the shards have been spawned; the lane runs. Throws std::runtime_error when a
  /// port can't be had. Without a front, links come to CAF's port and are dialled where nodes are listed. `drained` is
  /// called when the node has drained, and must not block.
  assembly(house& in, caf::actor_system& system, lane& beat_on, front* links, std::function<void()> drained);
  ~assembly();

  /// The node's key goes from etcd, so that others take over at once; then its links end. Blocks, until the deadline at
  /// most.
  void stop(caf::actor_system& system, std::chrono::steady_clock::time_point deadline);
  /// No handle may be left when the actor system ends.
  void forget();
  /// Those beside the shards' own.
  std::vector<strand*> strands() const { return {member_strand_.get(), survey_strand_.get()}; }

private:
  /// What etcd lists, to whoever speaks to other nodes.
  void know(std::vector<known_peer> nodes, front* links);
  void send_clients_away();
  void received(const peer_ptr& from, std::vector<letter> letters);
  template <class Message>
  void tell_all(const Message& x);

  house& house_;
  std::unique_ptr<strand> member_strand_;
  std::unique_ptr<strand> survey_strand_;
  gateway::handle gateway_;
  beat::handle beat_;
};

} // namespace greenroom::cluster
