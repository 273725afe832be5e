#include "loop.hpp"

#include "wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace greenroom::bench {

namespace {

[[noreturn]] void throw_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// The server must answer with a fitting Sec-WebSocket-Accept, but that is for the conformance tests to check.
constexpr std::string_view upgrade_request = "GET /ws HTTP/1.1\r\n"
                                             "Host: localhost\r\n"
                                             "Upgrade: websocket\r\n"
                                             "Connection: Upgrade\r\n"
                                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                             "Sec-WebSocket-Version: 13\r\n"
                                             "Sec-WebSocket-Protocol: greenroom.v1\r\n\r\n";

} // namespace

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

loop::loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(262'144, '\0') {
  if (epoll_ < 0)
    throw_errno("epoll_create1");
}

loop::~loop() { ::close(epoll_); }

void loop::turn(std::chrono::milliseconds wait) {
  std::array<epoll_event, 512> events;
  const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(wait.count()));
  if (n < 0 && errno != EINTR)
    throw_errno("epoll_wait");
  for (int i = 0; i < n; ++i)
    static_cast<connection*>(events[static_cast<size_t>(i)].data.ptr)->ready(events[static_cast<size_t>(i)].events);
}

void loop::pass(std::chrono::milliseconds time) {
  const int64_t end = now_ns() + std::chrono::nanoseconds(time).count();
  for (int64_t left = end - now_ns(); left > 0; left = end - now_ns())
    turn(std::chrono::milliseconds(1 + left / 1'000'000));
}

void loop::give_up(const char* what, std::chrono::seconds limit) {
  throw std::runtime_error(std::string{what} + " took longer than " + std::to_string(limit.count()) + " s");
}

void connection::open(uint16_t port, unsigned source) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0)
    throw_errno("socket");
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // The port is then chosen at connect(), where only the whole four-tuple must be free.
  ::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source % 32);
  if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw_errno("bind");
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
    throw_errno("connect");
  phase_ = phase::dialling;
  watch(EPOLLOUT, EPOLL_CTL_ADD);
}

void connection::send(std::string_view frame) {
  // Shared by all connections: the bytes leave at once, or are copied to output_.
  static std::string bytes;
  bytes.clear();
  append_client_frame(bytes, opcode::text, frame);
  write(bytes);
}

void connection::close() {
  if (fd_ >= 0)
    ::close(fd_); // takes it out of the epoll set, too
  fd_ = -1;
  phase_ = phase::closed;
}

void connection::ready(uint32_t events) {
  if (phase_ == phase::dialling) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
      return end(std::string{"connect: "} + std::strerror(error));
    phase_ = phase::upgrading;
    watch(EPOLLIN, EPOLL_CTL_MOD);
    return write(upgrade_request);
  }
  if ((events & EPOLLOUT) && phase_ != phase::closed) {
    watch(EPOLLIN, EPOLL_CTL_MOD);
    write(std::exchange(output_, {}));
  }
  if ((events & ~uint32_t{EPOLLOUT}) && phase_ != phase::closed)
    read();
}

void connection::read() {
  std::string& buffer = loop_.buffer_;
  const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0)
    return end(n == 0 ? "end of stream" : std::strerror(errno));
  std::string_view bytes{buffer.data(), static_cast<size_t>(n)};
  if (!input_.empty())
    bytes = input_.append(bytes);
  while (phase_ != phase::closed && !bytes.empty()) {
    const size_t used = phase_ == phase::upgrading ? take_upgrade(bytes) : take_frame(bytes);
    if (used == 0)
      break;
    bytes.remove_prefix(used);
  }
  if (bytes.empty())
    std::string{}.swap(input_); // gives the memory back
  else
    input_ = std::string{bytes}; // a copy first: bytes may lie in input_
}

size_t connection::take_upgrade(std::string_view bytes) {
  const size_t size = bytes.find("\r\n\r\n");
  if (size == std::string_view::npos)
    return 0;
  if (!bytes.starts_with("HTTP/1.1 101 ")) {
    end("the upgrade was answered: " + std::string{bytes.substr(0, bytes.find('\r'))});
    return 0;
  }
  phase_ = phase::open;
  owner_.opened(*this);
  return size + 4;
}

size_t connection::take_frame(std::string_view bytes) {
  const auto header = parse_header(bytes);
  if (!header || bytes.size() < header->size + header->length)
    return 0;
  std::string_view payload = bytes.substr(header->size, header->length);
  const size_t used = header->size + header->length;
  if (header->op == opcode::ping) {
    std::string pong;
    append_client_frame(pong, opcode::pong, payload);
    write(pong);
    return used;
  }
  if (header->op == opcode::close) {
    const unsigned code =
        payload.size() < 2
            ? 1005
            : static_cast<unsigned>(static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]));
    end("closed with " + std::to_string(code) + " " + std::string{payload.substr(payload.size() < 2 ? 0 : 2)});
    return used;
  }
  if (header->op == opcode::pong)
    return used;
  std::string whole;
  if (!header->fin || !message_.empty()) {
    message_.append(payload);
    if (!header->fin)
      return used;
    whole.swap(message_);
    payload = whole;
  }
  while (!payload.empty() && phase_ == phase::open) {
    const size_t line = std::min(payload.find('\n'), payload.size());
    if (line > 0)
      owner_.received(*this, payload.substr(0, line));
    payload.remove_prefix(std::min(line + 1, payload.size()));
  }
  return used;
}

void connection::write(std::string_view bytes) {
  if (phase_ == phase::closed)
    return;
  if (!output_.empty()) {
    output_.append(bytes);
    return;
  }
  const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    return end(std::strerror(errno));
  const size_t sent = n < 0 ? 0 : static_cast<size_t>(n);
  if (sent < bytes.size()) {
    output_.assign(bytes.substr(sent));
    watch(EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  }
}

void connection::watch(uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  if (epoll_ctl(loop_.epoll_, operation, fd_, &event) != 0)
    throw_errno("epoll_ctl");
}

void connection::end(const std::string& why) {
  close();
  owner_.ended(*this, why);
}

} // namespace greenroom::bench
