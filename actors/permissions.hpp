// permissions: who may do what in a room. The table of net/PROTOCOL.md, "Roles", in code; the two are held against each
// other, cell by cell, by tests/integration/test_permissions.py.
#pragma once

#include "storage/records.hpp"

#include <array>

namespace greenroom {

/// What a room is asked to let somebody do.
enum class action : uint8_t {
  see,       // listen, read history, list members
  join,      // without an invitation
  send,      // and edit one's own messages
  react,     // and show that one types
  take_back, // one's own messages
  revoke,    // others' messages
  invite,    //
  moderate,  // kick, ban, mute those of a lower role, and undo it
  appoint,   // give roles
  pin,       // and set the topic
  configure, // change the room itself
  call_all,  // mean everybody by @room
};

namespace detail {

using enum storage::member_role;
inline constexpr auto anybody = none;
/// No role is enough.
inline constexpr auto nobody = static_cast<storage::member_role>(0xff);

/// The least role, by action and kind of room: public, private, announce, direct. In a direct room both are members.
inline constexpr std::array<std::array<storage::member_role, 4>, 12> least_role{{
    {anybody, guest, guest, member},           // see
    {anybody, nobody, anybody, member},        // join
    {member, member, moderator, member},       // send
    {guest, guest, guest, member},             // react
    {guest, guest, guest, member},             // take_back
    {moderator, moderator, moderator, nobody}, // revoke
    {member, moderator, moderator, nobody},    // invite
    {moderator, moderator, moderator, nobody}, // moderate
    {owner, owner, owner, nobody},             // appoint
    {moderator, moderator, moderator, member}, // pin
    {owner, owner, owner, nobody},             // configure
    {moderator, member, moderator, member},    // call_all
}};

} // namespace detail

/// Whether the role is enough; whether somebody is banned or muted is another question.
constexpr bool may(storage::room_kind kind, storage::member_role role, action what) noexcept {
  const auto column = static_cast<size_t>(kind) - 1;
  if (column >= detail::least_role[0].size())
    return false; // no kind of ours: nobody may anything
  auto least = detail::least_role[static_cast<size_t>(what)][column];
  return least != detail::nobody && role >= least;
}

} // namespace greenroom
