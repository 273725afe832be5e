// server: the transport as a whole: listens, serves HTTP and WebSocket on the I/O threads, reloads its certificate, and
// stops in order.
//
// Stopping goes: stop_accepting(), then close_all(), which tells every client, then the node stops (its actors need the
// lanes for it), then io_threads::join(), then the server may be destroyed.
//
// Threads: one controlling thread.
#pragma once

#include "net/io_threads.hpp"
#include "net/listener.hpp"
#include "net/server_hooks.hpp"
#include "net/tls.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace greenroom::net {

struct server_options {
  std::vector<endpoint> listen;
  uint32_t backlog = 1'024;
  uint32_t unsent_bytes = 131'072; // of one connection, in the kernel
  std::optional<tls_files> tls;    // REQUIRED by an encrypted endpoint
};

class server {
public:
  /// Starts to serve. `threads` outlives the server. Throws std::runtime_error that names the file or endpoint.
  server(io_threads& threads, server_options options, server_hooks hooks);
  ~server();

  const server_options& options() const noexcept { return options_; }
  /// The ports, in the order of server_options::listen.
  const std::vector<uint16_t>& ports() const noexcept { return ports_; }
  /// Reads certificate and key again, for new connections. A failure names the file and changes nothing.
  outcome<void> reload_tls();
  /// Connections of any kind.
  uint32_t connections() { return listener_.connections(); }

  /// No new connections, and no new requests or WebSockets on those that there are.
  void stop_accepting();
  /// Closes every WebSocket with `code` and ends the other connections; returns when all are gone, at the latest after
  /// `patience` and one second.
  void close_all(close_code code, std::chrono::milliseconds patience = std::chrono::seconds{5});

private:
  io_threads& threads_;
  const server_options options_;
  const server_hooks hooks_;
  listener listener_;
  std::vector<uint16_t> ports_;
};

} // namespace greenroom::net
