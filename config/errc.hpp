// errc and close_code: what a refused request and an ended connection say. Two lists, because they are two things: a
// refused request leaves the connection as it was; a close code tells whether to come back.
#pragma once

#include <cstdint>
#include <string_view>

namespace greenroom {

/// Clients, dashboards and log searches keep these words; never rename one, never give one another meaning.
enum class errc : uint8_t {
  /// The frame or a field of it is not what the protocol says; the message names the field.
  bad_request = 1,
  /// No valid token has been shown yet.
  unauthenticated,
  /// The user is known, but may not do this.
  forbidden,
  /// There is no such room, session or path.
  not_found,
  /// The room or the account is there already.
  exists,
  /// A field, frame or list is over its limit; the message names the limit.
  too_large,
  /// Too often; the answer says when again.
  rate_limited,
  /// The room is known, but only its members may do this.
  not_member,
  /// The user may not speak in the room.
  muted,
  /// The user may not enter the room.
  banned,
  /// The idempotency key was used for another content, or the base of an edit is stale.
  conflict,
  /// Not now: the write could not be made durable, or a bound was reached. The same request may be tried again.
  unavailable,
  /// The protocol may know it, this server does not.
  unsupported,
  /// A mistake of ours.
  internal,
};
inline constexpr uint8_t errc_count = 14;

/// The word on the wire.
constexpr std::string_view to_string(errc code) noexcept {
  switch (code) {
  case errc::bad_request:
    return "bad_request";
  case errc::unauthenticated:
    return "unauthenticated";
  case errc::forbidden:
    return "forbidden";
  case errc::not_found:
    return "not_found";
  case errc::exists:
    return "exists";
  case errc::too_large:
    return "too_large";
  case errc::rate_limited:
    return "rate_limited";
  case errc::not_member:
    return "not_member";
  case errc::muted:
    return "muted";
  case errc::banned:
    return "banned";
  case errc::conflict:
    return "conflict";
  case errc::unavailable:
    return "unavailable";
  case errc::unsupported:
    return "unsupported";
  case errc::internal:
    return "internal";
  }
  return "internal";
}

/// Whether the same request, unchanged, may succeed later.
constexpr bool retryable(errc code) noexcept { return code == errc::rate_limited || code == errc::unavailable; }

/// The HTTP status that REST answers with (RFC 9110 section 15).
constexpr unsigned http_status(errc code) noexcept {
  switch (code) {
  case errc::bad_request:
    return 400;
  case errc::unauthenticated:
    return 401;
  case errc::forbidden:
  case errc::not_member:
  case errc::muted:
  case errc::banned:
    return 403;
  case errc::not_found:
    return 404;
  case errc::exists:
  case errc::conflict:
    return 409;
  case errc::too_large:
    return 413;
  case errc::rate_limited:
    return 429;
  case errc::unavailable:
    return 503;
  case errc::unsupported:
    return 501;
  case errc::internal:
    return 500;
  }
  return 500;
}

/// Why the server ended a WebSocket connection (RFC 6455 section 7.4). 30xx: reconnect and resume; 34xx and 35xx: do
/// not reconnect unchanged.
enum class close_code : uint16_t {
  normal = 1000,
  shutdown = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  invalid_text = 1007,
  too_big = 1009,
  draining = 3001,
  slow_consumer = 3008,
  no_pong = 3012,
  bad_frames = 3400,
  flooding = 3429,
  token_invalid = 3501,
  revoked = 3502,
  no_hello = 3503,
  too_many_connections = 3504,
};

} // namespace greenroom
