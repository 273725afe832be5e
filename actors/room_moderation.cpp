// What is done to somebody in a room by somebody else: invite, kick, ban, mute and their opposites, and roles. None of
// it carries a key: repeated, it is told by how the other one stands, and gets the answer that it got.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using act = op::moderate::act;
using storage::member_change;
using storage::member_role;

action needed(act what) {
  return what == act::invite ? action::invite : what == act::role ? action::appoint : action::moderate;
}

} // namespace

/// How many are kept out at present.
size_t room_actor::bans(int64_t now) const {
  return static_cast<size_t>(std::count_if(members_.begin(), members_.end(),
                                           [now](const auto& m) { return m.second.more->banned_until > now; }));
}

void room_actor::moderate(const command_ptr& c, const op::moderate& x) {
  if (auto why = refusal(c->from.user, needed(x.what))) {
    c->from.answer(std::move(*why));
    return;
  }
  const auto i = members_.find(x.user);
  const bool known = i != members_.end();
  auto seat = known ? i->second : storage::member_record{};
  const bool in_it = seat.role != member_role::none;
  const auto now = house_.now_ms();
  const bool banned = seat.more->banned_until > now;
  const auto until = x.until != 0 ? x.until : INT64_MAX;
  auto refuse_it = [&](errc code, const char* why) { c->from.refuse(code, why); };
  auto as_it_is = [&] { stands_already(c, seat.changed()); };

  if (needed(x.what) == action::moderate) {
    if (x.user == c->from.user)
      return refuse_it(errc::bad_request, "user: yourself");
    if (seat.role >= role_of(c->from.user))
      return refuse_it(errc::forbidden, "user: has no lower role than you");
  }
  if (x.until != 0 && x.until <= now)
    return refuse_it(errc::bad_request, "until: has passed");
  if (!in_it &&
      (x.what == act::mute || x.what == act::unmute || x.what == act::role || (x.what == act::kick && !known)))
    return refuse_it(errc::not_found, "user: not a member");

  switch (x.what) {
  case act::invite: {
    if (in_it)
      return as_it_is();
    if (banned)
      return refuse_it(errc::conflict, "user: banned; unban comes first");
    if (auto why = is_full())
      return c->from.answer(std::move(*why));
    if (const auto& agreed = rare_->agreed_to; std::find(agreed.begin(), agreed.end(), c) == agreed.end())
      return ask_invitee(c, x.user);
    seat.role = member_role::member;
    return change_member(c, x.user, member_change::invited, seat, {x.reason, 0});
  }
  case act::kick:
    if (!in_it)
      return as_it_is();
    seat.role = member_role::none;
    return change_member(c, x.user, member_change::kicked, seat, {x.reason, 0});
  case act::ban:
    if (banned && seat.more->banned_until == until)
      return as_it_is();
    if (auto bound = house_.limits_now()->bans_per_room; !banned && bans(now) >= bound)
      return c->from.refuse(errc::too_large, "limits.bans_per_room: " + std::to_string(bound));
    seat.role = member_role::none;
    seat.more.edit().banned_until = until;
    return change_member(c, x.user, member_change::banned, seat, {x.reason, x.until});
  case act::unban:
    if (!banned)
      return known ? as_it_is() : refuse_it(errc::not_found, "user: not banned");
    seat.more.edit().banned_until = 0;
    return change_member(c, x.user, member_change::unbanned, seat, {x.reason, 0});
  case act::mute:
    if (seat.more->muted_until > now && seat.more->muted_until == until)
      return as_it_is();
    seat.more.edit().muted_until = until;
    return change_member(c, x.user, member_change::muted, seat, {x.reason, x.until});
  case act::unmute:
    if (seat.more->muted_until <= now)
      return as_it_is();
    seat.more.edit().muted_until = 0;
    return change_member(c, x.user, member_change::unmuted, seat, {x.reason, 0});
  case act::role: {
    if (seat.role == x.role)
      return as_it_is();
    auto owners = std::count_if(members_.begin(), members_.end(),
                                [](const auto& m) { return m.second.role == member_role::owner; });
    if (seat.role == member_role::owner && owners == 1)
      return refuse_it(errc::conflict, "role: the room would have no owner");
    seat.role = x.role;
    return change_member(c, x.user, member_change::role, seat, {x.reason, 0});
  }
  }
}

} // namespace greenroom::room
