// activations: the actors that a shard has woken, by id: at most so many, the least recently used goes first. Rooms and
// users are activated by the same rules, so they stand here once.
//
// Invariants
// - For one id there is at most one actor at any time: a new one starts only after the old one said `retired` or died.
// - Commands reach the actors of one id in the order in which they came, across activations.
// - Never more than `bound` actors; what waits for a place is bounded, too, and refused over it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace greenroom {

template <class Id, class Handle, class Ask>
class activations {
public:
  struct rules {
    size_t bound = 1;         // actors at once
    size_t hold = 1'024;      // commands that wait for an activation
    int64_t idle_ms = 60'000; // unused that long: retire
  };
  struct hooks {
    // Called from within the functions below; must not call them.
    std::function<Handle(const Id&)> spawn;
    std::function<void(const Id&, const Handle&, Ask)> deliver;
    std::function<void(const Handle&)> retire;
    std::function<void(const Ask&)> refuse; // over rules::hold, or the shard ends: unavailable
    std::function<int64_t()> now_ms;        // of a clock that never goes back
  };

  activations(rules r, hooks h) : rules_(r), hooks_(std::move(h)) {}

  /// Gives the command to the id's actor, which is woken if need be; or keeps it until there is one; or refuses it.
  void take(const Id& id, Ask ask) {
    if (stopping_) {
      hooks_.refuse(ask);
      return;
    }
    auto i = slots_.find(id);
    if (i != slots_.end() && !i->second.retiring) {
      touch(i->second);
      hooks_.deliver(id, i->second.to, std::move(ask));
      return;
    }
    if (i == slots_.end() && queue_.count(id) == 0 && make_room()) {
      activate(id);
      hooks_.deliver(id, slots_.at(id).to, std::move(ask));
      return;
    }
    if (held_ >= rules_.hold) {
      hooks_.refuse(ask);
      return;
    }
    ++held_;
    if (i != slots_.end()) {
      i->second.held.push_back(std::move(ask));
      return;
    }
    auto& waiting = queue_[id];
    if (waiting.empty())
      order_.push_back(id);
    waiting.push_back(std::move(ask));
  }

  /// The actor for this id if there is one; it may be on its way out, and still wait for something.
  const Handle* find(const Id& id) const {
    auto i = slots_.find(id);
    return i == slots_.end() ? nullptr : &i->second.to;
  }

  /// A busy actor is not chosen to make room, nor for being idle.
  void set_busy(const Id& id, bool busy) {
    auto i = slots_.find(id);
    if (i == slots_.end())
      return;
    i->second.busy = busy;
    touch(i->second);
  }

  /// Asks the actor to end. It answers with ended() or stays(), in its own time.
  void retire(const Id& id) {
    if (auto i = slots_.find(id); i != slots_.end() && !i->second.retiring)
      retire(i->second);
  }

  /// The actor did not want to go after all.
  void stays(const Id& id, uint64_t actor) {
    auto i = slots_.find(id);
    if (i == slots_.end() || i->second.to.id() != actor || !std::exchange(i->second.retiring, false))
      return;
    touch(i->second);
    for (auto& ask : std::exchange(i->second.held, {})) {
      --held_;
      hooks_.deliver(id, i->second.to, std::move(ask));
    }
  }

  /// The actor has ended, as asked or by accident. What came for it meanwhile wakes the next one.
  void ended(const Id& id, uint64_t actor) {
    auto i = slots_.find(id);
    if (i == slots_.end() || i->second.to.id() != actor)
      return;
    auto held = std::move(i->second.held);
    by_use_.erase(i->second.use);
    slots_.erase(i);
    if (!held.empty() && !stopping_) {
      activate(id);
      for (auto& ask : held)
        hooks_.deliver(id, slots_.at(id).to, std::move(ask));
    } else {
      for (auto& ask : held)
        hooks_.refuse(ask);
    }
    held_ -= held.size();
    serve_queue();
  }

  /// The id whose actor this is; for actors that died without a word: looks at all of them.
  std::optional<Id> id_of(uint64_t actor) const {
    for (const auto& [id, s] : slots_)
      if (s.to.id() == actor)
        return id;
    return std::nullopt;
  }

  /// Retires who was not used for rules::idle_ms. To be called now and then.
  void retire_idle() {
    auto now = hooks_.now_ms();
    // The list is in the order of use: stop at the first that is young enough.
    for (auto i = by_use_.begin(); i != by_use_.end(); ++i) {
      auto& s = slots_.at(*i);
      if (now - s.used < rules_.idle_ms)
        break;
      if (!s.busy && !s.retiring)
        retire(s);
    }
  }

  /// Retires everything and refuses what waits. Further commands are refused by the owner.
  void stop() {
    stopping_ = true;
    for (auto& [id, waiting] : queue_)
      for (auto& ask : waiting)
        hooks_.refuse(ask);
    queue_.clear();
    order_.clear();
    for (auto& [id, s] : slots_) {
      s.retiring = true;
      hooks_.retire(s.to); // once more for those that were asked already: now for good
    }
  }

  /// Forgets all of them, and what waits, without a word; `end` is told each.
  template <class End>
  void abandon(End end) {
    for (auto& [id, s] : slots_)
      end(s.to);
    slots_.clear();
    by_use_.clear();
    queue_.clear();
    order_.clear();
    held_ = 0;
  }

  size_t size() const noexcept { return slots_.size(); }
  bool empty() const noexcept { return slots_.empty(); }

private:
  struct slot {
    Handle to;
    bool busy = false;
    bool retiring = false;
    std::vector<Ask> held; // while retiring
    int64_t used = 0;
    typename std::list<Id>::iterator use;
  };

  void touch(slot& s) {
    s.used = hooks_.now_ms();
    by_use_.splice(by_use_.end(), by_use_, s.use);
  }

  void activate(const Id& id) {
    auto& s = slots_[id];
    s.use = by_use_.insert(by_use_.end(), id);
    s.used = hooks_.now_ms();
    s.to = hooks_.spawn(id);
  }

  void retire(slot& s) {
    s.retiring = true;
    hooks_.retire(s.to);
  }

  /// True if there is a free place. Otherwise sends the least recently used actor away, one for each that waits.
  bool make_room() {
    if (slots_.size() < rules_.bound)
      return true;
    for (const auto& id : by_use_) {
      auto& s = slots_.at(id);
      if (!s.busy && !s.retiring) {
        retire(s);
        break;
      }
    }
    return false;
  }

  void serve_queue() {
    while (!order_.empty() && slots_.size() < rules_.bound && !stopping_) {
      auto id = std::move(order_.front());
      order_.pop_front();
      auto waiting = std::move(queue_.at(id));
      queue_.erase(id);
      held_ -= waiting.size();
      activate(id);
      for (auto& ask : waiting)
        hooks_.deliver(id, slots_.at(id).to, std::move(ask));
    }
    if (!order_.empty() && !stopping_)
      make_room();
  }

  const rules rules_;
  const hooks hooks_;
  std::unordered_map<Id, slot> slots_;
  std::list<Id> by_use_;                           // least recently used first
  std::unordered_map<Id, std::vector<Ask>> queue_; // waits for a place
  std::deque<Id> order_;
  size_t held_ = 0;
  bool stopping_ = false;
};

} // namespace greenroom
