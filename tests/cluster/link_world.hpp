// link_world: nodes that have nothing but a gateway, in this process and in others, and what they saw.
#pragma once

#include "actors/cluster/gateway.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::cluster::test {

inline constexpr std::chrono::seconds patience{120};

inline letter text(uint16_t to, std::string what) { return {to, std::make_shared<const std::string>(std::move(what))}; }

/// What the events of one gateway told, in order; waits for more of it.
class witness {
public:
  struct event {
    enum class kind { up, down, letter } what;
    std::string name;
    uint64_t incarnation;
    channel by{};
    uint16_t to = 0;
    std::string text;
  };

  link_events events();
  /// Called for each batch of letters, before it is noted, in the gateway.
  std::function<void(const peer_ptr&, channel, const std::vector<letter>&)> on_letters;

  std::vector<event> all() const;
  /// Waits until `enough` holds; false: it never did.
  bool wait(const std::function<bool(const std::vector<event>&)>& enough) const;
  /// The live link to the node, waited for; not the one with `but`.
  peer_ptr link(const std::string& name, uint64_t but = 0) const;
  /// Null: there is none now.
  peer_ptr live(const std::string& name) const;
  bool wait_down(uint64_t incarnation) const;
  bool wait_letters(const std::string& name, size_t count) const;
  std::vector<std::string> texts(const std::string& name, channel by) const;
  /// What is wrong with the order of events, whatever happened: up, letters, down, once each. Empty: nothing.
  std::string disorder() const;

private:
  void note(event x);
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<event> seen_;
  std::map<std::string, peer_ptr> live_;
};

/// Options for a node of this name, with short waits between attempts; a link is lost by silence only where a test says
/// so.
link_options quick(const std::string& name);

/// A node in this process.
class node {
public:
  explicit node(link_options options, find_way way = {});
  explicit node(const std::string& name) : node(quick(name)) {}
  ~node();

  void know(std::vector<known_peer> others);
  void meet(const node& other) { know({other.entry()}); }
  known_peer entry() const { return {options.name, options.store, "127.0.0.1", port()}; }
  uint16_t port() const { return gateway_.port; }
  void stop();

  const link_options options;
  directory living;
  link_metrics figures;
  witness seen;

private:
  struct config : caf::actor_system_config {
    explicit config(const link_options& options);
  };
  config config_;
  std::unique_ptr<caf::actor_system> system_;
  gateway::started gateway_;
};

/// A node in a process of its own; it sends back whatever letter it gets, in the same channel.
class process {
public:
  struct plan {
    std::string name;
    uint16_t port = 0;
    known_peer knows;
  };
  explicit process(const plan& p);
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  known_peer entry() const { return {name_, "store-" + name_, "127.0.0.1", port_}; }
  /// Waits for a line; false: the process ended without it.
  bool wait_line(const std::string& line);
  void signal(int number);
  /// Waits for its end.
  int reap();

private:
  std::optional<std::string> next_line();
  const std::string name_;
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffer_;
  uint16_t port_ = 0;
};

} // namespace greenroom::cluster::test
