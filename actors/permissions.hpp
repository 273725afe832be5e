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
  react,     // and show that one types, and how far one has read
  revoke,    // others' messages
  invite,    //
  moderate,  // kick, ban, mute those of a lower role, and undo it
  appoint,   // give roles
  pin,       // and set the topic
  configure, // change the room itself
};

namespace detail {

using storage::member_role;
/// No role is enough.
inline constexpr auto nobody = static_cast<member_role>(0xff);

/// The least role, by action and kind of room: public, private, announce, direct. In a direct room both are members.
inline constexpr std::array<std::array<member_role, 4>, 10> least_role{{
    {member_role::none, member_role::guest, member_role::guest, member_role::member},              // see
    {member_role::none, nobody, member_role::none, member_role::member},                           // join
    {member_role::member, member_role::member, member_role::moderator, member_role::member},       // send
    {member_role::guest, member_role::guest, member_role::guest, member_role::member},             // react
    {member_role::moderator, member_role::moderator, member_role::moderator, nobody},              // revoke
    {member_role::member, member_role::moderator, member_role::moderator, nobody},                 // invite
    {member_role::moderator, member_role::moderator, member_role::moderator, nobody},              // moderate
    {member_role::owner, member_role::owner, member_role::owner, nobody},                          // appoint
    {member_role::moderator, member_role::moderator, member_role::moderator, member_role::member}, // pin
    {member_role::owner, member_role::owner, member_role::owner, nobody},                          // configure
}};

} // namespace detail

/// Whether the role is enough; whether somebody is banned or muted is another question.
constexpr bool may(storage::room_kind kind, storage::member_role role, action what) noexcept {
  auto least = detail::least_role[static_cast<size_t>(what)][static_cast<size_t>(kind) - 1];
  return least != detail::nobody && role >= least;
}

} // namespace greenroom
