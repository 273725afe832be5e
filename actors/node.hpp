// node: the actors of one Greenroom node as net/ sees them: start it, hand it connections and REST calls, stop it.
#pragma once

#include "actors/client.hpp"
#include "actors/encoder.hpp"
#include "actors/hooks.hpp"
#include "actors/http_client.hpp"
#include "actors/lane.hpp"
#include "actors/metrics.hpp"
#include "actors/requests.hpp"
#include "actors/tenants.hpp"
#include "actors/transport.hpp"
#include "config/address.hpp"
#include "config/settings.hpp"
#include "storage/store.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace greenroom {

class flood_control;
namespace cluster {
class agreement;
class front;
struct figures;
} // namespace cluster

class node {
public:
  struct parts {
    const settings& config;
    storage::store& store;                  // outlives the node
    const encoder& encode;                  // outlives the node
    const token_verifier& tokens;           // outlives the node
    greenroom::metrics& metrics;            // outlives the node
    std::vector<lane*> lanes;               // outlive the node; run until stop() returned
    cluster::agreement* decide = nullptr;   // outlives the node; null: the node is by itself
    cluster::front* front = nullptr;        // outlives the node; null: links are not encrypted
    http_client* web = nullptr;             // outlives the node; null, or without `wire`: no webhooks
    const hooks::hook_wire* wire = nullptr; // outlives the node
    hooks::hook_set hooks = {};
    /// Called once, on some thread, when the node has drained and should be stopped. Must not block. May be null.
    std::function<void()> drained = nullptr;
  };
  /// Starts shard, storage and user-facing actors. Throws std::runtime_error when the actor system can't start, or the
  /// port of the cluster's links can't be had.
  explicit node(parts p);
  ~node();
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  /// A new connection, from its lane's thread. `who` is set when the upgrade request carried a good token. The
  /// transport stays alive until client::closed().
  std::unique_ptr<client> connect(lane& on, std::shared_ptr<transport> socket, std::optional<identity> who,
                                  const remote& from);
  /// Performs one operation for REST, after asking the user actor whether the session was revoked; `done` is called
  /// once, later, on the lane's thread, at the latest after limits.request_ms (then with unavailable). Only create,
  /// join, leave, send, history, read, members and rooms.
  void perform(lane& on, const identity& who, op::any what, std::function<void(answer)> done);
  /// The same for accounts. `who` may be empty for register, log_in, guest and refresh. An answer about a password may
  /// take as long as limits.request_ms, too: it waits for the hasher.
  void perform(lane& on, const identity& who, account::any what, std::function<void(answer)> done);
  /// The same for operators.
  void perform(lane& on, const identity& who, admin::any what, std::function<void(answer)> done);

  /// Waits until reload() may be called again. False: since the last time, some thread has been at one and the same
  /// thing for many seconds.
  bool may_reload();
  /// New limits for everything that happens from now on. REQUIRES: may_reload() has answered true; on that same thread,
  /// which is no lane's, and before stop().
  void reload(const limits& l);
  /// New webhooks, likewise; any thread, before stop().
  void reload(hooks::hook_set set);
  /// What each webhook has done. Any thread, as long as the node is there.
  std::vector<std::pair<std::string, hooks::figures_ptr>> hook_figures() const;
  /// The limits in force. On a lane's thread, and not to be kept beyond the handler there that asks.
  const limits* limits_now() const;
  /// The same, from any thread and for as long as they are held.
  std::shared_ptr<const limits> limits_kept() const;
  /// Limits by user and by address, and who is banned. Any thread, as long as the node is there.
  flood_control& floods();
  /// Whether requests can be served: the store takes writes, and every shard has started; in a cluster, the node's
  /// lease holds, and it does not drain. Any thread; for /readyz.
  bool ready() const;
  /// Whether an operator has told the node to give up its shards and clients, and to stop. Any thread.
  bool draining() const;
  /// Whether it has drained for so long that whoever asks /readyz knows: who comes now would only have to go again. Any
  /// thread.
  bool turns_clients_away() const;
  /// Null: the node is by itself. Any thread, as long as the node is there.
  const cluster::figures* cluster_figures() const;
  const tenants& tenant_figures() const;
  /// Finishes what is in flight and ends all actors. Call it when no connection is open any more, and not from a lane's
  /// thread; the lanes run until it returned. False: something did not end in time; the process should then `_Exit`.
  bool stop();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace greenroom
