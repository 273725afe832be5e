// options: every bound of the front, and the files of [cluster]; pure.
#pragma once

#include "config/settings.hpp"
#include "net/front/credentials.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace greenroom::net::front {

struct options {
  std::string name; // of this node
  std::string address = "127.0.0.1";
  uint16_t port = 0;                // 0: any
  uint32_t handshake_ms = 2'000;    // of one connection, from its first packet until both sides have accepted it
  uint32_t connect_ms = 1'000;      // of these, for each address that a name has
  uint32_t lookup_ms = 1'000;       // of these, for the addresses; then those that were found the last time are taken
  uint32_t claim_ms = 2'000;        // until CAF must have come to the port that leads to a peer
  uint32_t linger_ms = 1'000;       // for the second direction of a connection, when the first has ended
  uint32_t pause_ms = 200;          // after an error of accept() that only time can mend
  uint32_t pending_max = 64;        // connections not yet let in; one more ends one of who has most
  uint32_t backlog = 128;           // connections that the kernel holds
  size_t buffer_bytes = 64u << 10;  // read ahead of what was written, in each direction of a connection
  size_t answer_bytes_max = 256;    // of what is said to whoever dials
  size_t strangers_told_max = 64;   // addresses of which the log knows why they were refused
  uint32_t tell_again_ms = 600'000; // after which those are forgotten
};

/// What the settings say.
inline options configured(const settings& config) {
  options o;
  o.name = config.node.name;
  o.address = config.cluster.listen_address;
  o.port = config.cluster.listen_port;
  o.handshake_ms = config.cluster.tls_handshake_ms;
  o.connect_ms = o.handshake_ms / 2;
  o.lookup_ms = o.handshake_ms / 2;
  o.pending_max = config.cluster.handshakes;
  o.backlog = 2 * o.pending_max;
  o.buffer_bytes = size_t{config.cluster.tunnel_kb} << 10;
  return o;
}
inline credential_files files_of(const settings& config) {
  return {config.cluster.tls_certificate_file, config.cluster.tls_key_file, config.cluster.tls_ca_file};
}

} // namespace greenroom::net::front
