// scene: fronts with certificates of their own, a gateway's port behind them, and peers that speak TLS or anything
// else, blocking and with generous limits.
#pragma once

#include "net/cli/certificates.hpp"
#include "net/front/front.hpp"

#include <catch2/catch.hpp>
#include <openssl/ssl.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace greenroom::test {

using net::front::credential_files;
using net::front::credentials;
using net::front::mtls_front;
using net::front::refusal;

inline constexpr std::chrono::seconds patience{60};

/// Whether `f` becomes true within a generous limit.
template <class F>
bool eventually(F f) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!f()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

/// CAs and certificates, in a directory of their own.
class offices {
public:
  offices();
  ~offices() { std::filesystem::remove_all(directory_); }
  offices(const offices&) = delete;
  offices& operator=(const offices&) = delete;

  /// The files of a node, by a CA that is made when it is first named.
  credential_files files(const std::string& node, const std::string& ca = "ours", cli::lifetime alive = {cli::day_s});
  /// A file with two CAs.
  std::string both(const std::string& one, const std::string& other);
  std::shared_ptr<const credentials> of(const std::string& node, const std::string& ca = "ours");

private:
  std::string keep(const std::string& name, const std::string& text);
  std::filesystem::path directory_;
  std::map<std::string, cli::certified> authorities_;
  int count_ = 0;
};

/// A blocking socket. Reading throws if nothing comes for as long as patience lasts.
class wire {
public:
  explicit wire(int fd);
  /// To 127.0.0.1, from there or from another address of loopback.
  static wire to(uint16_t port, int receive_buffer = 0, const char* from = nullptr);
  virtual ~wire();
  wire(wire&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  virtual bool send(std::string_view all);
  /// At least one byte; empty: the end.
  virtual std::string some(size_t bytes_max = 1 << 16);
  /// As many bytes, or fewer if it ended.
  std::string receive(size_t bytes);
  bool ended() { return some().empty(); }
  void close();
  /// Whether it takes no more bytes for a while.
  bool stuck(std::chrono::milliseconds a_while) const;
  /// Sends what fits now; answers how much that was.
  size_t send_some(std::string_view text);

protected:
  int fd_;
};

/// The other end of a handshake.
class tls_wire : public wire {
public:
  enum class as { client, server };
  /// Shows no certificate if there are no files, and believes anybody.
  tls_wire(wire on, as role, const std::optional<credential_files>& files);
  ~tls_wire() override;
  /// Whether the handshake was done.
  bool shaken() const noexcept { return shaken_; }
  bool send(std::string_view all) override;
  std::string some(size_t bytes_max = 1 << 16) override;
  /// Up to the end of a line, without it.
  std::string line();

private:
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool shaken_ = false;
};

/// Something on 127.0.0.1 that takes connections, such as CAF's port.
class door {
public:
  door();
  ~door();
  door(const door&) = delete;
  door& operator=(const door&) = delete;
  uint16_t port() const noexcept { return port_; }
  wire accept(int receive_buffer = 0);

private:
  int fd_;
  uint16_t port_;
};

/// Deadlines that are met on a machine that is busy with other things.
inline net::front::options unhurried() {
  net::front::options o;
  o.handshake_ms = 60'000;
  o.connect_ms = 60'000;
  o.lookup_ms = 60'000;
  o.claim_ms = 60'000;
  return o;
}

/// A node: its front, and its gateway's port.
struct node_scene {
  node_scene(offices& by, const std::string& name, std::vector<std::string> listed,
             net::front::options o = unhurried());
  cluster::known_peer listing() const { return {name, "store", "127.0.0.1", front->port()}; }
  /// The way to a peer; 0: there is none.
  std::future<uint16_t> dial(const cluster::known_peer& to);
  void know(const std::vector<std::string>& listed);
  int64_t refused_in(refusal why) const { return front->figures().refused_in[static_cast<size_t>(why)].get(); }
  int64_t refused_out(refusal why) const { return front->figures().refused_out[static_cast<size_t>(why)].get(); }

  std::string name;
  door gateway;
  std::unique_ptr<mtls_front> front;
};

/// As the gateway of `from` does it.
std::optional<wire> link_up(node_scene& from, const cluster::known_peer& to);

/// A text that is nowhere like itself.
std::string unlike_text(size_t bytes, uint32_t seed);

} // namespace greenroom::test
