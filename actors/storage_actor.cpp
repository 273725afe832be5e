#include "actors/storage_actor.hpp"

#include "actors/house.hpp"
#include "actors/strand.hpp"

#include <spdlog/spdlog.h>

namespace greenroom::persist {

storage_actor::storage_actor(caf::actor_config& cfg, house& in)
    : detached_actor(cfg, actor_kind::storage, "store", in.living), house_(in) {}

storage_actor::behavior_type storage_actor::make_behavior() {
  return {
      [this](const commit& x) { take(x); },
      [this](const reopen_due&) {
        reopen_armed_ = false;
        reopen();
      },
      [this](const stop&) {
        flush();
        this->quit();
      },
  };
}

void storage_actor::take(const commit& x) {
  group_.push_back(x);
  group_bytes_ += x.what->bytes().size();
  const auto& c = house_.config.storage;
  if (this->mailbox().empty() || group_.size() >= c.commit_requests || group_bytes_ >= c.commit_bytes)
    flush();
}

void storage_actor::flush() {
  std::vector<const storage::batch*> batches;
  batches.reserve(group_.size());
  auto era = house_.era.load();
  for (const auto& c : group_)
    if (c.era == era)
      batches.push_back(c.what.get());
  bool ok = house_.store.healthy();
  if (ok && !batches.empty()) {
    auto start = std::chrono::steady_clock::now();
    auto result = house_.store.commit(batches);
    auto spent = std::chrono::steady_clock::now() - start;
    ok = result.has_value();
    if (ok) {
      house_.metrics.commits.add();
      house_.metrics.commit_batches.record(batches.size());
      house_.metrics.commit_us.record(
          static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
    } else {
      // Whatever was prepared on top of this group is void, too, whether it waits in the mailbox already or not.
      house_.era.store(era + 1);
      house_.metrics.commit_failures.add();
      signs().failed(result.error().message);
      spdlog::error("what=commit_failed batches={} reason=\"{}\"", batches.size(), result.error().message);
    }
  }
  house_.commits_waiting.fetch_sub(static_cast<uint32_t>(group_.size()));
  strand::alone woken;
  for (const auto& c : group_)
    tell(c.to, committed{c.token, ok && c.era == era});
  group_.clear();
  group_bytes_ = 0;
  woken.run();
  if (!house_.store.healthy())
    reopen();
}

void storage_actor::reopen() {
  if (house_.store.healthy() || reopen_armed_)
    return;
  if (auto result = house_.store.reopen(); result) {
    // What was read between the failure and now may have held the failed write, which this opening has dropped, or the
    // other way round.
    house_.era.fetch_add(1);
    house_.metrics.reopens.add();
    spdlog::warn("what=store_reopened era={}", house_.era.load());
  } else {
    signs().failed(result.error().message);
    spdlog::error("what=reopen_failed reason=\"{}\"", result.error().message);
    reopen_armed_ = true;
    this->delayed_send(this, std::chrono::milliseconds(house_.config.storage.reopen_ms), reopen_due{});
  }
}

} // namespace greenroom::persist
