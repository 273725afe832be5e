// ban_list: who is shut out for a while, and until when. In memory of this node only, and bounded.
//
// Invariant: when the bound is reached, the ban that ends first makes way, after all that have ended.
// Threads: any. As long as nobody is banned, a look is one atomic load.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace greenroom {

template <class Who>
class ban_list {
public:
  /// Not before `until_ms` again; one that holds for longer stays. `bound` 0: nobody is banned.
  void add(const Who& who, int64_t until_ms, int64_t now_ms, size_t bound) {
    std::lock_guard guard{mutex_};
    if (auto i = until_.find(who); i != until_.end()) {
      i->second = std::max(i->second, until_ms);
      return;
    }
    if (until_.size() >= bound)
      std::erase_if(until_, [now_ms](const auto& ban) { return ban.second <= now_ms; });
    while (until_.size() >= bound && !until_.empty()) // several when the bound was lowered
      until_.erase(std::min_element(until_.begin(), until_.end(),
                                    [](const auto& a, const auto& b) { return a.second < b.second; }));
    if (bound > 0)
      until_.emplace(who, until_ms);
    count_.store(until_.size(), std::memory_order_relaxed);
  }

  /// For how long yet, ms; 0: not at all.
  int64_t left_ms(const Who& who, int64_t now_ms) {
    if (count_.load(std::memory_order_relaxed) == 0)
      return 0;
    std::lock_guard guard{mutex_};
    auto i = until_.find(who);
    if (i == until_.end())
      return 0;
    if (i->second > now_ms)
      return i->second - now_ms;
    until_.erase(i);
    count_.store(until_.size(), std::memory_order_relaxed);
    return 0;
  }

  size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }

private:
  std::mutex mutex_;
  std::unordered_map<Who, int64_t> until_;
  std::atomic<size_t> count_{0};
};

} // namespace greenroom
