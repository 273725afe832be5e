// bucket_table: token buckets for whoever comes, in memory of a fixed size.
//
// A table of cells that are picked by a keyed hash of the name; in each cell a few token buckets of one word. Nothing
// is allocated or evicted, so somebody with many names can neither fill it nor push out his own record. Two names that
// share a cell share its tokens, too; without the key nobody can aim at another's cell.
//
// Threads: any. take() neither locks nor allocates: a compare-and-swap, repeated when another thread was at the same
// cell just then.
#pragma once

#include "config/token_bucket.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace greenroom {

class bucket_table {
public:
  static constexpr size_t cells = 65'536; // times 8 bytes for each bucket of a cell

  /// Throws std::runtime_error when there is no randomness to be had.
  explicit bucket_table(uint32_t buckets_per_cell);

  /// Where the name's buckets are, for as long as the table is there.
  uint32_t cell_of(std::string_view name) const noexcept;
  /// As token_bucket::take. REQUIRES: bucket < buckets_per_cell.
  uint32_t take(uint32_t cell, uint32_t bucket, const rate& r, int64_t now_ms) noexcept;
  /// As token_bucket::fill.
  void fill(uint32_t cell, uint32_t bucket) noexcept { at(cell, bucket).store(0, std::memory_order_relaxed); }

private:
  std::atomic<int64_t>& at(uint32_t cell, uint32_t bucket) noexcept {
    return full_at_ns_[size_t{cell} * buckets_per_cell_ + bucket];
  }

  std::array<unsigned char, 16> key_;
  const uint32_t buckets_per_cell_;
  const std::unique_ptr<std::atomic<int64_t>[]> full_at_ns_;
};

} // namespace greenroom
