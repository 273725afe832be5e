// fetcher: reads one document from a web server, now and then: GET over HTTP/1.1, a connection for each. No redirects,
// no proxies, no cookies: what is fetched decides who gets in, so it comes from the one address that was configured.
//
// Threads: fetch() blocks, so it is called on a thread that may; one call at a time.
#pragma once

#include "config/outcome.hpp"

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace greenroom::net {

/// A URL, taken apart.
struct web_address {
  std::string host; // a name or an address, without the brackets of IPv6
  std::string port;
  std::string target; // path and query
  bool tls = false;

  /// The Host header (RFC 9110 section 7.2).
  std::string authority() const;
};

/// https://, or http:// to this machine: what passes a network must have come from whom it says. Fails with
/// bad_request. `plain_anywhere`: http:// to others, too.
outcome<web_address> parse_web_address(std::string_view url, bool plain_anywhere = false);

class fetcher {
public:
  /// `ca_file`: PEM, whom the server must have its certificate from, read at each fetch; empty: whom the system trusts.
  fetcher(web_address from, std::string ca_file);
  ~fetcher();

  /// The document, if the server answers with status 200 and at most so many bytes within the time, of which nobody can
  /// make it take more: a name that can't be looked up, a trickle of bytes. Fails with unavailable, soon after a stop
  /// was asked for as well.
  outcome<std::string> fetch(std::chrono::milliseconds time, size_t bytes_max, std::stop_token stop);

private:
  struct parts;
  web_address from_;
  std::string ca_file_;
  std::unique_ptr<parts> parts_;
};

} // namespace greenroom::net
