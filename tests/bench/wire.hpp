// wire: what travels between the load generator and a server, in its cheapest form: WebSocket frames (RFC 6455), HS256
// tokens, and a search for single JSON fields that is right only because every text in the benchmarks is our own and
// holds no quotes. A real client must parse.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::bench {

enum class opcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

struct frame_header {
  bool fin = false;
  opcode op = opcode::text;
  bool masked = false;
  std::array<uint8_t, 4> mask{};
  uint64_t length = 0; // of the payload
  size_t size = 0;     // of the header itself
};

/// Nothing: more bytes are needed. Throws std::runtime_error when a reserved bit is set.
std::optional<frame_header> parse_header(std::string_view bytes);

/// Masks or unmasks: the same operation (RFC 6455 section 5.3).
void apply_mask(char* data, size_t size, const std::array<uint8_t, 4>& mask);

/// Appends one final frame as a client must send it, masked with a key drawn from a cheap generator: the unpredictable
/// key that the RFC asks for protects proxies, and there are none here.
void append_client_frame(std::string& out, opcode op, std::string_view payload);

/// Appends one final frame as a server sends it, unmasked.
void append_server_frame(std::string& out, opcode op, std::string_view payload);

/// A token for `user`, valid for a day, signed with `secret`; every user has one session, named after them.
std::string make_token(std::string_view secret, std::string_view user);

/// The number after `"name":`, wherever in the frame it stands first. `quoted` is that text, so that callers pay no
/// concatenation: number_in(frame, "\"seq\":").
std::optional<uint64_t> number_in(std::string_view frame, std::string_view quoted);

/// The string after `"name":"`, up to the next quote; empty when absent: text_in(frame, "\"room\":\"").
std::string_view text_in(std::string_view frame, std::string_view quoted);

inline bool holds(std::string_view frame, std::string_view part) { return frame.find(part) != std::string_view::npos; }

} // namespace greenroom::bench
