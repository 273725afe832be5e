// etcd_process: real etcd members for tests: on loopback, free ports and a temporary directory; never the system's
// service. They end with the test, also when it is killed.
#pragma once

#include "tests/support/temporary_directory.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace greenroom::test {

/// Starts a program, both outputs into a file. It is killed when the thread that started it ends.
inline pid_t start_program(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> argv;
  for (const auto& w : words)
    argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  const auto child = ::fork();
  if (child < 0)
    throw std::runtime_error("fork");
  if (child > 0)
    return child;
  // Nothing here may allocate: another thread may have held the allocator's lock.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600); fd >= 0) {
    ::dup2(fd, 1);
    ::dup2(fd, 2);
  }
  // Sockets of the test, which would stay open in it.
  ::close_range(3, ~0u, 0);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

/// Waits for its end. Its exit code, or -1 if a signal ended it.
inline int end_of_program(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Runs it to its end, and throws what it said unless that was 0.
inline void run_program(const std::vector<std::string>& words) {
  const temporary_directory dir;
  const auto said = dir.path() / "output";
  if (end_of_program(start_program(words, said)) == 0)
    return;
  std::ifstream in(said);
  throw std::runtime_error(words[0] + ": " + std::string(std::istreambuf_iterator<char>(in), {}));
}

/// A port of 127.0.0.1 that nobody listens on. Somebody may take it before it is used; it is not given out soon again.
inline uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error("no free port");
  ::close(fd);
  return ntohs(at.sin_port);
}

/// How members speak to their clients.
struct etcd_security {
  std::string ca, certificate, key; // all or none: https, and clients must show a certificate of the CA
};

/// One member. Data and ports stay the same over stop() and start().
class etcd_process {
public:
  /// A cluster of its own, which listens and answers.
  etcd_process() : etcd_process(etcd_security{}) {}
  explicit etcd_process(etcd_security s) : etcd_process("one", std::move(s)) {
    start("one=" + peer_url());
    await_health();
  }
  /// One of several; see etcd_cluster.
  explicit etcd_process(std::string name, etcd_security s = {}) : name_(std::move(name)), security_(std::move(s)) {}
  ~etcd_process() { kill(); }
  etcd_process(const etcd_process&) = delete;
  etcd_process& operator=(const etcd_process&) = delete;

  uint16_t port() const noexcept { return client_port_; }
  std::string url() const {
    return (security_.ca.empty() ? "http://127.0.0.1:" : "https://127.0.0.1:") + std::to_string(client_port_);
  }
  std::string peer_url() const { return "http://127.0.0.1:" + std::to_string(peer_port_); }
  const std::string& name() const noexcept { return name_; }

  void start(const std::string& members) {
    members_ = members;
    start();
  }
  /// After stop() or kill().
  void start() {
    std::vector<std::string> words = {"etcd",
                                      "--name",
                                      name_,
                                      "--data-dir",
                                      dir_.path() / "data",
                                      "--listen-client-urls",
                                      url(),
                                      "--advertise-client-urls",
                                      url(),
                                      "--listen-peer-urls",
                                      peer_url(),
                                      "--initial-advertise-peer-urls",
                                      peer_url(),
                                      "--initial-cluster",
                                      members_,
                                      "--initial-cluster-token",
                                      "greenroom-test",
                                      "--logger",
                                      "zap"};
    if (!security_.ca.empty())
      for (const auto& w :
           {std::string("--client-cert-auth"), std::string("--trusted-ca-file"), security_.ca,
            std::string("--cert-file"), security_.certificate, std::string("--key-file"), security_.key})
        words.push_back(w);
    child_ = start_program(words, dir_.path() / "log");
  }
  void restart() {
    kill();
    start();
    await_health();
  }
  /// At once, as by a power cut.
  void kill() {
    if (child_ <= 0)
      return;
    ::kill(child_, SIGKILL);
    end_of_program(child_);
    child_ = -1;
  }
  /// It hangs: its sockets still accept, and nothing is ever answered. The signal reaches its threads one by one: only
  /// when all of them stand still is it true that nothing more comes.
  void freeze() {
    ::kill(child_, SIGSTOP);
    int status = 0;
    while (::waitpid(child_, &status, WUNTRACED) < 0 && errno == EINTR)
      ;
    if (!WIFSTOPPED(status))
      throw std::runtime_error("etcd has ended where it should have been stopped");
  }
  void thaw() { ::kill(child_, SIGCONT); }

  /// etcd's own command line tool, on this member.
  void control(std::vector<std::string> words) const {
    std::vector<std::string> all = {"etcdctl", "--endpoints=" + url(), "--command-timeout=20s"};
    if (!security_.ca.empty()) {
      all.push_back("--cacert=" + security_.ca);
      all.push_back("--cert=" + security_.certificate);
      all.push_back("--key=" + security_.key);
    }
    all.insert(all.end(), words.begin(), words.end());
    run_program(all);
  }
  /// Until it answers with the consent of its cluster.
  void await_health() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{120};
    while (true)
      try {
        return control({"get", "any"});
      } catch (const std::runtime_error& e) {
        if (::waitpid(child_, nullptr, WNOHANG | WNOWAIT) != 0 || std::chrono::steady_clock::now() > deadline)
          throw std::runtime_error("etcd did not start: " + std::string(e.what()) + log());
      }
  }
  std::string log() const {
    std::ifstream in(dir_.path() / "log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

private:
  temporary_directory dir_;
  std::string name_;
  etcd_security security_;
  uint16_t client_port_ = free_port();
  uint16_t peer_port_ = free_port();
  std::string members_;
  pid_t child_ = -1;
};

/// Several members that are one etcd; all of them run and have a leader.
class etcd_cluster {
public:
  explicit etcd_cluster(size_t size = 3) {
    std::string members;
    for (size_t i = 0; i < size; ++i) {
      members_.push_back(std::make_unique<etcd_process>("member" + std::to_string(i)));
      members += (i > 0 ? "," : "") + members_.back()->name() + "=" + members_.back()->peer_url();
    }
    for (auto& m : members_)
      m->start(members);
    for (auto& m : members_)
      m->await_health();
  }
  etcd_process& operator[](size_t i) { return *members_[i]; }
  size_t size() const noexcept { return members_.size(); }
  std::vector<std::string> urls() const {
    std::vector<std::string> out;
    for (const auto& m : members_)
      out.push_back(m->url());
    return out;
  }

private:
  std::vector<std::unique_ptr<etcd_process>> members_;
};

} // namespace greenroom::test
