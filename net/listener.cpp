#include "net/listener.hpp"

#include "net/http_session.hpp"
#include "net/http_text.hpp"
#include "net/stream.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <spdlog/spdlog.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace greenroom::net {
namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

// Accepted at once before the thread's other work gets its turn.
constexpr int accepts_max = 64;
// After an error that only time can mend, such as too many open files.
constexpr uint32_t pause_ms = 200;

ip_address read_address(const sockaddr_storage& from) {
  ip_address::bytes_type bytes{};
  if (from.ss_family == AF_INET6) {
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(from).sin6_addr, bytes.size());
  } else {
    bytes[10] = bytes[11] = 0xff; // as ip_address keeps IPv4
    std::memcpy(bytes.data() + 12, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, 4);
  }
  return ip_address{bytes};
}

/// What an operator can do about an endpoint that can't be had, in the words of the configuration.
std::string advice(const error_code& why, bool encrypted) {
  const std::string choose = std::string("choose another by --listen.") + (encrypted ? "tls_port" : "port") + "=PORT";
  switch (why.value()) {
  case EADDRINUSE:
    return "; another program listens there, perhaps another node: end it, or " + choose;
  case EACCES:
    return "; ports below 1024 need a privilege: " + choose;
  case EADDRNOTAVAIL:
    return "; listen.address must be one of this machine's";
  default:
    return "";
  }
}

} // namespace

/// One endpoint.
struct listener::door {
  using acceptor_type = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
  door(listener& house, bool e)
      : acceptor(house.threads_[0].context()), encrypted(e), pause([&house, this] { house.accept_some(*this); }) {}
  acceptor_type acceptor;
  const bool encrypted;
  timer_wheel::entry pause;
  bool troubled = false; // the last attempt failed: say so once
};

listener::listener(io_threads& threads, const server_hooks& hooks, kernel_bounds kernel)
    : threads_(threads), hooks_(hooks), kernel_(kernel) {}

listener::~listener() {
  if (threads_.running())
    stop();
}

void listener::use(std::shared_ptr<const tls_context> tls) {
  threads_[0].call([&] { tls_ = std::move(tls); });
}

uint16_t listener::open(const endpoint& where) {
  const auto fail_on = [&](const error_code& ec) {
    if (ec)
      throw std::runtime_error("can't listen on " + where.address + " port " + std::to_string(where.port) + ": " +
                               ec.message() + advice(ec, where.encrypted));
  };
  error_code ec;
  const auto address = asio::ip::make_address(where.address, ec);
  fail_on(ec);
  const tcp::endpoint here{address, where.port};
  auto d = std::make_unique<door>(*this, where.encrypted);
  auto& acceptor = d->acceptor;
  acceptor.open(here.protocol(), ec);
  fail_on(ec);
  acceptor.set_option(asio::socket_base::reuse_address{true}, ec);
  // Accepted sockets inherit these, which saves a system call for each.
  acceptor.set_option(tcp::no_delay{true}, ec);
  const auto unsent_bytes = static_cast<int>(kernel_.unsent_bytes);
  ::setsockopt(acceptor.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
  acceptor.bind(here, ec);
  fail_on(ec);
  acceptor.listen(static_cast<int>(kernel_.backlog), ec);
  fail_on(ec);
  acceptor.native_non_blocking(true, ec);
  fail_on(ec);
  const auto port = acceptor.local_endpoint(ec).port();
  threads_[0].call([&] { doors_.push_back(std::move(d)); });
  return port;
}

void listener::start() {
  threads_[0].call([this] {
    for (auto& d : doors_)
      wait(*d);
  });
}

void listener::stop() {
  if (std::exchange(stopped_, true))
    return;
  threads_[0].call([this] { doors_.clear(); });
}

void listener::wait(door& d) {
  d.acceptor.async_wait(door::acceptor_type::wait_read, [this, &d](const error_code& ec) {
    if (!ec) // else the door is gone
      accept_some(d);
  });
}

void listener::accept_some(door& d) {
  for (int i = 0; i < accepts_max; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd =
        ::accept4(d.acceptor.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      d.troubled = false;
      admit(fd, peer, d.encrypted);
      continue;
    }
    switch (errno) {
    case EAGAIN:
      return wait(d);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      if (!std::exchange(d.troubled, true))
        spdlog::error("what=accept_failed why=\"{}\" the next attempts are {} ms apart", std::strerror(errno),
                      pause_ms);
      // The connection stays in the backlog, so the socket stays readable: waiting for it would spin.
      return threads_[0].lane().timers().arm(d.pause, pause_ms);
    default: // the peer's trouble (ECONNABORTED and the like): on to the next
      break;
    }
  }
  wait(d);
}

void listener::admit(int fd, const sockaddr_storage& from, bool encrypted) {
  if (auto limits = hooks_.limits(); limits != limits_) {
    allowed_ = ip_list{limits->allow_addresses};
    denied_ = ip_list{limits->deny_addresses};
    limits_ = std::move(limits);
  }
  const auto address = read_address(from);
  const bool allowed = allowed_.contains(address);
  if (!allowed && denied_.contains(address)) {
    hooks_.metrics->denied.add();
    ::close(fd);
    return;
  }
  const auto network = address.network();
  remote who{address.str(), allowed ? std::nullopt : std::optional{network}};
  admission place;
  auto refusal = take_place(who.network, network, place);
  if (refusal) {
    auto [room, seat] = refused_.enter(network, limits_->refusals, limits_->refusals_per_address);
    if (room != address_book::verdict::welcome) {
      hooks_.metrics->handshakes_refused.add();
      ::close(fd);
      return;
    }
    place = std::move(seat);
  }
  hand_over(fd, std::move(who), encrypted, std::move(place), std::move(refusal));
}

/// The answer to a connection that there is no place for. `from`: whom limits by address and bans hold for.
std::optional<http_response> listener::take_place(std::optional<network_id> from, network_id address,
                                                  admission& place) {
  constexpr uint32_t again_ms = 5'000; // when a place may be free
  const auto now = steady_ms();
  auto& floods = *hooks_.floods;
  if (auto why = floods.banned(from, now))
    return error_response(*why);
  if (from) {
    if (auto why = floods.connect(*from, *limits_, now)) {
      floods.refused(flood::connects, {}, from, *limits_, now);
      return error_response(*why);
    }
  }
  auto [verdict, taken] =
      book_.enter(address, limits_->connections, from ? limits_->connections_per_address : limits_->connections);
  switch (verdict) {
  case address_book::verdict::welcome:
    place = std::move(taken);
    return std::nullopt;
  case address_book::verdict::full:
    return error_response(failure{errc::unavailable, "limits.connections is reached", again_ms});
  case address_book::verdict::address_full:
    break;
  }
  return error_response(failure{errc::rate_limited, "limits.connections_per_address is reached", again_ms});
}

void listener::hand_over(int fd, remote from, bool encrypted, admission place, std::optional<http_response> refusal) {
  auto& home = threads_[next_++ % threads_.size()];
  // Shared: a handler must be movable only, but these travel through a std::function.
  struct parcel {
    int fd;
    remote from;
    std::shared_ptr<const tls_context> tls;
    admission place;
    std::optional<http_response> refusal;
    ~parcel() {
      if (fd >= 0)
        ::close(fd);
    }
  };
  auto p =
      std::make_shared<parcel>(fd, std::move(from), encrypted ? tls_ : nullptr, std::move(place), std::move(refusal));
  home.post([&home, &hooks = hooks_, encrypted, p] {
    ssl_ptr tls;
    if (encrypted && !(tls = p->tls->accept_on(p->fd)))
      return;
    error_code ec;
    stream::socket_type socket{home.context()};
    socket.assign(tcp::v4(), p->fd, ec); // which family it is matters to nobody from here on
    if (ec)
      return;
    p->fd = -1;
    start_http(home, hooks, std::make_shared<stream>(home, std::move(socket), std::move(tls), std::move(p->place)),
               std::move(p->from), std::move(p->refusal));
  });
}

} // namespace greenroom::net
