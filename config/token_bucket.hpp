// token_bucket: how often something may happen: so often on average, and so often at once after a pause.
//
// The obvious way keeps a count of tokens and the time of the last refill; both change with each look, and fractions of
// tokens get lost or need floating point. The generic cell rate algorithm (ITU-T I.371, annex A) keeps one number
// instead: when the bucket will be full again. What is let through moves it on by the time that one token takes to grow
// back, and it may be ahead of now by no more than a whole bucket. So a bucket is one word, which threads can share
// without a lock (actors/bucket_table.hpp), and one that was never used is a zero.
//
// Knows no clock: whoever asks says what time it is, by a clock that never goes back. The rate is handed in each time,
// so that SIGHUP can change it; of a bucket that was emptied under a slower rate no more than a bucketful of the new
// one is still owed.
#pragma once

#include <algorithm>
#include <cstdint>

namespace greenroom {

struct rate {
  uint32_t count = 0;         // in a period, on average; 0: no limit
  uint32_t period_ms = 1'000; // not 0
  uint32_t burst = 1;         // at once after a pause; 0 is taken for 1
};

class token_bucket {
public:
  /// Takes a token. 0: there was one; otherwise milliseconds until there will be, and nothing is taken.
  uint32_t take(const rate& r, int64_t now_ms) noexcept {
    const auto next = after(full_at_ns_, r, now_ms);
    full_at_ns_ = next.full_at_ns;
    return next.wait_ms;
  }
  /// Takes so many, as far as there are that many: what comes next waits for the longer.
  void spend(const rate& r, int64_t now_ms, uint64_t tokens) noexcept {
    for (; tokens > 0 && take(r, now_ms) == 0; --tokens) {
    }
  }
  /// The same as take(), but nothing is taken in any case.
  uint32_t wait(const rate& r, int64_t now_ms) const noexcept { return after(full_at_ns_, r, now_ms).wait_ms; }
  /// As if nothing had been taken yet.
  void fill() noexcept { full_at_ns_ = 0; }

  struct step {
    int64_t full_at_ns = 0;
    uint32_t wait_ms = 0;
  };
  /// What becomes of a bucket that is full at `full_at_ns` when a token is taken at `now_ms`.
  /// REQUIRES: a bucketful grows in less than a century, as with all bounds of config/schema_limits.cpp.
  static constexpr step after(int64_t full_at_ns, const rate& r, int64_t now_ms) noexcept {
    if (r.count == 0)
      return {full_at_ns, 0};
    constexpr int64_t ms = 1'000'000; // in ns
    const int64_t token = std::max<int64_t>(r.period_ms * ms / r.count, 1);
    const int64_t bucketful = token * std::max(r.burst, 1u);
    const int64_t now = now_ms * ms;
    const int64_t from = std::clamp(full_at_ns, now, now + bucketful);
    const int64_t wait = from + token - (now + bucketful);
    if (wait > 0)
      return {from, static_cast<uint32_t>((wait + ms - 1) / ms)};
    return {from + token, 0};
  }

private:
  int64_t full_at_ns_ = 0; // of the asker's clock; in the past: it is full
};

} // namespace greenroom
