// encoder: how actors get wire bytes without knowing a wire format. Implemented in net/, handed in by main.
#pragma once

#include "actors/requests.hpp"
#include "storage/records.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom {

/// Finished bytes for the socket, the WebSocket header included; immutable and shared by everybody who gets them.
using frame = std::shared_ptr<const std::string>;

/// Pure; any thread. Never fails: what it is given was checked, or made, by the house.
class encoder {
public:
  virtual ~encoder() = default;
  /// The answer to the request with this id; nullopt: `"re":null`.
  virtual frame answer(std::optional<int64_t> re, const greenroom::answer& what) const = 0;
  /// A durable event.
  virtual frame event(const room_id& room, const storage::event& e) const = 0;
  /// "Events after this position follow", before the first event of a room that no answer has named.
  virtual frame subscribed(const room_id& room, const position& from) const = 0;
  virtual frame typing(const room_id& room, const user_id& user, bool on) const = 0;
  /// A message that is not stored; `data` as in op::send.
  virtual frame ephemeral(const room_id& room, const user_id& from, int64_t ts, std::string_view text,
                          std::string_view data) const = 0;
  /// `arrived`: only how far it was delivered.
  virtual frame read(const room_id& room, const user_id& user, uint64_t seq, bool arrived) const = 0;
  /// How users appear, in rooms and to those who watch them.
  virtual frame presence(const presence_news& news) const = 0;
  /// A word for a device; `data` as in op::signal.
  virtual frame signal(const user_id& from, std::string_view data) const = 0;
  /// The client's token ends at `expires_at`, in ms since 1970 UTC.
  virtual frame expiring(int64_t expires_at) const = 0;
  /// The client should connect anew, to another node, after `reconnect_ms`.
  virtual frame goaway(uint32_t reconnect_ms, std::string_view reason) const = 0;
};

} // namespace greenroom
