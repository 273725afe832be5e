// reader: reads the store for rooms, users and shards, beside the writes. Several of them; a shard's reads always go to
// the same one, so that they keep their order.
//
// In   load_room, load_user, load_effects, read_page, find_key, find_target from rooms, users and shards; load_shard,
// read_log,
//      read_snapshot, drop_snapshot from replicas
// Out  the matching answer, always, to the one who asked
//
// A snapshot is opened by the first read_snapshot with its number and lives until it is dropped, fails, or the one who
// asked has ended. Each keeps what is overwritten or erased meanwhile on the disk; so there are at most
// cluster.snapshots of them.
//
// Blocks (RocksDB): spawned detached, or on the test scheduler.
#pragma once

#include "actors/base.hpp"
#include "actors/caller.hpp"
#include "actors/hooks.hpp"
#include "storage/store.hpp"

#include <memory>
#include <unordered_map>

namespace greenroom {

struct house;

// -- answers ---------------------------------------------------------------------------------------------------------
// A failure is unavailable while the store is being opened anew, or can't be read, and internal where it is damaged;
// the reason is in the log.
/// With rooms.ring_loaded of its last events, within rooms.ring_events and rooms.ring_bytes; nullopt: there is no such
/// room.
struct room_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<std::optional<storage::room_image>>> what;
};
struct user_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<storage::user_image>> what;
};
/// By room id.
struct activity_loaded {
  using local = message_tag;
  uint64_t connection = 0;
  uint64_t ticket = 0;
  std::shared_ptr<const outcome<std::vector<std::pair<room_id, storage::activity_record>>>> what;
};
/// At most rooms.effects of them.
struct effects_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<std::vector<storage::effect_record>>> what;
};
/// `more`: further ones in the direction asked for, within the room's bounds.
struct page_read {
  using local = message_tag;
  uint64_t token = 0;
  std::shared_ptr<const outcome<storage::event_page>> what;
};
struct key_found {
  using local = message_tag;
  outcome<std::pair<storage::lookup, storage::key_record>> what;
};
struct target_found {
  using local = message_tag;
  outcome<std::pair<storage::lookup, storage::key_record>> key;
  std::shared_ptr<const outcome<storage::target_image>> what;
};

/// The key, and the user's sends that are scheduled in the room.
struct scheduled_found {
  using local = message_tag;
  using list = std::vector<std::pair<storage::scheduled_place, storage::scheduled_send>>;
  uint64_t token = 0;
  outcome<std::pair<storage::lookup, storage::key_record>> key;
  std::shared_ptr<const outcome<list>> what;
};
/// What the user has not read.
struct counted {
  using local = message_tag;
  uint64_t token = 0;
  outcome<storage::room_counts> what;
};
/// Which seq is to be the first from now on, and whose attachments go with those before it. `more`: there are so many
/// that it is to be done in several steps, of which this is one.
struct first_found {
  using local = message_tag;
  struct found {
    uint64_t at = 1;    // the first event that is not older than asked for
    uint64_t first = 1; // the first that may stay when all before it goes
    std::vector<storage::attached_file> files;
    bool more = false;
  };
  std::shared_ptr<const outcome<found>> what;
};
/// The key, and the attachments in the order in which they were asked for; none: there is no such one.
struct files_found {
  using local = message_tag;
  using list = std::vector<std::optional<storage::file_record>>;
  outcome<std::pair<storage::lookup, storage::key_record>> key;
  std::shared_ptr<const outcome<list>> what;
};
/// Some attachments of a room.
struct files_listed {
  using local = message_tag;
  using list = std::vector<std::pair<std::string, storage::file_record>>;
  std::shared_ptr<const outcome<list>> what;
};
/// What all attachments of a user take, and what one of them does.
struct usage_loaded {
  using local = message_tag;
  uint64_t token = 0;
  outcome<std::pair<storage::usage_record, uint64_t>> what;
};
/// Whether any effect of the room has not been applied yet.
struct effects_left {
  using local = message_tag;
  outcome<bool> what;
};
/// What the shard has to do, the next first, at most rooms.due.
struct due_loaded {
  using local = message_tag;
  uint64_t token = 0;
  std::shared_ptr<const outcome<std::vector<storage::due_entry>>> what;
};
/// How far the user has read a thread; all zeros: never.
struct thread_loaded {
  using local = message_tag;
  uint64_t token = 0;
  outcome<storage::thread_record> what;
};

/// By message, how far the user has read their threads.
struct threads_loaded {
  using local = message_tag;
  uint64_t token = 0;
  std::shared_ptr<const outcome<std::vector<std::pair<uint64_t, storage::thread_record>>>> what;
};
/// Of a piece of a room's log, the events that a webhook wants.
struct hooked_page {
  using local = message_tag;
  hooks::piece what;
  std::shared_ptr<const outcome<std::vector<storage::event>>> events;
  uint64_t through = 0; // it has been looked through up to there
};
/// Rooms that a webhook has not got all of.
struct hooked_rooms {
  using local = message_tag;
  std::string hook;
  uint64_t token = 0;
  std::shared_ptr<const outcome<std::vector<room_id>>> what;
};

/// A shard's positions, and its entries that are not applied.
struct shard_loaded {
  using local = message_tag;
  struct found {
    storage::shard_state state;
    std::vector<storage::log_entry> tail;
  };
  uint64_t token = 0;
  std::shared_ptr<const outcome<found>> what;
};
/// The position that was asked for, and entries that follow on it. not_found: they are not kept any more.
struct log_found {
  using local = message_tag;
  using part = std::pair<storage::log_position, std::vector<storage::log_entry>>;
  uint64_t token = 0;
  std::shared_ptr<const outcome<part>> what;
};
/// After a failure, and after the last piece, the snapshot is dropped.
struct snapshot_read {
  using local = message_tag;
  struct piece {
    std::string bytes;
    bool last = false;
    storage::log_position applied;
  };
  uint64_t transfer = 0;
  std::shared_ptr<const outcome<piece>> what;
};

namespace reader {

struct load_room {
  using local = message_tag;
  room_id room;
  bool with_hooks = false; // how far webhooks are, too
  caf::typed_actor<caf::reacts_to<room_loaded>> to;
};
struct load_user {
  using local = message_tag;
  user_id user;
  caf::typed_actor<caf::reacts_to<user_loaded>> to;
};
/// What rooms have told the user's inbox; `connection` and `ticket` come back.
struct load_activity {
  using local = message_tag;
  user_id user;
  uint64_t connection = 0;
  uint64_t ticket = 0;
  caf::typed_actor<caf::reacts_to<activity_loaded>> to;
};
/// The first of a shard's outstanding effects, at most rooms.effects.
struct load_effects {
  using local = message_tag;
  shard_id shard = 0;
  caf::typed_actor<caf::reacts_to<effects_loaded>> to;
};
/// Which events of a room; the room gives its bounds, so that nothing uncommitted or dropped is read.
struct read_page {
  using local = message_tag;
  enum class how : uint8_t { after, before, around, at, thread, picked };
  room_id room;
  how where = how::before;
  uint64_t seq = 0;
  uint64_t target = 0;         // thread: whose
  std::vector<uint64_t> picks; // picked: which messages, in order
  int64_t ts = 0;
  uint64_t first = 1; // lowest seq kept
  uint64_t head = 0;  // highest seq committed
  uint32_t limit = 50;
  uint32_t bytes = 0; // about; one event comes in any case
  user_id fold_for;   // who will see the page, with messages as they stand; empty: events as they are
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<page_read>> to;
};
struct find_key {
  using local = message_tag;
  room_id room;
  storage::key_hash key{};
  caf::typed_actor<caf::reacts_to<key_found>> to;
};
/// What it takes to carry out a change of the message `seq`: of its key and of the message.
struct find_target {
  using local = message_tag;
  room_id room;
  storage::key_hash key{};
  uint64_t seq = 0;
  user_id user;
  bool with_edits = false;
  caf::typed_actor<caf::reacts_to<target_found>> to;
};
/// The key, and either all that the user has scheduled, or only what stands at one place.
struct find_scheduled {
  using local = message_tag;
  room_id room;
  user_id user;
  storage::key_hash key{};
  std::optional<storage::scheduled_place> one;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<scheduled_found>> to;
};
/// See store::count().
struct count_unread {
  using local = message_tag;
  room_id room;
  user_id user;
  uint64_t read = 0;
  uint64_t first = 1;
  size_t most = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<counted>> to;
};
/// Within first..head, the lowest seq that is neither older than `ts` nor below `least`; head + 1: all of them go.
struct find_first {
  using local = message_tag;
  room_id room;
  int64_t ts = 0;
  uint64_t first = 1;
  uint64_t head = 0;
  uint64_t least = 0;
  caf::typed_actor<caf::reacts_to<first_found>> to;
};
struct find_files {
  using local = message_tag;
  room_id room;
  storage::key_hash key{};
  std::vector<std::string> ids;
  caf::typed_actor<caf::reacts_to<files_found>> to;
};
/// At most files_at_once.
struct list_files {
  using local = message_tag;
  room_id room;
  caf::typed_actor<caf::reacts_to<files_listed>> to;
};
/// For a download: the room has found that the caller may see it, and the reader answers the caller.
struct read_file {
  using local = message_tag;
  room_id room;
  std::string file;
  std::optional<uint64_t> chunk; // none: only what is known of it
  caller from;
};
struct load_usage {
  using local = message_tag;
  user_id user;
  room_id room;
  std::string file;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<usage_loaded>> to;
};
/// How many attachments go with one write. More than a message may have.
inline constexpr size_t files_at_once = 200;
struct any_effects {
  using local = message_tag;
  room_id room;
  caf::typed_actor<caf::reacts_to<effects_left>> to;
};
/// The first of what a shard has to do, at most rooms.due.
struct load_due {
  using local = message_tag;
  shard_id shard = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<due_loaded>> to;
};
/// At most `limit` events of these kinds, and about `bytes` of all that is looked through.
struct read_hooked {
  using local = message_tag;
  hooks::piece what;
  uint32_t kinds = 0; // a bit for each event_kind
  size_t limit = 1;
  size_t bytes = 0;
  caf::typed_actor<caf::reacts_to<hooked_page>> to;
};
/// Of the index of a shard, rooms behind `after`, at most `limit`.
struct load_hooked {
  using local = message_tag;
  shard_id shard = 0;
  std::string hook;
  std::string after; // a room id, or empty
  size_t limit = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<hooked_rooms>> to;
};
struct load_thread {
  using local = message_tag;
  user_id user;
  room_id room;
  uint64_t target = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<thread_loaded>> to;
};
/// Of those behind `after`, at most `limit`.
struct load_threads {
  using local = message_tag;
  user_id user;
  room_id room;
  uint64_t after = 0;
  size_t limit = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<threads_loaded>> to;
};
/// REQUIRES: no write of that shard is under way, or what is read may not fit together.
struct load_shard {
  using local = message_tag;
  shard_id shard = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<shard_loaded>> to;
};
struct read_log {
  using local = message_tag;
  shard_id shard = 0;
  uint64_t after = 0; // index
  size_t bytes = 0;   // about; one entry comes in any case
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<log_found>> to;
};
/// The next piece of about `bytes`. Fails with unavailable if this reader has cluster.snapshots open, or the snapshot
/// was dropped.
struct read_snapshot {
  using local = message_tag;
  shard_id shard = 0;
  uint64_t transfer = 0; // unique on this node
  bool first = false;
  size_t bytes = 0;
  caf::typed_actor<caf::reacts_to<snapshot_read>> to;
};
struct drop_snapshot {
  using local = message_tag;
  uint64_t transfer = 0;
};
struct stop {
  using local = message_tag;
};

using handle = caf::typed_actor<
    caf::reacts_to<load_room>, caf::reacts_to<load_user>, caf::reacts_to<load_effects>, caf::reacts_to<read_page>,
    caf::reacts_to<find_key>, caf::reacts_to<find_target>, caf::reacts_to<load_shard>, caf::reacts_to<read_log>,
    caf::reacts_to<read_snapshot>, caf::reacts_to<drop_snapshot>, caf::reacts_to<load_activity>,
    caf::reacts_to<find_scheduled>, caf::reacts_to<count_unread>, caf::reacts_to<find_first>,
    caf::reacts_to<any_effects>, caf::reacts_to<load_due>, caf::reacts_to<load_thread>, caf::reacts_to<load_threads>,
    caf::reacts_to<find_files>, caf::reacts_to<list_files>, caf::reacts_to<read_file>, caf::reacts_to<load_usage>,
    caf::reacts_to<read_hooked>, caf::reacts_to<load_hooked>, caf::reacts_to<stop>>;

class reader_actor : public detached_actor<handle> {
public:
  reader_actor(caf::actor_config& cfg, house& in, uint32_t index);
  behavior_type make_behavior() override;

private:
  bool certain() const;
  outcome<scheduled_found::list> scheduled(const find_scheduled& x) const;
  outcome<first_found::found> first(const find_first& x) const;
  outcome<files_found::list> files(const find_files& x) const;
  answer file(const read_file& x) const;
  outcome<storage::event_page> folded_page(const read_page& x) const;
  outcome<storage::event_page> page(const read_page& x) const;
  outcome<storage::event_page> page_around(const read_page& x, uint64_t seq) const;
  hooked_page hooked(const read_hooked& x) const;
  outcome<shard_loaded::found> shard(const load_shard& x) const;
  outcome<log_found::part> log(const read_log& x) const;
  outcome<snapshot_read::piece> next_piece(const read_snapshot& x);

  struct open_snapshot {
    std::unique_ptr<storage::shard_snapshot> what;
    caf::actor_addr whose;
  };

  house& house_;
  std::unordered_map<uint64_t, open_snapshot> snapshots_; // by transfer
};

} // namespace reader
} // namespace greenroom
