// requests: what a client can ask and what it can be answered, free of any wire format. The codec in net/ turns frames
// into these and back; connection actors and REST use the same ones.
//
// What is asked is within the bounds of `limits` and of net/README.md: the codec has refused everything else. Times are
// in ms since 1970 UTC.
#pragma once

#include "actors/appearance.hpp"
#include "config/ids.hpp"
#include "storage/changes.hpp"
#include "storage/rare.hpp"
#include "storage/records.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace greenroom {

/// A place in a room's log.
struct position {
  std::string epoch;
  uint64_t seq = 0;
};

/// Who a token says the client is. Made by token_verifier only.
struct identity {
  user_id user;
  std::string session; // the claim `sid`, or one derived from the token where the issuer gives none
  int64_t expires_at = 0;
  bool admin = false;
  std::shared_ptr<const std::vector<std::string>> namespaces; // whose rooms are open; null: all (tenancy.hpp)
  int64_t issued_at = 0;                                      // 0: the token does not say
};

/// Checks tokens. Implemented in net/; called on I/O threads, so it must be safe to call from several at once.
class token_verifier {
public:
  virtual ~token_verifier() = default;
  /// Fails with unauthenticated. Says nothing about revocation: that is the user actor's to know.
  virtual outcome<identity> verify(std::string_view token) const = 0;
};

// -- what can be asked -----------------------------------------------------------------------------------------------
namespace op {

struct hello {
  enum class scope : uint8_t { all, none, list };
  std::optional<std::string> token;
  std::string device;
  std::vector<std::pair<room_id, position>> resume;
  scope subscribe = scope::all;
  std::vector<room_id> rooms; // for scope::list
};
struct refresh {
  std::string token;
};
struct ping {};
struct create {
  room_id room;
  storage::room_kind kind = storage::room_kind::public_;
  std::string title;
  uint32_t history_days = 0; // 0: for ever
};
struct join {
  room_id room;
  std::optional<position> resume;
};
struct leave {
  room_id room;
  bool erased = false; // not from a client: the account is being erased; also where one can't leave
};
struct subscribe {
  room_id room;
  std::optional<position> resume;
  bool goes_on =
      false; // not from a client: after an event that ends it for some, a connection asks whether it may go on
};
struct unsubscribe {
  room_id room;
};
struct send {
  std::optional<room_id> room; // exactly one of room and to
  std::optional<user_id> to;
  std::string key; // 1 to 64 visible ASCII characters: a retry under the same one is the same message
  std::string text;
  std::string data;                          // a JSON object as compact text, or empty
  uint64_t reply_to = 0;                     // a message of the room, in whose thread this one is; 0: in none
  bool ephemeral = false;                    // passed on to who listens now, never stored; needs no key
  int64_t at = 0;                            // kept, and sent then; 0: now
  std::vector<std::string> attachments = {}; // ids; the sender's own, complete, and of no message yet
};
/// The three that change a message; each is an event of its own. `key` as of send; `target` is the message's seq.
struct edit {
  room_id room;
  uint64_t target = 0;
  std::string key;
  std::string text;
  std::optional<uint64_t> base; // the last edit that its author has seen, 0 or `target`: none; another one: conflict
};
struct revoke {
  room_id room;
  uint64_t target = 0;
  std::string key;
  bool erased = false; // not from a client: as of leave; then without a key, and whatever the role
};
struct react {
  room_id room;
  uint64_t target = 0;
  std::string key;
  std::string emoji; // 1 to 64 bytes of UTF-8
  bool on = true;
};
struct history {
  enum class from : uint8_t { before, after, around, at };
  room_id room;
  from where = from::before;
  uint64_t seq = UINT64_MAX; // before, after, around; UINT64_MAX: from the end
  int64_t ts = 0;            // at
  uint32_t limit = 50;       // at most limits.history_page; fewer where limits.page_bytes is met first
};
/// What is done to somebody in a room by somebody else. Repeated, it gets the answer that it got.
struct moderate {
  enum class act : uint8_t { invite, kick, ban, unban, mute, unmute, role };
  room_id room;
  act what = act::invite;
  user_id user;
  int64_t until = 0;                                      // ban, mute; 0: for ever
  storage::member_role role = storage::member_role::none; // role
  std::string reason;
};
struct topic {
  room_id room;
  std::string title;
};
struct pin {
  room_id room;
  uint64_t target = 0;
  bool on = true; // else unpin
};
/// What is given is changed; without any of it, the room is only described.
struct configure {
  room_id room;
  std::optional<std::string> title;
  std::optional<storage::room_kind> kind;
  std::optional<uint32_t> history_days;
  std::optional<uint32_t> slow_ms;
  std::optional<uint64_t> history_events;
  std::optional<storage::room_limits> limits;
  bool remove = false; // the whole room, for good; nothing else is looked at
  bool changes() const noexcept {
    return title || kind || history_days || slow_ms || history_events || limits || remove;
  }
};
struct read {
  room_id room;
  uint64_t seq = 0;     // everything up to it has been read
  uint64_t thread = 0;  // of the thread of this message only; 0: of the room
  bool arrived = false; // only delivered, not read
  bool quiet = false;   // others are not told
};
/// What somebody says of themselves; what is given of one's own is changed.
struct profile {
  std::optional<user_id> user;       // none: oneself
  std::optional<std::string> name;   // of one line
  std::optional<std::string> avatar; // likewise
  std::optional<std::string> fields; // a JSON object as compact text
  bool changes() const noexcept { return name || avatar || fields; }
};
/// How somebody appears; what is given of one's own is changed.
struct presence {
  std::optional<user_id> user; // none: oneself
  std::optional<storage::presence_status> status;
  std::optional<std::string> note; // of one line
  bool changes() const noexcept { return status || note; }
};
/// From now on the connection is told how these users appear.
struct watch {
  std::vector<user_id> users; // each once
};
struct unwatch {
  std::vector<user_id> users;
};
/// Passed on to the connections of a user, never stored.
struct signal {
  user_id to;
  std::string device; // empty: all of them
  std::string data;   // a JSON object as compact text
};
/// The messages that reply to one.
struct thread {
  room_id room;
  uint64_t target = 0;
  uint64_t after = 0;
  uint32_t limit = 50; // as of history
  uint64_t read = 0;   // not from a client: how far the caller has read it
};
/// The caller's own sends that have not been made yet.
struct scheduled {
  room_id room;
  std::string after = {}; // where the last page ended, or empty
  uint32_t limit = 100;   // at most limits.scheduled_per_room
  bool anyway = false;    // not from a client: also of a room that may not be seen
};
/// The messages that are pinned in the room, by seq.
struct pins {
  room_id room;
  uint64_t after = 0;
  uint32_t limit = 50; // as of history
};
struct cancel {
  room_id room;
  std::string key; // of the send
};
struct typing {
  room_id room;
  bool on = false;
};
struct members {
  room_id room;
  std::string after; // a user id, or empty
  uint32_t limit = 100;
  bool banned = false; // instead those who may not come in
  bool muted = false;  // instead those who may not speak
};
struct rooms {
  std::string after; // a room id, or empty
  uint32_t limit = 50;
};

/// Whom one wants to hear nothing of.
struct block {
  user_id user;
  bool on = true; // else unblock
};
struct blocks {
  std::string after; // a user id, or empty
  uint32_t limit = 100;
};
/// Attachments, for REST only. A file's id is drawn by whoever passes the request on: asked again, it is the same
/// upload.
struct upload {
  room_id room;
  std::string file;
  std::string name;
  std::string type; // a media type in lower case, without parameters
  uint64_t size = 0;
  std::string sha256; // 32 bytes, or empty: whatever it will be
};
/// The next chunk; the last one completes the upload. One that was stored before may come again.
struct store {
  room_id room;
  std::string file;
  uint64_t offset = 0;
  std::shared_ptr<const std::string> bytes;
};
/// What is known of it, and one chunk of its content, if asked for.
struct fetch {
  room_id room;
  std::string file;
  std::optional<uint64_t> chunk;
};
/// One's own, that belongs to no message.
struct discard {
  room_id room;
  std::string file;
};

using any =
    std::variant<hello, refresh, ping, create, join, leave, subscribe, unsubscribe, send, edit, revoke, react, moderate,
                 topic, pin, configure, history, thread, scheduled, cancel, read, typing, members, rooms, profile, pins,
                 presence, watch, unwatch, signal, block, blocks, upload, store, fetch, discard>;

} // namespace op

/// What can be asked about accounts; answered with ok::grant, ok::none or ok::sessions.
namespace account {
struct register_user {
  user_id user;
  std::string password, device;
};
struct log_in {
  user_id user;
  std::string password, device;
};
struct guest {
  std::string device;
};
struct refresh { // `who` of the call is not looked at
  std::string refresh_token;
};
/// Revokes the caller's session, or another one of the same user, and closes its connections.
struct end_session {
  std::string session; // empty: the caller's own
};
struct list_sessions {
  bool all = false;       // of every user; needs identity::admin
  std::string after = {}; // where the last page ended, or empty
  uint32_t limit = 50;    // at most limits.sessions_page
};
/// Everything about a user goes, for good: one's own account, or for admins any. Answered with ok::erasure.
struct erase {
  user_id user;
  std::string password; // one's own; empty: the token has to be young enough
  std::string reason;
  bool keep_messages = false;
};
struct show_erasure { // needs identity::admin
  user_id user;
};
/// One page of all that there is about a user: oneself, or for admins anybody.
struct look_into {
  enum class part : uint8_t { self, rooms, threads, scheduled, events };
  user_id user;
  part what = part::self;
  room_id room;      // threads, scheduled, events
  std::string after; // rooms: a room id, or empty
  uint64_t seq = 0;  // threads, events: what comes after it
};
using any =
    std::variant<register_user, log_in, guest, refresh, end_session, list_sessions, erase, show_erasure, look_into>;
} // namespace account

/// What an operator can ask, through REST; needs identity::admin.
namespace admin {
struct webhooks {}; // answered with ok::webhooks
/// Pushes what a webhook has had of a room once more. Answered with ok::replay.
struct replay {
  std::string hook;
  room_id room;
  uint64_t seq = 0; // from there on; 0: from `ts` on
  int64_t ts = 0;   // ms since 1970 UTC
};
using any = std::variant<webhooks, replay>;
} // namespace admin

/// One frame of a client that could be read.
struct request {
  std::optional<int64_t> id; // absent where no answer is wanted
  op::any what;
};

/// One frame of a client that could not.
struct bad_frame {
  std::optional<int64_t> id; // where one could be made out
  failure why;
  bool not_an_object = false; // counts towards close 3400
};

// -- what is answered ------------------------------------------------------------------------------------------------
// Every answer is as large as the largest of them: what is large and seldom asked for stands behind a pointer (rare).
namespace ok {

struct none {}; // {"ok":{}}

struct room_summary {
  room_id room;
  std::string epoch;
  uint64_t seq = 0;
  uint64_t read = 0;
  storage::member_role role = storage::member_role::none;
  storage::room_kind kind = storage::room_kind::public_;
  bool subscribed = false;
  int64_t ts = 0; // of the last event; not on the wire, rooms are sorted by it
};
struct resumption {
  room_id room;
  bool recovered = false;
  std::string epoch;
  uint64_t seq = 0;
  std::optional<failure> error;
};
struct hello {
  std::string session;
  user_id user;
  std::string node;
  int64_t time = 0;
  int64_t expires_at = 0;
  std::vector<room_summary> rooms;
  bool more = false;
  std::vector<resumption> resumed;
  appearance presence; // one's own, as chosen
};
struct refresh {
  int64_t expires_at = 0;
};
struct ping {
  int64_t time = 0;
};
struct created {
  room_id room;
  std::string epoch;
  uint64_t seq = 0;
};
struct joined { // join and subscribe
  std::string epoch;
  uint64_t seq = 0;
  storage::member_role role = storage::member_role::none;
  uint64_t member_count = 0;
  uint64_t online_count = 0;
  std::optional<bool> recovered; // when a resume position was given
};
struct left {
  uint64_t seq = 0;
};
struct changed {    // moderate, topic, pin
  uint64_t seq = 0; // of the event that says so
};
struct room { // configure
  room_id room;
  uint64_t seq = 0;                                       // of the event that says so, or the head
  storage::member_role role = storage::member_role::none; // the caller's
  uint64_t member_count = 0;
  storage::rare<storage::room_record> what;
};
struct sent { // send, edit, revoke, react
  room_id room;
  std::string epoch;
  uint64_t seq = 0;
  int64_t ts = 0;
  bool duplicate = false;
  uint32_t replicas = 1; // stores that hold it
  uint32_t synced = 1;   // of these, on stable storage: all of them
};
struct kept { // send with a time
  room_id room;
  std::string epoch;
  int64_t at = 0;
  std::string key;
  bool duplicate = false;
};
struct scheduled { // the next one first
  room_id room;
  std::vector<storage::scheduled_send> list;
  std::string next = {}; // pass as `after`; empty: that was all
};
struct page { // history, pins
  room_id room;
  std::string epoch;
  std::vector<storage::event> events;       // oldest first
  std::vector<storage::message_fold> folds; // how those messages stand that were changed, in order
  bool more = false;                        // in the direction asked for; around: towards the newer
  uint64_t first = 1;                       // lowest seq that the room keeps
  uint64_t as_of = 0;                       // the last event that is taken account of
};
struct thread {
  page what;
  uint64_t read = 0; // how far the caller has read it
};
struct read {
  uint64_t seq = 0; // the read position, which only moves forward
};
struct profile {
  user_id user;
  storage::profile_record what;
};
/// One's own, as chosen; or of somebody else, as they are seen.
struct presence {
  appearance what;
  bool hidden = false; // not on the wire: the caller is never to see more of them
};
struct watched { // in the order in which they were asked for
  std::vector<appearance> users;
  std::vector<user_id> hidden = {}; // not on the wire: those of them whom the caller has blocked
};
struct blocks {
  std::vector<std::pair<user_id, int64_t>> list; // and since when
  std::string next;                              // as of members
};
struct erasure {
  user_id user;
  storage::erasure_record what;
  uint64_t rooms_left = 0; // that are still to be seen to
};

// Parts of all that there is about a user.
struct user_contents {
  std::optional<storage::account_record> account; // without the password
  std::optional<storage::profile_record> profile;
  std::optional<storage::presence_record> presence;
  std::vector<std::pair<std::string, storage::session_record>> sessions; // without what is secret
  std::vector<std::pair<user_id, int64_t>> blocks;
  std::optional<storage::erasure_record> erasure;
};
struct about_user {
  user_id user;
  storage::rare<user_contents> what;
};
struct about_rooms {
  std::vector<std::pair<room_id, storage::listed_room>> list; // those that were left included
  std::string next;
};
struct about_threads {
  room_id room;
  std::vector<std::pair<uint64_t, uint64_t>> list; // by message, how far its thread was read
  bool more = false;
};
/// Of one page of a room's log, what the user has done, what was done to the user, and where the user was meant.
struct about_events {
  struct mention {
    uint64_t seq = 0;
    int64_t ts = 0;
    user_id from;
  };
  page what; // only these events
  storage::member_role role = storage::member_role::none;
  int64_t muted_until = 0;
  int64_t banned_until = 0;
  std::vector<mention> mentions;
  uint64_t next = 0; // go on after it; 0: that was all
};

struct member {
  user_id user;
  storage::member_role role = storage::member_role::none;
  seen_as status = seen_as::offline; // in this room: who does not listen is offline
  int64_t muted_until = 0;           // 0: not muted; INT64_MAX: for ever
  int64_t banned_until = 0;          // likewise
};
struct members {
  std::vector<member> list;
  std::string next; // pass as `after`; empty: that was all
};
struct inbox_room {
  room_summary summary;
  uint64_t unread = 0;
  uint64_t mentions = 0;
  std::optional<storage::event> last;
};
struct rooms {
  std::vector<inbox_room> list;
  std::string next; // as above
};
struct file { // upload, store, fetch
  room_id room;
  std::string id;
  storage::rare<storage::file_record> what;
  std::shared_ptr<const std::string> bytes; // null: not asked for
};
struct grant { // register, log in, guest, refresh: what a token is made from
  identity who;
  std::string refresh_token; // the next one; the one that was shown is spent
};
struct live_session {
  user_id user;
  std::string session;
  std::string device;
  std::string node;
  int64_t since = 0;
  uint64_t queued_bytes = 0;
};
struct sessions { // those that have lasted longest first
  std::vector<live_session> list;
  std::string next = {}; // as above
};

struct webhook { // what it has done on one node, and what is left to do there
  std::string name;
  std::string url;
  std::string node;
  uint64_t pending_rooms = 0; // with something to push
  bool more = false;          // there may be more of them on the disk
  uint64_t in_flight = 0;
  uint64_t lag_ms = 0; // age of the oldest event that is known to wait
  uint64_t deliveries = 0;
  uint64_t events = 0; // in them
  uint64_t failures = 0;
  uint64_t retry_ms = 0;    // until it is tried again, where it goes on failing
  std::string last_failure; // empty: there has been none
  int64_t failed_at = 0;    // ms since 1970 UTC
};
struct webhooks {
  std::vector<webhook> list;
};
struct replay {
  std::string hook;
  room_id room;
  uint64_t from = 0; // the first seq that is pushed once more
  uint64_t head = 0; // the last one so far
};

using any = std::variant<none, hello, refresh, ping, created, joined, left, changed, room, sent, kept, scheduled, page,
                         thread, read, members, rooms, profile, presence, watched, blocks, grant, sessions, erasure,
                         about_user, about_rooms, about_threads, about_events, file, webhooks, replay>;

} // namespace ok

static_assert(sizeof(ok::any) <= 256, "the largest of them is hello");

using answer = outcome<ok::any>;

} // namespace greenroom
