// The only file here that includes Beast, and the only one that knows TLS.
#include "net/etcd/http.hpp"

#include "net/byte_stream.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <sys/socket.h>

namespace greenroom::net::etcd {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

outcome<std::shared_ptr<asio::ssl::context>> tls_of(const options& o) {
  const auto refuse = [](const std::string& file, const error_code& why) {
    return fail(errc::bad_request, "etcd: " + file + ": " + why.message());
  };
  auto out = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(out->native_handle(), TLS1_2_VERSION);
  out->set_verify_mode(asio::ssl::verify_peer);
  error_code wrong;
  if (o.ca_file.empty()) {
    if (out->set_default_verify_paths(wrong))
      return refuse("the system's certificates", wrong);
  } else if (out->load_verify_file(o.ca_file, wrong)) {
    return refuse(o.ca_file, wrong);
  }
  if (!o.certificate_file.empty()) {
    if (out->use_certificate_chain_file(o.certificate_file, wrong))
      return refuse(o.certificate_file, wrong);
    // Also finds a key that is not the certificate's. Without a callback OpenSSL would ask on the terminal for the
    // password of a key that has one.
    out->set_password_callback([](size_t, asio::ssl::context::password_purpose) { return std::string(); });
    if (out->use_private_key_file(o.key_file, asio::ssl::context::pem, wrong))
      return refuse(o.key_file, wrong);
  }
  return out;
}

struct connection::parts {
  byte_stream stream;
  beast::flat_buffer buffer;
  std::optional<http::response_parser<http::string_body>> parser;
  std::string text;     // of a stream: what was read and is not yet given out
  size_t looked_at = 0; // up to where there is no end of line in it
  bool waiting = false; // ready for the next request
  parts(asio::io_context& io, asio::ssl::context* tls) : stream(io.get_executor(), tls) {}
};

connection::connection(asio::io_context& io, const address& to, asio::ssl::context* tls, size_t body_bytes_max)
    : to_(to), body_bytes_max_(body_bytes_max), parts_(std::make_unique<parts>(io, tls)) {}
connection::~connection() = default;

failure connection::broken_by(const char* step, const error_code& why) {
  close();
  return fail(errc::unavailable, "etcd " + to_.authority() + ": " + step + ": " +
                                     (why == beast::error::timeout ? "no answer in time" : why.message()));
}

asio::awaitable<outcome<void>> connection::open(std::vector<asio::ip::tcp::endpoint> at, steady::time_point until) {
  auto& s = parts_->stream;
  s.socket().expires_at(until);
  bool tcp_failed = false;
  if (auto wrong = co_await s.open(std::move(at), to_.host, &tcp_failed))
    co_return broken_by(tcp_failed ? "connect" : "TLS", wrong);
  parts_->waiting = true;
  co_return boost::system::in_place_value;
}

asio::awaitable<reply> connection::exchange(std::string path, std::string body, std::string token,
                                            steady::time_point until, bool stream) {
  auto& p = *parts_;
  p.waiting = false;
  std::string text = "POST " + path + " HTTP/1.1\r\nHost: " + to_.authority() +
                     "\r\nUser-Agent: greenroom/" GREENROOM_VERSION "\r\nContent-Type: application/json\r\n";
  if (!token.empty())
    text += "Authorization: " + token + "\r\n";
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;

  reply out;
  error_code wrong;
  p.stream.socket().expires_at(until);
  // Also when the write fails: what a deadline cut off may have left all the same.
  out.begun = true;
  co_await asio::async_write(p.stream, asio::buffer(text), asio::redirect_error(asio::use_awaitable, wrong));
  if (wrong) {
    out.broken = broken_by("write", wrong);
    out.late = wrong == beast::error::timeout;
    co_return out;
  }
  p.parser.emplace();
  p.parser->body_limit(body_bytes_max_);
  co_await http::async_read_header(p.stream, p.buffer, *p.parser, asio::redirect_error(asio::use_awaitable, wrong));
  if (!wrong) {
    out.status = p.parser->get().result_int();
    if (stream && out.status == 200) {
      p.parser->body_limit(boost::none);
      co_return out;
    }
    co_await http::async_read(p.stream, p.buffer, *p.parser, asio::redirect_error(asio::use_awaitable, wrong));
  }
  if (wrong) {
    out.broken = broken_by("read", wrong);
    out.late = wrong == beast::error::timeout;
    co_return out;
  }
  p.waiting = p.parser->get().keep_alive() && p.buffer.size() == 0;
  out.body = std::move(p.parser->get().body());
  p.parser.reset();
  co_return out;
}

asio::awaitable<reply> connection::post(std::string path, std::string body, std::string token,
                                        steady::time_point until) {
  return exchange(std::move(path), std::move(body), std::move(token), until, false);
}

asio::awaitable<reply> connection::begin(std::string path, std::string body, std::string token,
                                         steady::time_point until) {
  return exchange(std::move(path), std::move(body), std::move(token), until, true);
}

asio::awaitable<outcome<std::string>> connection::line(size_t bytes_max, steady::time_point until) {
  auto& p = *parts_;
  while (true) {
    const auto end = p.text.find('\n', p.looked_at);
    p.looked_at = end == std::string::npos ? p.text.size() : end;
    if (p.looked_at > bytes_max) {
      close();
      co_return fail(errc::too_large, "etcd " + to_.authority() + ": a line of a watch has more than " +
                                          std::to_string(bytes_max) + " bytes");
    }
    if (end != std::string::npos) {
      std::string out = p.text.substr(0, end);
      p.text.erase(0, end + 1);
      p.looked_at = 0;
      co_return out;
    }
    if (p.parser->is_done()) {
      close();
      co_return fail(errc::unavailable, "etcd " + to_.authority() + ": the stream ended");
    }
    error_code wrong;
    p.stream.socket().expires_at(until);
    co_await http::async_read_some(p.stream, p.buffer, *p.parser, asio::redirect_error(asio::use_awaitable, wrong));
    if (wrong)
      co_return broken_by("read", wrong);
    p.text += p.parser->get().body();
    p.parser->get().body().clear();
  }
}

bool connection::reusable() {
  if (!parts_->waiting)
    return false;
  // etcd says nothing unasked: what can be read is the end, and a request would be lost in it.
  char byte = 0;
  const auto got = ::recv(parts_->stream.socket().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void connection::close() {
  parts_->waiting = false;
  parts_->stream.socket().close();
}

} // namespace greenroom::net::etcd
