// ws_session: one WebSocket connection (RFC 6455). Beast reads and answers control frames; data frames come finished
// from the codec and go straight to the stream's outbox.
//
// In   write, hold, close from the connection actor (as its `transport`)
// Out  each line of a message to hooks.decode; drained and closed to the `client`
//
// Invariants
// - Nothing is sent after a close frame (RFC 6455 section 5.5.1).
// - What waits is bounded by limits.outbox_bytes; ephemeral frames go first.
// - Every end has a deadline; client::closed() is called exactly once.
// - Idle, it holds no buffer but Beast's own (1.5 KiB) and a small one for the next message.
//
// Heartbeat: a ping every limits.ping_ms; whatever arrives within limits.pong_ms is a sign of life, since a client in
// the middle of a long upload can't send its pong. While the connection is held nothing is read, so silence proves
// nothing and no ping is sent.
#pragma once

#include "net/io_threads.hpp"
#include "net/server_hooks.hpp"

#include <memory>
#include <optional>
#include <string>

namespace greenroom::net {

class stream;

/// An upgrade request that was found in order.
struct websocket_start {
  std::string key; // Sec-WebSocket-Key
  bool with_subprotocol = false;
  std::optional<identity> who;
  remote from;
};

/// Answers 101 (RFC 6455 section 4.2.2) and keeps the connection alive until it ends. On the thread of `home`; `hooks`
/// outlives the thread.
void start_websocket(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, websocket_start start);

} // namespace greenroom::net
