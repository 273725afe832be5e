// tenancy: which rooms a token opens, where namespaces separate tenants (auth.namespaces_claim). Said by whoever holds
// the identity, before anything is asked of a room: rooms know users, and the same user may come by several tokens.
//
// Direct rooms are open to the two whose they are; all else is as with any room: to be let in is not to be a member.
#pragma once

#include "actors/requests.hpp"

#include <optional>

namespace greenroom {

bool opens(const identity& who, const room_id& room);

/// Why a request is refused for the room that it names; nullopt: it is not, or names none. Not for hello, which names
/// several.
std::optional<failure> closed_to(const identity& who, const op::any& what);
failure closed_room();

/// Of an inbox, or of all rooms that a user was ever in, only what is open.
void keep_open(const identity& who, ok::rooms& page);
void keep_open(const identity& who, ok::about_rooms& page);

} // namespace greenroom
