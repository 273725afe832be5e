// The log and the record: what every replica does, and one behind a primary. The primary: replication_primary.cpp.
#include "actors/cluster/replication.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace greenroom::cluster {
namespace {

constexpr size_t entry_overhead = 32; // what an entry costs beside its batch

} // namespace

size_t replication::size_of(const log_entry& e) { return entry_overhead + (e.batch ? e.batch->size() : 0); }

bool replication::contains(const std::vector<store_id>& list, const store_id& s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

replication::replication(store_id self, replication_limits limits, outside& out)
    : self_(std::move(self)), limits_(limits), out_(out) {}

// -- the store -------------------------------------------------------------------------------------------------------

void replication::loaded(const storage::shard_state& state, std::vector<log_entry> tail) {
  before_ = applied_ = state.applied;
  last_ = state.last;
  durable_ = last_.index;
  committed_ = applying_ = applied_.index;
  installing_ = state.installing;
  tail_ = {std::make_move_iterator(tail.begin()), std::make_move_iterator(tail.end())};
  tail_bytes_ = 0;
  for (const auto& e : tail_)
    tail_bytes_ += size_of(e);
  writes_.clear();
  unsent_.clear();
  epoch_ = std::max(epoch_, last_.epoch);
  spent_epoch_ = std::max(spent_epoch_, record_.epoch);
  role_ = role::following;
  if (revision_ != 0)
    follow_record();
}

void replication::store_failed() {
  bool led = is_leading();
  step_down();
  role_ = role::unknown;
  writes_.clear();
  wants_another_ = wants_another_ || led;
  name_another();
}

void replication::stored() {
  if (writes_.empty())
    return;
  auto w = std::move(writes_.front());
  writes_.pop_front();
  durable_ = std::max(durable_, w.index);
  for (const auto& a : w.answers)
    if (a.epoch == epoch_) // a newer primary must not find that we went on saying yes to an old one
      out_.send(a.to, appended{a.epoch, appended::verdict::matched, a.index});
  if (is_leading())
    advance();
  else
    apply_bunch();
}

void replication::applied(uint64_t index) {
  applied_ = position_of(index).value();
  if (role_ == role::recovering && index >= barrier_) {
    role_ = role::serving;
    out_.serve(epoch_);
  }
  forget_old();
}

void replication::forget_old() {
  while (!tail_.empty() && tail_.front().at.index <= applied_.index && tail_bytes_ > limits_.memory_bytes) {
    before_ = tail_.front().at;
    tail_bytes_ -= size_of(tail_.front());
    tail_.pop_front();
  }
}

std::optional<log_position> replication::position_of(uint64_t index) const {
  if (index == before_.index)
    return before_;
  if (index < before_.index || index > last_.index)
    return std::nullopt;
  return entry(index).at;
}

/// The last place from `index` down to `least` where an entry of `epoch` or an older one stands, as far as memory
/// knows. What is behind it can't match a log that has that epoch at `index`: epochs only grow.
uint64_t replication::last_index_of(uint64_t epoch, uint64_t index, uint64_t least) const {
  while (index > std::max(least, before_.index) && entry(index).at.epoch > epoch)
    --index;
  return index;
}

/// Removes what is behind `after` from memory; the write that follows does it to the log.
void replication::cut(uint64_t after) {
  if (after < applying_)
    throw std::logic_error("replication: what was committed would be cut off");
  while (!tail_.empty() && tail_.back().at.index > after) {
    tail_bytes_ -= size_of(tail_.back());
    tail_.pop_back();
  }
  last_ = tail_.empty() ? before_ : tail_.back().at;
  durable_ = std::min(durable_, after);
  for (auto& w : writes_)
    w.index = std::min(w.index, after);
}

void replication::apply_committed() {
  auto end = std::min(committed_, durable_);
  if (end <= applying_)
    return;
  std::vector<log_entry> entries;
  for (auto i = applying_ + 1; i <= end; ++i)
    entries.push_back(entry(i));
  applying_ = end;
  out_.apply(entries);
}

/// Behind a primary nobody reads: there what is committed waits for more of it, or for the next tick, and a bunch costs
/// the store little more than one entry.
void replication::apply_bunch() {
  if (std::min(committed_, durable_) - applying_ >= limits_.bunch_entries || tail_bytes_ > 2 * limits_.memory_bytes)
    apply_committed();
}

// -- the record ------------------------------------------------------------------------------------------------------

void replication::record(const shard_record& now, int64_t revision) {
  if (revision <= revision_)
    return;
  if (revision_ == 0 || role_ == role::unknown)
    spent_epoch_ = now.epoch;
  record_ = now;
  revision_ = revision;
  if (role_ != role::unknown)
    follow_record();
}

void replication::follow_record() {
  bool led = is_leading();
  auto led_epoch = epoch_;
  epoch_ = std::max(epoch_, record_.epoch);
  bool named = record_.primary == self_ && record_.epoch == epoch_;
  if (led && (!named || led_epoch != epoch_)) {
    step_down();
    led = false;
  }
  if (!named) {
    role_ = role::following;
  } else if (record_.epoch <= spent_epoch_) {
    role_ = role::renewing;
    if (!proposed_ && !installing_) {
      auto wanted = record_;
      ++wanted.epoch;
      propose(std::move(wanted));
    }
  } else if (!led) {
    lead();
  } else {
    for (const auto& s : record_.replicas)
      if (s != self_ && !followers_.contains(s))
        start(s, followers_[s]);
    std::erase_if(followers_, [this](const auto& f) {
      bool gone = !contains(record_.replicas, f.first);
      if (gone && f.second.how == follower::mode::installing)
        left_installing_.insert(f.first);
      return gone;
    });
    advance();
    for (auto& [s, f] : followers_)
      feed(s, f);
  }
}

void replication::propose(shard_record wanted) {
  proposed_ = std::move(wanted);
  out_.propose(*proposed_, revision_);
}

void replication::settled() {
  proposed_.reset();
  if (role_ == role::unknown) {
    name_another();
    return;
  }
  follow_record();
  if (is_leading())
    advance();
  finish_move();
}

void replication::lead() {
  role_ = role::recovering;
  successor_.clear();
  joining_.reset();
  followers_.clear();
  left_installing_.clear();
  for (const auto& s : record_.replicas)
    if (s != self_)
      start(s, followers_[s]);
  append_own(std::make_shared<const std::string>());
  barrier_ = last_.index;
  flush();
}

void replication::step_down() {
  bool led = is_leading();
  spent_epoch_ = std::max(spent_epoch_, led ? epoch_ : spent_epoch_);
  if (!unsent_.empty()) {
    auto first = unsent_.front().at.index;
    unsent_.clear();
    cut(first - 1); // nobody has seen them, the log neither
  }
  followers_.clear();
  role_ = role::following;
  if (led)
    out_.yield();
}

// -- behind a primary ------------------------------------------------------------------------------------------------

void replication::receive(const store_id& from, const append& x) {
  if (role_ == role::unknown || revision_ == 0)
    return; // which epochs there were is not known yet; it asks again
  if (x.epoch < epoch_) {
    out_.send(from, appended{epoch_, appended::verdict::stale, 0});
    return;
  }
  if (x.epoch > epoch_) {
    step_down();
    epoch_ = x.epoch;
  } else if (is_leading()) {
    return; // an epoch has one primary, and that is us: whoever this is, it is mistaken
  }
  if (installing_) {
    out_.send(from, appended{x.epoch, appended::verdict::installing, 0});
    return;
  }
  auto here = position_of(x.before.index);
  if (x.before.index > last_.index || (x.before.index > applied_.index && here != x.before)) {
    // Where to look next: not at once what is applied, which the primary need not have kept.
    auto next = std::max(std::min(x.before.index - 1, last_.index), applied_.index);
    next = last_index_of(x.before.epoch, next, applied_.index);
    out_.send(from, appended{x.epoch, appended::verdict::mismatch, next, position_of(next).value().epoch});
    return;
  }
  // What is known already is skipped; from the first that differs on, the primary's word holds.
  std::optional<uint64_t> cut_after;
  std::vector<log_entry> fresh;
  for (const auto& e : x.entries) {
    if (e.at.index <= applied_.index || (fresh.empty() && position_of(e.at.index) == e.at))
      continue;
    if (fresh.empty() && e.at.index <= last_.index) {
      cut_after = e.at.index - 1;
      cut(*cut_after);
    }
    fresh.push_back(e);
    tail_.push_back(e);
    tail_bytes_ += size_of(e);
    last_ = e.at;
  }
  auto end = x.entries.empty() ? x.before.index : x.entries.back().at.index;
  if (!fresh.empty()) {
    writes_.push_back({last_.index, {}});
    out_.write(cut_after, fresh);
  }
  if (end <= durable_)
    out_.send(from, appended{x.epoch, appended::verdict::matched, end});
  else
    writes_.back().answers.push_back({from, x.epoch, end});
  committed_ = std::max(committed_, std::min(x.committed, end));
  apply_bunch();
}

bool replication::may_be_installed(uint64_t epoch) const {
  return role_ != role::unknown && revision_ != 0 && epoch >= epoch_ && !is_leading() &&
         !contains(record_.in_sync, self_);
}

} // namespace greenroom::cluster
