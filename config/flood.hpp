// flood: the kinds of things that somebody can do too often, each with a limit of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace greenroom {

/// Dashboards and log searches keep these words; never rename one, never give one another meaning.
enum class flood : uint8_t {
  /// Messages, and all that changes messages, rooms or their members.
  sends,
  /// Rooms joined or made.
  joins,
  /// Whatever else a WebSocket asks, frames that can't be read included.
  requests,
  /// Requests through REST, of any kind.
  calls,
  /// Attempts to sign in, to register, to come as a guest.
  logins,
  /// New connections.
  connects,
};
inline constexpr size_t flood_count = 6;

/// The word in the log and in the figures.
constexpr std::string_view to_string(flood kind) noexcept {
  switch (kind) {
  case flood::sends:
    return "sends";
  case flood::joins:
    return "joins";
  case flood::requests:
    return "requests";
  case flood::calls:
    return "calls";
  case flood::logins:
    return "logins";
  case flood::connects:
    return "connects";
  }
  return "requests";
}

} // namespace greenroom
