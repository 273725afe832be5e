#include "actors/cluster/replication.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace greenroom::cluster {
namespace {

constexpr size_t entry_overhead = 32; // what an entry costs beside its batch

size_t size_of(const log_entry& e) { return entry_overhead + (e.batch ? e.batch->size() : 0); }

bool contains(const std::vector<store_id>& list, const store_id& s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

} // namespace

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
  if (led)
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
    apply_committed();
}

void replication::applied(uint64_t index) {
  applied_ = position_of(index).value();
  if (role_ == role::recovering && index >= barrier_) {
    role_ = role::serving;
    out_.serve(epoch_);
  }
  forget_old();
  hand_over();
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
  if (role_ == role::unknown)
    return;
  follow_record();
  if (is_leading())
    advance();
  hand_over();
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

// -- the primary -----------------------------------------------------------------------------------------------------

uint64_t replication::submit(std::shared_ptr<const std::string> batch) {
  if (role_ != role::serving)
    return 0;
  append_own(std::move(batch));
  return last_.index;
}

void replication::append_own(std::shared_ptr<const std::string> batch) {
  last_ = {epoch_, last_.index + 1};
  tail_.push_back({last_, std::move(batch)});
  tail_bytes_ += size_of(tail_.back());
  unsent_.push_back(tail_.back());
}

void replication::flush() {
  if (unsent_.empty())
    return;
  writes_.push_back({last_.index, {}});
  out_.write(std::nullopt, std::exchange(unsent_, {}));
  for (auto& [s, f] : followers_)
    feed(s, f);
}

/// An entry is committed when everybody has it who could be named as the next primary, whichever of the two sets is
/// the true one while a change is under way.
void replication::advance() {
  auto end = durable_;
  auto wait_for = [&](const std::vector<store_id>& set) {
    for (const auto& s : set)
      if (s != self_) {
        auto f = followers_.find(s);
        end = std::min(end, f == followers_.end() ? 0 : f->second.matched);
      }
  };
  wait_for(record_.in_sync);
  if (proposed_)
    wait_for(proposed_->in_sync);
  if (joining_)
    wait_for({*joining_});
  committed_ = std::max(committed_, end);
  apply_committed();
}

void replication::start(const store_id& to, follower& f) {
  f = follower{};
  f.heard_ms = now_ms_; // a lease from now on to answer in
  f.next = last_.index + 1;
  bool installs = left_installing_.erase(to) != 0;
  if (auto l = linked_.find(to); l == linked_.end() || !l->second)
    return;
  if (installs)
    install(to, f);
  else
    probe(to, f);
}

/// Asks where the other one is; nothing else is sent until it has said so.
void replication::probe(const store_id& to, follower& f) {
  f.flight.clear();
  f.flight_bytes = 0;
  if (auto before = position_of(f.next - 1)) {
    f.how = follower::mode::probing;
    send(to, f, append{epoch_, *before, {}, committed_}, 0);
  } else {
    f.how = follower::mode::reading;
    out_.read_log(to, f.next - 1);
  }
}

void replication::send(const store_id& to, follower& f, append what, size_t bytes) {
  f.sent_ms = now_ms_;
  f.told = what.committed;
  if (!what.entries.empty()) {
    f.flight.emplace_back(what.entries.back().at.index, bytes);
    f.flight_bytes += bytes;
    f.next = what.entries.back().at.index + 1;
  }
  out_.send(to, what);
}

void replication::feed(const store_id& to, follower& f) {
  auto end = unsent_.empty() ? last_.index : unsent_.front().at.index - 1;
  while (f.how == follower::mode::streaming && f.next <= end && f.flight_bytes < limits_.window_bytes) {
    auto before = position_of(f.next - 1);
    if (!before) {
      f.how = follower::mode::reading;
      out_.read_log(to, f.next - 1);
      return;
    }
    append x{epoch_, *before, {}, committed_};
    size_t bytes = 0;
    for (auto i = f.next; i <= end && bytes < limits_.message_bytes; ++i) {
      x.entries.push_back(entry(i));
      bytes += size_of(x.entries.back());
    }
    send(to, f, std::move(x), bytes);
  }
}

void replication::log_read(const store_id& whom,
                           const std::optional<std::pair<log_position, std::vector<log_entry>>>& found) {
  auto i = followers_.find(whom);
  if (i == followers_.end() || i->second.how != follower::mode::reading)
    return;
  auto& f = i->second;
  if (!found) {
    install(whom, f);
    return;
  }
  if (found->first.index != f.next - 1) {
    out_.read_log(whom, f.next - 1); // it has moved meanwhile
    return;
  }
  f.how = follower::mode::streaming;
  size_t bytes = 0;
  for (const auto& e : found->second)
    bytes += size_of(e);
  send(whom, f, append{epoch_, found->first, found->second, committed_}, bytes);
  feed(whom, f);
}

void replication::install(const store_id& to, follower& f) {
  f.how = follower::mode::installing;
  f.matched = 0; // it drops what it has
  f.flight.clear();
  f.flight_bytes = 0;
  out_.install(to);
}

void replication::installed(const store_id& by, bool done) {
  auto i = followers_.find(by);
  if (i == followers_.end() || i->second.how != follower::mode::installing)
    return;
  auto& f = i->second;
  f.heard_ms = now_ms_;
  if (done) {
    f.next = last_.index + 1; // it says itself where it is
    probe(by, f);
  } else {
    out_.install(by);
  }
}

void replication::link(const store_id& to, bool up) {
  linked_[to] = up;
  left_installing_.erase(to);
  auto i = followers_.find(to);
  if (i == followers_.end())
    return;
  auto& f = i->second;
  f.flight.clear();
  f.flight_bytes = 0;
  f.how = follower::mode::unlinked;
  if (up) {
    f.next = last_.index + 1;
    probe(to, f);
  }
}

void replication::receive(const store_id& from, const appended& x) {
  if (!is_leading())
    return;
  if (x.what == appended::verdict::stale) {
    if (x.epoch > epoch_) {
      step_down();
      epoch_ = x.epoch;
    }
    return;
  }
  auto i = followers_.find(from);
  if (x.epoch != epoch_ || i == followers_.end() || i->second.how == follower::mode::unlinked)
    return;
  auto& f = i->second;
  f.heard_ms = now_ms_;
  switch (x.what) {
  case appended::verdict::matched:
    if (f.how == follower::mode::installing)
      break; // said before it dropped what it had
    f.matched = std::max(f.matched, x.index);
    while (!f.flight.empty() && f.flight.front().first <= x.index) {
      f.flight_bytes -= f.flight.front().second;
      f.flight.pop_front();
    }
    if (f.how == follower::mode::probing) {
      f.how = follower::mode::streaming;
      f.next = f.matched + 1; // not x.index: an answer to what was sent before the probe may say less
    }
    feed(from, f);
    advance();
    take_in();
    break;
  case appended::verdict::mismatch:
    if (f.how == follower::mode::probing || f.how == follower::mode::streaming) {
      f.next = std::max(f.matched, std::min(x.index, last_.index)) + 1;
      probe(from, f);
    }
    break;
  case appended::verdict::installing:
    if (f.how != follower::mode::installing)
      install(from, f);
    break;
  case appended::verdict::stale:
    break;
  }
}

uint64_t replication::matched(const store_id& by) const {
  auto f = followers_.find(by);
  return f == followers_.end() ? 0 : f->second.matched;
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
    out_.send(from, appended{x.epoch, appended::verdict::mismatch, applied_.index});
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
  apply_committed();
}

bool replication::may_be_installed(uint64_t epoch) const {
  return role_ != role::unknown && revision_ != 0 && epoch >= epoch_ && !is_leading() &&
         !contains(record_.in_sync, self_);
}

// -- time ------------------------------------------------------------------------------------------------------------

void replication::tick(int64_t now_ms) {
  now_ms_ = now_ms;
  if (!is_leading())
    return;
  for (auto& [s, f] : followers_) {
    if (now_ms_ - f.sent_ms < limits_.heartbeat_ms && (f.told >= committed_ || !f.flight.empty()))
      continue;
    if (f.how == follower::mode::probing)
      probe(s, f);
    else if (f.how == follower::mode::streaming)
      if (auto before = position_of(f.next - 1))
        send(s, f, append{epoch_, *before, {}, committed_}, 0);
  }
  if (!proposed_ && !put_out_silent())
    take_in();
}

/// It has said nothing for a lease; or its node is gone by etcd's word, which is later, and there is no link to it.
bool replication::is_lost(const store_id& s, const follower& f) const {
  bool gone = contains(alive_, self_) && !contains(alive_, s) && f.how == follower::mode::unlinked;
  return gone || now_ms_ - f.heard_ms > limits_.lease_ms;
}

/// Members that are lost. True: something was proposed.
bool replication::put_out_silent() {
  auto wanted = record_;
  auto floor = std::min(record_.in_sync.size(), limits_.min_in_sync);
  bool blocked = false;
  std::vector<std::pair<int64_t, store_id>> late;
  for (const auto& [s, f] : followers_)
    if (is_lost(s, f) && contains(record_.in_sync, s))
      late.emplace_back(f.heard_ms, s);
  std::sort(late.begin(), late.end());
  for (const auto& [since, s] : late) {
    if (wanted.in_sync.size() > floor)
      std::erase(wanted.in_sync, s);
    else
      blocked = blocked || contains(alive_, s);
  }
  if (blocked) {
    // The other one lives and we can't reach it: perhaps it is us who are cut off. Somebody else may do better.
    step_down();
    role_ = role::following;
    wanted = record_;
    wanted.primary.clear();
    propose(std::move(wanted));
    return true;
  }
  if (wanted.in_sync.size() == record_.in_sync.size())
    return false;
  propose(std::move(wanted));
  return true;
}

/// A learner that is nearly there is waited for from now on, so that it gets there. Only one that has everything that
/// was ever committed may be taken in: what was committed without it before is not made up for by waiting later.
void replication::take_in() {
  // Recovering will do, or two members of which one died would never get a third; but what an older primary has
  // committed is known only to reach up to the first entry of this epoch.
  if ((role_ != role::serving && role_ != role::recovering) || proposed_ || durable_ < barrier_)
    return;
  if (joining_) {
    auto f = followers_.find(*joining_);
    if (f == followers_.end() || f->second.how != follower::mode::streaming ||
        now_ms_ - f->second.heard_ms > 2 * limits_.heartbeat_ms) {
      joining_.reset();
      advance();
    } else if (f->second.matched >= std::max(committed_, barrier_)) {
      auto wanted = record_;
      wanted.in_sync.push_back(*std::exchange(joining_, std::nullopt));
      propose(std::move(wanted));
    }
    return;
  }
  for (const auto& [s, f] : followers_)
    if (!contains(record_.in_sync, s) && f.how == follower::mode::streaming && !is_lost(s, f) &&
        last_.index - f.matched <= limits_.catch_up_entries) {
      joining_ = s;
      return;
    }
}

/// Our log can't be written: a member that can be reached goes on in our place, instead of waiting for us. If its log
/// is no better it does the same.
void replication::name_another() {
  if (proposed_ || record_.primary != self_)
    return;
  for (const auto& s : record_.in_sync)
    if (auto l = linked_.find(s); l != linked_.end() && l->second && contains(alive_, s)) {
      auto wanted = record_;
      ++wanted.epoch;
      wanted.primary = s;
      propose(std::move(wanted));
      return;
    }
}

void replication::put_out(const store_id& whom) {
  if (role_ != role::serving || proposed_ || whom == self_ || record_.in_sync.size() <= limits_.min_in_sync ||
      !contains(record_.in_sync, whom))
    return;
  auto wanted = record_;
  std::erase(wanted.in_sync, whom);
  std::erase(wanted.replicas, whom); // or it would be taken in again as a learner
  propose(std::move(wanted));
}

void replication::move_to(const store_id& next) {
  if (role_ != role::serving || next == self_ || !contains(record_.in_sync, next))
    return;
  role_ = role::leaving;
  successor_ = next;
  hand_over();
}

void replication::hand_over() {
  if (role_ != role::leaving || proposed_ || applied_.index != last_.index)
    return;
  auto wanted = record_;
  if (!contains(wanted.in_sync, successor_))
    wanted.primary.clear();
  else
    wanted.primary = successor_, ++wanted.epoch;
  propose(std::move(wanted));
}

} // namespace greenroom::cluster
