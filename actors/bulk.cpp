#include "actors/bulk.hpp"

#include "actors/house.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace greenroom::bulk {
namespace {

/// SHA-256 (FIPS 180-4) that can be laid down between two blocks and taken up again, on another node even: eight words
/// and the count of bits, each big-endian.
class running_hash {
public:
  explicit running_hash(std::string_view laid_down) {
    crypto_hash_sha256_init(&state_);
    if (laid_down.size() != bytes)
      return;
    for (size_t i = 0; i < std::size(state_.state); ++i)
      state_.state[i] = static_cast<uint32_t>(number(laid_down.substr(i * 4, 4)));
    state_.count = number(laid_down.substr(std::size(state_.state) * 4));
  }

  void add(std::string_view text) {
    crypto_hash_sha256_update(&state_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  /// REQUIRES: what was added are whole blocks.
  std::string lay_down() const {
    std::string out;
    for (auto word : state_.state)
      put(out, word, 4);
    put(out, state_.count, 8);
    return out;
  }
  std::string finish() {
    std::string out(crypto_hash_sha256_BYTES, '\0');
    crypto_hash_sha256_final(&state_, reinterpret_cast<unsigned char*>(out.data()));
    return out;
  }

private:
  static constexpr size_t bytes = 8 * 4 + 8;
  static uint64_t number(std::string_view text) {
    uint64_t x = 0;
    for (unsigned char byte : text)
      x = x << 8 | byte;
    return x;
  }
  static void put(std::string& out, uint64_t x, int width) {
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
      out.push_back(static_cast<char>(x >> shift));
  }

  crypto_hash_sha256_state state_;
};

void answer(const store& x, stored::how what, storage::file_record record = {}) {
  tell(x.to, stored{x.file, x.token, what, std::move(record)});
}

} // namespace

bulk_actor::bulk_actor(caf::actor_config& cfg, house& in)
    : detached_actor(cfg, actor_kind::bulk, "store", in.living), house_(in) {}

bulk_actor::behavior_type bulk_actor::make_behavior() {
  return {
      [this](const store& x) { take(x); },
      [this](const committed& x) { done(x); },
      [this](const tick&) {
        drop_void();
        go_on();
      },
      [this](const stop&) { this->quit(); },
  };
}

void bulk_actor::take(const store& x) {
  if (queue_.size() >= house_.config.attachments.queue) {
    answer(x, stored::how::crowded);
    return;
  }
  queue_.push_back(x);
  drop_void();
  go_on();
}

void bulk_actor::done(const committed& x) {
  auto i = std::find_if(under_way_.begin(), under_way_.end(), [&](const under_way& u) { return u.token == x.token; });
  if (i == under_way_.end())
    return;
  if (x.ok)
    house_.metrics.attachment_bytes.add(static_cast<int64_t>(i->what.bytes->size()));
  answer(i->what, x.ok ? stored::how::ok : stored::how::failed, std::move(i->next));
  under_way_.erase(i);
  go_on();
}

/// A replica that is not the primary any more answers nothing.
void bulk_actor::drop_void() {
  under_way_.remove_if([this](const under_way& u) {
    const bool is_void = house_.era_of(u.what.room.shard()) != u.what.era;
    if (is_void && house_.cluster)
      answer(u.what, stored::how::failed);
    return is_void && house_.cluster;
  });
}

bool bulk_actor::is_free(shard_id shard) const {
  return std::none_of(under_way_.begin(), under_way_.end(),
                      [&](const under_way& u) { return u.what.room.shard() == shard; });
}

void bulk_actor::go_on() {
  const auto now = house_.steady_ms();
  auto is_held_up = [&] {
    return std::any_of(under_way_.begin(), under_way_.end(),
                       [&](const under_way& u) { return now - u.since < hold_ms; });
  };
  while (!is_held_up()) {
    auto next = std::find_if(queue_.begin(), queue_.end(), [&](const store& x) { return is_free(x.room.shard()); });
    if (next == queue_.end())
      return;
    auto x = std::move(*next);
    queue_.erase(next);
    start(std::move(x));
  }
}

void bulk_actor::start(store x) {
  auto next = x.record;
  running_hash hash(next.digest);
  hash.add(*x.bytes);
  const auto index = next.received / next.chunk_bytes;
  next.received += x.bytes->size();
  if (next.received == next.size) {
    auto found = hash.finish();
    if (!next.sha256.empty() && next.sha256 != found) {
      answer(x, stored::how::wrong);
      return;
    }
    next.at = storage::file_record::stage::complete;
    next.sha256 = std::move(found);
    next.digest.clear();
  } else {
    next.digest = hash.lay_down();
  }
  const auto shard = x.room.shard();
  auto batch = std::make_shared<storage::batch>(shard);
  batch->put_chunk(x.room, x.file, index, *x.bytes);
  batch->put(x.room, x.file, next);
  const auto token = ++next_token_;
  const auto era = x.era;
  under_way_.push_back({token, std::move(x), std::move(next), house_.steady_ms()});
  house_.commits_waiting.fetch_add(1);
  tell(house_.committer_of(shard), persist::commit{std::move(batch), era, token, this->self()});
}

} // namespace greenroom::bulk
