// flood control: who does something too often, by user and by address, and what becomes of those who go on regardless.
//
// A limit has a token bucket. What one connection does is counted in the connection itself, which has a thread of its
// own; what a whole room is sent, in the room. What is said here concerns a user over all of his devices, REST
// included, or an address over all of its connections, wherever on this node they are: so these buckets are shared by
// all threads, in tables without locks. They could live with the user actor, where they would be the cluster's; but
// then each send would have to go there first, a hop between threads (and nodes) that a send has not got today, for a
// limit that nobody means to the last message. So in a cluster each node allows as much.
//
// Whoever is refused limits.flood_refusals times within limits.flood_window_ms, and goes on, means it: that is logged
// as what=abuse, counted, and the user, or where none is known the address, is banned from this node for limits.ban_s.
//
// Invariants
// - Memory is bounded: tables of a fixed size, and at most limits.bans users and as many addresses.
// - A log line names the user and the address, never what was said.
// - Nobody without an address (of limits.allow_addresses) is held to a limit by address, or banned by it.
//
// Threads: any. Knows no clock: `now_ms` is that of house::steady_ms.
#pragma once

#include "actors/ban_list.hpp"
#include "actors/bucket_table.hpp"
#include "actors/metrics.hpp"
#include "actors/requests.hpp"
#include "config/address.hpp"
#include "config/flood.hpp"
#include "config/ids.hpp"
#include "config/outcome.hpp"
#include "config/settings.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace greenroom {

/// Which limit a request counts against.
flood kind_of(const op::any& what) noexcept;

/// "limits.sends_per_s: 20 sends per second per connection", and when to try again.
failure too_often(std::string_view key, uint32_t count, std::string_view of_what, uint32_t wait_ms);

// What limits ask for.
inline rate sends_of_connection(const limits& l) noexcept { return {l.sends_per_s, 1'000, l.sends_burst}; }
inline rate requests_of_connection(const limits& l) noexcept { return {l.requests_per_s, 1'000, l.requests_burst}; }
inline rate sends_of_room(const limits& l) noexcept { return {l.sends_per_s_room, 1'000, l.sends_burst_room}; }

class flood_control {
public:
  explicit flood_control(greenroom::metrics& m) : metrics_(m) {}

  // -- by user -------------------------------------------------------------------------------------------------------
  /// Where the user is counted. Costs a hash; a connection keeps it.
  uint32_t cell_of(const user_id& user) const noexcept { return users_.cell_of(user.str()); }
  /// nullopt: it may be done. Never less than a connection may send by itself.
  std::optional<failure> send(uint32_t user_cell, const limits& l, int64_t now_ms);
  std::optional<failure> join(uint32_t user_cell, const limits& l, int64_t now_ms);
  std::optional<failure> call(uint32_t user_cell, const limits& l, int64_t now_ms);

  // -- by address ----------------------------------------------------------------------------------------------------
  std::optional<failure> connect(network_id from, const limits& l, int64_t now_ms);
  std::optional<failure> log_in(network_id from, const limits& l, int64_t now_ms);
  std::optional<failure> call(network_id from, const limits& l, int64_t now_ms);

  // -- those who go on -----------------------------------------------------------------------------------------------
  /// Somebody was refused by a limit. With a user it is the user who is counted, over all connections and REST, so that
  /// coming anew begins nothing anew; otherwise the address, if there is one. True: it was once too often, and abused()
  /// has been done about it.
  bool refused(flood kind, const user_id& user, std::optional<network_id> from, const limits& l, int64_t now_ms);
  /// Somebody goes on regardless: logs it, counts it, and bans.
  void abused(flood kind, const user_id& user, std::optional<network_id> from, const limits& l, int64_t now_ms);
  /// Why the user, or the address, may not come in yet; nullopt: may.
  std::optional<failure> banned(const user_id& user, int64_t now_ms);
  std::optional<failure> banned(std::optional<network_id> from, int64_t now_ms);
  size_t bans() const noexcept { return banned_users_.size() + banned_networks_.size(); }

private:
  uint32_t cell_of(network_id from) const noexcept;

  greenroom::metrics& metrics_;
  enum bucket : uint32_t { sends, joins, calls, refusals, connects = sends, logins = joins, buckets = refusals + 1 };
  bucket_table users_{buckets};
  bucket_table networks_{buckets};
  ban_list<user_id> banned_users_;
  ban_list<network_id> banned_networks_;
};

} // namespace greenroom
