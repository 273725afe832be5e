// router: the way of one shard's commands to its primary, wherever that is, and of the answers back. Owned by the
// shard's actor; only in a cluster.
//
// Every command that comes from this node gets a ticket and is kept until it is answered. It is carried out here if
// this node is the primary, else sent to the node that is. When that changes, everything unanswered is sent anew, in
// order: a client sees latency, no error and no gap. Commands that other nodes send here are *guests*; their tickets
// only say where the answer goes.
//
// Threads: the shard's strand.
//
// Invariants
// - A command of this node is answered once, at the latest after `limits.request_ms`: by the first answer that holds.
//   One to an earlier sending holds if it stays true whoever is the primary by now (see stays_true()).
// - At most `cluster.pending` commands of this node and `cluster.guests` of others are under way; one more is refused.
//   Not so departures, because one that got lost would leave a ghost, and arrivals that are told to a new primary: of
//   both there is one for a connection at most.
// - Commands reach a primary in the order in which they came. A stream is one try to send everything to one primary; of
//   a stream of which one was turned away, all that follow are, too.
// - A read is answered only while the node's lease holds, and the shard's record was read under it.
#pragma once

#include "actors/audience.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/cluster/letters.hpp"
#include "actors/presence_board.hpp"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace greenroom {
struct house;
}

namespace greenroom::cluster {

class router : public far_relays {
public:
  /// What the shard's actor does for its router.
  class shard {
  public:
    virtual ~shard() = default;
    /// Carry out a command here.
    virtual void perform(const room::ask& x) = 0;
    virtual void perform(const user::ask& x) = 0;
    /// A command is on its way that will attach its connection to this node's relay of the room.
    virtual void will_listen(const room_id& room) = 0;
    /// Null: nobody listens to the room, neither here nor elsewhere.
    virtual audience* find_audience(const room_id& room) = 0;
    /// Makes one where there is none; forget_audience() ends it when nobody needs it.
    virtual audience& make_audience(const room_id& room) = 0;
    virtual void forget_audience(const room_id& room) = 0;
    virtual std::vector<audience*> all_audiences() = 0;
    /// Users of the shard whom this node watches; and what other nodes and the shard's home say of such.
    virtual std::vector<user_id> watched_users() const = 0;
    virtual void watched_from(uint32_t node, const std::vector<user_id>& users, bool on, bool anew) = 0;
    virtual void not_watched_from(uint32_t node) = 0;
    virtual void appeared(const std::vector<appearance>& users) = 0;
    /// What answers are told to: the shard itself, which hands them to answered() and the like.
    virtual asker as_asker() = 0;
    virtual caf::typed_actor<caf::reacts_to<room::pulled>> as_puller() = 0;
    virtual caf::typed_actor<caf::reacts_to<stands>> as_looker() = 0;
    virtual user::member_connection as_connection() = 0;
    virtual caf::typed_actor<caf::reacts_to<user::effect_applied>> as_origin() = 0;
  };

  router(house& in, shard_id id, shard& home) : house_(in), id_(id), shard_(home) {}

  // From this node. Never refused at once: what may be under way is bounded by limits.in_flight of each connection.
  void take(room::command_ptr c);
  void take(user::command_ptr c);
  /// The relay of the room has ended here.
  void quiet(const room_id& room);
  void seen(const room_id& room, const user_id& user, seen_as status);
  /// This node watches the user from now on, or no longer.
  void watch_user(const user_id& user, bool on);

  // Answers to what shard::perform() was given.
  void answered(uint64_t ticket, answer what);
  void answered(uint64_t ticket, const room::pulled& what);
  void answered(uint64_t ticket, const outcome<standing>& what);
  void answered(uint64_t ticket, const user::welcome& what);
  void answered(uint64_t ticket, const user::effect_applied& what);
  void tell_connection(const user::listed& what);
  void tell_connection(const user::ended& what);
  void tell_connection(const user::shown& what);
  void tell_connection(const user::signalled& what);
  void tell_connection(const user::vanished& what);
  /// Other nodes are told of those whom they watch.
  void tell_watchers(const std::vector<presence_board::notice>& list);

  // far_relays: what the shard's rooms say.
  void tell(uint32_t node, const room_id& room, const relay_news& what) override;
  void admit(const room_id& room, const caller& from, const standing& where) override;
  void refuse(const room_id& room, const caller& from, const failure& why) override;

  // About the cluster.
  void receive(const peer_up& x);
  void receive(const peer_down& x);
  void receive(const arrived& x);
  void receive(const primary_is& x);
  void receive(const serve& x);
  void receive(const yield& x);
  /// Several times a second.
  void tick();

  bool serves() const noexcept { return here_; }

private:
  using command = std::variant<room::command_ptr, user::command_ptr>;
  struct pending {
    command what;
    int64_t since = 0;
    bool sent = false;                  // in this or an earlier stream, perhaps in vain
    bool again = false;                 // an arrival that is told to a new primary, not asked for by the connection
    std::vector<uint64_t> earlier = {}; // tickets under which it was sent before, the first and the last ones
  };
  struct guest {
    uint32_t node = 0;
    uint64_t ticket = 0;
    bool reads = false;
    int64_t since = 0;
  };
  /// A relay that wants to know its room's head; asked until the room has taken note.
  struct watcher {
    uint32_t node = 0; // 0: this one
    room_id room;
    int64_t asked = 0; // 0: refused, to be asked with the next tick
  };
  struct neighbour {
    peer_ptr link;                                     // null: not linked
    uint64_t turned_away = 0;                          // the last stream of which something was
    std::unordered_map<uint64_t, user_id> connections; // of that node, at users of this shard
  };

  using pending_at = std::map<uint64_t, pending>::iterator;
  /// Of one command. Each stands for a change of primary, a broken link or a stream that was turned away within
  /// `limits.request_ms`.
  static constexpr size_t earlier_max = 8;

  static bool only_reads(const command& c);
  static bool is_departure(const command& c);
  static bool stays_true(const answer& what);
  template <class What>
  static bool stays_true(const What&) {
    return false;
  }
  void take(command c, bool is_again);
  void dispatch(uint64_t ticket, pending& p);
  void resend();
  void rename(uint64_t from, uint64_t to, pending& p);
  pending_at find(uint64_t ticket, bool or_earlier);
  pending take_out(pending_at i);
  void forget_departs();
  void watch(uint32_t node, const room_id& room);
  void ask(uint64_t ticket, const watcher& w);
  void forget_watchers(uint32_t node);
  void empty_audiences();
  void perform_here(uint64_t ticket, const command& c, uint32_t node, bool retried);
  neighbour* primary();
  void post_to(neighbour& to, const shard_letter& x, channel by = channel::control);
  template <class Letter, class What>
  void pass_on(const What& what);
  uint32_t node_of(const std::string& name);
  static bool is_large(const answer& what);
  template <class What>
  static bool is_large(const What&) {
    return false;
  }
  bool post(uint32_t node, const shard_letter& x, channel by = channel::control);
  bool takes(uint32_t node, uint64_t epoch, uint64_t stream, bool serves);
  void expire(pending& p);
  void end_unconfirmed();
  template <class What>
  void give(uint64_t ticket, const What& what);
  void finish(const pending& p, const answer& what);
  void finish(const pending& p, const room::pulled& what);
  void finish(const pending& p, const outcome<standing>& what);
  void finish(const pending& p, const admitted& what);
  void finish(const pending& p, const refused& what);
  void finish(const pending& p, const user::welcome& what);
  void finish(const pending& p, const user::effect_applied& what);
  void come(uint32_t node, const forward& x);
  void come(uint32_t node, const answered_letter& x);
  void come(uint32_t node, const news& x);
  void come(uint32_t node, const turned_away& x);
  void come(uint32_t node, const cluster::quiet& x);
  void come(uint32_t node, const watching& x);
  void come(uint32_t node, const cluster::seen& x);
  void come(uint32_t node, const listed_there& x);
  void come(uint32_t node, const ended_there& x);
  void come(uint32_t node, const shown_there& x);
  void come(uint32_t node, const signalled_there& x);
  void come(uint32_t node, const vanished_there& x);
  void come(uint32_t node, const watching_users& x);
  void come(uint32_t node, const appearances& x);

  house& house_;
  const shard_id id_;
  shard& shard_;
  bool here_ = false;
  uint64_t epoch_ = 0; // of the record
  store_id primary_;
  uint64_t stream_ = 0;
  bool stalled_ = false;   // something was turned away, or a lease had ended: try again at the next tick
  int64_t reached_ms_ = 0; // when there was a primary that took what it was sent, or connections were ended
  uint64_t next_ticket_ = 0;
  std::map<uint64_t, pending> pending_;
  std::unordered_map<uint64_t, uint64_t> present_ticket_; // of those with earlier ones, by each of these
  std::vector<uint64_t> refused_;        // of those, arrivals and departures to be told once more with the next tick
  std::map<uint64_t, watcher> watchers_; // by ticket
  std::map<std::pair<uint32_t, room_id>, uint64_t> watcher_tickets_; // of the same
  std::unordered_map<uint64_t, guest> guests_;                       // by ticket
  int64_t swept_ms_ = 0; // guests that nobody can wait for any more are gone since then
  // Connections of this node that have arrived at users of this shard, to arrive again at the next primary.
  std::map<uint64_t, user::command_ptr> connections_;
  std::vector<std::string> names_; // node i is names_[i - 1]
  std::map<uint32_t, neighbour> nodes_;
};

} // namespace greenroom::cluster
