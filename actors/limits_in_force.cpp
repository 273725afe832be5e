#include "actors/limits_in_force.hpp"

#include <future>
#include <utility>

namespace greenroom {

/// Its turn on each host has come when what the host did before is done.
struct limits_in_force::round {
  struct mark : hosted {
    void drain(clock::time_point&, size_t) override { of->passed(); }
    round* of = nullptr;
  };

  round(std::shared_ptr<const limits> o, size_t hosts) : old(std::move(o)), marks(hosts), left(hosts) {
    for (auto& m : marks)
      m.of = this;
  }

  void passed() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1)
      return;
    old.reset();
    auto last = over; // the round may be gone as soon as somebody knows
    last->set_value();
  }

  std::shared_ptr<const limits> old;
  std::vector<mark> marks;
  std::atomic<size_t> left;
  const std::shared_ptr<std::promise<void>> over = std::make_shared<std::promise<void>>();
  const std::future<void> is_over = over->get_future();
};

limits_in_force::limits_in_force(const limits& first)
    : kept_(std::make_shared<const limits>(first)), now_(kept_.get()) {}

limits_in_force::~limits_in_force() = default;

std::shared_ptr<const limits> limits_in_force::kept() const {
  std::lock_guard guard{mutex_};
  return kept_;
}

bool limits_in_force::settle(std::chrono::milliseconds patience) {
  return !round_ || round_->is_over.wait_for(patience) == std::future_status::ready;
}

void limits_in_force::replace(const limits& next, const std::vector<host*>& hosts) {
  auto made = std::make_shared<const limits>(next);
  {
    std::lock_guard guard{mutex_};
    std::swap(kept_, made);
    now_.store(kept_.get(), std::memory_order_release);
  }
  round_ = std::make_unique<round>(std::move(made), hosts.size());
  for (size_t i = 0; i < hosts.size(); ++i)
    hosts[i]->add({}, round_->marks[i]);
}

} // namespace greenroom
