#include "actors/bucket_table.hpp"

#include <sodium.h>

#include <cstring>
#include <stdexcept>

namespace greenroom {

static_assert(crypto_shorthash_KEYBYTES == 16);
static_assert(std::atomic<int64_t>::is_always_lock_free);

bucket_table::bucket_table(uint32_t buckets_per_cell)
    : buckets_per_cell_(buckets_per_cell),
      full_at_ns_(std::make_unique<std::atomic<int64_t>[]>(cells * buckets_per_cell)) {
  if (sodium_init() < 0)
    throw std::runtime_error("libsodium can't start");
  randombytes_buf(key_.data(), key_.size());
}

uint32_t bucket_table::cell_of(std::string_view name) const noexcept {
  std::array<unsigned char, crypto_shorthash_BYTES> hash;
  crypto_shorthash(hash.data(), reinterpret_cast<const unsigned char*>(name.data()), name.size(), key_.data());
  uint64_t index = 0;
  std::memcpy(&index, hash.data(), sizeof index);
  return static_cast<uint32_t>(index % cells);
}

uint32_t bucket_table::take(uint32_t cell, uint32_t bucket, const rate& r, int64_t now_ms) noexcept {
  if (r.count == 0)
    return 0;
  auto& full_at_ns = at(cell, bucket);
  auto seen = full_at_ns.load(std::memory_order_relaxed);
  for (;;) {
    const auto next = token_bucket::after(seen, r, now_ms);
    if (next.full_at_ns == seen || full_at_ns.compare_exchange_weak(seen, next.full_at_ns, std::memory_order_relaxed))
      return next.wait_ms;
  }
}

} // namespace greenroom
