// user: owns one active account: its password and sessions, its connections, its list of rooms with the read positions.
// Activated on first use; passivated when idle and without connections.
//
// In   ask (a command, through the shard), answers of storage actor, readers, hasher and rooms, retire from the shard
// Out  commit to the storage actor; replies to callers; listed and ended to the user's connections; effect_applied to
//      the shard an effect came from; busy and retired to the own shard
//
// Invariants
// - A session that was revoked stays so, for connections and tokens, until its tokens have expired.
// - Of the refresh tokens of a session one is good, and the one before it for a moment. Whoever shows an older one ends
//   the session.
// - A read position only moves forward, and is answered when it is durable.
// - What attachments take is counted with each of them in one write; over attachments.quota_mb none is begun.
// - An effect is applied once, whatever the number of repetitions: (room, epoch, seq) older than what the list says
//   is void.
// - After a failed write everything durable is read anew; the connections stay.
#pragma once

#include "actors/hasher.hpp"
#include "actors/reader.hpp"
#include "actors/relay_lane.hpp"
#include "actors/storage_actor.hpp"
#include "config/token_bucket.hpp"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

namespace greenroom::user {

// -- to a connection -------------------------------------------------------------------------------------------------
/// The answer to arrive.
struct welcome {
  using local = message_tag;
  /// By id; when there are more of them than hello lists, the most recently active first.
  outcome<std::vector<std::pair<room_id, storage::listed_room>>> rooms;
  close_code otherwise = close_code::revoked; // with which the connection closes when refused
  uint64_t ticket = 0;
};
/// A room has come onto the user's list, or gone from it.
struct listed {
  using local = message_tag;
  room_id room;
  position since; // events after it concern the user
  bool joined = false;
  size_t rooms = 0; // how many there are now
  uint64_t connection = 0;
  bool again = false; // the connection has arrived anew; nothing need have changed
};
/// The connection has to end.
struct ended {
  using local = message_tag;
  close_code code = close_code::revoked;
  std::string reason;
  uint64_t connection = 0;
};
using member_connection = caf::typed_actor<caf::reacts_to<welcome>, caf::reacts_to<listed>, caf::reacts_to<ended>>;

// -- commands --------------------------------------------------------------------------------------------------------
/// A connection has shown a good token. Answered by `welcome`: the user's rooms; or a refusal, with which it closes:
/// the session was revoked, or there are limits.connections_per_user.
struct arrive {
  uint64_t connection = 0;
  std::string session;
  member_connection to;
};
/// It has ended; that it was not known is no mistake.
struct depart {
  uint64_t connection = 0;
};
/// Is this session still good? For REST, before anything is done in its name.
struct vouch {
  std::string session;
  bool one_more_room = false; // and may the user be in one more room?
};
/// The room found the position possible.
struct mark_read {
  room_id room;
  std::string epoch;
  uint64_t seq = 0;
  uint64_t thread = 0;  // of this message's thread only; 0: of the room
  bool arrived = false; // it is how far the room was delivered
  bool quiet = false;   // the room is not told
};
/// The answer to `effect`, when it is durable.
struct effect_applied {
  using local = message_tag;
  storage::effect_record what;
  uint64_t ticket = 0;
  bool refused = false; // an attachment: there is no room for it in the user's quota
};
/// From another shard, until it was answered: may come any number of times.
struct effect {
  storage::effect_record what;
  caf::typed_actor<caf::reacts_to<effect_applied>> origin;
};
/// Something has happened in the room. The user need not be awake: the shard writes it down.
struct activity {
  room_id room;
  storage::activity_record what;
};
/// Revokes it and closes its connections; not_found: the user has no such session.
struct end_session {
  std::string session;
  int64_t expires_at = 0; // of the caller's token, ms since 1970 UTC; 0: the session is not the caller's own
};

struct command {
  user_id user;
  caller from;
  std::variant<arrive, depart, vouch, mark_read, effect, op::rooms, op::thread, op::profile, account::register_user,
               account::log_in, account::guest, account::refresh, end_session, activity>
      what;
};
using command_ptr = std::shared_ptr<const command>;

struct ask {
  using local = message_tag;
  command_ptr what;
};
/// No more commands will come: end with `retired`, or, with connections, answer `stays`, unless the node stops.
struct retire {
  using local = message_tag;
  bool stopping = false;
};

// -- to the shard ----------------------------------------------------------------------------------------------------
/// Whether the user has connections, and so must stay.
struct busy {
  using local = message_tag;
  user_id user;
  bool on = false;
};
struct retired {
  using local = message_tag;
  user_id user;
  uint64_t actor = 0;
};
struct stays {
  using local = message_tag;
  user_id user;
  uint64_t actor = 0;
};
using keeper = caf::typed_actor<caf::reacts_to<busy>, caf::reacts_to<retired>, caf::reacts_to<stays>>;

using handle = caf::typed_actor<caf::reacts_to<ask>, caf::reacts_to<retire>, caf::reacts_to<user_loaded>,
                                caf::reacts_to<committed>, caf::reacts_to<stands>, caf::reacts_to<hashed>,
                                caf::reacts_to<verified>, caf::reacts_to<activity_loaded>,
                                caf::reacts_to<thread_loaded>, caf::reacts_to<usage_loaded>>;

class user_actor : public hosted_actor<user_actor, handle> {
public:
  user_actor(caf::actor_config& cfg, house& in, host& on, user_id user, keeper shard);
  ~user_actor() override;

  // Messages.
  void receive(const ask& x);
  void receive(const retire& x);
  void receive(const user_loaded& x);
  void receive(const committed& x);
  void receive(const stands& x);
  void receive(const hashed& x);
  void receive(const verified& x);
  void receive(const activity_loaded& x);
  void receive(const thread_loaded& x);
  void receive(const usage_loaded& x);

private:
  enum class phase : uint8_t { cold, loading, serving };
  struct connection {
    uint64_t id = 0; // of its actor
    member_connection to;
    std::string session;
  };
  struct pending {
    uint64_t token = 0;
    command_ptr cause;
    std::function<void()> then; // once durable
  };
  /// An inbox page whose rooms are being asked: with the tickets from `first_ticket` on, in the order of the page.
  struct gathering {
    uint64_t first_ticket = 0;
    command_ptr cause;
    ok::rooms page;
    size_t missing = 0;
  };

  /// Positions in one thread that are on their way to the disk: the furthest, and how many.
  struct marking {
    storage::thread_record furthest;
    uint32_t in_flight = 0;
  };

  // Life.
  void start() override { load(); }
  void load();
  void go_on();
  bool stale() const noexcept;
  void commit(std::shared_ptr<storage::batch> batch, const command_ptr& cause, std::function<void()> then);
  void refuse(const command& c, const failure& why);
  void try_to_end();

  // Commands. In user.cpp: connections, rooms, read positions; in user_accounts.cpp: accounts and sessions; in
  // user_files.cpp: what attachments take.
  void perform(const command_ptr& c);
  void perform(const command_ptr& c, const arrive& x);
  void perform(const command_ptr& c, const depart& x);
  void perform(const command_ptr& c, const vouch& x);
  void perform(const command_ptr& c, const mark_read& x);
  void perform(const command_ptr& c, const effect& x);
  void perform(const command_ptr& c, const op::rooms& x);
  void perform(const command_ptr& c, const op::thread& x);
  void perform(const command_ptr& c, const op::profile& x);
  void charge(const command_ptr& c);
  void charge_next();
  void mark_thread(const command_ptr& c, const mark_read& x, const storage::thread_record& known);
  void ask_for_thread(const command_ptr& c, const room_id& room, uint64_t target);
  void perform(const command_ptr& c, const account::register_user& x);
  void perform(const command_ptr& c, const account::log_in& x);
  void perform(const command_ptr& c, const account::guest& x);
  void perform(const command_ptr& c, const account::refresh& x);
  void perform(const command_ptr& c, const end_session& x);
  void perform(const command_ptr&, const activity&) {} // is the shard's
  std::vector<connection>::iterator find(uint64_t id);
  std::vector<std::pair<room_id, storage::listed_room>> list() const;
  void finish(gathering& g);
  bool start_hash(const command_ptr& c, const std::function<void(uint64_t token)>& start);
  command_ptr end_hash(uint64_t token);

  // Pieces of accounts.
  bool is_revoked(const std::string& session) const;
  void open_session(const command_ptr& c, const std::string& device, std::shared_ptr<storage::batch> batch);
  void end_reused(const command_ptr& c, const std::string& session);
  void put_revoked(storage::batch& batch, const std::string& session);
  void forget_expired(storage::batch& batch);
  void close_connections(const std::string& session, const std::string& reason);
  std::optional<failure> throttled();

  house& house_;
  const user_id user_;
  keeper shard_;
  phase phase_ = phase::cold;
  bool retiring_ = false;
  uint64_t era_ = 0;

  std::optional<storage::account_record> account_;
  std::unique_ptr<storage::profile_record> profile_; // null: none; as admitted
  std::map<std::string, storage::session_record> sessions_;
  std::map<room_id, storage::listed_room> rooms_; // tombstones included
  size_t room_count_ = 0;                         // without them

  // Most users have one connection and nothing under way: containers that are small when empty.
  std::vector<connection> connections_;
  std::list<command_ptr> waiting_;
  std::list<pending> pending_;
  std::list<gathering> gatherings_;
  std::list<std::pair<uint64_t, command_ptr>> threads_; // whose positions are being read, by token
  std::map<std::pair<room_id, uint64_t>, marking> marking_;
  std::vector<std::pair<uint64_t, command_ptr>> hashing_; // by token
  std::list<command_ptr> charging_;                       // effects of attachments, one after the other
  uint64_t charging_token_ = 0; // of the first one: of what is being read, or is on its way to the disk
  uint64_t next_token_ = 0;
  token_bucket logins_; // so that a password can't be tried out
};

} // namespace greenroom::user
