#include "net/cli/connect.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <stdexcept>

namespace greenroom::cli {

namespace asio = boost::asio;

asio::ssl::context tls_context_of(const endpoint& to) {
  asio::ssl::context out(asio::ssl::context::tls_client);
  if (!to.ca_file.empty()) {
    if (boost::system::error_code failed; out.load_verify_file(to.ca_file, failed))
      throw std::runtime_error("--ca: " + to.ca_file + ": " + failed.message());
  } else {
    out.set_default_verify_paths();
  }
  out.set_verify_mode(to.insecure ? asio::ssl::verify_none : asio::ssl::verify_peer);
  return out;
}

asio::awaitable<void> connect(net::byte_stream& stream, const endpoint& to) {
  asio::ip::tcp::resolver resolver(stream.get_executor());
  auto found = co_await resolver.async_resolve(to.host, to.port, asio::use_awaitable);
  std::vector<asio::ip::tcp::endpoint> addresses(found.begin(), found.end());
  stream.socket().expires_after(connect_time);
  if (auto failed = co_await stream.open(std::move(addresses), to.host))
    throw boost::system::system_error(failed);
}

std::string explain(const boost::system::error_code& why, const endpoint& to) {
  if (why == asio::error::connection_refused)
    return why.message() + "; is the node running?";
  if (why.category() == asio::error::get_ssl_category()) {
    // What does not speak TLS answers our first message with something else.
    if (ERR_GET_REASON(static_cast<unsigned long>(why.value())) == SSL_R_WRONG_VERSION_NUMBER)
      return "this port does not speak TLS: use ws:// or http://";
    if (ERR_GET_REASON(static_cast<unsigned long>(why.value())) == SSL_R_CERTIFICATE_VERIFY_FAILED)
      return why.message() + (to.ca_file.empty()
                                  ? "; name the certificate to trust by --ca FILE"
                                  : "; it must be for " + to.host + ", in time, and in or signed by " + to.ca_file);
  }
  // What speaks TLS answers a plain request with an alert, which is no HTTP, or hangs up.
  using http_error = boost::beast::http::error;
  const bool no_http = why == http_error::bad_version || why == http_error::end_of_stream || why == asio::error::eof ||
                       why == asio::error::connection_reset;
  if (no_http && !to.tls)
    return why.message() + "; if this port speaks TLS, use wss:// or https://";
  return why.message();
}

} // namespace greenroom::cli
