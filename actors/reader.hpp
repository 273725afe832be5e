// reader: reads the store for rooms, users and shards, beside the writes. Several of them; a shard's reads always go to
// the same one, so that they keep their order.
//
// In   load_room, load_user, load_effects, read_page, find_key
// Out  the matching answer, always, to the one who asked
//
// Blocks (RocksDB): spawned detached, or on the test scheduler.
#pragma once

#include "actors/base.hpp"
#include "storage/store.hpp"

#include <memory>

namespace greenroom {

struct house;

// -- answers ---------------------------------------------------------------------------------------------------------
struct room_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<std::optional<storage::room_image>>> what;
};
struct user_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<storage::user_image>> what;
};
struct effects_loaded {
  using local = message_tag;
  std::shared_ptr<const outcome<std::vector<storage::effect_record>>> what;
};
struct page_read {
  using local = message_tag;
  uint64_t token = 0;
  std::shared_ptr<const outcome<storage::event_page>> what;
};
struct key_found {
  using local = message_tag;
  outcome<std::pair<storage::lookup, storage::key_record>> what;
};

namespace reader {

/// A shard's outstanding effects that are read at once.
inline constexpr size_t effects_max = 10'000;

struct load_room {
  using local = message_tag;
  room_id room;
  caf::typed_actor<caf::reacts_to<room_loaded>> to;
};
struct load_user {
  using local = message_tag;
  user_id user;
  caf::typed_actor<caf::reacts_to<user_loaded>> to;
};
struct load_effects {
  using local = message_tag;
  shard_id shard = 0;
  caf::typed_actor<caf::reacts_to<effects_loaded>> to;
};
/// Which events of a room; the room gives its bounds, so that nothing uncommitted or dropped is read.
struct read_page {
  using local = message_tag;
  enum class how : uint8_t { after, before, around, at };
  room_id room;
  how where = how::before;
  uint64_t seq = 0;
  int64_t ts = 0;
  uint64_t first = 1; // lowest seq kept
  uint64_t head = 0;  // highest seq committed
  uint32_t limit = 50;
  uint32_t bytes = 0;
  uint64_t token = 0;
  caf::typed_actor<caf::reacts_to<page_read>> to;
};
struct find_key {
  using local = message_tag;
  room_id room;
  storage::key_hash key{};
  caf::typed_actor<caf::reacts_to<key_found>> to;
};
struct stop {
  using local = message_tag;
};

using handle = caf::typed_actor<caf::reacts_to<load_room>, caf::reacts_to<load_user>, caf::reacts_to<load_effects>,
                                caf::reacts_to<read_page>, caf::reacts_to<find_key>, caf::reacts_to<stop>>;

class reader_actor : public detached_actor<handle> {
public:
  reader_actor(caf::actor_config& cfg, house& in, uint32_t index);
  behavior_type make_behavior() override;

private:
  bool certain() const;
  outcome<storage::event_page> page(const read_page& x) const;
  outcome<storage::event_page> page_around(const read_page& x, uint64_t seq) const;

  house& house_;
};

} // namespace reader
} // namespace greenroom
