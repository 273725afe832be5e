// peer: the client's end of a connection to a server under test, blocking, with a limit on every wait. Speaks raw
// bytes, HTTP and WebSocket frames, plain or TLS, and can do all of it wrongly.
#pragma once

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace greenroom::test {

/// Generous: only a failing test waits that long.
inline constexpr int patience_ms = 15'000;

struct ws_message {
  int opcode = 0;
  std::string payload;
  uint16_t code() const {
    return payload.size() < 2 ? uint16_t{0}
                              : static_cast<uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                                      static_cast<unsigned char>(payload[1]));
  }
};

struct http_answer {
  int status = 0;
  std::string head;
  std::string body;
};

/// A client's frame, by default a well-formed masked one.
struct ws_shape {
  int opcode = 1;
  bool fin = true;
  bool masked = true;
  int reserved = 0;                              // the three bits, 0..7
  std::optional<uint64_t> length = std::nullopt; // what the header claims, when it lies
};

inline std::string ws_client_frame(std::string_view payload, ws_shape s = {}) {
  std::string out;
  out += static_cast<char>((s.fin ? 0x80 : 0) | s.reserved << 4 | s.opcode);
  const uint64_t length = s.length.value_or(payload.size());
  const char mask_bit = s.masked ? '\x80' : '\0';
  const int bytes = length < 126 ? 0 : length <= 0xffff ? 2 : 8;
  out += static_cast<char>(mask_bit | (bytes == 0 ? static_cast<char>(length) : bytes == 2 ? 126 : 127));
  for (int i = bytes - 1; i >= 0; --i)
    out += static_cast<char>(length >> (8 * i));
  constexpr char key[] = {0x11, 0x22, 0x33, 0x44};
  if (s.masked)
    out.append(key, 4);
  for (size_t i = 0; i < payload.size(); ++i)
    out += s.masked ? static_cast<char>(payload[i] ^ key[i % 4]) : payload[i];
  return out;
}

class peer {
public:
  explicit peer(uint16_t port, bool tls = false, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_buffer > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("can't connect");
    const timeval limit{patience_ms / 1000, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (tls)
      start_tls();
  }
  ~peer() { close(); }
  peer(peer&& x) noexcept
      : fd_(std::exchange(x.fd_, -1)), context_(std::move(x.context_)), ssl_(std::move(x.ssl_)),
        seen_(std::move(x.seen_)) {}
  peer& operator=(peer&&) = delete;

  /// Without a goodbye of TLS or WebSocket.
  void close() {
    ssl_.reset();
    if (fd_ >= 0)
      ::close(std::exchange(fd_, -1));
  }
  /// The peer is told by a reset rather than by a FIN.
  void vanish() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void set_send_patience(timeval limit) { ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); }
  int descriptor() const { return fd_; }
  SSL* ssl() { return ssl_.get(); }
  /// The name in the server's certificate.
  std::string server_name() {
    std::unique_ptr<X509, decltype(&X509_free)> x{SSL_get1_peer_certificate(ssl_.get()), X509_free};
    char name[128] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(x.get()), NID_commonName, name, sizeof name);
    return name;
  }

  /// False when the server has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                          : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0)
        return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool frame(std::string_view payload, ws_shape s = {}) { return send(ws_client_frame(payload, s)); }

  /// Reads on; false at the end of the stream, after a reset, or when patience ran out.
  bool more() {
    char buffer[65'536];
    const auto n = ssl_ ? SSL_read(ssl_.get(), buffer, sizeof buffer) : ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) {
      reset_ = n < 0 && errno == ECONNRESET;
      timed_out_ = n < 0 && errno == EAGAIN;
      return false;
    }
    seen_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  /// Whether the server closed the connection, with nothing more to read.
  bool ended() {
    while (more())
      seen_.clear();
    return !timed_out_;
  }
  bool was_reset() const { return reset_; }
  /// Whether something arrives within that time.
  bool readable_within(int ms) {
    pollfd p{fd_, POLLIN, 0};
    return !seen_.empty() || ::poll(&p, 1, ms) == 1;
  }
  std::string take(size_t n) {
    while (seen_.size() < n)
      if (!more())
        throw std::runtime_error("the connection ended early");
    auto out = seen_.substr(0, n);
    seen_.erase(0, n);
    return out;
  }

  http_answer answer(bool head_only = false) {
    size_t end;
    while ((end = seen_.find("\r\n\r\n")) == std::string::npos)
      if (!more())
        return {};
    http_answer a;
    a.head = take(end + 4);
    a.status = std::stoi(a.head.substr(9, 3));
    if (const auto at = a.head.find("Content-Length: "); at != std::string::npos && !head_only)
      a.body = take(std::stoul(a.head.substr(at + 16)));
    return a;
  }
  http_answer request(std::string_view head, std::string_view body = {}) {
    std::string all{head};
    all.append("\r\n\r\n").append(body);
    send(all);
    return answer(head.starts_with("HEAD"));
  }
  static std::string upgrade_head(std::string_view more_headers = {}, std::string_view target = "/ws") {
    std::string head = "GET ";
    head.append(target).append(
        " HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    head.append(more_headers);
    return head;
  }
  http_answer upgrade(std::string_view more_headers = {}) { return request(upgrade_head(more_headers)); }

  ws_message message() {
    const auto header = take(2);
    ws_message m;
    m.opcode = header[0] & 0x0f;
    if ((header[0] & 0xf0) != 0x80 || (header[1] & 0x80) != 0)
      throw std::runtime_error("the server's frame is masked, fragmented or has reserved bits");
    uint64_t length = header[1] & 0x7f;
    if (length >= 126) {
      const auto bytes = take(length == 126 ? 2 : 8);
      length = 0;
      for (unsigned char c : bytes)
        length = length << 8 | c;
    }
    m.payload = take(length);
    return m;
  }
  /// The next message that is no ping.
  ws_message data() {
    auto m = message();
    while (m.opcode == 9)
      m = message();
    return m;
  }

private:
  void start_tls() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    ssl_.reset(SSL_new(context_.get()));
    const unsigned char alpn[] = "\x08http/1.1";
    SSL_set_alpn_protos(ssl_.get(), alpn, sizeof alpn - 1);
    SSL_set_fd(ssl_.get(), fd_);
    if (SSL_connect(ssl_.get()) != 1)
      throw std::runtime_error("TLS handshake failed");
  }
  struct free_ssl {
    void operator()(SSL* s) const { SSL_free(s); }
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
  };
  int fd_ = -1;
  std::unique_ptr<SSL_CTX, free_ssl> context_;
  std::unique_ptr<SSL, free_ssl> ssl_;
  std::string seen_;
  bool reset_ = false;
  bool timed_out_ = false;
};

} // namespace greenroom::test
