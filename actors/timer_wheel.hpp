// timer_wheel: coarse deadlines for one I/O thread. One tick moves all of them; an idle connection costs two pointers
// and a number per deadline instead of a timer of its own.
//
// Hashed wheel (Varghese and Lauck 1987, scheme 6): a deadline sits in slot `due mod slots`; a tick visits one slot and
// fires what is due in this round. Not thread-safe: everything happens on the lane's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace greenroom {

class timer_wheel {
public:
  static constexpr uint32_t tick_ms = 100;
  static constexpr uint32_t slots = 512; // one round: 51 s; what is due later passes its slot unfired until then

  /// A deadline that its owner embeds. Ends with its owner.
  class entry {
  public:
    explicit entry(std::function<void()> fire) : fire_(std::move(fire)) {}
    ~entry() { cancel(); }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    void cancel() noexcept;
    bool armed() const noexcept { return prev_ != nullptr; }

  private:
    friend class timer_wheel;
    entry() = default; // the head of a slot's circular list
    void link_before(entry& head) noexcept;
    std::function<void()> fire_;
    entry* prev_ = nullptr;
    entry* next_ = nullptr;
    uint64_t due_ = 0;
  };

  timer_wheel();
  ~timer_wheel();
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  /// Fires `e` once, `ms` from now or up to two ticks later; an armed entry is moved.
  void arm(entry& e, uint64_t ms);
  /// Called every tick_ms. Runs what is due; fired owners may arm, cancel and destroy any entry.
  void tick();

private:
  void link(entry& e) noexcept;

  std::unique_ptr<entry[]> heads_;
  uint64_t now_ = 0; // in ticks
};

} // namespace greenroom
