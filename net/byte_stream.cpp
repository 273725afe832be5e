#include "net/byte_stream.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/teardown.hpp>

namespace greenroom::net {

namespace asio = boost::asio;
namespace beast = boost::beast;

/// Beast's one writes several buffers as one record.
class byte_stream::tls_part : public beast::ssl_stream<beast::tcp_stream> {
public:
  using ssl_stream::ssl_stream;
};

namespace {

bool is_address(const std::string& host) {
  boost::system::error_code none;
  asio::ip::make_address(host, none);
  return !none;
}

} // namespace

byte_stream::byte_stream(executor_type executor, asio::ssl::context* tls) : plain_(executor) {
  if (tls)
    tls_ = std::make_unique<tls_part>(executor, *tls);
}
byte_stream::~byte_stream() = default;

beast::tcp_stream& byte_stream::socket() noexcept { return tls_ ? tls_->next_layer() : plain_; }

asio::awaitable<boost::system::error_code> byte_stream::open(std::vector<asio::ip::tcp::endpoint> at, std::string host,
                                                             bool* tcp_failed) {
  error_code wrong;
  co_await socket().async_connect(at, asio::redirect_error(asio::use_awaitable, wrong));
  if (tcp_failed)
    *tcp_failed = wrong.failed();
  if (wrong)
    co_return wrong;
  // What is written is small and waited for; waiting for more would only add delay.
  error_code none;
  socket().socket().set_option(asio::ip::tcp::no_delay(true), none);
  if (tls_) {
    if (SSL_get_verify_mode(tls_->native_handle()) != SSL_VERIFY_NONE)
      tls_->set_verify_callback(asio::ssl::host_name_verification(host));
    // For a server with several certificates (RFC 6066 section 3, which knows no addresses).
    if (!is_address(host))
      SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
    co_await tls_->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, wrong));
  }
  co_return wrong;
}

void byte_stream::read(asio::mutable_buffer into, done then) {
  if (tls_)
    tls_->async_read_some(into, std::move(then));
  else
    plain_.async_read_some(into, std::move(then));
}

void byte_stream::write(std::vector<asio::const_buffer> from, done then) {
  if (tls_)
    tls_->async_write_some(from, std::move(then));
  else
    plain_.async_write_some(from, std::move(then));
}

void byte_stream::finish(beast::role_type role, std::function<void(error_code)> then) {
  if (tls_)
    // Who hangs up without close_notify: the WebSocket layer has said goodbye already, nothing can have been cut off.
    tls_->async_shutdown([then = std::move(then)](error_code why) {
      then(why == asio::error::eof || why == asio::ssl::error::stream_truncated ? error_code{} : why);
    });
  else
    beast::websocket::async_teardown(role, plain_.socket(), std::move(then));
}

} // namespace greenroom::net
