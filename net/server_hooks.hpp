// server_hooks: what the transport asks of the rest of the house, as plain functions, so that it knows neither the node
// nor the codec and can be tested with a client that only records.
#pragma once

#include "actors/flood_control.hpp"
#include "actors/node.hpp"
#include "net/http.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net {

struct server_hooks {
  /// A WebSocket was accepted; called on the lane's thread. The transport is told everything through the client that
  /// is returned, until client::closed().
  std::function<std::unique_ptr<client>(lane&, std::shared_ptr<transport>, std::optional<identity>, const remote& from)>
      connect;
  /// One line of a WebSocket message, without the newline and never empty; it may be longer than limits.frame_bytes.
  /// Calls client::receive exactly once. Safe to call from several I/O threads at once.
  std::function<void(std::string_view line, client& to)> decode;
  http_handler* http = nullptr;           // outlives the server
  const token_verifier* tokens = nullptr; // outlives the server
  greenroom::metrics* metrics = nullptr;  // outlives the server
  flood_control* floods = nullptr;        // outlives the server
  /// The limits in force; never null. Called for each new connection, request and heartbeat, from any I/O thread.
  std::function<std::shared_ptr<const greenroom::limits>()> limits;
  /// Whether new WebSockets are refused because the node drains; null: never. Any I/O thread.
  std::function<bool()> turns_away = nullptr;
  /// Which web pages may connect: empty: only those of the same host; "*": all. Clients that are no browsers send no
  /// Origin and are not asked.
  std::vector<std::string> allowed_origins;
};

} // namespace greenroom::net
