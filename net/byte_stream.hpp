// byte_stream: a connection that this program opens, plain or TLS, as one type. What stands on it (HTTP, WebSocket) is
// compiled once, and small: whoever waits for bytes is held as a std::function.
//
// Threads: one io_context with one thread; handlers are called there, never from within the call that takes them. Their
// associated allocators and cancellation slots are not looked at: close the socket to end what is under way.
// Invariant: what goes on when the deadline comes ends with boost::beast::error::timeout, and the socket is closed.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace greenroom::net {

/// For connections to servers that must show a certificate from whom `ca_file` says (PEM; empty: whom the system
/// trusts). Null, and `why`: the file is not what it should be. In fetcher.cpp.
std::unique_ptr<boost::asio::ssl::context> trusting(const std::string& ca_file, boost::system::error_code& why);

class byte_stream {
public:
  using executor_type = boost::beast::tcp_stream::executor_type;
  using error_code = boost::system::error_code;
  using done = std::function<void(error_code, size_t)>;

  /// `tls` is null for a plain connection, and must live as long as this.
  byte_stream(executor_type executor, boost::asio::ssl::context* tls);
  ~byte_stream();

  executor_type get_executor() { return socket().get_executor(); }
  /// For its deadline, its options, and to close it.
  boost::beast::tcp_stream& socket() noexcept;

  /// The socket's deadline counts for all of it. Connects to the first of `at` that answers, then says hello if it is
  /// TLS: to `host`, whose name the certificate must have if the context verifies. `tcp_failed`, if given, is told
  /// which of the two it was.
  boost::asio::awaitable<error_code> open(std::vector<boost::asio::ip::tcp::endpoint> at, std::string host,
                                          bool* tcp_failed = nullptr);

  // AsyncStream, with the first buffers of a sequence only.
  template <class Buffers, class Token>
  auto async_read_some(const Buffers& into, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, size_t)>(
        [this](auto handler, boost::asio::mutable_buffer b) { read(b, erase(std::move(handler))); }, token,
        first_of(into));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& from, Token&& token) {
    std::vector<boost::asio::const_buffer> some;
    const auto end = boost::asio::buffer_sequence_end(from);
    for (auto i = boost::asio::buffer_sequence_begin(from); i != end && some.size() < buffers_max; ++i)
      if (boost::asio::const_buffer b{*i}; b.size() > 0)
        some.push_back(b);
    return boost::asio::async_initiate<Token, void(error_code, size_t)>(
        [this](auto handler, auto b) { write(std::move(b), erase(std::move(handler))); }, token, std::move(some));
  }

  /// Says goodbye, TLS by close_notify, and waits for the other end's. For WebSocket, after its own goodbye. Leaves a
  /// TLS socket open.
  void finish(boost::beast::role_type role, std::function<void(error_code)> then);

private:
  class tls_part;
  static constexpr size_t buffers_max = 16;

  template <class Buffers>
  static boost::asio::mutable_buffer first_of(const Buffers& all) {
    const auto end = boost::asio::buffer_sequence_end(all);
    for (auto i = boost::asio::buffer_sequence_begin(all); i != end; ++i)
      if (boost::asio::mutable_buffer b{*i}; b.size() > 0)
        return b;
    return {};
  }
  /// A handler can only be moved, a std::function is copied.
  template <class Handler>
  static done erase(Handler handler) {
    auto kept = std::make_shared<Handler>(std::move(handler));
    return [kept](error_code why, size_t bytes) { (*kept)(why, bytes); };
  }
  void read(boost::asio::mutable_buffer into, done then);
  void write(std::vector<boost::asio::const_buffer> from, done then);

  std::unique_ptr<tls_part> tls_; // holds the socket, if there is one
  boost::beast::tcp_stream plain_;
};

// What Beast's WebSocket looks for.
inline void beast_close_socket(byte_stream& s) { s.socket().close(); }
inline void teardown(boost::beast::role_type, byte_stream& s, byte_stream::error_code& why) {
  s.socket().close();
  why = {};
}
template <class Handler>
void async_teardown(boost::beast::role_type role, byte_stream& s, Handler&& then) {
  auto kept = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(then));
  s.finish(role, [kept](byte_stream::error_code why) { (*kept)(why); });
}

} // namespace greenroom::net
