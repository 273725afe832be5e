// endpoint: where a node is and how its certificate is checked; parsed from the --url, --ca and --insecure of a
// command.
#pragma once

#include "config/outcome.hpp"

#include <string>
#include <string_view>

namespace greenroom::cli {

struct endpoint {
  std::string host; // a name or an address, without the brackets of IPv6
  std::string port;
  bool tls = false;
  std::string ca_file;   // PEM; empty: what the system trusts
  bool insecure = false; // any certificate will do

  /// The Host header (RFC 9110 section 7.2).
  std::string authority() const;
};

/// http://, ws://: plain; https://, wss://: TLS. Nothing but a slash may stand after host and port. Fails with
/// bad_request.
outcome<endpoint> parse_url(std::string_view url);

} // namespace greenroom::cli
