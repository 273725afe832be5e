// net_house: the transport with a house behind it that only records: connections keep the lines that they were given,
// tokens are good when they say so, and HTTP requests are echoed.
#pragma once

#include "net/server.hpp"
#include "net/ws_frame.hpp"
#include "net_peer.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace greenroom::test {

/// Whether `f` becomes true within a generous limit.
template <class F>
bool eventually(F f) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms};
  while (!f()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

/// A self-signed certificate and its key, as PEM files in a directory of their own.
struct certificate {
  std::filesystem::path dir;
  std::string cert, key;

  explicit certificate(const std::string& name) {
    std::string path = (std::filesystem::temp_directory_path() / "greenroom-tls-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr)
      throw std::runtime_error("mkdtemp");
    dir = path;
    cert = dir / "cert.pem";
    key = dir / "key.pem";
    write(name, cert, key);
  }
  ~certificate() { std::filesystem::remove_all(dir); }
  certificate(const certificate&) = delete;
  certificate& operator=(const certificate&) = delete;

  static void write(const std::string& name, const std::string& cert_file, const std::string& key_file) {
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair{EVP_EC_gen("P-256"), EVP_PKEY_free};
    std::unique_ptr<X509, decltype(&X509_free)> x{X509_new(), X509_free};
    ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x.get()), 86'400);
    X509_set_pubkey(x.get(), pair.get());
    auto* subject = X509_get_subject_name(x.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(x.get(), subject);
    X509_sign(x.get(), pair.get(), EVP_sha256());
    std::unique_ptr<FILE, decltype(&std::fclose)> c{std::fopen(cert_file.c_str(), "w"), std::fclose};
    PEM_write_X509(c.get(), x.get());
    std::unique_ptr<FILE, decltype(&std::fclose)> k{std::fopen(key_file.c_str(), "w"), std::fclose};
    PEM_write_PrivateKey(k.get(), pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
  }
};

/// What became of one connection. Lines and flags may be read from any thread, under the house's mutex.
struct connection_record {
  greenroom::lane* on = nullptr;
  std::shared_ptr<transport> socket; // to be used on the lane's thread
  std::optional<identity> who;
  remote from;
  std::vector<std::string> lines;
  int drained = 0;
  int closed = 0;
};

class net_house : private token_verifier, private net::http_handler {
public:
  using record_ptr = std::shared_ptr<connection_record>;

  /// TLS as well, when a certificate is given; then tls_port is set.
  explicit net_house(greenroom::limits l = {}, const certificate* tls = nullptr, uint32_t io_threads = 2,
                     std::vector<std::string> origins = {}, uint32_t unsent_bytes = 131'072)
      : threads(io_threads, metrics) {
    set_limits(l);
    net::server_hooks hooks;
    hooks.connect = [this](lane& on, std::shared_ptr<transport> socket, std::optional<identity> who,
                           const remote& from) {
      auto r = std::make_shared<connection_record>();
      r->on = &on;
      r->socket = std::move(socket);
      r->who = std::move(who);
      r->from = from;
      std::lock_guard guard{mutex};
      connections.push_back(r);
      return std::make_unique<recorder>(*this, r);
    };
    hooks.decode = [this](std::string_view line, client& to) {
      auto& record = *static_cast<recorder&>(to).record;
      {
        std::lock_guard guard{mutex};
        record.lines.emplace_back(line);
      }
      if (on_line)
        on_line(record, line);
    };
    hooks.http = this;
    hooks.tokens = this;
    hooks.metrics = &metrics;
    hooks.floods = &floods;
    hooks.limits = [this] {
      std::lock_guard guard{mutex};
      return limits_;
    };
    hooks.turns_away = [this] { return turns_away.load(); };
    hooks.allowed_origins = std::move(origins);
    net::server_options options;
    options.unsent_bytes = unsent_bytes;
    options.listen.push_back({"127.0.0.1", 0, false});
    if (tls != nullptr) {
      options.tls = net::tls_files{tls->cert, tls->key, "1.2"};
      options.listen.push_back({"127.0.0.1", 0, true});
    }
    server.emplace(threads, std::move(options), std::move(hooks));
    port = server->ports()[0];
    if (tls != nullptr)
      tls_port = server->ports()[1];
  }
  ~net_house() {
    server->stop_accepting();
    server->close_all(close_code::shutdown);
    threads.join();
    connections.clear();
    server.reset();
  }

  void set_limits(greenroom::limits l) {
    std::lock_guard guard{mutex};
    limits_ = std::make_shared<const greenroom::limits>(l);
  }
  /// The connection that was accepted as the n-th, waiting for it.
  record_ptr connection(size_t n = 0) {
    eventually([&] {
      std::lock_guard guard{mutex};
      return connections.size() > n;
    });
    std::lock_guard guard{mutex};
    return connections.at(n);
  }
  size_t accepted() {
    std::lock_guard guard{mutex};
    return connections.size();
  }
  std::vector<std::string> lines(const record_ptr& r) {
    std::lock_guard guard{mutex};
    return r->lines;
  }
  bool has_lines(const record_ptr& r, size_t n) {
    return eventually([&] { return lines(r).size() >= n; });
  }
  bool is_closed(const record_ptr& r) {
    return eventually([&] {
      std::lock_guard guard{mutex};
      return r->closed > 0;
    });
  }
  /// Runs `f` with the transport on its thread, and waits.
  void at(const record_ptr& r, const std::function<void(transport&)>& f) {
    threads[r->on->index()].call([&] { f(*r->socket); });
  }
  void write(const record_ptr& r, std::string_view text, delivery how = delivery::reliable) {
    at(r, [&](transport& t) { t.write(net::ws_text(text), how); });
  }
  int64_t closes(close_code code) const {
    size_t i = 0;
    while (i < metrics::close_codes && metrics::known_closes[i] != code)
      ++i;
    return metrics.closes[i].get();
  }
  int64_t other_closes() const { return metrics.closes[greenroom::metrics::close_codes].get(); }

  std::function<void(connection_record&, std::string_view)> on_line;    // on I/O threads; set before anybody connects
  std::function<void(std::function<void(net::http_response)>)> on_slow; // for requests to /slow
  greenroom::metrics metrics;
  flood_control floods{metrics};
  std::atomic<bool> turns_away{false};

private:
  class recorder : public client {
  public:
    recorder(net_house& h, record_ptr r) : record(std::move(r)), house_(h) {}
    void receive(request) override {}
    void receive(bad_frame) override {}
    void drained() override {
      std::lock_guard guard{house_.mutex};
      ++record->drained;
    }
    void closed() override {
      std::lock_guard guard{house_.mutex};
      ++record->closed;
    }
    const record_ptr record;

  private:
    net_house& house_;
  };

  outcome<identity> verify(std::string_view token) const override {
    if (!token.starts_with("good-"))
      return fail(errc::unauthenticated, "the token is not \"good\"");
    identity who;
    who.user = user_id::trusted(std::string{token.substr(5)});
    return who;
  }
  void handle(lane&, net::http_request r, std::function<void(net::http_response)> done) override {
    if (r.path == "/slow" && on_slow)
      return on_slow(std::move(done));
    net::http_response a;
    a.content_type = "text/plain";
    a.body = r.method + " " + r.path + " " + r.body;
    for (auto& [name, value] : r.query)
      a.body += "|" + name + "=" + value;
    if (r.path == "/large")
      a.body.assign(4'000'000, 'x');
    done(std::move(a));
  }

  std::shared_ptr<const greenroom::limits> limits_;

public:
  std::mutex mutex; // guards the limits, the connections and what is in them
  std::vector<record_ptr> connections;
  net::io_threads threads;
  std::optional<net::server> server;
  uint16_t port = 0;
  uint16_t tls_port = 0;
};

} // namespace greenroom::test
