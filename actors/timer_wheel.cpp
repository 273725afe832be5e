#include "actors/timer_wheel.hpp"

namespace greenroom {

void timer_wheel::entry::cancel() noexcept {
  if (!armed())
    return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

void timer_wheel::entry::link_before(entry& head) noexcept {
  prev_ = head.prev_;
  next_ = &head;
  prev_->next_ = this;
  head.prev_ = this;
}

timer_wheel::timer_wheel() : heads_(new entry[slots]) {
  for (uint32_t i = 0; i < slots; ++i)
    heads_[i].prev_ = heads_[i].next_ = &heads_[i];
}

timer_wheel::~timer_wheel() {
  // Entries may outlive the wheel: leave them disarmed rather than pointing into it.
  for (uint32_t i = 0; i < slots; ++i)
    while (heads_[i].next_ != &heads_[i])
      heads_[i].next_->cancel();
}

void timer_wheel::link(entry& e) noexcept { e.link_before(heads_[e.due_ % slots]); }

void timer_wheel::arm(entry& e, uint64_t ms) {
  e.cancel();
  e.due_ = now_ + 1 + (ms + tick_ms - 1) / tick_ms; // never early: the present tick may be almost over
  link(e);
}

void timer_wheel::tick() {
  ++now_;
  // Take the slot's list off first: what is armed meanwhile may land in the same slot and must wait a round.
  entry& head = heads_[now_ % slots];
  entry due;
  due.prev_ = due.next_ = &due;
  if (head.next_ != &head) {
    due.next_ = head.next_;
    due.prev_ = head.prev_;
    due.next_->prev_ = due.prev_->next_ = &due;
    head.prev_ = head.next_ = &head;
  }
  while (due.next_ != &due) {
    entry& e = *due.next_;
    e.cancel();
    if (e.due_ > now_) {
      link(e);
    } else {
      auto fire = e.fire_; // the owner may destroy the entry while it fires
      fire();
    }
  }
  due.prev_ = due.next_ = nullptr;
}

} // namespace greenroom
