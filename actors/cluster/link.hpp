// link: what the rest of the cluster sees of the connections between nodes: peers that come and go, and letters to and
// from them. Nothing here is about CAF; a test of what stands on links makes peers of its own.
//
// A link is one life of the connection between two nodes. What is posted to a peer arrives at most once, in order
// within its channel, or never: when a link ends, all that was on its way is lost on both sides. A link that comes back
// is another one, with another incarnation: whoever posts starts anew with it.
//
// Threads: peer::post from anywhere; the events come from the gateway, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace greenroom::cluster {

/// Two streams on each link, each with its own credit. What waits in `control` goes before what waits in `bulk`.
enum class channel : uint8_t { control, bulk };
inline constexpr size_t channels = 2;
inline const char* to_string(channel x) noexcept { return x == channel::control ? "control" : "bulk"; }

/// One message to another node. The text is opaque here: whoever posts has encoded it.
struct letter {
  uint16_t to = 0;                         // number of a mailbox at the peer, such as a shard's
  std::shared_ptr<const std::string> what; // shared, so that one text can go to several nodes; never null
};

/// The other end of one live link.
class peer {
public:
  peer(std::string n, std::string s, uint64_t i) : name(std::move(n)), store(std::move(s)), incarnation(i) {}
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  virtual ~peer() = default;

  const std::string name;     // of the node
  const std::string store;    // its store's id
  const uint64_t incarnation; // random, the same at both ends

  /// Any thread; never waits for the network. False: the link has ended, or this was one letter too many and ends it;
  /// link_events::down follows or has been called.
  virtual bool post(channel by, letter what) const = 0;
  /// Bytes that wait for the peer. Any thread.
  virtual size_t queued() const = 0;
};
using peer_ptr = std::shared_ptr<const peer>;

/// Called by the gateway, one at a time. Must not block and must not throw. For each peer: `up` once, then any number
/// of `received`, then `down` once; the next `up` of the same name comes after that.
struct link_events {
  std::function<void(const peer_ptr&)> up;
  std::function<void(const peer_ptr&)> down;
  std::function<void(const peer_ptr&, channel, std::vector<letter>)> received; // in order by channel
};

/// A node that stands in etcd.
struct known_peer {
  std::string name;
  std::string store;
  std::string host; // where its links are taken
  uint16_t port = 0;
  friend bool operator==(const known_peer&, const known_peer&) = default;
};

/// Where to dial.
struct endpoint {
  std::string host;
  uint16_t port = 0;
};
/// Asked before each dialling, by the gateway: must not block. `found` may be called from any thread, at once or later,
/// with null if there is no way now: then the gateway asks again after its retry time. Off loopback this is the TLS
/// front, which answers with a port of its own on loopback; CAF's connect blocks, so nothing that may be silent should
/// be dialled directly.
using found_way = std::function<void(const endpoint*)>;
using find_way = std::function<void(const known_peer& to, found_way found)>;

/// All nodes of a cluster should agree on the sizes, though only `cluster` and `version` must be the same.
struct link_options {
  std::string name;                       // this node's
  std::string cluster;                    // the cluster's id
  std::string store;                      // this node's store
  uint32_t version = 2;                   // of all that is said between nodes, frames and letters; must be the same
  uint16_t port = 0;                      // on 127.0.0.1, for CAF; 0: any
  size_t batch_bytes = 256u << 10;        // of letters in one frame, at most
  size_t credit_control_bytes = 1u << 20; // on the way to us at most, by channel
  size_t credit_bulk_bytes = 1u << 20;    // also what a control letter may have to wait behind
  size_t queue_bytes = 64u << 20;         // waiting for one peer; more ends the link
  size_t letter_bytes_max = 16u << 20;    // a longer letter ends the link
  uint32_t heartbeat_ms = 500;            // CAF's, between nodes
  uint32_t connection_timeout_ms = 3'000; // a connection that is silent for so long is closed by CAF
  uint32_t pulse_ms = 500;                // between gateways, when there is nothing else to say
  uint32_t silence_ms = 5'000;            // a gateway that says nothing for so long is lost
  uint32_t dial_retry_ms = 200;           // after a failure or a loss
  uint32_t refused_retry_ms = 5'000;      // after a refusal that only a change of configuration can mend
  uint32_t hello_timeout_ms = 3'000;      // from asking for the way until the peer has answered the hello
  uint32_t tick_ms = 50;                  // how precisely all this is kept; delays the end of the node by as much

  /// What is wrong with these options; empty: nothing.
  std::string wrong() const;
  size_t credit(channel x) const noexcept { return x == channel::control ? credit_control_bytes : credit_bulk_bytes; }
};

} // namespace greenroom::cluster
