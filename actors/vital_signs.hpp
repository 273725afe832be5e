// vital_signs: what every actor shows of itself to the outside, and the directory in which all of them can be found.
// The actor writes, anybody may read through the directory: what changes often is atomic, the rest behind the
// directory's locks, which are taken rarely. Part of the actor, without memory of their own: there are two for each
// idle client.
#pragma once

#include <boost/intrusive/list.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

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
  scrubber,
  requester,
  clock,
  gateway,
  replica,
  member,
  survey,
  bulk,
  pusher,
  vetter,
};
inline constexpr size_t actor_kinds = 19;
const char* to_string(actor_kind kind) noexcept;

class vital_signs : public boost::intrusive::list_base_hook<> {
public:
  vital_signs(actor_kind k, uint64_t i, std::string name) : kind(k), id(i), name_(std::move(name)) {}

  const actor_kind kind;
  const uint64_t id; // CAF's actor id: unique in this process
  const std::chrono::steady_clock::time_point born = std::chrono::steady_clock::now();
  // Mostly one thread writes each at a time, and then counts up without a locked instruction.
  std::atomic<uint64_t> received{0};
  std::atomic<uint64_t> handled{0};
  std::atomic<uint64_t> busy_ns{0}; // in handlers, measured once per burst
  static void count(std::atomic<uint64_t>& figure, uint64_t more) noexcept {
    figure.store(figure.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  uint64_t mailbox_depth() const noexcept {
    auto done = handled.load(std::memory_order_relaxed); // first: received only grows
    auto in = received.load(std::memory_order_relaxed);
    return in > done ? in - done : 0;
  }
  /// What it is about: the room's or the user's id, the shard's number. Within directory::each only, as last_error().
  const std::string& name() const noexcept { return name_; }
  std::string_view last_error() const noexcept { return last_error_ ? std::string_view(*last_error_) : ""; }

private:
  friend class directory;
  std::string name_;
  std::unique_ptr<std::string> last_error_;
};

/// All living actors of a node.
class directory {
public:
  void add(vital_signs& signs);
  /// Any number of times. Afterwards nobody reads them any more.
  void remove(vital_signs& signs) noexcept;
  void rename(vital_signs& signs, std::string name);
  void failed(vital_signs& signs, std::string what);
  /// Calls `f` for each, one lock per part held meanwhile: `f` must be short.
  void each(const std::function<void(const vital_signs&)>& f) const;
  size_t count(actor_kind kind) const noexcept { return counts_[static_cast<size_t>(kind)].load(); }

private:
  static constexpr size_t parts = 16;
  struct part {
    mutable std::mutex mutex;
    boost::intrusive::list<vital_signs> living;
  };
  part& part_of(const vital_signs& signs) noexcept { return parts_[signs.id % parts]; }

  std::array<part, parts> parts_;
  std::array<std::atomic<size_t>, actor_kinds> counts_{};
};

/// Keeps an actor's signs in the directory as long as it lives: from its construction to its cleanup.
class kept_signs {
public:
  kept_signs(directory& in, actor_kind kind, uint64_t id, std::string name)
      : in_(in), signs_(kind, id, std::move(name)) {
    in_.add(signs_);
  }
  ~kept_signs() { remove(); }
  kept_signs(const kept_signs&) = delete;
  kept_signs& operator=(const kept_signs&) = delete;

  vital_signs* operator->() noexcept { return &signs_; }
  void rename(std::string name) { in_.rename(signs_, std::move(name)); }
  void failed(std::string what) { in_.failed(signs_, std::move(what)); }
  void remove() noexcept { in_.remove(signs_); }

private:
  directory& in_;
  vital_signs signs_;
};

} // namespace greenroom
