// show: frames as lines for people. Trusts nothing in a frame: a field of a wrong type counts as absent, and control
// characters, which could steer the terminal, become question marks.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace greenroom::cli {

/// With question marks for U+0000 to U+001F and U+007F to U+009F. REQUIRES: UTF-8.
std::string printable(std::string_view text);

/// The field as text; empty if it is absent or something else.
std::string text_of(const nlohmann::json& object, std::string_view field);
/// The field as a number; 0 if it is absent or something else.
uint64_t number_of(const nlohmann::json& object, std::string_view field);

/// ms since 1970 UTC as 2026-11-23T10:00:00Z.
std::string clock_of(uint64_t ms);

/// The word of a refusal; empty if the frame is none.
std::string error_code(const nlohmann::json& frame);

/// `[general 58] bob: hi`
std::string line_of(const nlohmann::json& event);
/// `general: alice (owner, online), bob (member)`
std::string members_line(const std::string& room, const nlohmann::json& members);
/// `general: 3 unread of 58`
std::string room_line(const nlohmann::json& room, uint64_t unread);

} // namespace greenroom::cli
