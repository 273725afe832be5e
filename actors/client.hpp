// client: a connection actor as net/ sees it.
#pragma once

#include "actors/requests.hpp"

namespace greenroom {

/// A connection's handle for net/: where decoded frames go. Lane thread only.
class client {
public:
  virtual ~client() = default;
  /// A frame that could be read, or one that could not. Never refused here: the connection stops reading
  /// (transport::hold) when limits.in_flight are unanswered, and takes what was read before.
  virtual void receive(request r) = 0;
  virtual void receive(bad_frame f) = 0;
  /// The outbox fell below half of its bound.
  virtual void drained() = 0;
  /// The socket is gone, whoever ended it. Nothing may be called afterwards.
  virtual void closed() = 0;
};

} // namespace greenroom
