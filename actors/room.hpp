// room: owns one active room: membership, the sequence number, the ring of recent events, typing. The only writer of
// its log. Activated on first use, passivated when idle; between two activations the store holds everything.
//
// In   ask (a command, through the shard), answers of storage actor and readers, effect_done, tick and retire from the
//      shard; fall_due among its commands
// Out  commit to the storage actor; publish, attach and ephemerals to the relays; replies to callers; effects,
//      due_later, due_done, wants_retire and retired to the shard
//
// Invariants
// - An event is published and acknowledged only after `committed` said ok.
// - Sequence numbers are given out in the order of admission, without gaps; what is admitted in one activation is
//   committed in that order up to the first failure. After a failure all that was admitted is refused, and the room is
//   read anew before it goes on: a seq that was given out in memory may or may not be taken.
// - A key is looked up before a seq is drawn; a key in flight waits for the first result.
// - A message is changed on top of all changes that were admitted before, durable or not.
// - What makes or leaves a room carries no key: repeated, it is told by what it did, and gets the first answer.
// - A scheduled send that was acknowledged is made once, in the write that strikes it off. Whether it may be said is
//   judged then.
// - Commands of one connection take effect in the order in which they came.
// - From the moment on that `block` is answered nothing is said in the direct room, whoever wants to say it.
#pragma once

#include "actors/audience.hpp"
#include "actors/bulk.hpp"
#include "actors/pusher.hpp"
#include "actors/reader.hpp"
#include "actors/storage_actor.hpp"
#include "actors/tenants.hpp"
#include "actors/vetter.hpp"
#include "config/token_bucket.hpp"
#include "storage/rare.hpp"

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

namespace greenroom {
enum class action : uint8_t; // permissions.hpp
}

namespace greenroom::room {

// -- commands that are not a client's --------------------------------------------------------------------------------
/// The events after `after`, for a connection that is behind.
struct pulled {
  using local = message_tag;
  uint64_t ticket = 0;
  bool refused = false; // the room is gone, or another one by now, or the user may not see it any more
  std::vector<std::shared_ptr<const storage::event>> events;
  uint64_t head = 0;
  uint64_t first = 1; // lowest seq that is kept
};
/// Answered with one page, within limits.page_bytes and a quarter of limits.outbox_bytes; an empty one where the store
/// can't be read now.
struct pull {
  std::string epoch;
  uint64_t after = 0;
  caf::typed_actor<caf::reacts_to<pulled>> to;
};
/// Where the room stands for this user, without listening. Answered with `stands`.
struct peek {
  std::optional<position> resume;
  std::optional<position> read; // how far the user has read: what is behind it is counted
  caf::typed_actor<caf::reacts_to<stands>> to;
};
/// The relay on the caller's node listens, perhaps since before this room was woken here, and wants to know the head.
struct watch {};
/// The user's read position has moved.
struct receipt {
  std::string epoch;
  uint64_t seq = 0;
  bool arrived = false; // the position up to which it was delivered
};

/// From the shard: its time has come. Answered with due_done, when it is done or there is nothing to do; and asked
/// again until then.
struct fall_due {
  storage::due_entry what;
};

/// The caller has blocked the other one of this direct room, or has taken that back. Answered with ok::changed, whose
/// seq is the version that the room knows; a greater one than `version`: it has heard a later word.
struct shun {
  bool on = true;
  uint64_t version = 0;
};
/// What there is about the caller in the next page of the log, whatever the room. Answered with ok::about_events.
struct gather {
  uint64_t after = 0;
};
/// From the pusher, by way of the shard: where does the webhook go on? The reader sends the answer.
struct collect {
  pusher::collect what;
};
/// Likewise: the webhook has it. Answered with pusher::settled when that is durable.
struct hook_moved {
  pusher::moved what;
};
/// From an operator: the webhook gets once more what was said from `seq` on, or from `ts` on where that is 0. Answered
/// with ok::replay.
struct replay {
  std::string hook;
  uint64_t seq = 0;
  int64_t ts = 0;
};
/// What the pre-send hook has said of a command, which comes once more with it.
struct vetted_content {
  uint64_t content = 0; // of what its client has sent
  std::optional<std::string> refused;
  std::optional<std::string> text; // instead, of what was scheduled
  std::optional<std::string> data;
};

struct command {
  room_id room;
  caller from;
  std::variant<op::create, op::join, op::leave, op::subscribe, op::send, op::edit, op::revoke, op::react, op::moderate,
               op::topic, op::pin, op::configure, op::history, op::thread, op::scheduled, op::cancel, op::read,
               op::typing, op::members, op::pins, op::upload, op::store, op::fetch, op::discard, pull, peek, receipt,
               watch, fall_due, shun, gather, collect, hook_moved, replay>
      what;
  std::string once = {}; // where changes_room(): drawn by whoever asks, so that a repetition is known as one
  std::shared_ptr<const vetted_content> vetted = nullptr; // within the room only
};
using command_ptr = std::shared_ptr<const command>;

/// A command that changes the log under a key of its client.
inline bool has_key(const command& c) {
  const auto* send = std::get_if<op::send>(&c.what);
  return (send != nullptr && !send->ephemeral) || std::holds_alternative<op::edit>(c.what) ||
         std::holds_alternative<op::revoke>(c.what) || std::holds_alternative<op::react>(c.what);
}

/// A command that changes the room without a key of its client's.
inline bool changes_room(const command& c) {
  const auto* settings = std::get_if<op::configure>(&c.what);
  return (settings != nullptr && settings->changes()) || std::holds_alternative<op::moderate>(c.what) ||
         std::holds_alternative<op::topic>(c.what) || std::holds_alternative<op::pin>(c.what);
}

/// A command that will attach its connection to the relay on its node, or be refused by way of it.
inline bool listens(const command& c) {
  return c.from.connection != 0 &&
         (std::holds_alternative<op::subscribe>(c.what) || std::holds_alternative<op::join>(c.what));
}

// -- to the room -----------------------------------------------------------------------------------------------------
struct ask {
  using local = message_tag;
  command_ptr what;
};
/// All effects of the event `seq` have been applied and are gone from the store.
struct effect_done {
  using local = message_tag;
  uint64_t seq = 0;
};
/// An attachment that was begun counts now as its owner's, or is refused: the quota is full.
struct file_charged {
  using local = message_tag;
  std::string file;
  std::optional<failure> refused = {};
};
struct tick {
  using local = message_tag;
};
/// No more commands will come; finish and answer with `retired`. When the node stops, nothing waits for effects: they
/// are sent again at the next start.
struct retire {
  using local = message_tag;
  bool stopping = false;
};

// -- to the shard ----------------------------------------------------------------------------------------------------
/// There is no such room; asks for `retire`.
struct wants_retire {
  using local = message_tag;
  room_id room;
  uint64_t actor = 0;
};
/// The last message of a room.
struct retired {
  using local = message_tag;
  room_id room;
  uint64_t actor = 0;
};
/// Effects that have just become durable.
struct effects {
  using local = message_tag;
  std::vector<storage::effect_record> list;
};
/// Has just become durable: asks for fall_due at its time.
struct due_later {
  using local = message_tag;
  storage::due_entry what;
};
/// Is done, or is not to be done any more.
struct due_done {
  using local = message_tag;
  storage::due_entry what;
};
/// Asks for a `tick` at the next turn of the shard's clock.
struct remind {
  using local = message_tag;
  room_id room;
};
using keeper = caf::typed_actor<caf::reacts_to<wants_retire>, caf::reacts_to<retired>, caf::reacts_to<effects>,
                                caf::reacts_to<due_later>, caf::reacts_to<due_done>, caf::reacts_to<remind>>;

using handle =
    caf::typed_actor<caf::reacts_to<ask>, caf::reacts_to<committed>, caf::reacts_to<effect_done>, caf::reacts_to<tick>,
                     caf::reacts_to<retire>, caf::reacts_to<room_loaded>, caf::reacts_to<page_read>,
                     caf::reacts_to<key_found>, caf::reacts_to<target_found>, caf::reacts_to<scheduled_found>,
                     caf::reacts_to<counted>, caf::reacts_to<first_found>, caf::reacts_to<effects_left>,
                     caf::reacts_to<reply>, caf::reacts_to<files_found>, caf::reacts_to<files_listed>,
                     caf::reacts_to<bulk::stored>, caf::reacts_to<file_charged>, caf::reacts_to<vetter::vetted>>;

using event_ptr = std::shared_ptr<const storage::event>;

/// Tells a repetition of a request from another content under the same key.
uint64_t content_of(std::string_view a, std::string_view b, std::string_view c);
uint64_t content_of(const op::send& x);

/// Whether the room forgets what is old.
inline bool keeps_some(const storage::room_record& r) { return r.history_days != 0 || r.history_events != 0; }

/// Why and until when something is done to a member, as the event says it.
struct sentence {
  std::string reason;
  int64_t until = 0; // ms since 1970 UTC; 0: for ever
};

/// Under which a repetition of the command is found; zeros where it has none. What a client has no key for stands under
/// a byte that is in no client's key.
storage::key_hash key_of(const command& c);

class room_actor : public hosted_actor<room_actor, handle> {
public:
  room_actor(caf::actor_config& cfg, house& in, host& on, room_id room, keeper shard,
             std::shared_ptr<audience> listeners);
  ~room_actor() override;

  // Messages.
  void receive(const ask& x);
  void receive(const committed& x);
  void receive(const effect_done& x);
  void receive(const tick&);
  void receive(const retire& x);
  void receive(const room_loaded& x);
  void receive(const page_read& x);
  void receive(const key_found& x);
  void receive(const target_found& x);
  void receive(const scheduled_found& x);
  void receive(const counted& x);
  void receive(const first_found& x);
  void receive(const effects_left& x);
  void receive(const reply& x);
  void receive(const files_found& x);
  void receive(const files_listed& x);
  void receive(const bulk::stored& x);
  void receive(const file_charged& x);
  void receive(const vetter::vetted& x);

private:
  enum class phase : uint8_t {
    cold,    // nothing is known, or a write failed and nothing held in memory is true any more
    loading, // the store is being read
    serving,
    looking_up, // a key may be on disk, or a message is to be changed; later commands wait so that they stay behind it
    settling,   // a message is to be revoked whose changes are on their way to the disk; later commands wait
  };
  /// A command under a key: what its event will be, and a digest of what it asks for.
  struct keyed {
    storage::event_kind kind;
    storage::key_hash key;
    uint64_t content;
    friend bool operator==(const keyed&, const keyed&) = default;
  };
  /// Admitted, on its way to the disk.
  struct pending {
    uint64_t token = 0;
    event_ptr what;                     // null: a direct room is made, or nothing has to change
    std::vector<command_ptr> causes;    // the first one, and those who asked the same meanwhile
    std::vector<command_ptr> followers; // look back on it, so they wait for it; they only look
    std::vector<storage::effect_record> effects;
    std::optional<keyed> key;
    uint64_t seq = 0; // what the key stands for: of `what`, or of an earlier event where it changes nothing
    int64_t ts = 0;
    uint64_t target = 0;                        // the message that is changed
    std::vector<event_ptr> blanked;             // events that have lost their content with it
    std::optional<storage::room_record> record; // the room's settings with it, where it changes them
    std::optional<storage::due_entry> later;    // what has to be done then
    std::optional<storage::due_entry> done;     // what was due, or is not any more
    bool ends_room = false;                     // it was deleted, and this was the last of it
    uint32_t opened = 0;                        // a bit for each of hooks_ that has something to push from here on
    std::optional<pusher::settled> settled;     // what the pusher is told then
  };
  /// A webhook that means this room, or did.
  struct hooked {
    hooks::webhook_ptr what; // null: there is no such webhook any more, or it doesn't mean this room
    std::string name;
    storage::hook_record record; // as admitted
    bool there = false;          // it has a record
    uint64_t wanted = 0;         // seq of the last event that it wants, or may; it is not closed before
  };
  /// A message that waits for the pre-send hook.
  struct vetting {
    command_ptr cause;
    std::optional<storage::key_hash> key;
    uint64_t content = 0;          // as of `keyed`
    std::vector<command_ptr> same; // under the same key
  };
  /// One connection: what comes behind a message of its own that waits for the hook waits, too.
  using line = std::pair<uint32_t, uint64_t>; // its node and its id
  /// A message with changes on their way to the disk: how it stands with them.
  struct changing {
    storage::message_state state;
    std::map<user_id, storage::own_reactions> own; // of those who have just reacted
    uint32_t in_flight = 0;
  };
  /// For what has no key of its client's; none where nobody has drawn one.
  static std::optional<keyed> once_of(const command& c, storage::event_kind kind) {
    return c.once.empty() ? std::nullopt : std::optional<keyed>({kind, key_of(c), 0});
  }
  /// An upload that is under way, as it stands on the disk.
  struct open_upload {
    storage::file_record record;
    uint64_t token = 0; // of the chunk that is being stored; 0: none
    uint64_t offset = 0;
    std::vector<command_ptr> causes; // who have sent that chunk
  };
  /// An upload that was begun, until its owner's quota has been asked.
  struct begun_upload {
    storage::file_record record;
    std::vector<command_ptr> causes;
  };
  using known_key = outcome<std::pair<storage::lookup, storage::key_record>>;

  /// A page that is being read: for whom, and the head when it was asked for.
  struct reading {
    command_ptr cause;
    uint64_t as_of = 0;
    uint64_t first = 1; // lowest seq kept then
  };
  /// Whoever is to be invited is asked first. Meanwhile nothing overtakes it that the same caller wants.
  struct question {
    uint64_t ticket = 0;
    command_ptr cause;
    std::list<command_ptr> behind;
    int64_t deadline = 0; // of house::steady_ms
  };
  /// A page that shows what is on the disk and not yet known here to be.
  struct held_page {
    command_ptr cause;
    ok::page what;
  };
  /// What few rooms have under way, idle ones never.
  struct rare_state {
    std::list<question> questions;
    std::vector<command_ptr> agreed_to;                 // invitations that have been asked about
    std::optional<storage::scheduled_send> falling_due; // while the message that it replies to is looked up
    storage::key_record falling_due_key;                // what stands under its key
    std::map<std::string, begun_upload> begun;          // by id of the attachment
    std::map<std::string, open_upload> uploads;         // likewise; at most attachments.uploads_per_room
    std::vector<storage::file_record> files_found;      // of the send that is being judged
    std::unordered_map<uint64_t, vetting> vettings;     // by token
    std::map<line, std::list<command_ptr>> lines;       // of those with a message among them; what waits behind it
    size_t lined_up = 0;                                // in all of them
  };

  // Life.
  void start() override { load(); }
  void load();
  void go_on();
  bool stale() const noexcept;
  void fail_pending();
  bool seats_are_unsettled() const;
  void ask_to_retire();
  void try_to_end();
  void ask_for_tick();
  void tell_activity();
  void tell_size() { audience_->members = kind() == storage::room_kind::direct ? 0 : member_count_; }

  // Commands. In room_sends.cpp: sends; in room_changes.cpp: what changes messages; in room_threads.cpp: replies,
  // mentions, what is unread; in room_due.cpp: what is done later; in room_members.cpp: membership; in
  // room_moderation.cpp: what is done to others; in room_settings.cpp: to the room; in room_end.cpp: history and the
  // room itself go; in room_users.cpp: what concerns users' own shards; in room_reads.cpp: those that look.
  void perform(const command_ptr& c);
  void carry_out(const command_ptr& c);
  void create(const command_ptr& c, const op::create& x);
  void join(const command_ptr& c, const op::join& x);
  void leave(const command_ptr& c, const op::leave& x);
  void send(const command_ptr& c, const op::send& x);
  void send_with(const command_ptr& c, const op::send& x, const known_key& known);
  void say(const command_ptr& c, const op::send& x, const user_id& from, const keyed& what, storage::batch_ptr batch,
           pending p, std::optional<storage::message_state> root, std::vector<storage::attachment> files);
  void pass_on(const command_ptr& c, const op::send& x);
  template <class Operation>
  void change(const command_ptr& c, const Operation& x);
  void change_with(const command_ptr& c, const op::send& x, const storage::target_image& target);
  void change_with(const command_ptr& c, const op::edit& x, const storage::target_image& target);
  void change_with(const command_ptr& c, const op::revoke& x, const storage::target_image& target);
  void change_with(const command_ptr& c, const op::react& x, const storage::target_image& target);
  void change_with(const command_ptr& c, const op::pin& x, const storage::target_image& target);
  void moderate(const command_ptr& c, const op::moderate& x);
  size_t bans(int64_t now) const;
  void topic(const command_ptr& c, const op::topic& x);
  void configure(const command_ptr& c, const op::configure& x);
  void subscribe(const command_ptr& c, const op::subscribe& x);
  void history(const command_ptr& c, const op::history& x);
  void thread(const command_ptr& c, const op::thread& x);
  void schedule(const command_ptr& c, const op::send& x, const scheduled_found& found);
  void scheduled(const command_ptr& c, const op::scheduled& x);
  void cancel(const command_ptr& c, const op::cancel& x, const scheduled_found& found);
  void look_for_scheduled(const command_ptr& c, const user_id& user, const storage::key_hash& key);
  void fall_due_now(const command_ptr& c, const storage::due_entry& x);
  void make_scheduled(const command_ptr& c, const storage::due_entry& x, const scheduled_found& found);
  void make_reply(const command_ptr& c, const storage::due_entry& x, const outcome<storage::target_image>& root);
  void make(const command_ptr& c, const storage::due_entry& x, std::optional<storage::message_state> root);
  void drop_history(const command_ptr& c);
  // Attachments: in room_uploads.cpp, on their way in; in room_files.cpp, which belong to messages, and how they go.
  void begin(const command_ptr& c, const op::upload& x);
  void begin_with(const command_ptr& c, const op::upload& x, const std::optional<storage::file_record>& known);
  void begun(const command_ptr& c, const op::upload& x);
  void store(const command_ptr& c, const op::store& x);
  void store_with(const command_ptr& c, const op::store& x, const std::optional<storage::file_record>& known);
  void store_next(const command_ptr& c, const op::store& x, open_upload& u);
  void fetch(const command_ptr& c, const op::fetch& x);
  void discard_with(const command_ptr& c, const op::discard& x, const std::optional<storage::file_record>& known);
  void expire(const command_ptr& c, const storage::due_entry& x, const std::optional<storage::file_record>& known);
  void send_found(const command_ptr& c, const op::send& x, const files_found& found);
  void read(const command_ptr& c, const op::read& x);
  void typing(const command_ptr& c, const op::typing& x);
  void members(const command_ptr& c, const op::members& x);
  void pins(const command_ptr& c, const op::pins& x);
  void shunned(const command_ptr& c, const shun& x);
  void gather_page(const command_ptr& c, const gather& x);
  void answer_gathered(const command& c, const gather& x, ok::page page) const;
  void ask_invitee(const command_ptr& c, const user_id& invitee);
  bool is_behind_question(const command_ptr& c);
  void end_question(std::list<question>::iterator q, const answer& what);
  void end_questions(int64_t due);
  void part(const command_ptr& c);
  void pass_on_ownership(const user_id& from);
  void look(const command_ptr& c, const pull& x);
  void look(const command_ptr& c, const peek& x);
  void look(const command_ptr& c, const receipt& x);
  void look(const command_ptr& c, const watch& x);

  // Webhooks, in room_hooks.cpp.
  void load_hooks(const std::vector<std::pair<std::string, storage::hook_record>>& records);
  void note_for_hooks(storage::batch& batch, const storage::event& e, pending& p);
  void tell_hooks(const pending& p);
  hooked* find_hook(const std::string& name);
  bool hooks_wait() const;
  void erase_hooks(storage::batch& batch);
  void look(const command_ptr& c, const collect& x);
  void move_hook(const command_ptr& c, const hook_moved& x);
  void set_back(const command_ptr& c, const replay& x);
  void set_back_to(const command_ptr& c, const replay& x, uint64_t seq);

  // The pre-send hook, in room_vetting.cpp.
  bool wants_vetting(const command& c) const;
  hooks::question question_of(const user_id& from, const op::send& x) const;
  void vet(const command_ptr& c, std::optional<storage::key_hash> key, hooks::question what, uint64_t content);
  bool waits_in_line(const command_ptr& c);
  void end_vetting(const failure& why);
  uint64_t content_as_sent(const command& c, uint64_t own) const { return c.vetted ? c.vetted->content : own; }

  // Pieces.
  bool present() const noexcept { return record_ && record_->deleted == 0; }
  storage::member_role role_of(const user_id& user) const;
  std::optional<failure> refusal(const user_id& user, action what) const;
  storage::room_kind kind() const { return record_ ? record_->kind : storage::room_kind::direct; }
  bool is_stranger(const user_id& user) const;
  std::optional<failure> silenced(const user_id& user) const;
  bool is_apart() const;
  std::vector<std::string> mentioned_in(std::string_view text, const user_id& from) const;
  std::optional<storage::room_counts> counts_in_ring(const user_id& user, uint64_t read) const;
  void count_for(const command_ptr& c, const peek& x);
  storage::due_entry next_retention() const;
  void look_for_files(const command_ptr& c, std::vector<std::string> ids);
  std::optional<failure> wrong_files(const op::send& x, const user_id& from) const;
  std::vector<storage::attachment> found_of(const op::send& x) const;
  std::vector<storage::attachment> use_files(storage::batch& batch, const op::send& x);
  storage::effect_record charge(const std::string& file, const user_id& owner, uint64_t bytes, int64_t at) const;
  void remove_file(storage::batch& batch, pending& p, const std::string& file, const user_id& owner);
  void remove_now(const std::string& file, const storage::file_record& what, bool charged);
  void end_room(const command_ptr& c);
  void clear_out();
  void end_at_last(const command_ptr& c);
  void forget_room();
  void strike_off(const command_ptr& c, const storage::due_entry& x);
  std::optional<failure> is_full() const;
  std::optional<failure> too_long(std::string_view text) const;
  std::optional<failure> too_soon(const user_id& user) const;
  std::optional<failure> too_many(bool take = true);
  bool settle_by_key(const command_ptr& c, const keyed& what, const known_key& known);
  standing stand(const user_id& user, const std::optional<position>& resume, bool goes_on = false) const;
  void let_in(const caller& from, const std::optional<position>& resume, std::optional<uint64_t> at = std::nullopt,
              bool goes_on = false);
  void refuse_listener(const caller& from, failure why);
  void refuse(const command& c, const failure& why);
  void change_member(const command_ptr& c, const user_id& user, storage::member_change change,
                     storage::member_record next, sentence why = {},
                     std::optional<storage::room_record> created = std::nullopt);
  void change_settings(const command_ptr& c, storage::room_record next, storage::event e);
  storage::room_record draw_record(storage::room_kind kind, const user_id& creator) const;
  void establish_direct(storage::batch& batch);
  storage::effect_record effect_on(const user_id& user, const storage::event& cause, storage::member_change change,
                                   storage::member_role role) const;
  storage::event next_event(storage::event_kind kind, const user_id& from);
  void commit(std::shared_ptr<const storage::batch> batch, pending p);
  void commit_keyed(const command_ptr& c, const std::optional<keyed>& what, std::shared_ptr<storage::batch> batch,
                    std::optional<storage::event> e, pending p);
  void commit_change(const command_ptr& c, uint64_t target, const keyed& what, std::shared_ptr<storage::batch> batch,
                     storage::event e, pending p);
  void stands_already(const command_ptr& c, uint64_t seq);
  void change_landed(uint64_t target);
  void replace_in_ring(const event_ptr& e);
  void succeed(pending& p, uint32_t copies);
  void repeat(const command_ptr& c, uint64_t seq);
  void finish(const command_ptr& c, uint64_t seq);
  void finish_awaiting();
  void publish(const event_ptr& e);
  void answer_held_pages();
  void read_from_store(const command_ptr& c, reader::read_page page);
  bool from_ring(uint64_t after, uint32_t limit, uint32_t bytes, std::vector<event_ptr>& into) const;
  bool changed_in_ring(uint64_t after, uint64_t last) const;

  house& house_;
  const room_id room_;
  keeper shard_;
  const std::shared_ptr<audience> audience_;
  tenants::tenant* const tenant_; // null: no namespace
  phase phase_ = phase::cold;
  bool asked_to_retire_ = false;
  bool retiring_ = false;
  bool reminded_ = false;
  bool void_ = false; // a failed write held changes of who may see the room: nobody is let in before it is read anew
  uint64_t era_ = 0;

  std::optional<storage::room_record> record_;        // as admitted, that is, maybe not yet durable
  storage::room_record shown_;                        // as committed
  std::map<user_id, storage::member_record> members_; // those who left included, with role none
  uint64_t member_count_ = 0;
  uint64_t drawn_ = 0;          // last seq given out
  uint64_t head_ = 0;           // last seq committed
  uint64_t drawn_messages_ = 0; // how many messages there have been, up to drawn_
  uint64_t head_messages_ = 0;  // up to head_
  int64_t last_ts_ = 0;         // of the last seq given out
  int64_t head_ts_ = 0;
  std::deque<event_ptr> ring_; // the last committed events, gap-free up to head_
  size_t ring_bytes_ = 0;
  uint64_t announced_ = 0;
  // A round in which the members' inboxes are told that something has happened, some of them with each tick.
  uint64_t told_ = 0;   // the head when the last round began
  user_id next_told_;   // with whom it goes on; empty: it is over
  int64_t told_at_ = 0; // when it began, of house::steady_ms

  uint64_t next_token_ = 0;
  std::list<pending> pending_; // lists, because an empty deque holds 576 bytes
  std::map<storage::key_hash, pending*> keys_in_flight_;
  std::map<uint64_t, changing> changing_; // by seq of the message
  // Durable, but answered only when the users' own lists know: so a client that was told `joined` finds the room there.
  std::map<uint64_t, std::vector<command_ptr>> awaiting_effects_; // by seq
  std::unordered_map<uint64_t, reading> reading_;                 // by token
  std::multimap<uint64_t, held_page> held_pages_;                 // by the seq that has to be committed
  std::list<command_ptr> waiting_;                                // in every phase but serving
  command_ptr looked_up_;
  storage::rare<rare_state> rare_;    // read as it is; edit() makes it
  std::map<user_id, int64_t> typing_; // until when, ms
  std::map<user_id, int64_t> spoke_;  // in slow mode: when, of house::steady_ms; those of the last slow_ms
  token_bucket sends_;                // of all members together

  hooks::hook_set_ptr hook_set_; // as of hooks_version_
  uint64_t hooks_version_ = 0;
  std::vector<hooked> hooks_; // at most as many as there are, and were
  bool asks_first_ = false;   // the pre-send hook means this room
};

} // namespace greenroom::room
