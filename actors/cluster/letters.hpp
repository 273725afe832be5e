// letters: what nodes say to each other, as plain values and as bytes. There are two mailboxes for each shard: the
// replica's (replication) and the shard's own (commands, answers, events); and one for the node's survey.
//
// All of it is for nodes of one version; link_options::version is raised with every release that changes it.
#pragma once

#include "actors/audience.hpp"
#include "actors/cluster/replication.hpp"
#include "actors/room.hpp"
#include "actors/user.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace greenroom::cluster {

constexpr uint16_t replica_mailbox(shard_id s) noexcept { return s; }
constexpr uint16_t shard_mailbox(shard_id s) noexcept { return static_cast<uint16_t>(shard_count + s); }
inline constexpr uint16_t survey_mailbox = 2 * shard_count;

// -- between replicas ------------------------------------------------------------------------------------------------
/// A piece of a snapshot; `number` counts from 0. The first one clears what the learner holds.
struct install_piece {
  uint64_t epoch = 0;
  uint64_t transfer = 0;
  uint64_t number = 0;
  std::string bytes;
  bool last = false;
  log_position applied;
};
/// The learner has put the piece on its disk; the next one may come. Not `ok`: from the beginning, please.
struct installed_piece {
  uint64_t transfer = 0;
  uint64_t number = 0;
  bool ok = false;
};
using replica_letter = std::variant<append, appended, install_piece, installed_piece>;

// -- from the node where somebody asks to the shard's primary --------------------------------------------------------
/// A command. `stream` grows whenever what is not answered is sent anew: of a stream of which one was turned away, all
/// that follow are, too, so that none overtakes another.
struct forward {
  uint64_t epoch = 0;
  uint64_t stream = 0;
  uint64_t ticket = 0; // 0: no answer is wanted
  bool again = false;  // it may have been carried out before
  std::variant<room::command, user::command> what;
};
/// Nobody listens to the room on that node any more.
struct quiet {
  room_id room;
};
/// That node has a relay of the room: it wants events, and to know the head. Who is online there is told anew behind
/// it. Turned away like a command, or a node that heard of a new primary before that serves would not be told anything.
struct watching {
  uint64_t epoch = 0;
  uint64_t stream = 0;
  room_id room;
};
/// How a member is seen there has changed. Turned away like a command.
struct seen {
  uint64_t epoch = 0;
  uint64_t stream = 0;
  room_id room;
  user_id user;
  seen_as status = seen_as::offline;
};
/// That node wants to know how these users appear, or no longer; `anew`: it may have missed something. Turned away like
/// a command.
struct watching_users {
  uint64_t epoch = 0;
  uint64_t stream = 0;
  std::vector<user_id> users;
  bool on = false;
  bool anew = false;
};

// -- from the primary ------------------------------------------------------------------------------------------------
/// The shard does not serve here, or not in that epoch.
struct turned_away {
  uint64_t stream = 0;
};
/// The caller listens from now on.
struct admitted {
  standing where;
};
/// It may not, or not now; on its way behind what was published before.
struct refused {
  failure why;
};
/// What a command was answered with.
struct answered_letter {
  uint64_t ticket = 0;
  std::variant<answer, room::pulled, outcome<standing>, admitted, refused, user::welcome, user::effect_applied> what;
};
/// For a connection that has arrived at its user.
struct listed_there {
  uint64_t connection = 0;
  user::listed what;
};
struct ended_there {
  uint64_t connection = 0;
  user::ended what;
};
struct shown_there {
  uint64_t connection = 0;
  user::shown what;
};
struct signalled_there {
  uint64_t connection = 0;
  user::signalled what;
};
struct vanished_there {
  uint64_t connection = 0;
  user::vanished what;
};
/// Of users whom that node watches.
struct appearances {
  std::vector<appearance> users;
};
/// For the room's relay.
struct news {
  room_id room;
  relay_news what;
};
using shard_letter =
    std::variant<forward, answered_letter, news, turned_away, quiet, watching, seen, listed_there, ended_there,
                 shown_there, signalled_there, vanished_there, watching_users, appearances>;

// -- between surveys -------------------------------------------------------------------------------------------------
/// Whose connections are on that node? Empty: all. One page of them.
struct list_there {
  uint64_t ticket = 0;
  user_id user;
  std::string after = {};
  uint32_t limit = UINT32_MAX;
};
/// Some of them, in several letters if there are many.
struct sessions_there {
  uint64_t ticket = 0;
  std::vector<ok::live_session> list;
  bool last = false;
};
/// What have your webhooks done?
struct hooks_asked_there {
  uint64_t ticket = 0;
};
struct hooks_there {
  uint64_t ticket = 0;
  std::vector<ok::webhook> list;
};
using survey_letter = std::variant<list_there, sessions_there, hooks_asked_there, hooks_there>;

/// Not bounded here: link_options::letter_bytes_max is, where a letter is posted.
std::string encode(const replica_letter& x);
std::string encode(const shard_letter& x);
std::string encode(const survey_letter& x);
/// nullopt: no letter of this version, or bytes are missing or too many.
std::optional<replica_letter> read_replica_letter(std::string_view bytes);
std::optional<shard_letter> read_shard_letter(std::string_view bytes);
std::optional<survey_letter> read_survey_letter(std::string_view bytes);

} // namespace greenroom::cluster
