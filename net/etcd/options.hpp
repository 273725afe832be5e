// options: where etcd is, how it is spoken to, and every bound of the client. Pure: only validate() looks at the texts,
// and no file is opened here.
#pragma once

#include "config/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net::etcd {

struct options {
  /// http://host:port or https://host:port, members of one etcd cluster. Without a port: 2379.
  std::vector<std::string> endpoints;
  /// Both or none. The user needs to read and write the keys that are used, and to read `probe_key`.
  std::string user;
  std::string password;
  /// PEM. Whom https endpoints must have their certificate from; empty: whom the system trusts.
  std::string ca_file;
  /// PEM, both or none: what the client shows of itself to https endpoints.
  std::string certificate_file;
  std::string key_file;

  /// A request is answered or fails within this time, all its attempts and its waiting in the queue included.
  uint32_t request_ms = 2'000;
  /// An answer that is longer fails the request. A listing must fit in.
  size_t body_bytes_max = 16 * 1024 * 1024;
  /// A line of a watch that is longer makes the watch list again. etcd itself splits what is longer than some 2 MiB.
  size_t watch_line_bytes_max = 16 * 1024 * 1024;
  /// Requests that are under way or wait; further ones fail at once.
  size_t pending_max = 4'096;
  /// Connections in use by requests; as many may be kept open to each endpoint. Renewals have two of their own, so that
  /// they never wait behind commits that hang. Each watch has one more.
  size_t connections_max = 16;
  /// When a watch has told nothing for so long, a request that can't be out of date asks whether it should have.
  uint32_t watch_silence_ms = 5'000;
  /// Between attempts when no endpoint could help, at first and at most.
  uint32_t pause_ms = 50;
  uint32_t pause_ms_max = 1'000;
  /// Read after each renewal, to know that the member which renewed was not deposed (README.md). Need not exist.
  std::string probe_key = "/greenroom/";
};

/// An endpoint, taken apart.
struct address {
  std::string host; // a name or an address, without the brackets of IPv6
  std::string port;
  bool tls = false;

  /// The Host header (RFC 9110 section 7.2); also what errors call it.
  std::string authority() const;
};

/// Fails with bad_request.
outcome<address> parse_endpoint(std::string_view url);
/// The endpoints, if all of the options make sense; else bad_request, and the message names the option.
outcome<std::vector<address>> validate(const options& o);

} // namespace greenroom::net::etcd
