// listener: accepts connections on the configured endpoints and hands them to the I/O threads in turn.
//
// Invariants
// - Over limits.connections or limits.connections_per_address a connection is answered 503 or 429 and closed; at most
//   limits.refusals such answers are under way at once, the others are closed without one.
// - The same with who comes too often, and who is banned. Addresses of limits.deny_addresses are closed without a word;
//   for those of limits.allow_addresses only limits.connections holds.
// - Running out of descriptors pauses accepting, it never spins.
// Threads: the acceptors live on the first I/O thread; open(), stop() and use() come from one controlling thread.
#pragma once

#include "net/admission.hpp"
#include "net/io_threads.hpp"
#include "net/server_hooks.hpp"
#include "net/tls.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct sockaddr_storage;

namespace greenroom::net {

struct endpoint {
  std::string address; // IPv4 or IPv6, no name
  uint16_t port = 0;   // 0: any free one
  bool encrypted = false;
};

/// What the kernel holds for us.
struct kernel_bounds {
  uint32_t backlog = 0; // connections not yet accepted
  // Of an outbox, before it says that the socket is full. More would only hide a slow reader, and what it holds can't
  // be dropped.
  uint32_t unsent_bytes = 0;
};

class listener {
public:
  /// `threads` and `hooks` outlive the listener.
  listener(io_threads& threads, const server_hooks& hooks, kernel_bounds kernel);
  /// Stops. REQUIRES: the threads run still, or have been joined.
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// Certificate and key for new TLS connections.
  void use(std::shared_ptr<const tls_context> tls);
  /// Takes the endpoint; the kernel holds those who come until start(). Returns the port. Throws std::runtime_error
  /// naming the endpoint when it can't be had.
  uint16_t open(const endpoint& where);
  /// Accepts on all that were opened.
  void start();
  /// Accepts no more; what was accepted goes on.
  void stop();
  /// Connections that hold a place.
  uint32_t connections() { return book_.total(); }

private:
  struct door;
  void wait(door& d);
  void accept_some(door& d);
  void admit(int descriptor, const sockaddr_storage& peer, bool encrypted);
  std::optional<http_response> take_place(std::optional<network_id> from, network_id address, admission& place);
  void hand_over(int descriptor, remote from, bool encrypted, admission place, std::optional<http_response> refusal);

  io_threads& threads_;
  const server_hooks& hooks_;
  const kernel_bounds kernel_;
  bool stopped_ = false;
  address_book book_;
  address_book refused_; // connections that wait for their refusal
  // Of the first I/O thread:
  std::vector<std::unique_ptr<door>> doors_;
  size_t next_ = 0;                                 // thread
  std::shared_ptr<const greenroom::limits> limits_; // of which the lists are
  ip_list allowed_;
  ip_list denied_;
  std::shared_ptr<const tls_context> tls_;
};

} // namespace greenroom::net
