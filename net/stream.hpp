// stream: one accepted socket, plain or TLS, with its outbox: everything that is written goes through it in order, and
// all that waits leaves in as few system calls as the socket takes.
//
// Without TLS, what waits goes out by one sendmsg; with TLS it is gathered into records of up to 16 KiB. OpenSSL works
// on the descriptor itself: an asio::ssl::stream would hold five times the memory for an idle connection.
//
// Invariants
// - At most one read and one wait for room to write are under way.
// - After abort() the descriptor is not touched again: its number may belong to somebody else by then.
// Threads: all on the thread of the socket.
#pragma once

#include "net/admission.hpp"
#include "net/io_threads.hpp"
#include "net/outbox.hpp"
#include "net/tls.hpp"

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace greenroom::net {

class stream : public std::enable_shared_from_this<stream> {
public:
  using executor_type = boost::asio::io_context::executor_type;
  using socket_type = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor_type>;
  using error_code = boost::system::error_code;

  /// Whom the stream tells what happens to it. Must call disown() before it ends.
  class owner {
  public:
    /// Some of what waited has left, after the socket had been full.
    virtual void wrote() = 0;
    /// A write failed; the stream has been aborted. Never called from within a call of the owner.
    virtual void broken() = 0;

  protected:
    ~owner() = default;
  };

  /// `tls` is null for a plain connection.
  stream(io_thread& home, socket_type socket, ssl_ptr tls, admission place);
  ~stream();

  void own(owner& o) noexcept { owner_ = &o; }
  void disown() noexcept { owner_ = nullptr; }
  executor_type get_executor() noexcept { return socket_.get_executor(); }
  bool encrypted() const noexcept { return tls_ != nullptr; }

  /// `done(error_code)` after the TLS handshake. REQUIRES: encrypted(). No deadline of its own.
  template <class Handler>
  void async_handshake(Handler done);
  /// `done(error_code, bytes)`; `into` is not empty. End of the stream is boost::asio::error::eof.
  template <class Handler>
  void async_read_some(boost::asio::mutable_buffer into, Handler done);
  /// Whether anything was read since the last call.
  bool heard() noexcept { return std::exchange(heard_, false); }

  /// Appends; nothing leaves before flush(). Ignored after finish() and abort().
  void push(frame bytes, bool ephemeral);
  size_t queued_bytes() const noexcept { return box_.bytes(); }
  /// Drops what is ephemeral, or everything that has not begun to leave.
  void drop_ephemeral();
  void drop_all();
  /// Writes what waits, as far as the socket takes it; the rest follows by itself.
  void flush();

  /// Writes what waits, says goodbye (close_notify, FIN), and waits for the peer to hang up, so that no reset destroys
  /// what is on its way; then `done`, never from within this call. A peer who still sends more than `rest_bytes_max` is
  /// not listening and is cut off. The caller keeps the deadline and calls abort().
  /// REQUIRES: no read is under way; called once.
  void finish(size_t rest_bytes_max, std::function<void()> done);
  /// Closes the socket at once. Pending reads end with operation_aborted.
  void abort() noexcept;

private:
  template <class Handler>
  class read_op;
  template <class Handler>
  class handshake_op;
  /// What an OpenSSL call needs before it can go on.
  enum class wants : uint8_t { nothing, read, write };

  static socket_type::wait_type direction(wants w) noexcept {
    return w == wants::write ? socket_type::wait_write : socket_type::wait_read;
  }
  wants tls_result(int result, error_code& ec) noexcept;
  wants tls_handshake(error_code& ec) noexcept;
  wants tls_read(boost::asio::mutable_buffer into, size_t& bytes, error_code& ec) noexcept;
  void received(size_t bytes) noexcept;
  void flush_plain();
  void flush_tls();
  void left(size_t bytes) noexcept;
  void wait_for_room(wants w);
  void fail_write();
  void say_goodbye();
  void drain();
  void complete_finish();

  io_thread& home_;
  socket_type socket_;
  ssl_ptr tls_;
  admission place_;
  outbox box_;
  owner* owner_ = nullptr;
  std::function<void()> finished_;
  size_t rest_bytes_left_ = 0; // that are still read after the end
  bool heard_ = false;
  bool waits_for_room_ = false;
  bool finishing_ = false;
  bool fin_sent_ = false;
  bool dead_ = false;
  bool tls_ready_ = false; // handshake done and no fatal error since: only then may close_notify be sent
};

// -- reading ---------------------------------------------------------------------------------------------------------

/// Plain: counts what was received. TLS: waits for the socket and asks OpenSSL again until there is something.
template <class Handler>
class stream::read_op {
public:
  using executor_type = boost::asio::associated_executor_t<Handler, stream::executor_type>;
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  read_op(stream& s, boost::asio::mutable_buffer into, Handler done)
      : stream_(&s), into_(into), done_(std::move(done)) {}
  executor_type get_executor() const noexcept {
    return boost::asio::get_associated_executor(done_, stream_->get_executor());
  }
  allocator_type get_allocator() const noexcept { return boost::asio::get_associated_allocator(done_); }

  void operator()(error_code ec, size_t bytes) {
    stream_->received(bytes);
    done_(ec, bytes);
  }

  void operator()(error_code ec) {
    size_t bytes = 0;
    const auto next = ec ? wants::nothing : stream_->tls_read(into_, bytes, ec);
    if (next == wants::nothing)
      return done_(ec, bytes);
    auto& socket = stream_->socket_; // `this` is moved from below
    socket.async_wait(direction(next), std::move(*this));
  }

  void start() {
    error_code ec;
    size_t bytes = 0;
    // OpenSSL may hold decrypted bytes that no readiness of the socket will announce.
    const auto next = stream_->tls_read(into_, bytes, ec);
    auto& socket = stream_->socket_;
    if (next != wants::nothing)
      return socket.async_wait(direction(next), std::move(*this));
    const auto executor = get_executor();
    boost::asio::post(
        socket.get_executor(),
        boost::asio::bind_executor(executor, [done = std::move(done_), ec, bytes]() mutable { done(ec, bytes); }));
  }

private:
  stream* stream_; // kept alive by whoever waits in done_
  boost::asio::mutable_buffer into_;
  Handler done_;
};

template <class Handler>
void stream::async_read_some(boost::asio::mutable_buffer into, Handler done) {
  read_op<Handler> op{*this, into, std::move(done)};
  if (tls_)
    op.start();
  else
    socket_.async_read_some(into, std::move(op));
}

template <class Handler>
class stream::handshake_op {
public:
  handshake_op(stream& s, Handler done) : stream_(&s), done_(std::move(done)) {}
  void operator()(error_code ec) {
    const auto next = ec ? wants::nothing : stream_->tls_handshake(ec);
    if (next == wants::nothing)
      return done_(ec);
    auto& socket = stream_->socket_;
    socket.async_wait(direction(next), std::move(*this));
  }

private:
  stream* stream_;
  Handler done_;
};

template <class Handler>
void stream::async_handshake(Handler done) {
  boost::asio::post(socket_.get_executor(),
                    [op = handshake_op<Handler>{*this, std::move(done)}]() mutable { op(error_code{}); });
}

} // namespace greenroom::net
