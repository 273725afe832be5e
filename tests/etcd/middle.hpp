// middle: what stands between a client and etcd and does harm: it hangs, swallows answers, cuts. And an endpoint that
// answers what the test says, for what a real etcd does once a year.
#pragma once

#include "support/etcd_process.hpp"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <optional>

namespace greenroom::test {

/// A listening socket of 127.0.0.1. Without accept() it is an endpoint that hangs: the kernel connects, nobody answers.
class listening_socket {
public:
  listening_socket() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd_, 128) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw std::runtime_error("cannot listen");
    port_ = ntohs(at.sin_port);
  }
  ~listening_socket() { ::close(fd_); }
  listening_socket(const listening_socket&) = delete;
  listening_socket& operator=(const listening_socket&) = delete;
  int descriptor() const noexcept { return fd_; }
  uint16_t port() const noexcept { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
  int fd_ = -1;
  uint16_t port_ = 0;
};

inline int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0)
    return fd;
  ::close(fd);
  return -1;
}

inline bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// A proxy in front of one member.
class middle {
public:
  enum class way {
    pass,           // as if it were not there
    cut_answers,    // a request reaches etcd and is done; instead of its answer the client sees the end
    swallow,        // the same, but the client sees nothing
    freeze_watches, // watches that run hear nothing more; requests pass
  };
  explicit middle(uint16_t to) : to_(to), thread_([this] { run(); }) {}
  ~middle() {
    over_ = true;
    thread_.join();
  }
  std::string url() const { return socket_.url(); }
  /// Returns when nothing goes the old way any more.
  void go(way w) {
    way_ = w;
    const int before = rounds_;
    while (rounds_ < before + 2)
      std::this_thread::yield();
  }
  /// Answers that did not get through.
  int stopped() const { return stopped_; }

private:
  struct pair {
    int client = -1, server = -1;
    bool watch = false;
    bool held = false; // what comes from the server waits in the kernel
  };
  void run() {
    std::list<pair> pairs;
    while (!over_) {
      ++rounds_;
      std::vector<pollfd> polled = {{socket_.descriptor(), POLLIN, 0}};
      for (auto& p : pairs) {
        p.held = way_ == way::freeze_watches && p.watch;
        polled.push_back({p.client, POLLIN, 0});
        polled.push_back({p.server, static_cast<short>(p.held ? 0 : POLLIN), 0});
      }
      ::poll(polled.data(), polled.size(), 10);
      size_t i = 1;
      for (auto p = pairs.begin(); p != pairs.end(); i += 2) {
        bool ends = false;
        if (polled[i].revents != 0)
          ends = !move(*p, p->client, p->server, true);
        if (!ends && !p->held && polled[i + 1].revents != 0)
          ends = !move(*p, p->server, p->client, false);
        if (!ends) {
          ++p;
          continue;
        }
        ::close(p->client);
        ::close(p->server);
        p = pairs.erase(p);
      }
      if (polled[0].revents != 0) {
        const int client = ::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
        if (const int server = connect_to(to_); server >= 0)
          pairs.push_back({client, server});
        else
          ::close(client);
      }
    }
    for (auto& p : pairs) {
      ::close(p.client);
      ::close(p.server);
    }
  }
  bool move(pair& p, int from, int to, bool request) {
    char bytes[65536];
    const auto n = ::recv(from, bytes, sizeof bytes, 0);
    if (n <= 0)
      return false;
    const std::string_view text(bytes, static_cast<size_t>(n));
    if (request && text.starts_with("POST /v3/watch "))
      p.watch = true;
    if (!request && way_ == way::cut_answers)
      return ++stopped_, false;
    if (!request && way_ == way::swallow)
      return ++stopped_, true;
    return send_all(to, text);
  }

  listening_socket socket_;
  uint16_t to_;
  std::atomic<way> way_{way::pass};
  std::atomic<int> stopped_{0};
  std::atomic<int> rounds_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// An endpoint that answers what it is told. One thread; one connection after the other would block, so each answer
/// ends its connection, but for streams, which stay open until the endpoint ends.
class pretender {
public:
  struct answer {
    std::string body;
    unsigned status = 200;
    bool stream = false; // the first of a chunked stream; more with say()
  };
  /// Called on its thread.
  using script = std::function<answer(const std::string& path, const std::string& body)>;
  explicit pretender(script s) : script_(std::move(s)), thread_([this] { run(); }) {}
  ~pretender() {
    over_ = true;
    thread_.join();
    for (const int fd : streams_)
      ::close(fd);
  }
  std::string url() const { return socket_.url(); }
  /// Sends a piece on all streams, cut where the test wants it to be.
  void say(std::string_view piece) {
    const std::lock_guard lock(mutex_);
    for (const int fd : streams_)
      send_all(fd, chunk(piece));
  }
  size_t streams() {
    const std::lock_guard lock(mutex_);
    return streams_.size();
  }

private:
  static std::string chunk(std::string_view piece) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    return size + std::string(piece) + "\r\n";
  }
  void run() {
    while (!over_) {
      pollfd waiting{socket_.descriptor(), POLLIN, 0};
      if (::poll(&waiting, 1, 10) <= 0)
        continue;
      const int fd = ::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
      if (!serve(fd))
        ::close(fd);
    }
  }
  /// True: it stays open.
  bool serve(int fd) {
    std::string text;
    size_t header = 0, size = 0;
    while (header == 0 || text.size() < header + size) {
      char bytes[4096];
      const auto n = ::recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0)
        return false;
      text.append(bytes, static_cast<size_t>(n));
      if (const auto end = text.find("\r\n\r\n"); header == 0 && end != std::string::npos) {
        header = end + 4;
        size = std::stoul(text.substr(text.find("Content-Length: ") + 16));
      }
    }
    const auto path = text.substr(5, text.find(' ', 5) - 5);
    const auto a = script_(path, text.substr(header));
    auto out = "HTTP/1.1 " + std::to_string(a.status) + " X\r\nContent-Type: application/json\r\n";
    if (!a.stream) {
      send_all(fd, out + "Content-Length: " + std::to_string(a.body.size()) + "\r\nConnection: close\r\n\r\n" + a.body);
      return false;
    }
    const std::lock_guard lock(mutex_);
    send_all(fd, out + "Transfer-Encoding: chunked\r\n\r\n" + chunk(a.body));
    streams_.push_back(fd);
    return true;
  }

  listening_socket socket_;
  script script_;
  std::mutex mutex_;
  std::vector<int> streams_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

} // namespace greenroom::test
