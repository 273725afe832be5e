#include "actors/lane.hpp"

#include <algorithm>

namespace greenroom {
namespace {

// Rounds of one run: a relay lane wakes connections, which answer in the same burst and are flushed with it. Bounded,
// so that two actors that keep waking each other can't starve the sockets.
constexpr int rounds_max = 8;

} // namespace

void lane::add(caf::strong_actor_ptr keep, hosted& who) {
  {
    std::lock_guard guard{mutex_};
    ready_.push_back({std::move(keep), &who});
    if (scheduled_)
      return;
    scheduled_ = true;
  }
  schedule_();
}

bool lane::run_ready() {
  {
    std::lock_guard guard{mutex_};
    running_.swap(ready_);
    if (running_.empty()) {
      scheduled_ = false;
      return false;
    }
  }
  for (auto& r : running_)
    r.who->drain();
  running_.clear();
  return true;
}

void lane::run() {
  in_run_ = true;
  int rounds = 0;
  while (rounds < rounds_max && run_ready())
    ++rounds;
  flush();
  in_run_ = false;
  if (rounds == rounds_max)
    schedule_(); // still marked as scheduled
}

void lane::flush_later(flushable& f) {
  dirty_.push_back(&f);
  if (in_run_)
    return;
  {
    std::lock_guard guard{mutex_};
    if (std::exchange(scheduled_, true))
      return;
  }
  schedule_();
}

void lane::forget(flushable& f) noexcept {
  std::replace(dirty_.begin(), dirty_.end(), &f, static_cast<flushable*>(nullptr));
}

void lane::flush() {
  // By index: a flush may end its connection, which forgets itself, or dirty another one.
  for (size_t i = 0; i < dirty_.size(); ++i)
    if (auto* f = std::exchange(dirty_[i], nullptr))
      f->flush();
  dirty_.clear();
}

} // namespace greenroom
