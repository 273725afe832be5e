// user: owns one active account: its password and sessions, its connections, its list of rooms with the read positions,
// whom it has blocked, and its end.
// Activated on first use; passivated when idle and without connections.
//
// In   ask (a command, through the shard), answers of storage actor, readers, hasher and rooms, retire and report from
//      the shard
// Out  commit to the storage actor; replies to callers; listed, ended, shown and signalled to the user's connections;
//      effect_applied to the shard an effect came from; busy and retired to the own shard
//
// Invariants
// - A session that was revoked stays so, for connections and tokens, until its tokens have expired.
// - Of the refresh tokens of a session one is good, and the one before it for a moment. Whoever shows an older one ends
//   the session.
// - A read position only moves forward, and is answered when it is durable.
// - What attachments take is counted with each of them in one write; over attachments.quota_mb none is begun.
// - An effect is applied once, whatever the number of repetitions: (room, epoch, seq) older than what the list says
//   is void.
// - A block holds in the direct room before it is answered; what the room has not heard yet, it is told until it has.
// - An erased account stays so, and nobody else gets its name. What has to go goes, whatever fails in between: the
//   shard wakes the user until nothing is left.
// - After a failed write everything durable is read anew; the connections stay.
#pragma once

#include "actors/hasher.hpp"
#include "actors/reader.hpp"
#include "actors/relay_lane.hpp"
#include "actors/storage_actor.hpp"
#include "config/token_bucket.hpp"
#include "storage/rare.hpp"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
  appearance presence; // the user's own, as chosen
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
/// How the user has chosen to appear.
struct shown {
  using local = message_tag;
  appearance presence;
  uint64_t connection = 0;
};
/// Somebody has a word for the user's devices, or for one of them.
struct signalled {
  using local = message_tag;
  user_id from;
  std::string device; // empty: all
  std::string data;   // a JSON object as compact text
  uint64_t connection = 0;
};
/// One of the two has blocked the other: nothing more of `whom` is to be seen.
struct vanished {
  using local = message_tag;
  user_id whom;
  uint64_t connection = 0;
};
using member_connection = caf::typed_actor<caf::reacts_to<welcome>, caf::reacts_to<listed>, caf::reacts_to<ended>,
                                           caf::reacts_to<shown>, caf::reacts_to<signalled>, caf::reacts_to<vanished>>;

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
  std::optional<failure> refused = {}; // an attachment: why it may not be
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
/// May the caller invite the user into the room? Asked by the room; ok::none, or why not.
struct invitation {
  room_id room;
};
/// `fresh`: who asks need not show a password where there is none.
struct erase {
  account::erase what;
  bool fresh = false;
};
/// From the shard: the user has something to do. Answered with `errand`, when there is nothing left or it is put off,
/// and asked again until then.
struct fall_due {
  storage::due_entry what;
};
/// `whom` has blocked the user, whose connections are to see nothing more of them. May get lost.
struct vanish {
  user_id whom;
};
/// Revokes it and closes its connections; not_found: the user has no such session.
struct end_session {
  std::string session;
  int64_t expires_at = 0; // of the caller's token, ms since 1970 UTC; 0: the session is not the caller's own
};

struct command {
  user_id user;
  caller from;
  std::variant<arrive, depart, vouch, mark_read, effect, op::rooms, op::thread, op::profile, op::presence, op::watch,
               op::signal, account::register_user, account::log_in, account::guest, account::refresh, end_session,
               activity, vanish, op::block, op::blocks, invitation, fall_due, erase, account::show_erasure,
               account::look_into>
      what;
};
using command_ptr = std::shared_ptr<const command>;

struct ask {
  using local = message_tag;
  command_ptr what;
};
/// Say `busy` once more: somebody has begun to watch the user.
struct report {
  using local = message_tag;
};
/// No more commands will come: end with `retired`, or, with connections, answer `stays`, unless the node stops.
struct retire {
  using local = message_tag;
  bool stopping = false;
};

// -- to the shard ----------------------------------------------------------------------------------------------------
/// Whether the user has connections, and so must stay; and how they appear to others.
struct busy {
  using local = message_tag;
  bool on = false;
  appearance as;
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
/// Has just become durable: asks for fall_due at its time. Or, `done`: there is nothing to do about it any more.
struct errand {
  using local = message_tag;
  storage::due_entry what;
  bool done = false;
};
/// The account is gone: what rooms have told its inbox need not be written.
struct gone {
  using local = message_tag;
  user_id user;
};
using keeper = caf::typed_actor<caf::reacts_to<busy>, caf::reacts_to<retired>, caf::reacts_to<stays>,
                                caf::reacts_to<errand>, caf::reacts_to<gone>>;

using handle =
    caf::typed_actor<caf::reacts_to<ask>, caf::reacts_to<retire>, caf::reacts_to<report>, caf::reacts_to<user_loaded>,
                     caf::reacts_to<committed>, caf::reacts_to<stands>, caf::reacts_to<hashed>,
                     caf::reacts_to<verified>, caf::reacts_to<activity_loaded>, caf::reacts_to<thread_loaded>,
                     caf::reacts_to<threads_loaded>, caf::reacts_to<usage_loaded>, caf::reacts_to<reply>>;

class user_actor : public hosted_actor<user_actor, handle> {
public:
  user_actor(caf::actor_config& cfg, house& in, host& on, user_id user, keeper shard);
  ~user_actor() override;

  // Messages.
  void receive(const ask& x);
  void receive(const retire& x);
  void receive(const report&) { tell_shard(); }
  void receive(const user_loaded& x);
  void receive(const committed& x);
  void receive(const stands& x);
  void receive(const hashed& x);
  void receive(const verified& x);
  void receive(const activity_loaded& x);
  void receive(const thread_loaded& x);
  void receive(const usage_loaded& x);
  void receive(const threads_loaded& x);
  void receive(const reply& x);

  /// Whether this user has blocked the other one: whom nothing is to be shown of the user's presence, and of whom the
  /// user wants to see nothing. As admitted, that is, maybe a moment before `block` is answered. REQUIRES: what is
  /// stored has been read, as it has in every perform().
  bool blocked(const user_id& other) const;

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

  /// A direct room is being told of a block.
  struct telling {
    uint64_t ticket = 0;     // of the question that is under way; 0: the word is on its way to the disk
    int64_t since = 0;       // of house::steady_ms
    bool room_knows = false; // and the other one's devices are to look away
    std::vector<command_ptr> waiting;
  };
  /// The room that is being seen to, while the account is erased.
  struct erasing {
    enum class step : uint8_t { leave, scheduled, cancel, look, revoke };
    room_id room;
    step at = step::leave;
    uint64_t after = 0;           // up to where its log has been looked through
    bool more = false;            // there is more behind it
    std::vector<uint64_t> to_do;  // messages to be revoked
    std::set<uint64_t> in_flight; // tickets
    uint64_t revoked = 0;
    bool failed = false;
    int64_t touched = 0; // when something was last heard, of house::steady_ms
  };

  /// Positions in one thread that are on their way to the disk: the furthest, and how many.
  struct marking {
    storage::thread_record furthest;
    uint32_t in_flight = 0;
  };

  /// What few users have, idle ones hardly ever.
  struct rare_state {
    std::map<user_id, storage::block_record> blocks; // those taken back included, until their rooms know; as admitted
    std::map<user_id, telling> tellings;
    storage::due_entry errand;       // that the shard is to wake the user for; at 0: none that is known
    std::list<command_ptr> charging; // effects of attachments, one after the other
    uint64_t charging_token = 0;     // of the first one: of what is being read, or is on its way to the disk
    std::vector<std::pair<uint64_t, command_ptr>> looking; // into threads, by token
  };

  // Life.
  void start() override { load(); }
  void load();
  void go_on();
  bool stale() const noexcept;
  void commit(std::shared_ptr<storage::batch> batch, const command_ptr& cause, std::function<void()> then);
  void refuse(const command& c, const failure& why);
  void try_to_end();

  // Commands. In user.cpp: connections, rooms, read positions; in user_presence.cpp: how the user appears; in
  // user_accounts.cpp: accounts and sessions; in user_files.cpp: what attachments take.
  void perform(const command_ptr& c);
  void perform(const command_ptr& c, const arrive& x);
  void perform(const command_ptr& c, const depart& x);
  void perform(const command_ptr& c, const vouch& x);
  void perform(const command_ptr& c, const mark_read& x);
  void perform(const command_ptr& c, const effect& x);
  void perform(const command_ptr& c, const op::rooms& x);
  void perform(const command_ptr& c, const op::thread& x);
  void perform(const command_ptr& c, const op::profile& x);
  void perform(const command_ptr& c, const op::presence& x);
  void perform(const command_ptr& c, const op::watch& x);
  void perform(const command_ptr& c, const op::signal& x);
  void perform(const command_ptr& c, const vanish& x);
  void tell_vanished(const user_id& whom);
  appearance chosen() const;
  void tell_shard();
  // In user_blocks.cpp: blocks, and what has to be done whatever happens; in user_erasure.cpp: the end of an account,
  // and all that there is about it.
  void perform(const command_ptr& c, const op::block& x);
  void perform(const command_ptr& c, const op::blocks& x);
  void perform(const command_ptr& c, const invitation& x);
  void perform(const command_ptr& c, const fall_due& x);
  void perform(const command_ptr& c, const erase& x);
  void perform(const command_ptr& c, const account::show_erasure& x);
  void perform(const command_ptr& c, const account::look_into& x);
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

  // Pieces of blocks and errands.
  void tell_room_of(const user_id& blocked);
  void told(const user_id& blocked, const reply& x);
  void drop_tellings(const failure& why);
  bool has_errands() const;
  std::optional<storage::due_entry> begin_errand(storage::batch& batch);
  std::optional<storage::due_entry> strike_errand(storage::batch& batch);
  void see_to_errands();
  command_ptr nobodys() const;

  // Pieces of erasure.
  bool is_erased() const noexcept { return erasure_ != nullptr; }
  bool answers_erased(const command& c) const;
  void note_place(const command_ptr& c, const effect& x);
  void begin_erasure(const command_ptr& c, const account::erase& x);
  void continue_erasure();
  void erase_in_room();
  void answered_erasing(const reply& x);
  void leave_behind();
  void finish_erasure();
  template <class Operation>
  void ask_erasing(Operation what);

  house& house_;
  const user_id user_;
  keeper shard_;
  phase phase_ = phase::cold;
  bool retiring_ = false;
  uint64_t era_ = 0;

  std::optional<storage::account_record> account_;
  std::unique_ptr<storage::profile_record> profile_;   // null: none; as admitted
  std::unique_ptr<storage::presence_record> presence_; // null: online, without a note; as admitted
  std::map<std::string, storage::session_record> sessions_;
  std::map<room_id, storage::listed_room> rooms_;    // tombstones included
  size_t room_count_ = 0;                            // without them
  std::unique_ptr<storage::erasure_record> erasure_; // null: there is an account, or was never one

  // Most users have one connection and nothing under way: containers that are small when empty.
  std::vector<connection> connections_;
  std::list<command_ptr> waiting_;
  std::list<pending> pending_;
  std::list<gathering> gatherings_;
  std::list<std::pair<uint64_t, command_ptr>> threads_; // whose positions are being read, by token
  std::map<std::pair<room_id, uint64_t>, marking> marking_;
  std::vector<std::pair<uint64_t, command_ptr>> hashing_; // by token
  uint64_t next_token_ = 0;
  storage::rare<rare_state> rare_;   // read as it is; edit() makes it
  std::unique_ptr<erasing> erasing_; // null: no room is being seen to
  bool finishing_ = false;           // nothing is left of it but the last write
  token_bucket logins_;              // so that a password can't be tried out
};

} // namespace greenroom::user
