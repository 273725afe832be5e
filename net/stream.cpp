#include "net/stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace greenroom::net {
namespace asio = boost::asio;
namespace {

bool again(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

} // namespace

stream::stream(io_thread& home, socket_type socket, ssl_ptr tls, admission place)
    : home_(home), socket_(std::move(socket)), tls_(std::move(tls)), place_(std::move(place)) {}

stream::~stream() { abort(); }

// -- TLS -------------------------------------------------------------------------------------------------------------

stream::wants stream::tls_result(int result, error_code& ec) noexcept {
  switch (SSL_get_error(tls_.get(), result)) {
  case SSL_ERROR_WANT_READ:
    return wants::read;
  case SSL_ERROR_WANT_WRITE:
    return wants::write;
  case SSL_ERROR_ZERO_RETURN:
    ec = asio::error::eof;
    return wants::nothing;
  default:
    // Whatever it was, OpenSSL forbids further calls, SSL_shutdown included.
    tls_ready_ = false;
    ERR_clear_error();
    ec = asio::error::connection_aborted;
    return wants::nothing;
  }
}

stream::wants stream::tls_handshake(error_code& ec) noexcept {
  if (dead_) {
    ec = asio::error::operation_aborted;
    return wants::nothing;
  }
  ERR_clear_error();
  const int r = SSL_do_handshake(tls_.get());
  if (r != 1)
    return tls_result(r, ec);
  tls_ready_ = true;
  return wants::nothing;
}

stream::wants stream::tls_read(asio::mutable_buffer into, size_t& bytes, error_code& ec) noexcept {
  if (dead_) {
    ec = asio::error::operation_aborted;
    return wants::nothing;
  }
  ERR_clear_error();
  const int r = SSL_read(tls_.get(), into.data(), static_cast<int>(std::min<size_t>(into.size(), INT_MAX)));
  if (r <= 0)
    return tls_result(r, ec);
  bytes = static_cast<size_t>(r);
  received(bytes);
  return wants::nothing;
}

void stream::received(size_t bytes) noexcept {
  heard_ = heard_ || bytes > 0;
  home_.counts().bytes_in += static_cast<int64_t>(bytes);
}

// -- writing ---------------------------------------------------------------------------------------------------------

void stream::push(frame bytes, bool ephemeral) {
  if (finishing_ || dead_)
    return;
  home_.counts().queue_bytes += static_cast<int64_t>(bytes->size());
  box_.push(std::move(bytes), ephemeral);
}

void stream::drop_ephemeral() {
  const auto before = box_.bytes();
  home_.counts().ephemeral_dropped += static_cast<int64_t>(box_.drop_ephemeral());
  home_.counts().queue_bytes -= static_cast<int64_t>(before - box_.bytes());
}

void stream::drop_all() {
  const auto before = box_.bytes();
  box_.drop_all();
  home_.counts().queue_bytes -= static_cast<int64_t>(before - box_.bytes());
}

void stream::left(size_t bytes) noexcept {
  auto& counts = home_.counts();
  ++counts.writes;
  counts.bytes_out += static_cast<int64_t>(bytes);
  counts.queue_bytes -= static_cast<int64_t>(bytes);
  box_.sent(bytes);
}

void stream::flush() {
  if (waits_for_room_ || dead_ || box_.empty())
    return;
  if (tls_)
    flush_tls();
  else
    flush_plain();
}

void stream::flush_plain() {
  const int fd = socket_.native_handle();
  iovec parts[IOV_MAX]; // not initialised: only what is gathered is touched
  while (!box_.empty()) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = box_.gather(parts, IOV_MAX);
    // One frame is the common case, and send() is the cheaper call.
    const auto sent = message.msg_iovlen == 1
                          ? ::send(fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                          : ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      left(static_cast<size_t>(sent));
    } else if (errno != EINTR) {
      if (again(errno))
        return wait_for_room(wants::write);
      return fail_write();
    }
  }
}

void stream::flush_tls() {
  while (!box_.empty()) {
    iovec first;
    box_.gather(&first, 1);
    // What OpenSSL was given and could not send must be given again: the same bytes, at least as many.
    const auto want = box_.pinned() > 0 ? box_.pinned() : std::min(box_.bytes(), io_thread::scratch_bytes);
    const void* data = first.iov_base;
    if (first.iov_len < want) {
      box_.copy(home_.scratch(), want);
      data = home_.scratch();
    }
    ERR_clear_error();
    const int sent = SSL_write(tls_.get(), data, static_cast<int>(want));
    if (sent > 0) {
      box_.pin(0);
      left(static_cast<size_t>(sent));
      continue;
    }
    error_code ec;
    const auto next = tls_result(sent, ec);
    if (next == wants::nothing)
      return fail_write();
    box_.pin(want);
    return wait_for_room(next);
  }
}

void stream::wait_for_room(wants w) {
  waits_for_room_ = true;
  socket_.async_wait(direction(w), [self = shared_from_this()](error_code ec) {
    self->waits_for_room_ = false;
    if (ec || self->dead_)
      return;
    self->flush();
    if (self->dead_)
      return;
    if (self->owner_ != nullptr)
      self->owner_->wrote();
    if (self->finishing_ && !self->fin_sent_ && self->box_.empty() && !self->dead_)
      self->say_goodbye();
  });
}

void stream::fail_write() {
  abort();
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->owner_ != nullptr)
      self->owner_->broken();
  });
}

// -- the end ---------------------------------------------------------------------------------------------------------

void stream::finish(size_t rest_bytes_max, std::function<void()> done) {
  rest_bytes_left_ = rest_bytes_max;
  finished_ = std::move(done);
  flush();
  finishing_ = true;
  if (dead_)
    complete_finish();
  else if (box_.empty())
    say_goodbye();
}

void stream::say_goodbye() {
  fin_sent_ = true;
  if (tls_ready_) {
    ERR_clear_error();
    SSL_shutdown(tls_.get()); // one attempt: the FIN follows whether the peer has room for the alert or not
    ERR_clear_error();
  }
  ::shutdown(socket_.native_handle(), SHUT_WR);
  drain();
}

void stream::drain() {
  for (;;) {
    const auto n = ::recv(socket_.native_handle(), home_.scratch(), io_thread::scratch_bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && again(errno))
      break;
    if (n <= 0 || static_cast<size_t>(n) > rest_bytes_left_) {
      abort();
      return;
    }
    rest_bytes_left_ -= static_cast<size_t>(n);
  }
  socket_.async_wait(socket_type::wait_read, [self = shared_from_this()](error_code ec) {
    if (!ec && !self->dead_)
      self->drain();
  });
}

void stream::abort() noexcept {
  if (std::exchange(dead_, true))
    return;
  home_.counts().queue_bytes -= static_cast<int64_t>(box_.bytes());
  box_ = outbox{};
  error_code ignored;
  socket_.close(ignored);
  place_ = admission{}; // free at once, whoever still holds the stream
  complete_finish();
}

void stream::complete_finish() {
  if (finished_)
    asio::post(socket_.get_executor(), std::exchange(finished_, nullptr));
}

} // namespace greenroom::net
