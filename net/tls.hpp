// tls: the server's certificate and how connections are encrypted: TLS 1.2 (RFC 5246) or 1.3 (RFC 8446), ALPN http/1.1
// (RFC 7301), session tickets.
//
// A tls_context is immutable. A reload makes a new one for new connections; those that run keep theirs.
#pragma once

#include "config/outcome.hpp"

#include <memory>
#include <string>

struct ssl_st;
struct ssl_ctx_st;

namespace greenroom::net {

struct ssl_free {
  void operator()(ssl_st* s) const noexcept;
  void operator()(ssl_ctx_st* c) const noexcept;
};
using ssl_ptr = std::unique_ptr<ssl_st, ssl_free>;

struct tls_files {
  std::string certificate; // PEM chain, the server's own first
  std::string key;         // PEM, without a password
  std::string min_version = "1.2";
};

class tls_context {
public:
  /// Fails with bad_request; the message names the file and what is wrong with it.
  static outcome<std::shared_ptr<const tls_context>> load(const tls_files& files);
  /// A server's side of one connection on this non-blocking descriptor. Null when memory is short.
  ssl_ptr accept_on(int descriptor) const;

private:
  explicit tls_context(std::unique_ptr<ssl_ctx_st, ssl_free> c) : context_(std::move(c)) {}
  std::unique_ptr<ssl_ctx_st, ssl_free> context_;
};

/// What OpenSSL complained about on this thread: what the system said, or else the last; empties its list.
std::string tls_error();

} // namespace greenroom::net
