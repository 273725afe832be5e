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
#include <functional>
#include <string>
#include <string_view>

namespace greenroom::storage {

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
  static outcome<void> replay(std::string_view bytes, shard_id shard,
                              const std::function<void(std::string_view key, std::string_view value)>& put,
                              const std::function<void(std::string_view key)>& erase);

  // A room's data. REQUIRES: room.shard() == shard().
  void put(const room_id& room, const event& e);
  void put(const room_id& room, const room_record& r);
  void put(const room_id& room, const user_id& member, const member_record& r);
  void put(const room_id& room, const key_hash& key, const key_record& r);
  void put(const room_id& room, uint64_t seq, const message_state& r);
  void put(const room_id& room, const user_id& user, uint64_t seq, const own_reactions& r);
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

  // For the store: calls `put(key, value)` and `erase(key)` in order.
  void replay(const std::function<void(std::string_view key, std::string_view value)>& put,
              const std::function<void(std::string_view key)>& erase) const;

private:
  void add_put(std::string_view key, std::string_view value);
  void add_erase(std::string_view key);
  void add(uint8_t op, std::string_view key);

  shard_id shard_;
  size_t count_ = 0;
  std::string bytes_;
};

} // namespace greenroom::storage
