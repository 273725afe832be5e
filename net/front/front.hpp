// front: the only door through which other machines reach this node's part of the cluster, and the way out to theirs.
// Owns a thread with all connections between nodes; each leads from a TLS connection to CAF's port on 127.0.0.1, or
// from a port on 127.0.0.1 that CAF dials to a TLS connection.
//
// Invariants
// - No byte of another machine reaches CAF before its certificate was found to be from the cluster's CA, and its name
//   to be that of a listed node with a greater name than ours. No byte of CAF leaves before the other side was found
//   to be the node that was meant.
// - At most one connection per peer and direction carries bytes: a newer one ends the older first.
// - No more than options::buffer_bytes wait here in each direction of a connection; a slow reader is waited for.
// - Whoever says nothing is cut off at the deadline, and at most options::pending_max such are kept.
//
// What is said before bytes are carried: TLS 1.3 with both certificates, then one line from the side that was dialled,
// "ok" or "no" and why. Without it whoever dials would take itself for accepted: with TLS 1.3 a client has finished its
// handshake before its certificate is looked at.
#pragma once

#include "actors/cluster/front.hpp"
#include "net/front/options.hpp"

#include <memory>

namespace greenroom::net::front {

class mtls_front final : public cluster::front {
public:
  /// Takes the port; whoever comes waits in the kernel until open(). Throws std::runtime_error naming the endpoint when
  /// it can't be had.
  mtls_front(options o, std::shared_ptr<const credentials> own);
  /// Ends all connections; ways that are asked for are answered with null.
  ~mtls_front() override;

  void open(uint16_t port) override;
  void know(std::vector<cluster::known_peer> nodes) override;
  void dial(const cluster::known_peer& to, cluster::found_way found) override;

  /// For new connections.
  void use(std::shared_ptr<const credentials> own);
  /// Where connections are taken.
  uint16_t port() const noexcept;
  const front_metrics& figures() const noexcept;

private:
  struct handle;
  std::unique_ptr<handle> handle_;
};

} // namespace greenroom::net::front
