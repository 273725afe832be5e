#include "actors/host.hpp"

#include <utility>

namespace greenroom {

void host::add(caf::strong_actor_ptr keep, hosted& who) {
  {
    std::lock_guard guard{mutex_};
    ready_.push_back({std::move(keep), &who});
    if (std::exchange(scheduled_, true))
      return;
  }
  schedule();
}

void host::wake() {
  {
    std::lock_guard guard{mutex_};
    if (std::exchange(scheduled_, true))
      return;
  }
  schedule();
}

bool host::run_ready() {
  {
    std::lock_guard guard{mutex_};
    running_.swap(ready_);
    if (running_.empty()) {
      scheduled_ = false;
      return false;
    }
  }
  before_round(running_.size());
  auto since = hosted::clock::now();
  for (auto& r : running_)
    r.who->drain(since, turn_);
  running_.clear();
  return true;
}

} // namespace greenroom
