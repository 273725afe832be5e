// transport: the socket's side of a connection, as the connection actor sees it. Implemented in net/ (WebSocket), later
// by Socket.IO; replaced by a recorder in tests.
//
// Threads: everything on the thread of the lane that hosts the connection.
#pragma once

#include "actors/encoder.hpp"
#include "config/errc.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace greenroom {

/// What happens to a frame when the outbox is full.
enum class delivery : uint8_t {
  reliable,  // the connection ends (3008) rather than lose it
  ephemeral, // dropped
};

class transport {
public:
  virtual ~transport() = default;
  /// Appends finished bytes to the outbox; they leave with the lane's next flush. False: the outbox is over its bound
  /// even without its ephemeral frames; nothing was taken, and the caller closes with slow_consumer.
  virtual bool write(const frame& bytes, delivery how) = 0;
  /// Stops (`on`) and restarts reading from the socket. What was read already is still handed over.
  virtual void hold(bool on) = 0;
  /// Sends what is queued (for slow_consumer: drops it), then a close frame, then ends the connection. Later writes are
  /// ignored. The connection actor is told `closed` afterwards, as at any other end.
  virtual void close(close_code code, std::string_view reason) = 0;
  /// Bytes that wait for the socket.
  virtual size_t queued_bytes() const noexcept = 0;
};

} // namespace greenroom
