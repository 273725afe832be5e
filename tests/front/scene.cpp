#include "scene.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <random>
#include <stdexcept>

namespace greenroom::test {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

template <class T>
T expect(outcome<T> x) {
  if (!x)
    throw std::runtime_error(x.error().message);
  return std::move(*x);
}

} // namespace

// -- certificates -----------------------------------------------------------------------------------------------------

offices::offices() {
  std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes to sockets that are gone
  std::string path = (std::filesystem::temp_directory_path() / "greenroom-front-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr)
    throw std::runtime_error("mkdtemp");
  directory_ = path;
}

std::string offices::keep(const std::string& name, const std::string& text) {
  const auto file = directory_ / name;
  std::ofstream(file) << text;
  return file.string();
}

credential_files offices::files(const std::string& node, const std::string& ca, cli::lifetime alive) {
  if (!authorities_.contains(ca))
    authorities_[ca] = expect(cli::make_authority({10 * cli::day_s, -10 * cli::day_s}));
  const auto& authority = authorities_[ca];
  const auto made = expect(cli::issue(authority, node, alive));
  const auto stem = std::to_string(++count_);
  return {keep(stem + ".pem", made.certificate), keep(stem + ".key", made.key),
          keep(ca + ".ca", authority.certificate)};
}

std::string offices::both(const std::string& one, const std::string& other) {
  return keep(one + "+" + other + ".ca", authorities_.at(one).certificate + authorities_.at(other).certificate);
}

std::shared_ptr<const credentials> offices::of(const std::string& node, const std::string& ca) {
  return expect(credentials::load(files(node, ca), node));
}

// -- sockets ----------------------------------------------------------------------------------------------------------

wire::wire(int fd) : fd_(fd) {
  if (fd < 0)
    throw std::runtime_error("no socket");
  timeval limit{patience.count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

wire wire::to(uint16_t port, int receive_buffer, const char* from) {
  wire out{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (receive_buffer > 0)
    ::setsockopt(out.fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (from != nullptr) {
    auto own = loopback(0);
    ::inet_pton(AF_INET, from, &own.sin_addr);
    if (::bind(out.fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
      throw std::runtime_error("can't bind");
  }
  const auto at = loopback(port);
  if (::connect(out.fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    throw std::runtime_error("can't connect");
  return out;
}

wire::~wire() { close(); }

void wire::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

bool wire::send(std::string_view all) {
  while (!all.empty()) {
    const auto n = ::send(fd_, all.data(), all.size(), MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    all.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

size_t wire::send_some(std::string_view text) {
  const auto n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

bool wire::stuck(std::chrono::milliseconds a_while) const {
  pollfd p{fd_, POLLOUT, 0};
  return ::poll(&p, 1, static_cast<int>(a_while.count())) == 0;
}

std::string wire::some(size_t bytes_max) {
  std::string out(bytes_max, '\0');
  const auto n = ::recv(fd_, out.data(), out.size(), 0);
  if (n < 0 && errno == EAGAIN)
    throw std::runtime_error("nothing came, and no end");
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

std::string wire::receive(size_t bytes) {
  std::string out;
  while (out.size() < bytes) {
    auto more = some(std::min<size_t>(bytes - out.size(), 1 << 16));
    if (more.empty())
      break;
    out += more;
  }
  return out;
}

tls_wire::tls_wire(wire on, as role, const std::optional<credential_files>& files) : wire(std::move(on)) {
  context_ = SSL_CTX_new(TLS_method());
  if (files && (SSL_CTX_use_certificate_chain_file(context_, files->certificate.c_str()) != 1 ||
                SSL_CTX_use_PrivateKey_file(context_, files->key.c_str(), SSL_FILETYPE_PEM) != 1))
    throw std::runtime_error("certificate");
  if (role == as::server) // asks for a certificate, and believes any
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  ssl_ = SSL_new(context_);
  SSL_set_fd(ssl_, fd_);
  shaken_ = (role == as::client ? SSL_connect(ssl_) : SSL_accept(ssl_)) == 1;
}

tls_wire::~tls_wire() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

bool tls_wire::send(std::string_view all) {
  return SSL_write(ssl_, all.data(), static_cast<int>(all.size())) == static_cast<int>(all.size());
}

std::string tls_wire::some(size_t bytes_max) {
  std::string out(bytes_max, '\0');
  errno = 0;
  const auto n = SSL_read(ssl_, out.data(), static_cast<int>(out.size()));
  if (n <= 0 && errno == EAGAIN)
    throw std::runtime_error("nothing came, and no end");
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

std::string tls_wire::line() {
  std::string out;
  for (;;) {
    auto one = some(1);
    if (one.empty() || one == "\n")
      return out;
    out += one;
  }
}

door::door() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (fd_ < 0 || ::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd_, 16) != 0 ||
      ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error("no door");
  port_ = ntohs(at.sin_port);
  timeval limit{patience.count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit); // of accept()
}

door::~door() { ::close(fd_); }

wire door::accept(int receive_buffer) {
  if (receive_buffer > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer); // inherited
  return wire{::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)};
}

// -- nodes ------------------------------------------------------------------------------------------------------------

node_scene::node_scene(offices& by, const std::string& n, std::vector<std::string> listed, net::front::options o)
    : name(n) {
  o.name = n;
  front = std::make_unique<mtls_front>(o, by.of(n));
  front->open(gateway.port());
  know(listed);
}

void node_scene::know(const std::vector<std::string>& listed) {
  std::vector<cluster::known_peer> nodes;
  for (const auto& one : listed)
    nodes.push_back({one, "store", "127.0.0.1", 1});
  front->know(std::move(nodes));
}

std::future<uint16_t> node_scene::dial(const cluster::known_peer& to) {
  auto way = std::make_shared<std::promise<uint16_t>>();
  front->dial(to, [way](const cluster::endpoint* found) { way->set_value(found ? found->port : uint16_t{0}); });
  return way->get_future();
}

std::optional<wire> link_up(node_scene& from, const cluster::known_peer& to) {
  auto way = from.dial(to);
  if (way.wait_for(patience) != std::future_status::ready)
    return std::nullopt;
  const auto port = way.get();
  return port == 0 ? std::nullopt : std::optional{wire::to(port)};
}

std::string unlike_text(size_t bytes, uint32_t seed) {
  std::mt19937 chance{seed};
  std::string out(bytes, '\0');
  for (auto& c : out)
    c = static_cast<char>(chance());
  return out;
}

} // namespace greenroom::test
