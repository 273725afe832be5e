#include "actors/storage_actor.hpp"

#include "actors/house.hpp"
#include "actors/strand.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::persist {
namespace {

size_t size_of(const commit& x) { return x.what->bytes().size(); }

size_t size_of(const log_write& x) {
  size_t bytes = 0;
  for (const auto& m : *x.what)
    bytes += std::visit(overloaded{[](const storage::batch* b) { return b->bytes().size(); },
                                   [](const storage::install_chunk& c) { return c.bytes->size(); },
                                   [](const auto& one) {
                                     if constexpr (requires { one.entry; })
                                       return one.entry.batch->size();
                                     return size_t{0};
                                   }},
                        m);
  return bytes;
}

/// Whether the store writes it without a sync.
bool is_light(const log_write& x) {
  return std::all_of(x.what->begin(), x.what->end(), [](const storage::mutation& m) {
    return std::holds_alternative<storage::apply_entry>(m) || std::holds_alternative<storage::trim_log>(m);
  });
}

} // namespace

storage_actor::storage_actor(caf::actor_config& cfg, house& in)
    : detached_actor(cfg, actor_kind::storage, "store", in.living), house_(in) {}

storage_actor::behavior_type storage_actor::make_behavior() {
  return {
      [this](const commit& x) { take(x, size_of(x)); },
      [this](const log_write& x) { take(x, size_of(x)); },
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

void storage_actor::take(std::variant<commit, log_write> x, size_t bytes) {
  group_.push_back({std::move(x)});
  group_bytes_ += bytes;
  const auto& c = house_.config.storage;
  if (this->mailbox().empty() || group_.size() >= c.commit_requests || group_bytes_ >= c.commit_bytes)
    flush();
}

void storage_actor::flush() {
  std::vector<waiting*> light, rest;
  for (auto& x : group_) {
    const auto* w = std::get_if<log_write>(&x.what);
    (w && is_light(*w) ? light : rest).push_back(&x);
  }
  for (auto* part : {&light, &rest}) {
    if (part->empty())
      continue;
    write(*part, part == &rest);
    strand::alone woken;
    for (auto* x : *part)
      answer(*x);
    // A lone strand is run here only when there is nothing else to do: what it asks for joins the next group.
    if (part == &rest || rest.empty())
      woken.run();
  }
  group_.clear();
  group_bytes_ = 0;
  if (!house_.store.healthy())
    reopen();
}

bool storage_actor::admitted(const waiting& x) const {
  auto era = house_.era.load();
  return std::visit(overloaded{[&](const commit& c) { return c.era == era; },
                               [&](const log_write& w) { return w.era == era && w.life > refused_life_[w.shard]; }},
                    x.what);
}

/// One write of all that is not void.
void storage_actor::write(const std::vector<waiting*>& part, bool synced) {
  std::vector<waiting*> good;
  std::vector<storage::mutation> all;
  bool has_commits = false;
  if (house_.store.healthy())
    for (auto* x : part)
      if (admitted(*x)) {
        good.push_back(x);
        if (const auto* c = std::get_if<commit>(&x->what)) {
          has_commits = true;
          all.emplace_back(c->what.get());
        } else {
          const auto& what = *std::get<log_write>(x->what).what;
          all.insert(all.end(), what.begin(), what.end());
        }
      }
  if (good.empty())
    return;
  auto start = std::chrono::steady_clock::now();
  auto result = house_.store.write(all);
  auto spent = std::chrono::steady_clock::now() - start;
  if (result) {
    for (auto* x : good)
      x->ok = true;
    if (synced) {
      house_.metrics.commits.add();
      house_.metrics.commit_batches.record(good.size());
      house_.metrics.commit_us.record(
          static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
    }
  } else if (result.error().code == errc::internal && !has_commits && house_.store.healthy()) {
    for (auto* x : good)
      write_alone(*x); // nothing was written: the one to blame is among them
  } else {
    fail(result.error().message, good.size());
  }
}

void storage_actor::write_alone(waiting& x) {
  if (!house_.store.healthy() || !admitted(x))
    return;
  const auto& w = std::get<log_write>(x.what);
  auto result = house_.store.write(*w.what);
  x.ok = result.has_value();
  if (x.ok)
    return;
  if (result.error().code == errc::internal && house_.store.healthy()) {
    refused_life_[w.shard] = w.life;
    house_.metrics.commit_failures.add();
    signs().failed(result.error().message);
    spdlog::error("what=log_write_refused shard={} reason=\"{}\"", w.shard, result.error().message);
  } else {
    fail(result.error().message, 1);
  }
}

void storage_actor::fail(const std::string& why, size_t count) {
  // Whatever was prepared on top of this is void, too, whether it waits in the mailbox already or not.
  house_.era.fetch_add(1);
  house_.metrics.commit_failures.add();
  signs().failed(why);
  spdlog::error("what=commit_failed batches={} reason=\"{}\"", count, why);
}

void storage_actor::answer(waiting& x) {
  if (const auto* c = std::get_if<commit>(&x.what)) {
    house_.commits_waiting.fetch_sub(1);
    tell(c->to, committed{c->token, x.ok});
  } else {
    const auto& w = std::get<log_write>(x.what);
    tell(w.to, logged{w.token, x.ok});
  }
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
