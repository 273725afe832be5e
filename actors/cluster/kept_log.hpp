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
  };
  void close(size_t guessed) {
    kept_ += guessed;
    segments_.push_back({last_, open_ + guessed});
    open_ = 0;
  }

  const size_t bytes_;
  std::deque<segment> segments_;
  size_t open_ = 0; // behind the last segment
  size_t kept_ = 0;
  uint64_t last_ = 0;
};

} // namespace greenroom::cluster
