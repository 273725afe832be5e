// http_text: the pure parts of speaking HTTP: formatting an answer, splitting a target, and deciding whether an upgrade
// to WebSocket is in order. No sockets, no Beast.
#pragma once

#include "config/errc.hpp"
#include "config/outcome.hpp"
#include "net/http.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::net {

/// An answer with the error body that REST uses everywhere: {"error":{"code":...,"message":...,"retryable":...}}.
http_response error_response(unsigned status, errc code, std::string_view message);
/// The same, with the status of its code, and with Retry-After where the failure says when.
http_response error_response(const failure& why);
/// For Retry-After: whole seconds, at least one.
std::string retry_after(uint32_t ms);

/// The bytes of an answer (RFC 9112 section 4). Headers that could break out of their line are left out. `body`: false
/// for HEAD.
/// Of one with a source the head only; `chunked`: its pieces follow in chunks, else up to the end of the connection.
std::string format_response(const http_response& r, bool keep_alive, bool body, bool chunked = true);
/// One of them (RFC 9112 section 7.1).
std::string format_chunk(const http_piece& x);

/// Fills path and query from a request target (RFC 9112 section 3.2; origin form, absolute form, and `*`). False: it is
/// none of these, or an escape in the query is broken.
bool split_target(std::string_view target, http_request& into);

/// Whether the request asks for an upgrade to WebSocket, well or badly.
bool asks_for_websocket(const http_request& r);

/// The subprotocol that this server speaks.
inline constexpr std::string_view subprotocol = "greenroom.v1";

/// Checks all of an upgrade request but its token (RFC 6455 section 4.2.1, and the Origin). The answer that refuses it,
/// or nullopt; then `with_subprotocol` says whether ours was offered.
std::optional<http_response> refuse_upgrade(const http_request& r, const std::vector<std::string>& allowed_origins,
                                            bool& with_subprotocol);

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1); nullopt for any other header.
std::optional<std::string_view> bearer_token(std::string_view authorization);

/// Whether the text is UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

/// Whether the text, valid UTF-8 up to there, ends within a code point.
bool ends_within_code_point(std::string_view text) noexcept;

} // namespace greenroom::net
