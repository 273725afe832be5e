// bare-fanout: what a fan-out costs when there is nothing but the kernel in it, the yardstick for `fanout`. One thread,
// one epoll set; every `send` becomes one WebSocket frame, made once, that is written to all subscribed sockets with
// one writev each.
//
// It speaks just as much as greenroom-bench needs: it answers every request with `ok`, checks nothing, stores nothing,
// and gives up when a socket does not take a frame whole (with one message at a time that does not happen).
//
//   bare-fanout PORT
#include "wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <unordered_map>
#include <vector>

namespace {

using namespace greenroom::bench;

struct client {
  bool upgraded = false;
  std::string input;
};

constexpr std::string_view upgrade_answer = "HTTP/1.1 101 Switching Protocols\r\n"
                                            "Upgrade: websocket\r\n"
                                            "Connection: Upgrade\r\n"
                                            "Sec-WebSocket-Protocol: greenroom.v1\r\n\r\n";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class server {
public:
  explicit server(uint16_t port) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 1024) != 0)
      die("bare-fanout: listen");
    watch(listener_);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        fd == listener_ ? accept() : read(fd);
      }
    }
  }

private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
      die("bare-fanout: epoll_ctl");
  }

  void accept() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0)
        return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      clients_[fd];
      watch(fd);
    }
  }

  void read(int fd) {
    char buffer[16'384];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
      return;
    client& c = clients_[fd];
    if (n <= 0)
      return leave(fd);
    c.input.append(buffer, static_cast<size_t>(n));
    if (!c.upgraded) {
      const size_t end = c.input.find("\r\n\r\n");
      if (end == std::string::npos)
        return;
      c.upgraded = true;
      c.input.erase(0, end + 4);
      write(fd, upgrade_answer);
    }
    while (const auto header = parse_header(c.input)) {
      if (c.input.size() < header->size + header->length)
        return;
      std::string payload = c.input.substr(header->size, header->length);
      c.input.erase(0, header->size + header->length);
      apply_mask(payload.data(), payload.size(), header->mask);
      if (header->op == opcode::close)
        return leave(fd);
      answer(fd, payload);
    }
  }

  void answer(int fd, std::string_view request) {
    const std::string id = std::to_string(number_in(request, "\"id\":").value_or(0));
    const std::string_view op = text_in(request, "\"op\":\"");
    if (op == "subscribe" || op == "join")
      audience_.push_back(fd);
    if (op == "unsubscribe")
      std::erase(audience_, fd);
    if (op == "send")
      broadcast(request);
    std::string frame;
    append_server_frame(frame, opcode::text, R"({"re":)" + id + R"(,"ok":{}})");
    write(fd, frame);
  }

  /// The same event, with the same fields, as Greenroom would send.
  void broadcast(std::string_view request) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    std::string event = R"({"ev":"message","room":")";
    event.append(text_in(request, "\"room\":\"")).append(R"(","seq":)").append(std::to_string(++seq_));
    event.append(R"(,"ts":)").append(std::to_string(now.tv_sec * 1000 + now.tv_nsec / 1'000'000));
    event.append(R"(,"from":"fanout-sender","key":")").append(text_in(request, "\"key\":\""));
    event.append(R"(","text":")").append(text_in(request, "\"text\":\"")).append("\"}");
    std::string frame;
    append_server_frame(frame, opcode::text, event);
    for (const int fd : audience_)
      write(fd, frame);
  }

  void write(int fd, std::string_view bytes) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    if (::writev(fd, &part, 1) != static_cast<ssize_t>(bytes.size()))
      die("bare-fanout: writev");
  }

  void leave(int fd) {
    std::erase(audience_, fd);
    clients_.erase(fd);
    ::close(fd);
  }

  int epoll_;
  int listener_ = -1;
  uint64_t seq_ = 0;
  std::unordered_map<int, client> clients_;
  std::vector<int> audience_;
};

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bare-fanout PORT\n", stderr);
    return 2;
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  server{static_cast<uint16_t>(std::atoi(argv[1]))}.run();
}
