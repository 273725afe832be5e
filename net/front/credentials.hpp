// credentials: who this node is to the others, and what it asks of them: a certificate from the cluster's own CA, for
// servers and clients alike, whose one DNS name is the name of a node.
//
// Immutable. A reload makes new ones for new connections; those that run keep theirs.
#pragma once

#include "config/outcome.hpp"
#include "net/front/front_metrics.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <string>
#include <vector>

namespace greenroom::net::front {

/// All PEM.
struct credential_files {
  std::string certificate; // the node's own first, then those that lead to its issuer
  std::string key;         // without a password
  std::string ca;
};

class credentials {
public:
  /// Fails with bad_request, naming the file and what is wrong with it: also if the certificate is not that of `node`,
  /// or if the others would not believe it.
  static outcome<std::shared_ptr<const credentials>> load(const credential_files& files, const std::string& node);

  /// For both ends. TLS 1.3 (RFC 8446) only: both are ours. Nothing is resumed, so that every connection shows a
  /// certificate.
  boost::asio::ssl::context& context() const noexcept { return context_; }
  /// When the certificate ends, as text.
  const std::string& not_after() const noexcept { return not_after_; }

private:
  credentials();
  mutable boost::asio::ssl::context context_; // asio takes it so, and only makes new connections of it
  std::string not_after_;
};

/// A reason and the same in words, without what changes from one attempt to the next.
struct trouble {
  refusal what;
  std::string why;
};

/// What the certificate of the other side was found to be, while the handshake goes on.
struct inspection {
  std::string expected; // the only name that will do; empty: any
  int error = 0;        // X509_V_ERR_*
  std::vector<std::string> names;
};

/// Called by OpenSSL for each certificate of the chain: notes what is wrong, and refuses other names than the expected
/// one.
bool inspect(inspection& into, bool good, boost::asio::ssl::verify_context& at);
/// Why a handshake failed: by what was found in the certificate, else by the other side's alert (RFC 8446 section 6.2).
trouble why_failed(const boost::system::error_code& what, const inspection& seen);
/// The DNS names in the certificate that the other side has shown (RFC 5280 section 4.2.1.6).
std::vector<std::string> names_shown(SSL* on);

/// "n1", or "a, b"; what a stranger sends is shortened and made printable.
std::string list_of(const std::vector<std::string>& names);
/// Shortened to what fits a line of the log, visible ASCII only.
std::string printable(std::string text);

} // namespace greenroom::net::front
