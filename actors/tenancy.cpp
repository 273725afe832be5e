#include "actors/tenancy.hpp"

#include <algorithm>

namespace greenroom {

bool opens(const identity& who, const room_id& room) {
  return !who.namespaces || room.is_direct() ||
         std::find(who.namespaces->begin(), who.namespaces->end(), room.name_space()) != who.namespaces->end();
}

failure closed_room() { return fail(errc::forbidden, "room: the token does not open its namespace"); }

std::optional<failure> closed_to(const identity& who, const op::any& what) {
  if (!who.namespaces)
    return std::nullopt;
  const auto room_of = []<class Op>(const Op& x) -> const room_id* {
    if constexpr (std::is_same_v<Op, op::send>)
      return x.room ? &*x.room : nullptr;
    else if constexpr (requires { static_cast<const room_id&>(x.room); })
      return &x.room;
    else
      return nullptr;
  };
  const auto* room = std::visit(room_of, what);
  if (!room || opens(who, *room))
    return std::nullopt;
  return closed_room();
}

void keep_open(const identity& who, ok::rooms& page) {
  if (who.namespaces)
    std::erase_if(page.list, [&](const auto& r) { return !opens(who, r.summary.room); });
}

void keep_open(const identity& who, ok::about_rooms& page) {
  if (who.namespaces)
    std::erase_if(page.list, [&](const auto& r) { return !opens(who, r.first); });
}

} // namespace greenroom
