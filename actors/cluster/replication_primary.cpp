// The half of replication that a primary is: numbers entries, feeds the others, commits, changes in_sync, hands over.
#include "actors/cluster/replication.hpp"

#include <algorithm>
#include <utility>

namespace greenroom::cluster {

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
  f.heard_ms = f.moved_ms = now_ms_; // a lease from now on to answer in
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

/// Who is waited for gets what there is. The others leave the link to them: on a crowded one they get one message at a
/// time.
void replication::feed(const store_id& to, follower& f) {
  bool is_waited_for =
      contains(record_.in_sync, to) || to == joining_ || (proposed_ && contains(proposed_->in_sync, to));
  auto end = unsent_.empty() ? last_.index : unsent_.front().at.index - 1;
  while (f.how == follower::mode::streaming && f.next <= end && f.flight_bytes < limits_.window_bytes &&
         (is_waited_for || f.flight.empty() || !out_.is_crowded(to))) {
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
  append x{epoch_, found->first, {}, committed_};
  size_t bytes = 0;
  for (const auto& e : found->second) {
    if (e.at.index > before_.index)
      break; // memory knows it, and the disk may hold what is about to be cut off
    x.entries.push_back(e);
    bytes += size_of(e);
  }
  send(whom, f, std::move(x), bytes);
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
  if (done) {
    f.heard_ms = now_ms_;
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
    if (x.index > f.matched)
      f.moved_ms = now_ms_;
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
      auto next = std::max(f.matched, last_index_of(x.there, std::min(x.index, last_.index), 0)) + 1;
      if (next < f.next)
        f.moved_ms = now_ms_; // a search that goes on gets somewhere
      f.next = next;
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

// -- time ------------------------------------------------------------------------------------------------------------

void replication::tick(int64_t now_ms) {
  // A process that stood still has not heard the others, which is no fault of theirs.
  if (auto absent = now_ms - now_ms_ - limits_.heartbeat_ms; absent > 0 && now_ms_ != 0)
    for (auto& [s, f] : followers_) {
      f.heard_ms += absent;
      f.moved_ms += absent;
    }
  now_ms_ = now_ms;
  name_another();
  if (role_ == role::leaving && proposed_ && proposed_->primary != self_ && now_ms_ - asked_ms_ > limits_.lease_ms / 2)
    out_.yield(); // reads, too: the successor may serve without our word when it has not heard of us for a lease
  if (!is_leading()) {
    if (role_ != role::unknown)
      apply_committed();
    return;
  }
  for (auto& [s, f] : followers_) {
    if (f.matched >= last_.index)
      f.moved_ms = now_ms_;
    feed(s, f); // it may have been crowded
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

/// It has said nothing for a lease, or got nowhere; or its node is gone by etcd's word, and there is no link to it.
bool replication::is_lost(const store_id& s, const follower& f) const {
  bool gone = contains(alive_, self_) && !contains(alive_, s) && f.how == follower::mode::unlinked;
  return gone || now_ms_ - std::min(f.heard_ms, f.moved_ms) > limits_.lease_ms;
}

bool replication::may_install(const store_id& to) const {
  auto f = followers_.find(to);
  bool gone = contains(alive_, self_) && !contains(alive_, to);
  return is_leading() && f != followers_.end() && f->second.how != follower::mode::streaming && !gone;
}

/// Names nobody. The controller takes the first of in_sync that is alive, and this store is the last to be tried.
void replication::give_up(shard_record& wanted) const {
  wanted.primary.clear();
  std::erase(wanted.in_sync, self_);
  wanted.in_sync.push_back(self_);
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
    give_up(wanted);
    propose(std::move(wanted));
    return true;
  }
  if (wanted.in_sync.size() == record_.in_sync.size())
    return false;
  for (auto& [s, f] : followers_)
    if (!contains(wanted.in_sync, s))
      f.test = 0;
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
  if (!joining_)
    choose_learner();
  if (!joining_)
    return;
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
}

/// One that is nearly there, and has written something that it did not have before.
void replication::choose_learner() {
  for (auto& [s, f] : followers_) {
    if (contains(record_.in_sync, s) || f.how != follower::mode::streaming || is_lost(s, f) ||
        last_.index - f.matched > limits_.catch_up_entries)
      continue;
    if (f.test == 0 && role_ == role::recovering) {
      f.test = barrier_;
    } else if (f.test == 0) {
      append_own(std::make_shared<const std::string>());
      f.test = last_.index;
      flush();
    }
    if (f.matched >= f.test) {
      joining_ = s;
      return;
    }
  }
}

/// Our log can't be written: a member that can be reached goes on in our place, instead of waiting for us. If its log
/// is no better it does the same.
void replication::name_another() {
  if (!wants_another_ || proposed_)
    return;
  if (role_ != role::unknown || record_.primary != self_) {
    wants_another_ = false;
    return;
  }
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
  joining_.reset(); // or what was admitted would wait for a learner that nobody gives up on any more
  advance();
  finish_move();
}

void replication::finish_move() {
  if (role_ != role::leaving || proposed_ || applied_.index != last_.index)
    return;
  auto wanted = record_;
  if (!contains(wanted.in_sync, successor_))
    give_up(wanted);
  else
    wanted.primary = successor_, ++wanted.epoch;
  asked_ms_ = now_ms_;
  propose(std::move(wanted));
}

} // namespace greenroom::cluster
