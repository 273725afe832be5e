// user_json: the answers about users as JSON: blocks, an erasure, and the parts of all that there is about somebody,
// each of which is a line of an export. For the codec, which has the rest.
#pragma once

#include "actors/requests.hpp"
#include "net/json.hpp"

#include <functional>
#include <string>

namespace greenroom::net {

void append_user_part(std::string& out, const ok::blocks& x);
void append_user_part(std::string& out, const ok::erasure& x);
void append_user_part(std::string& out, const ok::about_user& x);
void append_user_part(std::string& out, const ok::about_rooms& x);
void append_user_part(std::string& out, const ok::about_threads& x);
/// `events` writes those of the page.
void append_user_part(std::string& out, const ok::about_events& x, const std::function<void(json::object&)>& events);

} // namespace greenroom::net
