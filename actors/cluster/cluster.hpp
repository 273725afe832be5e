// cluster: what the actors of a node share when it is part of a cluster, and the messages that its parts say to each
// other on one node. The house has one of these, or none: then the node is by itself.
//
//   etcd <- member -> replica (one per shard) -> storage actor
//                        |  \-> other nodes' replicas, through the gateway
//                        v
//                      shard -> its rooms and users, when this node is the shard's primary
//                           \-> the shard on the primary's node, through the gateway, when not
#pragma once

#include "actors/base.hpp"
#include "actors/caller.hpp"
#include "actors/cluster/agreement.hpp"
#include "actors/cluster/figures.hpp"
#include "actors/cluster/link.hpp"
#include "actors/cluster/records.hpp"
#include "actors/storage_actor.hpp"
#include "config/ids.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace greenroom::cluster {

// -- about other nodes, to replicas and shards -----------------------------------------------------------------------
/// A link to another node, and its end; each peer once, in this order.
struct peer_up {
  using local = message_tag;
  peer_ptr who;
};
struct peer_down {
  using local = message_tag;
  peer_ptr who;
};
/// A letter for this mailbox.
struct arrived {
  using local = message_tag;
  peer_ptr from;
  std::shared_ptr<const std::string> what;
};

// -- to a replica ----------------------------------------------------------------------------------------------------
/// What stands in etcd about the shard. Older ones may come after newer ones.
struct record_now {
  using local = message_tag;
  shard_record what;
  int64_t revision = 0;
  /// Of this node, see cluster_house::registration: the record was read after it.
  uint64_t registration = 0;
};
/// The outcome of the replica's proposal is known; record_now, with what stands there then, came just before.
struct settled {
  using local = message_tag;
};
/// Stores whose nodes are alive by etcd's word.
struct alive {
  using local = message_tag;
  std::shared_ptr<const std::vector<store_id>> stores;
};
/// From the controller: stop, then name `to` as primary.
struct hand_over {
  using local = message_tag;
  store_id to;
};
/// From the controller: take `store` out of in_sync and replicas.
struct put_out {
  using local = message_tag;
  store_id store;
};
/// Several times a second.
struct replica_tick {
  using local = message_tag;
};
struct replica_stop {
  using local = message_tag;
};
/// What the rest of the node says to a replica; its whole interface is in replica.hpp.
using replica_handle =
    caf::typed_actor<caf::reacts_to<arrived>, caf::reacts_to<record_now>, caf::reacts_to<settled>,
                     caf::reacts_to<alive>, caf::reacts_to<hand_over>, caf::reacts_to<put_out>, caf::reacts_to<peer_up>,
                     caf::reacts_to<peer_down>, caf::reacts_to<replica_tick>, caf::reacts_to<replica_stop>>;

// -- from a replica to its shard -------------------------------------------------------------------------------------
/// Who is the shard's primary by the record, as often as that changes. Empty: nobody.
struct primary_is {
  using local = message_tag;
  uint64_t epoch = 0;
  store_id who;
};
/// This node serves the shard from now on: everything that was committed is in the store.
struct serve {
  using local = message_tag;
  uint64_t epoch = 0;
};
/// No longer. What was given to the replica and is not answered never will be.
struct yield {
  using local = message_tag;
};
using replicated = caf::typed_actor<caf::reacts_to<primary_is>, caf::reacts_to<serve>, caf::reacts_to<yield>>;

// -- from a replica to the member ------------------------------------------------------------------------------------
/// A compare-and-swap of a shard's record. Answered by record_now and settled.
struct propose {
  using local = message_tag;
  shard_id shard = 0;
  shard_record wanted;
  int64_t revision = 0; // that the record must still have
};
/// What etcd says, to the member itself.
struct etcd_says {
  using local = message_tag;
  std::function<void()> what;
};
struct member_tick {
  using local = message_tag;
};
struct member_stop {
  using local = message_tag;
};
using member_handle = caf::typed_actor<caf::reacts_to<propose>, caf::reacts_to<etcd_says>, caf::reacts_to<member_tick>,
                                       caf::reacts_to<member_stop>>;

// -- to the survey ---------------------------------------------------------------------------------------------------
/// A page of the connections on other nodes, of one user or (empty) of all. Answered by ok::sessions (as many of each
/// node as the page could hold), or the reason why not.
struct survey_ask {
  using local = message_tag;
  caller from;
  user_id user;
  std::string after = {};
  uint32_t limit = UINT32_MAX;
};
/// The nodes that etcd lists.
/// What the webhooks of the other nodes have done. Answered with ok::webhooks, or unavailable and which node.
struct survey_hooks {
  using local = message_tag;
  caller from;
};
struct survey_know {
  using local = message_tag;
  std::shared_ptr<const std::set<std::string>> nodes;
};
struct survey_tick {
  using local = message_tag;
};
struct survey_stop {
  using local = message_tag;
};
using survey_handle =
    caf::typed_actor<caf::reacts_to<survey_ask>, caf::reacts_to<survey_hooks>, caf::reacts_to<survey_know>,
                     caf::reacts_to<reply>, caf::reacts_to<arrived>, caf::reacts_to<peer_up>, caf::reacts_to<peer_down>,
                     caf::reacts_to<survey_tick>, caf::reacts_to<survey_stop>>;

/// Part of the house.
struct cluster_house {
  explicit cluster_house(agreement& d) : decide(d) {}

  agreement& decide;
  figures counts;
  std::vector<replica_handle> replicas;  // by shard
  std::vector<persist::sink> committers; // by shard: the same replicas, as rooms and users see them
  member_handle member;
  survey_handle survey;

  /// As the cluster was founded. Written by the member before the first record_now.
  std::atomic<uint32_t> min_in_sync{2};
  /// Of each shard; grows with every serve and every yield. A commit that was prepared in another one is passed over:
  /// whoever sent it has seen a state that is not the shard's any more.
  std::array<std::atomic<uint64_t>, shard_count> eras{};
  /// Of each shard that is led here: how many members are in sync. Written by the replicas.
  std::array<std::atomic<uint32_t>, shard_count> copies{};
  /// Snapshots on their way to other nodes.
  std::atomic<uint32_t> installs{0};
  /// Numbers them; not unique beyond this process.
  std::atomic<uint64_t> transfers{0};
  /// Until when this node's lease is certainly valid, in ns of CLOCK_BOOTTIME; 0: it has none. Written by the member.
  std::atomic<int64_t> lease_until_ns{0};
  /// How often this node's key has come to be in etcd. While it was not there, others may have been named: so a read is
  /// answered only on the ground of a record_now of this registration. Written by the member, before the lease.
  std::atomic<uint64_t> registration{0};
  /// Of each shard: the registration of the record that its replica knows. Written by the replicas.
  std::array<std::atomic<uint64_t>, shard_count> record_of{};
  /// Whether the node's lease is certainly valid. Any thread.
  bool lease_holds() const noexcept;
  /// Whether reads of a shard may be answered here, if this node is its primary. Any thread.
  bool may_read(shard_id s) const noexcept {
    return record_of[s].load(std::memory_order_acquire) == registration.load(std::memory_order_acquire) &&
           lease_holds();
  }
};

} // namespace greenroom::cluster
