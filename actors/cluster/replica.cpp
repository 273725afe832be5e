#include "actors/cluster/replica.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::cluster {

replica_actor::replica_actor(caf::actor_config& cfg, house& in, shard_id id, replicated shard, replica_options options)
    : hosted_actor(cfg, *in.strands[id], actor_kind::replica, std::to_string(id), in.living), house_(in),
      cluster_(*in.cluster), id_(id), shard_(std::move(shard)), options_(options),
      replication_(in.store.id(), options.limits, *this), kept_(options.log_bytes), retry_ms_(options.retry_ms) {}

void replica_actor::start() {
  replication_.tick(house_.steady_ms());
  load();
}

void replica_actor::on_failure() { yield(); }

void replica_actor::on_exit() {
  serves_ = false;
  count_role();
  forget_commits();
  for (auto& [to, o] : outgoing_)
    release(o);
}

// -- the store -------------------------------------------------------------------------------------------------------

void replica_actor::load() {
  phase_ = phase::loading;
  era_ = house_.era.load(); // before the read: what fails meanwhile makes it stale
  ++life_;
  writes_.clear();
  applies_.clear();
  reads_.clear();
  tell(house_.reader_of(id_), reader::load_shard{id_, life_, self()});
}

void replica_actor::receive(const shard_loaded& x) {
  if (phase_ != phase::loading || x.token != life_)
    return;
  const auto& found = *x.what;
  if (!found || house_.era.load() != era_) {
    if (!found)
      spdlog::warn("what=shard_not_loaded shard={} reason=\"{}\"", id_, found.error().message);
    lose_store();
    return;
  }
  phase_ = phase::up;
  kept_.restart(found->state);
  replication_.loaded(found->state, found->tail);
  if (incoming_ && incoming_->complete) {
    post(incoming_->from, installed_piece{incoming_->transfer, incoming_->next - 1, true});
    incoming_.reset();
  }
}

/// What the store holds of this shard is uncertain until it has been read again.
void replica_actor::lose_store() {
  phase_ = phase::down;
  writes_.clear();
  applies_.clear();
  reads_.clear();
  retry_at_ms_ = house_.steady_ms() + retry_ms_;
  retry_ms_ = std::min(2 * retry_ms_, options_.retry_ms_max);
  drop_incoming();
  replication_.store_failed();
}

uint64_t replica_actor::give_to_store(std::vector<storage::mutation> what) {
  auto shared = std::make_shared<const std::vector<storage::mutation>>(std::move(what));
  tell(house_.storage, persist::log_write{id_, std::move(shared), era_, life_, ++last_token_, self()});
  return last_token_;
}

void replica_actor::write(std::optional<uint64_t> cut_after, const std::vector<log_entry>& entries) {
  std::vector<storage::mutation> all;
  all.reserve(entries.size() + 1);
  if (cut_after) {
    all.emplace_back(storage::cut_log{id_, *cut_after});
    kept_.cut(*cut_after);
  }
  for (const auto& e : entries) {
    all.emplace_back(storage::append_entry{id_, e});
    kept_.appended(e.at.index, e.batch->size());
  }
  writes_.push_back({give_to_store(std::move(all))});
}

void replica_actor::apply(const std::vector<log_entry>& entries) {
  std::vector<storage::mutation> all;
  all.reserve(entries.size() + 1);
  for (const auto& e : entries)
    all.emplace_back(storage::apply_entry{id_, e});
  auto upto = entries.back().at.index;
  if (auto old = kept_.trim(upto))
    all.emplace_back(storage::trim_log{id_, *old});
  applies_.push_back({give_to_store(std::move(all)), upto});
}

void replica_actor::receive(const persist::logged& x) {
  if (!applies_.empty() && applies_.front().token == x.token) {
    if (!x.ok) {
      lose_store();
      return;
    }
    auto upto = applies_.front().upto;
    applies_.pop_front();
    retry_ms_ = options_.retry_ms;
    replication_.applied(upto);
    answer_commits();
    replication_.finish_move();
  } else if (!writes_.empty() && writes_.front().token == x.token) {
    if (!x.ok) {
      lose_store();
      return;
    }
    auto w = writes_.front();
    writes_.pop_front();
    if (w.what == writing::kind::append)
      replication_.stored();
    else
      installed_write(w);
  } // else of a time before a failure
}

void replica_actor::read_log(const store_id& whom, uint64_t index) {
  auto& r = reads_[whom];
  r.after = index;
  ask_for_log(r);
}

void replica_actor::ask_for_log(reading& r) {
  r.token = ++last_token_;
  r.failed = false;
  tell(house_.reader_of(id_), reader::read_log{id_, r.after, options_.limits.message_bytes, r.token, self()});
}

void replica_actor::receive(const log_found& x) {
  auto i = std::find_if(reads_.begin(), reads_.end(), [&](const auto& r) { return r.second.token == x.token; });
  if (i == reads_.end())
    return;
  const auto& found = *x.what;
  if (!found && found.error().code != errc::not_found) {
    spdlog::warn("what=log_not_read shard={} reason=\"{}\"", id_, found.error().message);
    i->second.failed = true; // once more with the next tick: a failure must not look like a trimmed log
    return;
  }
  auto whom = i->first;
  reads_.erase(i);
  if (found)
    replication_.log_read(whom, *found);
  else
    replication_.log_read(whom, std::nullopt);
}

// -- commits ---------------------------------------------------------------------------------------------------------

void replica_actor::receive(const persist::commit& x) {
  uint64_t index = 0;
  if (x.era == cluster_.eras[id_].load(std::memory_order_relaxed)) // the batch's bytes, kept alive by the batch
    index = replication_.submit(std::shared_ptr<const std::string>(x.what, &x.what->bytes()));
  if (index == 0) {
    house_.commits_waiting.fetch_sub(1);
    return;
  }
  commits_.push_back({index, x.token, x.to});
  if (!std::exchange(flush_armed_, true))
    tell(self(), flush_due{}); // behind what waits already: that is the burst
}

void replica_actor::receive(const flush_due&) {
  flush_armed_ = false;
  replication_.flush();
}

void replica_actor::answer_commits() {
  auto applied = replication_.applied_index();
  auto copies = static_cast<uint32_t>(replication_.copies());
  while (!commits_.empty() && commits_.front().index <= applied) {
    const auto& c = commits_.front();
    tell(c.to, greenroom::committed{c.token, true, copies});
    house_.commits_waiting.fetch_sub(1);
    commits_.pop_front();
  }
}

void replica_actor::forget_commits() {
  house_.commits_waiting.fetch_sub(static_cast<uint32_t>(commits_.size()));
  commits_.clear();
}

void replica_actor::serve(uint64_t epoch) {
  serves_ = true;
  cluster_.counts.replicas.serves.add();
  count_role();
  // For whoever asks afterwards who led what: an epoch of a shard is served by one process, and by no second one.
  spdlog::info("what=serving shard={} epoch={}", id_, epoch);
  cluster_.eras[id_].fetch_add(1);
  tell(shard_, cluster::serve{epoch});
}

void replica_actor::yield() {
  forget_commits();
  if (!std::exchange(serves_, false))
    return; // was to be the primary, and has not said so to anybody
  cluster_.eras[id_].fetch_add(1);
  cluster_.counts.replicas.yields.add();
  count_role();
  tell(shard_, cluster::yield{});
}

/// The gauges hold what this replica last told them.
void replica_actor::count_role() {
  const auto& record = replication_.record();
  cluster_.copies[id_].store(static_cast<uint32_t>(record.in_sync.size()), std::memory_order_relaxed);
  bool is_short = serves_ && record.in_sync.size() < record.replicas.size();
  if (std::exchange(counted_leading_, serves_) != serves_)
    cluster_.counts.replicas.leading.add(serves_ ? 1 : -1);
  if (std::exchange(counted_short_, is_short) != is_short)
    cluster_.counts.replicas.short_of.add(is_short ? 1 : -1);
}

// -- those who decide, and time --------------------------------------------------------------------------------------

void replica_actor::propose(const shard_record& wanted, int64_t revision) {
  tell(cluster_.member, cluster::propose{id_, wanted, revision});
}

void replica_actor::receive(const record_now& x) {
  replication_.min_in_sync(cluster_.min_in_sync.load(std::memory_order_relaxed));
  replication_.record(x.what, x.revision);
  cluster_.record_of[id_].store(x.registration, std::memory_order_release);
  count_role();
  const auto& now = replication_.record();
  std::pair<uint64_t, store_id> named{now.epoch, now.primary};
  if (named_ == named)
    return;
  named_ = named;
  tell(shard_, primary_is{now.epoch, now.primary});
}

void replica_actor::receive(const replica_tick&) {
  auto now = house_.steady_ms();
  if (phase_ == phase::up && house_.era.load() != era_)
    lose_store(); // what was applied without a sync may be gone
  if (phase_ == phase::down && now >= retry_at_ms_ && house_.store.healthy())
    load();
  for (auto& [whom, r] : reads_)
    if (r.failed)
      ask_for_log(r);
  replication_.flush();
  replication_.tick(now);
  tend_installs();
  trim_old(now);
}

/// What was said must not stand in the log for longer than it may after it has been revoked. A store that lags behind
/// it takes a snapshot.
void replica_actor::trim_old(int64_t now) {
  if (phase_ != phase::up || !applies_.empty())
    return;
  if (auto old = kept_.trim_old(replication_.applied_index(), now, options_.log_ms))
    give_to_store({storage::trim_log{id_, *old}});
}

// -- other nodes -----------------------------------------------------------------------------------------------------

void replica_actor::post(const store_id& to, const replica_letter& what, channel by) {
  // If nobody is there, or not any more, the letter is lost like one on a link that ends.
  if (auto p = peers_.find(to); p != peers_.end())
    p->second->post(by, {replica_mailbox(id_), std::make_shared<const std::string>(encode(what))});
}

bool replica_actor::is_crowded(const store_id& to) const {
  auto p = peers_.find(to);
  return p != peers_.end() && p->second->queued() > options_.crowd_bytes;
}

void replica_actor::receive(const peer_up& x) {
  peers_[x.who->store] = x.who;
  replication_.link(x.who->store, true);
}

void replica_actor::receive(const peer_down& x) {
  auto p = peers_.find(x.who->store);
  if (p == peers_.end() || p->second != x.who)
    return;
  peers_.erase(p);
  break_off(x.who->store);
  replication_.link(x.who->store, false);
  tend_installs();
}

void replica_actor::receive(const arrived& x) {
  auto p = peers_.find(x.from->store);
  if (p == peers_.end() || p->second != x.from)
    return; // of a link that has ended
  auto letter = read_replica_letter(*x.what);
  if (!letter) {
    cluster_.counts.replicas.letters_unread.add();
    spdlog::warn("what=letter_unread shard={} node={} bytes={}", id_, x.from->name, x.what->size());
    return;
  }
  std::visit([&](const auto& what) { take(x.from, what); }, *letter);
}

} // namespace greenroom::cluster
