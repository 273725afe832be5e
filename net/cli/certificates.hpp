// certificates: a private CA and the certificates of nodes, for the links of a cluster (net/front). Pure: texts in
// PEM, no files.
#pragma once

#include "config/outcome.hpp"

#include <cstdint>
#include <string>

namespace greenroom::cli {

/// A certificate with its key, as PEM.
struct certified {
  std::string certificate;
  std::string key; // EC P-256, without a password
};

/// In seconds from now. It begins a little in the past, because clocks differ.
struct lifetime {
  int64_t until_s = 0;
  int64_t from_s = -3'600;
};
inline constexpr int64_t day_s = 86'400;

/// A CA that issues to nodes only, not to other CAs (RFC 5280 section 4.2.1.9). Fails with internal, and what OpenSSL
/// says.
outcome<certified> make_authority(const lifetime& alive);
/// For TLS servers and clients; its only DNS name is `node`. REQUIRES: the name of a node. Fails with bad_request if
/// the CA can't be read, if its key is not its certificate's, or if it ends before; else with internal.
outcome<certified> issue(const certified& authority, const std::string& node, const lifetime& alive);
/// When a certificate ends, as text (ISO 8601, UTC); empty: it can't be read.
std::string end_of(const std::string& certificate);

} // namespace greenroom::cli
