// front: what links need so that other machines can be let in. CAF's port obeys anybody who reaches it, so it is on
// loopback; the front stands before it, lets in nodes of the cluster only, and reaches theirs. Implemented in
// net/front.
#pragma once

#include "actors/cluster/link.hpp"

#include <cstdint>
#include <vector>

namespace greenroom::cluster {

/// Every function may be called from any thread and returns at once.
class front {
public:
  front() = default;
  front(const front&) = delete;
  front& operator=(const front&) = delete;
  virtual ~front() = default;

  /// From now on connections are let in, and carried to this port on 127.0.0.1.
  virtual void open(uint16_t port) = 0;
  /// All nodes that stand in etcd now; this one may be among them. Replaces what was said before. Whoever is not among
  /// them any more is cut off.
  virtual void know(std::vector<known_peer> nodes) = 0;
  /// As find_way. `found` is called once, on the front's thread, also when the front ends: with a port on 127.0.0.1
  /// that takes one connection, within a short time, and leads to that node, or with null. The log then has the
  /// reason. Ends an older way to that node.
  virtual void dial(const known_peer& to, found_way found) = 0;
};

} // namespace greenroom::cluster
