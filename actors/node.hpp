// node: the actors of one Greenroom node as net/ sees them: start it, hand it connections and REST calls, stop it.
#pragma once

#include "actors/encoder.hpp"
#include "actors/lane.hpp"
#include "actors/metrics.hpp"
#include "actors/requests.hpp"
#include "actors/transport.hpp"
#include "config/settings.hpp"
#include "storage/store.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace greenroom {

/// What can be asked about accounts; answered with ok::grant, ok::none or ok::sessions.
namespace account {
struct register_user {
  user_id user;
  std::string password, device;
};
struct log_in {
  user_id user;
  std::string password, device;
};
struct guest {
  std::string device;
};
struct refresh { // `who` of the call is not looked at
  std::string refresh_token;
};
/// Revokes the caller's session, or another one of the same user, and closes its connections.
struct end_session {
  std::string session; // empty: the caller's own
};
struct list_sessions {
  bool all = false; // of every user; needs identity::admin
};
using any = std::variant<register_user, log_in, guest, refresh, end_session, list_sessions>;
} // namespace account

/// A connection's handle for net/: where decoded frames go. Lane thread only.
class client {
public:
  virtual ~client() = default;
  virtual void receive(request r) = 0;
  virtual void receive(bad_frame f) = 0;
  /// The outbox fell below half of its bound.
  virtual void drained() = 0;
  /// The socket is gone, whoever ended it. Nothing may be called afterwards.
  virtual void closed() = 0;
};

class node {
public:
  struct parts {
    const settings& config;
    storage::store& store;        // outlives the node
    const encoder& encode;        // outlives the node
    const token_verifier& tokens; // outlives the node
    greenroom::metrics& metrics;  // outlives the node
    std::vector<lane*> lanes;     // outlive the node; run until stop() returned
  };
  /// Starts shard, storage and user-facing actors. Throws std::runtime_error when the actor system can't start.
  explicit node(parts p);
  ~node();
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  /// A new connection, from its lane's thread. `who` is set when the upgrade request carried a good token. The
  /// transport stays alive until client::closed().
  std::unique_ptr<client> connect(lane& on, std::shared_ptr<transport> socket, std::optional<identity> who,
                                  std::string address);
  /// Performs one operation for REST, after asking the user actor whether the session was revoked; `done` is called
  /// once, later, on the lane's thread, at the latest after limits.request_ms (then with unavailable). Only create,
  /// join, leave, send, history, read, members and rooms.
  void perform(lane& on, const identity& who, op::any what, std::function<void(answer)> done);
  /// The same for accounts. `who` may be empty for register, log_in, guest and refresh.
  void perform(lane& on, const identity& who, account::any what, std::function<void(answer)> done);

  /// New limits for everything that happens from now on. Any thread.
  void reload(std::shared_ptr<const limits> l);
  /// The limits in force. Any thread.
  std::shared_ptr<const limits> limits_now() const;
  /// Whether requests can be served: every shard has started, and the store takes writes. Any thread; for /readyz.
  bool ready() const;
  /// Closes every connection with `code`, finishes what is in flight, ends all actors. Not from a lane's thread.
  void stop(close_code code);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace greenroom
