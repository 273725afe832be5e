// gateway: the one actor of a node that talks to other nodes. Owns the links (link.hpp), and with them everything that
// goes through CAF's distribution layer.
//
// In   know, stop; letters from peer::post
// Out  link_events
//
// Of two nodes the one with the greater name dials: two nodes that dial each other at once lose both connections
// (handbook 4.2). It says hello, the other says welcome or why not, and the link is up.
//
// Invariants
// - At most one link per node name. A newer hello ends the older link first.
// - Each link that came up goes down once, also when the gateway ends.
// - What may be on the way is bounded by credit, what waits by link_options::queue_bytes: a node that can't keep up
//   loses its link, it does not fill our memory.
// - Only nodes that are known (from etcd) have links, and only with the store that is known.
//
// A link ends when CAF says that the peer's gateway is gone (heartbeats included), when it was silent for too long,
// when its queue is full, when a message is wrong, or when the node is no longer known. CAF never says that a message
// was lost, so frames are numbered and a hole ends the link, too.
//
// Runs on CAF's workers, and the link_events in it. CAF's port obeys anybody who reaches it (handbook 4.5): it is on
// loopback only, and other machines come through the TLS front.
#pragma once

#include "actors/base.hpp"
#include "actors/cluster/link.hpp"
#include "actors/cluster/link_metrics.hpp"

#include <cstdint>
#include <vector>

namespace caf {
class actor_system_config;
}

namespace greenroom::cluster::gateway {

/// All nodes that stand in etcd now; this one may be among them. Replaces what was said before.
struct know {
  using local = message_tag;
  std::vector<known_peer> nodes;
};
/// Ends all links, and then the gateway. Nothing is called afterwards.
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<know>, caf::reacts_to<stop>>;

struct parts {
  link_options options;
  link_events events;
  find_way way; // null: nodes are dialled where they are listed
  directory& living;
  link_metrics& metrics;
};
struct started {
  handle actor;
  uint16_t port; // of CAF, on 127.0.0.1
};

/// What an actor system needs before it is made, for start(). CAF must not connect by itself, so it isn't told to.
void configure(caf::actor_system_config& config, const link_options& options);

/// CAF tells processes apart by machine and process number. In containers those may be alike, and a process that was
/// started anew may be the same to it as the one before; so this adds a little chance. Takes up to half a second. To be
/// called once, before the first actor system.
void draw_node_id(const caf::actor_system_config& config);

/// Listens on 127.0.0.1. Throws std::runtime_error if the options are wrong (see link_options::wrong) or the port can't
/// be had.
started start(caf::actor_system& system, parts p);

} // namespace greenroom::cluster::gateway
