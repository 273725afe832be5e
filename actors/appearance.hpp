// appearance: how users are seen by others, as far as it is told: who, and with what words beside it.
//
// What a user has chosen is stored (storage::presence_record). Seen is what follows from it and from whether the user
// is connected at all: to others, who is invisible is offline.
#pragma once

#include "config/ids.hpp"
#include "storage/records.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace greenroom {

enum class seen_as : uint8_t { offline, online, away, dnd, invisible }; // invisible: to oneself alone

inline std::string_view to_string(seen_as x) noexcept {
  constexpr std::string_view words[] = {"offline", "online", "away", "dnd", "invisible"};
  return words[static_cast<size_t>(x)];
}

/// How a connected user is seen by others.
inline seen_as seen(storage::presence_status chosen) noexcept {
  switch (chosen) {
  case storage::presence_status::online:
    return seen_as::online;
  case storage::presence_status::away:
    return seen_as::away;
  case storage::presence_status::dnd:
    return seen_as::dnd;
  case storage::presence_status::invisible:
    break;
  }
  return seen_as::offline;
}

struct appearance {
  user_id user;
  seen_as status = seen_as::offline;
  std::string note; // empty with offline
  friend bool operator==(const appearance&, const appearance&) = default;
};

/// To others.
inline appearance appearance_of(const user_id& user, const storage::presence_record& chosen, bool connected) {
  auto status = connected ? seen(chosen.status) : seen_as::offline;
  return {user, status, status == seen_as::offline ? std::string{} : chosen.note};
}

/// What has changed in a room since it was told last: how many members are online; in a small room also who.
struct room_presence {
  room_id room;
  uint64_t online = 0;
  std::vector<std::pair<user_id, seen_as>> users;
  bool whole = false; // who is not among the users is offline
};

/// One event of presence.
struct presence_news {
  std::vector<room_presence> rooms;
  std::vector<appearance> users; // who are watched
  bool incomplete = false;       // some news before this had to be dropped
};

} // namespace greenroom
