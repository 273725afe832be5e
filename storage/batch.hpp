// batch: one mutation, addressed to one shard. Serialisable: on a single node it is applied directly, in a cluster it
// is what the shard's log carries.
//
// Invariant: every key in a batch belongs to the batch's shard. The typed functions take ids and throw
// std::logic_error, in every build, if they live elsewhere or are empty; parse() checks it for bytes that came from
// elsewhere.
#pragma once

#include "storage/changes.hpp"
#include "storage/records.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace greenroom::storage {

/// What a batch does, one after the other.
struct batch_reader {
  virtual ~batch_reader() = default;
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void erase(std::string_view key) = 0;
  /// All keys from `from` on and below `to`, which are of one kind and of one id.
  virtual void erase_range(std::string_view from, std::string_view to) = 0;
  /// The same as put, but what stood there before has to leave the disk, too, and not only when it happens to.
  virtual void replace(std::string_view key, std::string_view value) = 0;
};

class batch {
public:
  /// REQUIRES: shard < shard_count; else std::logic_error.
  explicit batch(shard_id shard);

  shard_id shard() const noexcept { return shard_; }
  /// Operations. Nothing here bounds them: whoever fills the batch does.
  size_t count() const noexcept { return count_; }
  /// The serialised form: version, shard, then the operations.
  const std::string& bytes() const noexcept { return bytes_; }
  /// Fails with errc::internal if the bytes are not a batch, or hold a key of another shard.
  static outcome<batch> parse(std::string bytes);
  /// As parse() and then replay(), without a copy, for a batch that has to be of `shard`. What has been called before a
  /// mistake is found stays called.
  static outcome<void> replay(std::string_view bytes, shard_id shard, batch_reader& into);

  // A room's data. REQUIRES: room.shard() == shard().
  void put(const room_id& room, const event& e);
  void put(const room_id& room, const room_record& r);
  void put(const room_id& room, const user_id& member, const member_record& r);
  void erase_member(const room_id& room, const user_id& member);
  void put(const room_id& room, const key_hash& key, const key_record& r);
  void put(const room_id& room, uint64_t seq, const message_state& r);
  void put(const room_id& room, const user_id& user, uint64_t seq, const own_reactions& r);
  /// What they said before leaves the disk within limits of time, see store::scrub().
  void replace(const room_id& room, const event& e);
  void replace(const room_id& room, uint64_t seq, const message_state& r);
  /// REQUIRES: `who` is a user's id, or everybody.
  void put_mention(const room_id& room, std::string_view who, uint64_t seq, const user_id& by);
  void erase_mention(const room_id& room, std::string_view who, uint64_t seq);
  void put_reply(const room_id& room, uint64_t target, uint64_t seq);
  void put(const room_id& room, const scheduled_place& place, const scheduled_send& r);
  void erase(const room_id& room, const scheduled_place& place);
  /// REQUIRES: x.room.shard() == shard().
  void put(const due_entry& x);
  void erase(const due_entry& x);
  /// REQUIRES: the webhook's name is not empty and holds no 0 byte.
  void put(const room_id& room, std::string_view hook, const hook_record& r);
  void put_hooked(std::string_view hook, const room_id& room);
  void erase_hooked(std::string_view hook, const room_id& room);
  /// An attachment.
  void put(const room_id& room, std::string_view file, const file_record& r);
  void put_chunk(const room_id& room, std::string_view file, uint64_t index, std::string_view bytes);
  /// With all of its content; it leaves the disk within limits of time.
  void erase_file(const room_id& room, std::string_view file);
  /// The message to which it belongs.
  void put_attached(const room_id& room, uint64_t seq, std::string_view file, const user_id& owner);
  void erase_attached(const room_id& room, uint64_t seq, std::string_view file);
  /// Events and what hangs on them by seq: how messages stand, their threads, which attachments are theirs. REQUIRES:
  /// first < last.
  void erase_events(const room_id& room, uint64_t first, uint64_t last);
  /// Everything of the room but its record, its effects, its due entries and what put_hooked() says.
  void erase_contents(const room_id& room);
  void erase(const room_id& room);
  /// REQUIRES: r.room.shard() == shard(): an effect stands with its cause.
  void put(const effect_record& r);
  void erase(const effect_record& r);

  // A user's data. REQUIRES: user.shard() == shard().
  void put(const user_id& user, const account_record& r);
  void put(const user_id& user, std::string_view session, const session_record& r);
  void erase_session(const user_id& user, std::string_view session);
  void put(const user_id& user, const room_id& room, const listed_room& r);
  void erase(const user_id& user, const room_id& room);
  void put(const user_id& user, const room_id& room, const activity_record& r);
  void erase_activity(const user_id& user, const room_id& room);
  void put(const user_id& user, const room_id& room, uint64_t target, const thread_record& r);
  /// How far the user has read the threads of that room.
  void erase_threads(const user_id& user, const room_id& room);
  void put(const user_id& user, const profile_record& r);
  void put(const user_id& user, const presence_record& r);
  void put(const user_id& user, const user_id& blocked, const block_record& r);
  void erase_block(const user_id& user, const user_id& blocked);
  void put(const user_id& user, const erasure_record& r);
  /// How to sign in: account, profile and sessions.
  void erase_account(const user_id& user);
  /// All the rest of the user but the record of the erasure.
  void erase_contents(const user_id& user);
  void put(const user_id& user, const usage_record& r);
  /// What one attachment takes. REQUIRES: bytes > 0.
  void put_charge(const user_id& user, const room_id& room, std::string_view file, uint64_t bytes);
  void erase_charge(const user_id& user, const room_id& room, std::string_view file);

  /// For the store: what it does, in order.
  void replay(batch_reader& into) const;

private:
  void add_put(std::string_view key, std::string_view value);
  void add_erase(std::string_view key);
  void add_erase_range(std::string_view from, std::string_view to);
  void add_replace(std::string_view key, std::string_view value);
  void add(uint8_t op, std::string_view key);

  shard_id shard_;
  size_t count_ = 0;
  std::string bytes_;
};

/// One that is being filled.
using batch_ptr = std::shared_ptr<batch>;

} // namespace greenroom::storage
