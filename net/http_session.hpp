// http_session: one connection as long as it speaks HTTP/1.1: the TLS handshake, requests one after the other (whether
// pipelined or not), their answers, and the check of an upgrade to WebSocket, which it hands the stream to.
//
// Invariants
// - One request is handled at a time, and the next is read only when its answer has left: a client that does not read
//   holds one answer, or one piece of one that is made piece by piece.
// - Of a body that is streamed no more is read than the handler has asked for.
// - Every wait has a deadline of its own that trickling does not move: limits.handshake_ms for the TLS handshake and
//   each header, limits.request_ms for a body, limits.keep_alive_ms between requests, for the client to take an
//   answer or a piece of it, and for a piece of a body that is streamed.
// - After an answer that ends the connection the peer is given time to read it.
#pragma once

#include "net/http.hpp"
#include "net/io_threads.hpp"
#include "net/server_hooks.hpp"

#include <memory>
#include <optional>
#include <string>

namespace greenroom::net {

class stream;

/// Serves a connection until it ends or becomes a WebSocket. With `refusal`, that is the answer to whatever it asks,
/// once. On the thread of `home`; `hooks` outlives the thread.
void start_http(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, remote from,
                std::optional<http_response> refusal = std::nullopt);

} // namespace greenroom::net
