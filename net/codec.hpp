// codec: the native protocol `greenroom.v1`, from frames to requests and from answers and events to finished WebSocket
// frames. Pure: no sockets, no clock, no state but the limits in force. Any thread.
//
// Invariants
// - decode() takes any bytes and never throws; what it accepts is within every limit of `limits` that a frame can
//   cross.
// - What json_encoder makes is one unmasked text message (RFC 6455 section 5.2) holding one JSON object without a raw
//   newline.
// - An object's repeated keys: the last one wins. A null field counts as absent. `data` is kept in canonical form:
//   compact, keys in byte order, numbers beyond 64 bits as doubles.
#pragma once

#include "actors/encoder.hpp"
#include "actors/requests.hpp"
#include "config/settings.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace greenroom::net {

/// Reads one frame: one line of a WebSocket message, without its newline. A failure is bad_request, too_large or
/// unsupported, and its message names the field or limit.
std::variant<request, bad_frame> decode(std::string_view frame, const limits& bounds);

/// An event as clients see it, without what has become of it since.
void append_event(std::string& out, const room_id& room, const storage::event& e);

class json_encoder : public encoder {
public:
  /// `limits_in_force` is asked for every answer to hello, which tells the client its limits. Called on any thread.
  explicit json_encoder(std::function<const limits*()> limits_in_force) : limits_(std::move(limits_in_force)) {}

  frame answer(std::optional<int64_t> re, const greenroom::answer& what) const override;
  frame event(const room_id& room, const storage::event& e) const override;
  frame subscribed(const room_id& room, const position& from) const override;
  frame typing(const room_id& room, const user_id& user, bool on) const override;
  frame ephemeral(const room_id& room, const user_id& from, int64_t ts, std::string_view text,
                  std::string_view data) const override;
  frame read(const room_id& room, const user_id& user, uint64_t seq, bool arrived) const override;
  frame presence(const presence_news& news) const override;
  frame signal(const user_id& from, std::string_view data) const override;
  frame expiring(int64_t expires_at) const override;
  frame goaway(uint32_t reconnect_ms, std::string_view reason) const override;

  /// The bare JSON of an answer for REST: what stands behind "ok".
  std::string body(const ok::any& what) const;

private:
  void append(std::string& out, const ok::any& what) const;

  std::function<const limits*()> limits_;
};

} // namespace greenroom::net
