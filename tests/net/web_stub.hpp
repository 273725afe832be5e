// web_stub: a web server on loopback that answers each request with the bytes that the test says, or not at all.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

class web_stub {
public:
  web_stub() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd_, 16) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw std::runtime_error("cannot listen");
    port = ntohs(at.sin_port);
    thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
  }
  ~web_stub() {
    thread_.request_stop();
    thread_.join();
    for (int held : held_)
      ::close(held);
    ::close(fd_);
  }
  web_stub(const web_stub&) = delete;
  web_stub& operator=(const web_stub&) = delete;

  std::string url(const std::string& path = "/keys") const { return "http://127.0.0.1:" + std::to_string(port) + path; }
  /// Answers so from now on; `bytes` empty: not at all.
  void answer_raw(std::string bytes) {
    std::lock_guard guard{mutex_};
    answer_ = std::move(bytes);
  }
  void answer(const std::string& body, const std::string& status = "200 OK") {
    answer_raw("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  std::string last_request() {
    std::lock_guard guard{mutex_};
    return request_;
  }

  uint16_t port = 0;
  std::atomic<int> requests{0};

private:
  void run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, 10) != 1)
        continue;
      const int peer = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0)
        continue;
      std::string got;
      char some[4096];
      while (got.find("\r\n\r\n") == std::string::npos) {
        const auto n = ::recv(peer, some, sizeof some, 0);
        if (n <= 0)
          break;
        got.append(some, static_cast<size_t>(n));
      }
      std::string answer;
      {
        std::lock_guard guard{mutex_};
        request_ = got;
        answer = answer_;
      }
      ++requests;
      if (answer.empty()) {
        held_.push_back(peer);
        continue;
      }
      std::string_view rest = answer;
      while (!rest.empty()) {
        const auto n = ::send(peer, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n <= 0)
          break;
        rest.remove_prefix(static_cast<size_t>(n));
      }
      ::close(peer);
    }
  }

  int fd_ = -1;
  std::mutex mutex_;
  std::string answer_;
  std::string request_;
  std::vector<int> held_;
  std::jthread thread_;
};
