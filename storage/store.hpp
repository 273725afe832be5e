// store: this node's RocksDB behind a small typed interface. Knows nothing of actors.
//
// Threads: commit() and reopen() are for one writer thread; everything that is const may be called from any thread at
// any time, also while the writer commits or reopens (a read then fails with unavailable).
//
// Invariants
// - commit() returns success only after one fdatasync that covers every batch handed over; all of them or none are
//   visible afterwards. So does write(), unless nothing in it needs to be durable.
// - After a failed commit the store refuses every commit until reopen() succeeded. What a failed commit wrote may or
//   may not be there then: whoever holds state of it must read it anew (generation() has changed).
// - A commit that the free-space check refused wrote nothing: that is a plain refusal, and the store stays healthy.
// - What a crash leaves is all writes up to some moment, whole, behind the last synced one: log, state and positions of
//   a shard always fit together.
// - No read waits for the writer; only `disk` reads and pages wait for the disk.
//
// Messages of failures are for the log: they may name files. A client is told "unavailable" in other words.
#pragma once

#include "storage/batch.hpp"
#include "storage/log.hpp"
#include "storage/records.hpp"
#include "storage/snapshot.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rocksdb {
class Env;
}

namespace greenroom::storage {

struct store_options {
  std::string path; // a directory; made when missing
  uint64_t cache_bytes = 256u << 20;
  uint64_t write_buffer_bytes = 64u << 20;
  uint64_t min_free_bytes = 64u << 20; // commit() fails with unavailable below it; 0: not checked
  rocksdb::Env* env = nullptr;         // for fault injection in tests; must outlive the store
};

/// How a read may behave: `cached` never touches the disk and says so when it would have to.
enum class read_tier : uint8_t { cached, disk };
enum class lookup : uint8_t { found, absent, would_block };

/// What a room actor needs to start.
struct room_image {
  room_record record;
  uint64_t head = 0; // seq of the last event, 0: none
  int64_t head_ts = 0;
  uint64_t messages = 0;                                  // how many there have been, up to the head
  std::vector<std::pair<user_id, member_record>> members; // those who left included
  std::vector<event> recent;                              // the last events, oldest first, within the bounds asked for
  std::vector<std::pair<std::string, hook_record>> hooks; // by name, where they were asked for
};

/// What a user actor needs to start.
struct user_image {
  std::optional<account_record> account;
  std::optional<profile_record> profile;
  std::optional<presence_record> presence;
  std::vector<std::pair<std::string, session_record>> sessions;
  std::vector<std::pair<room_id, listed_room>> rooms;
  std::vector<std::pair<user_id, block_record>> blocks;
  std::optional<erasure_record> erasure;
};

struct event_page {
  std::vector<event> events;       // oldest first
  bool more = false;               // there are more in the direction asked for
  std::vector<message_fold> folds; // how those of the messages stand that were changed, in order; made by fold()
  uint64_t folded = 0;             // seq of the last event that any of them takes account of
};

/// What it takes to change a message.
struct target_image {
  std::optional<event> what; // none: no such event
  message_state state;
  own_reactions own;        // of the user who was asked for
  std::vector<event> edits; // where they were asked for
};

/// How far a user has not read a room, see store::count().
struct room_counts {
  uint64_t messages = 0; // that the log held up to the place asked for
  uint64_t mentions = 0; // behind it
};

class store {
public:
  /// Opens or makes the store and brings an older schema up to date. Fails with errc::unavailable and the reason, e.g.
  /// that a newer program made it.
  static outcome<std::unique_ptr<store>> open(store_options options);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  // -- the writer ----------------------------------------------------------------------------------------------------
  /// One synced write of all batches. Fails with errc::unavailable; healthy() then tells a refusal for want of space,
  /// after which the next commit may simply be tried, from a failed write, after which only reopen() helps. An error of
  /// RocksDB's background work (a flush that finds the disk full) makes the next commit fail in the same way.
  outcome<void> commit(std::span<const batch* const> batches);
  /// One write of all mutations, in order, all or none; log.hpp says what each of them does and requires. Synced if any
  /// of them needs it: a batch, append, cut, found, install_begin, install_end. Not for apply, trim and install_chunk
  /// alone: what a crash takes of those is done again, from the log or from a new snapshot. It then takes the last ones
  /// only, never one from between. Fails as commit() does; a refusal with errc::internal (see log.hpp, or what is
  /// stored of a shard can't be read) wrote nothing, and the store stays healthy. Trim, cut and install_begin alone are
  /// not refused for want of space: they free it.
  outcome<void> write(std::span<const mutation> mutations);
  /// Closes and opens the database after a failed commit. Fails with errc::unavailable as long as it can't be opened,
  /// and may be tried for ever. While the disk is below min_free_bytes it fails at once and leaves the database open,
  /// so that reads go on.
  outcome<void> reopen();
  /// Whether the last commit or reopen succeeded. Any thread.
  bool healthy() const noexcept;
  /// Grows by one with each successful reopen. Any thread.
  uint64_t generation() const noexcept;
  /// 32 hex digits, drawn when the store was made. Any thread.
  const std::string& id() const noexcept;

  // -- the scrubber --------------------------------------------------------------------------------------------------
  /// Lets what was replaced (see batch::replace) or erased by the range leave the disk: the write-ahead log, tables and
  /// the part of the shards' logs that is trimmed; at most `limit` ranges of keys at a time. Takes as long as it takes
  /// to write those tables anew. Returns how many it dealt with; fewer than `limit`: that was all. Fails with
  /// unavailable while the database is closed, about to be, or a snapshot of a shard still shows what was there. For
  /// one thread of its own, beside all others.
  outcome<size_t> scrub(size_t limit);
  /// Ends the one that is under way, within a moment, with a failure, and lets none begin. Any thread.
  void end_scrubs() noexcept;

  // -- readers -------------------------------------------------------------------------------------------------------
  // Any of them fails with unavailable while the database is closed, or the disk can't be read, and with internal where
  // what is stored is damaged. Bytes are those of the stored forms.
  /// nullopt: no such room. `recent_events` and `recent_bytes` bound room_image::recent; its members are all of them.
  outcome<std::optional<room_image>> load_room(const room_id& room, size_t recent_events, size_t recent_bytes,
                                               bool with_hooks = false) const;
  /// Of an unknown user all of it is empty; bounded by limits.rooms_per_user, limits.blocks and auth.sessions_per_user,
  /// and by what earlier bounds have left.
  outcome<user_image> load_user(const user_id& user) const;
  /// What rooms have last said of themselves to this user's inbox, by room id. Rooms that were left may be among them.
  outcome<std::vector<std::pair<room_id, activity_record>>> load_activity(const user_id& user) const;
  /// Events with seq > `after`, ascending, at most `limit` and about `bytes` (at least one).
  outcome<event_page> events_after(const room_id& room, uint64_t after, size_t limit, size_t bytes) const;
  /// Events with seq < `before`, at most `limit` and about `bytes` (at least one); still oldest first.
  outcome<event_page> events_before(const room_id& room, uint64_t before, size_t limit, size_t bytes) const;
  /// Adds how the page's messages stand, as `reader` sees them, and takes as many events off its end (its beginning,
  /// where `newest_first`) as it then has too many `bytes`. All that was visible when the page was read is in it.
  outcome<void> fold(const room_id& room, const user_id& reader, event_page& page, size_t bytes,
                     bool newest_first) const;
  /// The event, how it stands, what `user` has put on it, and, `with_edits`, all events that edited it.
  outcome<target_image> load_target(const room_id& room, uint64_t seq, const user_id& user, bool with_edits) const;
  /// Of the thread of message `target`: its messages with seq > `after`, ascending, within `head`, at most `limit` and
  /// about `bytes` (at least one), folded for `reader`.
  outcome<event_page> thread_after(const room_id& room, uint64_t target, uint64_t after, uint64_t head, size_t limit,
                                   size_t bytes, const user_id& reader) const;
  /// Of these messages those within `head`, in the order given: at most `limit` and about `bytes` (at least one),
  /// folded for `reader`. One that is not kept any more is left out.
  outcome<event_page> pick(const room_id& room, const std::vector<uint64_t>& seqs, uint64_t head, size_t limit,
                           size_t bytes, const user_id& reader) const;
  /// What is unread behind event `read` for that user; `first` is the lowest seq that is kept. No more than `most`
  /// mentions are counted.
  outcome<room_counts> count(const room_id& room, const user_id& user, uint64_t read, uint64_t first,
                             size_t most) const;
  /// Sends that the user has scheduled in the room, the next one first; at most `limit`.
  outcome<std::vector<std::pair<scheduled_place, scheduled_send>>> scheduled(const room_id& room, const user_id& user,
                                                                             size_t limit) const;
  /// nullopt: it has been made, or cancelled.
  outcome<std::optional<scheduled_send>> load_scheduled(const room_id& room, const scheduled_place& place) const;
  /// What a shard has to do, the next first; at most `limit`.
  outcome<std::vector<due_entry>> due(shard_id shard, size_t limit) const;
  /// How far the user has read threads of that room, those of messages behind `after` first; at most `limit`.
  outcome<std::vector<std::pair<uint64_t, thread_record>>> threads(const user_id& user, const room_id& room,
                                                                   uint64_t after, size_t limit) const;
  /// Rooms of a shard that a webhook has not got all of, by their ids, behind `after`; at most `limit`.
  outcome<std::vector<room_id>> hooked(shard_id shard, std::string_view hook, std::string_view after,
                                       size_t limit) const;
  /// nullopt: never read.
  outcome<std::optional<thread_record>> load_thread(const user_id& user, const room_id& room, uint64_t target) const;
  /// The lowest seq in first..head whose ts >= `ts`; head + 1 if there is none. Binary search over seq: the design
  /// keeps ts monotonic and seq gap-free.
  outcome<uint64_t> seq_at(const room_id& room, int64_t ts, uint64_t first, uint64_t head) const;
  /// Whether the user has a record about blocking the other one; never reads the disk.
  outcome<lookup> find_block(const user_id& user, const user_id& other) const;
  /// `cached` answers would_block where it would have to read; what is absent has an empty record.
  outcome<std::pair<lookup, key_record>> find_key(const room_id& room, const key_hash& key, read_tier tier) const;
  /// nullopt: there is no such attachment.
  outcome<std::optional<file_record>> load_file(const room_id& room, std::string_view file) const;
  /// nullopt: it has not been received, or is gone. The bytes are not kept in the cache: they are read once, in order.
  outcome<std::optional<std::string>> load_chunk(const room_id& room, std::string_view file, uint64_t index) const;
  /// Attachments of the room by id, at most `limit`.
  outcome<std::vector<std::pair<std::string, file_record>>> files(const room_id& room, size_t limit) const;
  /// Those that belong to messages with first <= seq < last, by seq, at most `limit`.
  outcome<std::vector<attached_file>> attached(const room_id& room, uint64_t first, uint64_t last, size_t limit) const;
  /// What the user's attachments take, and what that one does; 0: nothing.
  outcome<std::pair<usage_record, uint64_t>> load_usage(const user_id& user, const room_id& room,
                                                        std::string_view file) const;
  /// Effects of a shard that wait to be acknowledged, at most `limit`.
  outcome<std::vector<effect_record>> effects(shard_id shard, size_t limit) const;
  /// Whether any of them is of this room.
  outcome<bool> has_effects(const room_id& room) const;
  /// All zeros: nothing was ever written through a log here.
  outcome<shard_state> load_shard(shard_id shard) const;
  /// Entries with an index > `index`, ascending, at most `limit` and about `bytes` (at least one). Fails with not_found
  /// if the first of them is not kept any longer.
  outcome<std::vector<log_entry>> log_after(shard_id shard, uint64_t index, size_t limit, size_t bytes) const;
  /// Whether any shard has a log or had one: then this is a store of a cluster, and must not be served by itself.
  outcome<bool> clustered() const;
  /// Whether no room and no user has ever left anything here. Looks at every shard: for the start.
  outcome<bool> empty() const;
  /// The state of a shard at this moment. Fails with unavailable while the shard is installing. The store need not
  /// outlive it.
  outcome<std::unique_ptr<shard_snapshot>> snapshot(shard_id shard) const;
  /// Reads the database's own figures (RocksDB properties) for metrics: name -> value. Empty while it is closed.
  std::vector<std::pair<std::string, uint64_t>> figures() const;

private:
  struct impl;
  explicit store(std::unique_ptr<impl>);
  std::unique_ptr<impl> impl_;
};

} // namespace greenroom::storage
