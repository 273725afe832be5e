#include "actors/lane.hpp"

#include "actors/strand.hpp"

#include <algorithm>
#include <utility>

namespace greenroom {
namespace {

// Rounds of one run: a relay lane wakes connections, which answer in the same burst and are flushed with it. Bounded,
// so that two actors that keep waking each other can't starve the sockets.
constexpr int rounds_max = 8;
constexpr size_t many = 32; // times as many as are dirty

} // namespace

void lane::run() {
  in_run_ = true;
  int rounds = 0;
  for (; rounds < rounds_max; ++rounds) {
    strand::alone woken;
    if (!run_ready())
      break;
    woken.run();
  }
  flush();
  in_run_ = false;
  if (rounds == rounds_max)
    schedule(); // still marked as scheduled
}

/// Who spoke in a large room has the answer before thousands of listeners have the message: what few have to say does
/// not wait for a round of many. Among as many as there are dirty, sockets would be written twice for nothing.
void lane::before_round(size_t coming) {
  if (!dirty_.empty() && coming >= many * dirty_.size())
    flush();
}

void lane::flush_later(flushable& f) {
  dirty_.push_back(&f);
  if (!in_run_)
    wake();
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
