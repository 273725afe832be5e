// vital_signs: what every actor shows of itself to the outside, and the directory in which all of them can be found.
// The actor writes, anybody may read: everything is atomic or behind a lock that is taken rarely.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

namespace greenroom {

enum class actor_kind : uint8_t {
  connection,
  user,
  room,
  relay,
  relay_lane,
  shard,
  storage,
  reader,
  hasher,
  requester,
  clock
};
inline constexpr size_t actor_kinds = 11;
const char* to_string(actor_kind kind) noexcept;

struct vital_signs {
  vital_signs(actor_kind k, uint64_t i, std::string n)
      : kind(k), id(i), name_(std::make_shared<const std::string>(std::move(n))) {}

  const actor_kind kind;
  const uint64_t id; // CAF's actor id: unique in this process
  const std::chrono::steady_clock::time_point born = std::chrono::steady_clock::now();
  std::atomic<uint64_t> received{0};
  std::atomic<uint64_t> handled{0};
  std::atomic<uint64_t> busy_ns{0}; // in handlers, measured once per burst

  uint64_t mailbox_depth() const noexcept {
    auto done = handled.load(std::memory_order_relaxed); // first: received only grows
    auto in = received.load(std::memory_order_relaxed);
    return in > done ? in - done : 0;
  }
  /// What it is about: the room's or the user's id, the shard's number.
  std::string name() const;
  void rename(std::string name);
  void failed(std::string what);
  std::string last_error() const;

private:
  std::shared_ptr<const std::string> name_;       // by atomic_load and atomic_store
  std::shared_ptr<const std::string> last_error_; // by atomic_load and atomic_store
};

/// All living actors of a node.
class directory {
public:
  void add(std::shared_ptr<vital_signs> signs);
  void remove(const std::shared_ptr<vital_signs>& signs);
  /// Calls `f` for each, one lock per part held meanwhile: `f` must be short.
  void each(const std::function<void(const vital_signs&)>& f) const;
  size_t count(actor_kind kind) const noexcept { return counts_[static_cast<size_t>(kind)].load(); }

private:
  static constexpr size_t parts = 16;
  struct part {
    mutable std::mutex mutex;
    std::unordered_set<std::shared_ptr<vital_signs>> living;
  };
  std::array<part, parts> parts_;
  std::array<std::atomic<size_t>, actor_kinds> counts_{};
};

} // namespace greenroom
