// op_reader: from the fields of a JSON object to an operation. Frames and REST bodies come through here, so that both
// refuse the same things in the same words.
//
// Rules for every field: null counts as absent; unknown fields are ignored, except for those of the protocol that this
// server does not serve and that would change the meaning of the request (`unsupported`). Numbers are integers without
// fraction or exponent. Pure; never throws.
#pragma once

#include "actors/requests.hpp"
#include "config/settings.hpp"
#include "net/json_document.hpp"

#include <string>
#include <string_view>

namespace greenroom::net {

/// Characters of a device name.
inline constexpr size_t device_characters_max = 64;
/// Bytes of a room's title.
inline constexpr size_t title_bytes_max = 256;
/// Bytes of a token or refresh token.
inline constexpr size_t token_bytes_max = 4096;

/// Whether this server knows the op.
bool knows_op(std::string_view op) noexcept;

/// Reads the fields of `op` out of `fields`. Fails with bad_request, too_large or unsupported; the message begins with
/// the field and names the limit.
outcome<op::any> read_op(std::string_view op, json::value fields, const limits& bounds);

/// Which page of the live connections is wanted.
outcome<account::list_sessions> read_session_page(const json::document& fields, const limits& bounds);

/// What an upload is begun with: `name` and `size`, and maybe `type` and `sha256`; its room and id are the caller's to
/// set.
outcome<op::upload> read_upload(const json::document& fields);

/// A device name of up to device_characters_max characters without control characters; absent: empty.
outcome<std::string> read_device(const json::document& fields);

/// The user id that must be there.
outcome<user_id> read_user(const json::document& fields);

/// How an account is to be erased, all of it optional; without the user.
outcome<account::erase> read_erasure(const json::document& fields);

/// A string that must be there, of 1 to `bytes_max` bytes (more: too_large); for the passwords and refresh tokens of
/// REST.
outcome<std::string> read_secret(const json::document& fields, std::string_view field, size_t bytes_max);

} // namespace greenroom::net
