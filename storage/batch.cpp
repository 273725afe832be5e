#include "storage/batch.hpp"

#include "storage/coding.hpp"
#include "storage/keys.hpp"

#include <stdexcept>

namespace greenroom::storage {
namespace {

constexpr uint8_t batch_version = 1;
constexpr uint8_t op_put = 1;
constexpr uint8_t op_erase = 2;
// A message of a line or two with the record of its key.
constexpr size_t usual_bytes = 320;

} // namespace

batch::batch(shard_id shard) : shard_(shard) {
  if (shard >= shard_count)
    throw std::logic_error("storage: a batch for a shard that does not exist");
  bytes_.reserve(usual_bytes);
  bytes_.push_back(static_cast<char>(batch_version));
  bytes_.push_back(static_cast<char>(shard));
}

outcome<batch> batch::parse(std::string bytes) {
  if (bytes.size() < 2 || static_cast<shard_id>(bytes[1]) >= shard_count)
    return fail(errc::internal, "storage: not a batch of this version");
  batch result(static_cast<shard_id>(bytes[1]));
  auto count = [&result](auto&&...) { ++result.count_; };
  if (auto good = replay(bytes, result.shard_, count, count); !good)
    return good.error();
  result.bytes_ = std::move(bytes);
  return result;
}

outcome<void> batch::replay(std::string_view bytes, shard_id shard,
                            const std::function<void(std::string_view, std::string_view)>& put,
                            const std::function<void(std::string_view)>& erase) {
  byte_reader in(bytes);
  auto version = in.byte();
  auto written = in.byte();
  if (!in.good() || version != batch_version)
    return fail(errc::internal, "storage: not a batch of this version");
  if (written != shard)
    return fail(errc::internal,
                "storage: a batch for shard " + std::to_string(written) + " stands in shard " + std::to_string(shard));
  while (in.good() && in.left() > 0) {
    auto op = in.byte();
    auto key = in.text();
    std::string_view value;
    if (op == op_put)
      value = in.text();
    else if (op != op_erase)
      in.fail();
    if (!in.good())
      break;
    if (!keys::belongs(key, shard))
      return fail(errc::internal, "storage: a batch for shard " + std::to_string(shard) + " holds a foreign key");
    if (op == op_put)
      put(key, value);
    else
      erase(key);
  }
  if (!in.finished())
    return fail(errc::internal, "storage: a batch is cut short or damaged");
  return {};
}

void batch::put(const room_id& room, const event& e) { add_put(keys::event(room, e.seq), encode(e)); }
void batch::put(const room_id& room, const room_record& r) { add_put(keys::room(room), encode(r)); }
void batch::put(const room_id& room, const user_id& member, const member_record& r) {
  add_put(keys::member(room, member), encode(r));
}
void batch::put(const room_id& room, const key_hash& key, const key_record& r) {
  add_put(keys::key(room, key), encode(r));
}
void batch::put(const room_id& room, uint64_t seq, const message_state& r) {
  add_put(keys::state(room, seq), encode(r));
}
void batch::put(const room_id& room, const user_id& user, uint64_t seq, const own_reactions& r) {
  add_put(keys::reaction(room, user, seq), encode(r));
}
void batch::put(const effect_record& r) { add_put(keys::effect(r.room, r.seq, r.user), encode(r)); }
void batch::erase(const effect_record& r) { add_erase(keys::effect(r.room, r.seq, r.user)); }

void batch::put(const user_id& user, const account_record& r) { add_put(keys::account(user), encode(r)); }
void batch::put(const user_id& user, std::string_view session, const session_record& r) {
  add_put(keys::session(user, session), encode(r));
}
void batch::erase_session(const user_id& user, std::string_view session) { add_erase(keys::session(user, session)); }
void batch::put(const user_id& user, const room_id& room, const listed_room& r) {
  add_put(keys::listed(user, room), encode(r));
}
void batch::erase(const user_id& user, const room_id& room) { add_erase(keys::listed(user, room)); }
void batch::put(const user_id& user, const room_id& room, const activity_record& r) {
  add_put(keys::activity(user, room), encode(r));
}
void batch::erase_activity(const user_id& user, const room_id& room) { add_erase(keys::activity(user, room)); }

void batch::replay(const std::function<void(std::string_view, std::string_view)>& put,
                   const std::function<void(std::string_view)>& erase) const {
  byte_reader in(bytes_);
  in.byte();
  in.byte();
  while (in.left() > 0) {
    auto op = in.byte();
    auto key = in.text();
    if (op == op_put)
      put(key, in.text());
    else
      erase(key);
  }
}

void batch::add_put(std::string_view key, std::string_view value) {
  add(op_put, key);
  put_text(bytes_, value);
}

void batch::add_erase(std::string_view key) { add(op_erase, key); }

void batch::add(uint8_t op, std::string_view key) {
  // The invariant on which moving and replicating a shard rests, so it is checked in every build. Nothing has been
  // added yet: the batch stays whole.
  if (static_cast<shard_id>(key.front()) != shard_)
    throw std::logic_error("storage: a key of another shard in a batch");
  bytes_.push_back(static_cast<char>(op));
  put_text(bytes_, key);
  ++count_;
}

} // namespace greenroom::storage
