// ws_frame: puts the WebSocket header in front of what a server sends (RFC 6455 section 5.2), so that a finished frame
// can be shared by any number of connections: server frames carry no mask, and each of ours is one whole message.
#pragma once

#include "actors/encoder.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace greenroom::net {

/// The low four bits of a frame's first byte.
enum class ws_opcode : uint8_t { text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// The longest header of a server frame.
inline constexpr size_t ws_header_max = 10;

/// Writes the header of an unmasked final frame to `out`, which has room for ws_header_max bytes; returns its length.
inline size_t write_ws_header(char* out, ws_opcode what, uint64_t payload_bytes) noexcept {
  out[0] = static_cast<char>(0x80 | static_cast<uint8_t>(what));
  if (payload_bytes < 126) {
    out[1] = static_cast<char>(payload_bytes);
    return 2;
  }
  const int length_bytes = payload_bytes <= 0xffff ? 2 : 8;
  out[1] = static_cast<char>(length_bytes == 2 ? 126 : 127);
  for (int i = 0; i < length_bytes; ++i)
    out[2 + i] = static_cast<char>(payload_bytes >> (8 * (length_bytes - 1 - i)));
  return 2 + static_cast<size_t>(length_bytes);
}

/// A frame from a payload that lies elsewhere: one allocation, one copy.
inline std::string ws_bytes(ws_opcode what, std::string_view payload) {
  char header[ws_header_max];
  const auto n = write_ws_header(header, what, payload.size());
  std::string bytes;
  bytes.reserve(n + payload.size());
  bytes.append(header, n).append(payload);
  return bytes;
}

inline frame ws_text(std::string_view payload) {
  return std::make_shared<const std::string>(ws_bytes(ws_opcode::text, payload));
}

} // namespace greenroom::net
