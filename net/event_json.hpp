// event_json: a room's event as JSON, live and in history alike. Private to the codec and REST.
#pragma once

#include "actors/requests.hpp"
#include "net/json.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net {

/// `fold`: how the message stands, where that is known and not as it was sent.
void append(std::string& out, const room_id& room, const storage::event& e,
            const storage::message_fold* fold = nullptr);
/// As fields.
void append_room_limits(json::object& o, const storage::room_limits& x);
void append_attachments(json::object& o, const std::vector<storage::attachment>& files);
/// Two lower-case digits a byte.
std::string hex_of(std::string_view bytes);

} // namespace greenroom::net
