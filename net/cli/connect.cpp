#include "net/cli/connect.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
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

asio::awaitable<void> connect(plain_stream& stream, const endpoint& to) {
  asio::ip::tcp::resolver resolver(stream.get_executor());
  auto addresses = co_await resolver.async_resolve(to.host, to.port, asio::use_awaitable);
  stream.expires_after(connect_time);
  co_await stream.async_connect(addresses, asio::use_awaitable);
  // Each line is a small frame of its own; waiting for more would only add delay.
  stream.socket().set_option(asio::ip::tcp::no_delay(true));
}

asio::awaitable<void> connect(tls_stream& stream, const endpoint& to) {
  co_await connect(stream.next_layer(), to);
  if (!to.insecure)
    stream.set_verify_callback(asio::ssl::host_name_verification(to.host));
  // The name of the host for a server with several certificates (RFC 6066 section 3). It is refused for an address,
  // which needs none.
  SSL_set_tlsext_host_name(stream.native_handle(), to.host.c_str());
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
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
