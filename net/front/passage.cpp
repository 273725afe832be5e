#include "net/front/passage.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace greenroom::net::front {

namespace asio = boost::asio;
using boost::system::error_code;
using steady = std::chrono::steady_clock;

passage::passage(tcp::socket to, asio::io_context& io, const credentials& own, const options& limits,
                 front_metrics& figures)
    : far(std::move(to), own.context()), near(io), door(io), io_(io), limits_(limits), figures_(figures), deadline_(io),
      done_(io) {}

void passage::until(steady::time_point deadline) { wait(deadline, true); }
void passage::attempt_until(steady::time_point deadline) { wait(deadline, false); }

void passage::wait(steady::time_point deadline, bool whole) {
  late_ = false;
  deadline_.expires_at(deadline);
  deadline_.async_wait([weak = weak_from_this(), whole](const error_code& wrong) {
    auto self = weak.lock();
    // A wait that was replaced may have been on its way here already.
    if (wrong || !self || steady::now() < self->deadline_.expiry())
      return;
    self->late_ = true;
    error_code none;
    if (whole)
      self->close();
    else
      self->far.lowest_layer().close(none);
  });
}

void passage::close() noexcept {
  closed_ = true;
  error_code none;  // nobody can do anything about it
  door.close(none); // first: whoever has seen the end of the rest finds it closed
  near.close(none);
  far.lowest_layer().close(none);
  deadline_.cancel(none);
  done_.cancel(none);
}

asio::awaitable<void> passage::carry() {
  auto self = shared_from_this();
  deadline_.cancel();
  flowing_ = 2;
  asio::co_spawn(io_, one_way(near, far, figures_.bytes_out), [self](const std::exception_ptr& wrong) {
    if (wrong) // out of memory: the other direction ends with it
      self->close();
    --self->flowing_;
    self->done_.cancel();
  });
  co_await one_way(far, near, figures_.bytes_in);
  --flowing_;
  while (flowing_ > 0) {
    error_code rung;
    done_.expires_at(steady::time_point::max());
    co_await done_.async_wait(asio::redirect_error(asio::use_awaitable, rung));
  }
  close();
}

template <class From, class To>
asio::awaitable<void> passage::one_way(From& from, To& to, counter& bytes) {
  const std::unique_ptr<char[]> buffer{new char[limits_.buffer_bytes]};
  error_code wrong;
  for (;;) {
    const auto size = co_await from.async_read_some(asio::buffer(buffer.get(), limits_.buffer_bytes),
                                                    asio::redirect_error(asio::use_awaitable, wrong));
    if (wrong)
      break;
    co_await asio::async_write(to, asio::buffer(buffer.get(), size), asio::redirect_error(asio::use_awaitable, wrong));
    if (wrong)
      break;
    bytes.add(static_cast<int64_t>(size));
  }
  if (closed_)
    co_return;
  // Everything read has been written. The other end learns that no more comes and closes its side; if we closed first
  // while bytes of its are on their way here, the kernel would take back what it has of ours. CAF closes, it never
  // half-closes: so the other direction has nothing more to say, and gets little time for it.
  error_code none;
  to.lowest_layer().shutdown(tcp::socket::shutdown_send, none);
  until(steady::now() + std::chrono::milliseconds{limits_.linger_ms});
}

} // namespace greenroom::net::front
