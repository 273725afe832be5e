// kept_log: how much of a shard's log lies behind what is applied, and up to where it may be trimmed. Counted in
// segments, not by entry: there are 128 logs, and a trim is a range deletion, to be done seldom.
#pragma once

#include "storage/log.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace greenroom::cluster {

class kept_log {
public:
  /// About `bytes` are kept.
  explicit kept_log(size_t bytes) : bytes_(bytes) {}

  /// The log was read anew. How large it is nobody knows: half of what is kept is a guess that errs by little.
  void restart(const storage::shard_state& now) {
    segments_.clear();
    open_ = kept_ = 0;
    last_ = now.last.index;
    if (now.last.index > now.first.index)
      close(bytes_ / 2);
  }
  /// An entry of so many bytes has been appended.
  void appended(uint64_t index, size_t bytes) {
    last_ = index;
    open_ += bytes;
    kept_ += bytes;
    if (open_ >= bytes_ / segments_wanted)
      close(0);
  }
  /// What is behind `after` was cut off; its bytes go on counting until they are trimmed.
  void cut(uint64_t after) {
    last_ = std::min(last_, after);
    for (auto& s : segments_)
      s.upto = std::min(s.upto, after);
  }
  /// Likewise what is older than `age_ms`, however little it is; a quarter of that later at most. To be asked from time
  /// to time.
  std::optional<uint64_t> trim_old(uint64_t applied, int64_t now_ms, int64_t age_ms) {
    now_ms_ = now_ms;
    for (auto& s : segments_)
      s.since_ms = s.since_ms == 0 ? now_ms : s.since_ms; // of before anybody asked
    if (open_ > 0 && now_ms - open_since_ms_ >= age_ms / 4)
      close(0);
    std::optional<uint64_t> upto;
    while (!segments_.empty() && now_ms - segments_.front().since_ms >= age_ms && segments_.front().upto <= applied) {
      upto = segments_.front().upto;
      kept_ -= segments_.front().bytes;
      segments_.pop_front();
    }
    return upto;
  }
  /// Up to which index to trim, given what is applied; once for each range. nullopt: nothing yet.
  std::optional<uint64_t> trim(uint64_t applied) {
    std::optional<uint64_t> upto;
    while (!segments_.empty() && kept_ - segments_.front().bytes >= bytes_ && segments_.front().upto <= applied) {
      upto = segments_.front().upto;
      kept_ -= segments_.front().bytes;
      segments_.pop_front();
    }
    return upto;
  }

private:
  static constexpr size_t segments_wanted = 8;
  struct segment {
    uint64_t upto;
    size_t bytes;
    int64_t since_ms; // when it was closed
  };
  void close(size_t guessed) {
    kept_ += guessed;
    segments_.push_back({last_, open_ + guessed, now_ms_});
    open_ = 0;
    open_since_ms_ = now_ms_;
  }

  const size_t bytes_;
  std::deque<segment> segments_;
  size_t open_ = 0; // behind the last segment
  size_t kept_ = 0;
  uint64_t last_ = 0;
  int64_t now_ms_ = 0; // as last asked
  int64_t open_since_ms_ = 0;
};

} // namespace greenroom::cluster
