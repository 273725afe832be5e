#include "storage/batch.hpp"

#include "storage/coding.hpp"
#include "storage/keys.hpp"

#include <stdexcept>

namespace greenroom::storage {
namespace {

constexpr uint8_t batch_version = 1;
constexpr uint8_t op_put = 1;
constexpr uint8_t op_erase = 2;
constexpr uint8_t op_erase_range = 3;
constexpr uint8_t op_replace = 4;
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

namespace {

struct counter : batch_reader {
  size_t count = 0;
  void put(std::string_view, std::string_view) override { ++count; }
  void erase(std::string_view) override { ++count; }
  void erase_range(std::string_view, std::string_view) override { ++count; }
  void replace(std::string_view, std::string_view) override { ++count; }
};

/// One operation; its keys are the reader's to judge. False: these bytes are none.
template <class Judge>
bool replay_one(byte_reader& in, batch_reader& into, Judge good) {
  const auto op = in.byte();
  const auto key = in.text();
  const auto rest = op == op_erase ? std::string_view{} : in.text();
  if (!in.good() || !good(op, key, rest))
    return false;
  switch (op) {
  case op_put:
    into.put(key, rest);
    return true;
  case op_erase:
    into.erase(key);
    return true;
  case op_erase_range:
    into.erase_range(key, rest);
    return true;
  case op_replace:
    into.replace(key, rest);
    return true;
  default:
    return false;
  }
}

} // namespace

outcome<batch> batch::parse(std::string bytes) {
  if (bytes.size() < 2 || static_cast<shard_id>(bytes[1]) >= shard_count)
    return fail(errc::internal, "storage: not a batch of this version");
  batch result(static_cast<shard_id>(bytes[1]));
  counter count;
  if (auto good = replay(bytes, result.shard_, count); !good)
    return good.error();
  result.count_ = count.count;
  result.bytes_ = std::move(bytes);
  return result;
}

outcome<void> batch::replay(std::string_view bytes, shard_id shard, batch_reader& into) {
  byte_reader in(bytes);
  auto version = in.byte();
  auto written = in.byte();
  if (!in.good() || version != batch_version)
    return fail(errc::internal, "storage: not a batch of this version");
  if (written != shard)
    return fail(errc::internal,
                "storage: a batch for shard " + std::to_string(written) + " stands in shard " + std::to_string(shard));
  bool foreign = false;
  auto judge = [&](uint8_t op, std::string_view key, std::string_view rest) {
    foreign = op == op_erase_range ? !keys::spans(key, rest, shard) : !keys::belongs(key, shard);
    return !foreign;
  };
  while (in.left() > 0)
    if (!replay_one(in, into, judge))
      return foreign
                 ? fail(errc::internal, "storage: a batch for shard " + std::to_string(shard) + " holds a foreign key")
                 : fail(errc::internal, "storage: a batch is cut short or damaged");
  return {};
}

void batch::put(const room_id& room, const event& e) { add_put(keys::event(room, e.seq), encode(e)); }
void batch::put(const room_id& room, const room_record& r) { add_put(keys::room(room), encode(r)); }
void batch::put(const room_id& room, const user_id& member, const member_record& r) {
  add_put(keys::member(room, member), encode(r));
}
void batch::erase_member(const room_id& room, const user_id& member) { add_erase(keys::member(room, member)); }
void batch::put(const room_id& room, const key_hash& key, const key_record& r) {
  add_put(keys::key(room, key), encode(r));
}
void batch::put(const room_id& room, uint64_t seq, const message_state& r) {
  add_put(keys::state(room, seq), encode(r));
}
void batch::put(const room_id& room, const user_id& user, uint64_t seq, const own_reactions& r) {
  add_put(keys::reaction(room, user, seq), encode(r));
}
void batch::replace(const room_id& room, const event& e) { add_replace(keys::event(room, e.seq), encode(e)); }
void batch::replace(const room_id& room, uint64_t seq, const message_state& r) {
  add_replace(keys::state(room, seq), encode(r));
}
void batch::put_mention(const room_id& room, std::string_view who, uint64_t seq, const user_id& by) {
  add_put(keys::mention(room, who, seq), by.str());
}
void batch::erase_mention(const room_id& room, std::string_view who, uint64_t seq) {
  add_erase(keys::mention(room, who, seq));
}
void batch::put_reply(const room_id& room, uint64_t target, uint64_t seq) {
  add_put(keys::reply(room, target, seq), {});
}
void batch::put(const room_id& room, const scheduled_place& place, const scheduled_send& r) {
  add_put(keys::scheduled(room, place), encode(r));
}
void batch::erase(const room_id& room, const scheduled_place& place) {
  const auto key = keys::scheduled(room, place);
  add_erase_range(key, key + '\0'); // which leaves a trace: its text may be revoked one day
}
void batch::put(const due_entry& x) { add_put(keys::due(x), {}); }
void batch::erase(const due_entry& x) { add_erase(keys::due(x)); }

void batch::put(const room_id& room, std::string_view hook, const hook_record& r) {
  add_put(keys::hook(room, hook), encode(r));
}
void batch::put_hooked(std::string_view hook, const room_id& room) { add_put(keys::hooked(hook, room), {}); }
void batch::erase_hooked(std::string_view hook, const room_id& room) { add_erase(keys::hooked(hook, room)); }

void batch::erase_events(const room_id& room, uint64_t first, uint64_t last) {
  add_erase_range(keys::before_event(room, first), keys::event(room, last));
  add_erase_range(keys::state(room, first), keys::state(room, last));
  add_erase_range(keys::reply(room, first, 0), keys::reply(room, last, 0));
  add_erase_range(keys::attached(room, first, {}), keys::attached(room, last, {}));
}

void batch::erase_contents(const room_id& room) {
  using keys::tag;
  for (auto kind : {tag::event, tag::member, tag::key, tag::state, tag::reaction, tag::mention, tag::reply,
                    tag::scheduled, tag::file, tag::chunk, tag::attached, tag::hook}) {
    auto all = keys::prefix(room, kind);
    add_erase_range(all, keys::end_of(all));
  }
}

void batch::erase(const room_id& room) { add_erase(keys::room(room)); }

void batch::put(const room_id& room, std::string_view file, const file_record& r) {
  add_put(keys::file(room, file), encode(r));
}
void batch::put_chunk(const room_id& room, std::string_view file, uint64_t index, std::string_view bytes) {
  add_put(keys::chunk(room, file, index), bytes);
}
void batch::erase_file(const room_id& room, std::string_view file) {
  const auto key = keys::file(room, file);
  add_erase_range(key, key + '\0');
  auto chunks = keys::chunk(room, file, 0);
  chunks.resize(chunks.size() - keys::seq_bytes);
  add_erase_range(chunks, keys::end_of(chunks));
}
void batch::put_attached(const room_id& room, uint64_t seq, std::string_view file, const user_id& owner) {
  add_put(keys::attached(room, seq, file), owner.str());
}
void batch::erase_attached(const room_id& room, uint64_t seq, std::string_view file) {
  add_erase(keys::attached(room, seq, file));
}

void batch::put(const effect_record& r) { add_put(keys::effect(r.room, r.seq, r.user, r.file), encode(r)); }
void batch::erase(const effect_record& r) { add_erase(keys::effect(r.room, r.seq, r.user, r.file)); }

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
void batch::put(const user_id& user, const room_id& room, uint64_t target, const thread_record& r) {
  add_put(keys::thread(user, room, target), encode(r));
}
void batch::erase_threads(const user_id& user, const room_id& room) {
  auto all = keys::thread(user, room, 0);
  all.resize(all.size() - keys::seq_bytes);
  add_erase_range(all, keys::end_of(all));
}
void batch::put(const user_id& user, const profile_record& r) { add_put(keys::profile(user), encode(r)); }
void batch::put(const user_id& user, const presence_record& r) { add_put(keys::presence(user), encode(r)); }
void batch::put(const user_id& user, const user_id& blocked, const block_record& r) {
  add_put(keys::block(user, blocked), encode(r));
}
void batch::erase_block(const user_id& user, const user_id& blocked) { add_erase(keys::block(user, blocked)); }
void batch::put(const user_id& user, const erasure_record& r) { add_put(keys::erasure(user), encode(r)); }

void batch::erase_account(const user_id& user) {
  using keys::tag;
  for (auto kind : {tag::account, tag::session, tag::profile, tag::presence}) {
    auto all = keys::prefix(user, kind);
    add_erase_range(all, keys::end_of(all));
  }
}

void batch::erase_contents(const user_id& user) {
  using keys::tag;
  for (auto kind : {tag::listed, tag::activity, tag::thread, tag::block}) {
    auto all = keys::prefix(user, kind);
    add_erase_range(all, keys::end_of(all));
  }
}

void batch::put(const user_id& user, const usage_record& r) { add_put(keys::usage(user), encode(r)); }
void batch::put_charge(const user_id& user, const room_id& room, std::string_view file, uint64_t bytes) {
  std::string value;
  put_varint(value, bytes);
  add_put(keys::charge(user, room, file), value);
}
void batch::erase_charge(const user_id& user, const room_id& room, std::string_view file) {
  add_erase(keys::charge(user, room, file));
}
void batch::erase_activity(const user_id& user, const room_id& room) { add_erase(keys::activity(user, room)); }

void batch::replay(batch_reader& into) const {
  byte_reader in(bytes_);
  in.byte();
  in.byte();
  while (in.left() > 0)
    replay_one(in, into, [](auto&&...) { return true; }); // written here
}

void batch::add_put(std::string_view key, std::string_view value) {
  add(op_put, key);
  put_text(bytes_, value);
}

void batch::add_erase(std::string_view key) { add(op_erase, key); }

void batch::add_erase_range(std::string_view from, std::string_view to) {
  add(op_erase_range, from);
  put_text(bytes_, to);
}

void batch::add_replace(std::string_view key, std::string_view value) {
  add(op_replace, key);
  put_text(bytes_, value);
}

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
