#include "actors/cluster/outbox.hpp"

#include <utility>

namespace greenroom::cluster {

outbox::outbox(std::string peer_name, std::string peer_store, uint64_t link_incarnation, const link_options& options,
               link_metrics& figures, std::function<void()> wake)
    : peer(std::move(peer_name), std::move(peer_store), link_incarnation), queue_max_(options.queue_bytes),
      letter_max_(options.letter_bytes_max), metrics_(figures) {
  state_.wake = std::move(wake);
}

outbox::~outbox() { close(); }

bool outbox::post(channel by, letter what) const {
  auto cost = what.what->size() + letter_overhead;
  std::lock_guard guard{mutex_};
  if (!state_.wake || !state_.failure.empty())
    return false;
  if (what.what->size() > letter_max_) {
    fail("a letter of " + std::to_string(what.what->size()) + " bytes; at most " + std::to_string(letter_max_) +
         " are allowed");
    return false;
  }
  if (state_.bytes + cost > queue_max_) {
    metrics_.overflows.add();
    fail("more than " + std::to_string(queue_max_) + " bytes wait for the peer");
    return false;
  }
  state_.bytes += cost;
  metrics_.queue_bytes.add(static_cast<int64_t>(cost));
  auto i = static_cast<size_t>(by);
  state_.waiting[i].push_back(std::move(what));
  if (!std::exchange(state_.woken[i], true))
    state_.wake();
  return true;
}

void outbox::fail(std::string why) const {
  state_.failure = std::move(why);
  state_.waiting = {}; // it is lost already, and memory is short
  state_.wake();
}

size_t outbox::queued() const {
  std::lock_guard guard{mutex_};
  return state_.bytes;
}

std::vector<letter> outbox::take(channel by) {
  std::lock_guard guard{mutex_};
  auto i = static_cast<size_t>(by);
  state_.woken[i] = false;
  return std::exchange(state_.waiting[i], {});
}

void outbox::done(size_t letters, size_t text_bytes) {
  auto cost = text_bytes + letters * letter_overhead;
  std::lock_guard guard{mutex_};
  state_.bytes -= cost;
  metrics_.queue_bytes.add(-static_cast<int64_t>(cost));
}

std::string outbox::failure() const {
  std::lock_guard guard{mutex_};
  return state_.failure;
}

void outbox::close() {
  std::array<std::vector<letter>, channels> lost; // freed without the lock
  std::lock_guard guard{mutex_};
  lost.swap(state_.waiting);
  state_.wake = nullptr;
  if (state_.bytes > 0) // not once closed: the figures may be gone before the last of those who know the peer
    metrics_.queue_bytes.add(-static_cast<int64_t>(std::exchange(state_.bytes, 0)));
}

} // namespace greenroom::cluster
