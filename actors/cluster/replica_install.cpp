// Snapshots: how a replica gives one away, and how it takes one in. A link that ends costs only what was on its way.
#include "actors/cluster/replica.hpp"
#include "actors/house.hpp"

#include <spdlog/spdlog.h>

namespace greenroom::cluster {

// -- from here -------------------------------------------------------------------------------------------------------

void replica_actor::install(const store_id& to) {
  auto& o = outgoing_[to];
  if (std::exchange(o.broken_off, false) && o.epoch == replication_.epoch()) {
    spdlog::info("what=install_goes_on shard={} to={} transfer={} pieces={}", id_, to, o.transfer, o.read);
    o.heard_ms = house_.steady_ms();
    for (const auto& piece : o.unanswered)
      post(to, piece, channel::bulk);
    read_piece(o);
    return;
  }
  release(o); // the next one begins with the next tick: one that is refused at once must not be a busy loop
}

/// What of a snapshot was on its way over a link that has ended may have been lost.
void replica_actor::break_off(const store_id& to) {
  if (auto o = outgoing_.find(to); o != outgoing_.end() && o->second.transfer != 0)
    o->second.broken_off = true;
}

/// Ends what nobody waits for any more, begins what waits for its turn.
void replica_actor::tend_installs() {
  auto now = house_.steady_ms();
  for (auto i = outgoing_.begin(); i != outgoing_.end();) {
    auto& [to, o] = *i;
    bool is_silent = o.transfer != 0 && now - o.heard_ms > options_.install_silence_ms;
    bool may_go_on = o.broken_off && !is_silent && replication_.may_install(to);
    if (!replication_.installs(to) && !may_go_on) {
      release(o);
      i = outgoing_.erase(i);
      continue;
    }
    if (is_silent) {
      spdlog::warn("what=install_silent shard={} to={} pieces={}", id_, to, o.read);
      release(o);
    }
    if (o.transfer == 0) {
      if (cluster_.installs.fetch_add(1) >= options_.installs_max) {
        cluster_.installs.fetch_sub(1);
      } else {
        o = outgoing{.transfer = cluster_.transfers.fetch_add(1) + 1, .epoch = replication_.epoch(), .heard_ms = now};
        spdlog::info("what=install_begins shard={} to={} transfer={}", id_, to, o.transfer);
        read_piece(o);
      }
    }
    ++i;
  }
}

void replica_actor::release(outgoing& o) {
  if (o.transfer == 0)
    return;
  tell(house_.reader_of(id_), reader::drop_snapshot{o.transfer});
  cluster_.installs.fetch_sub(1);
  o = outgoing{};
}

void replica_actor::read_piece(outgoing& o) {
  if (o.is_reading || o.all_read() || o.unanswered.size() >= options_.pieces_under_way)
    return;
  o.is_reading = true;
  tell(house_.reader_of(id_), reader::read_snapshot{id_, o.transfer, o.read == 0, options_.piece_bytes, self()});
}

void replica_actor::receive(const snapshot_read& x) {
  for (auto& [to, o] : outgoing_) {
    if (o.transfer != x.transfer)
      continue;
    o.is_reading = false;
    const auto& found = *x.what;
    if (!found) {
      spdlog::warn("what=snapshot_not_read shard={} reason=\"{}\"", id_, found.error().message);
      release(o); // begins anew with the next tick
      return;
    }
    o.unanswered.push_back({o.epoch, o.transfer, o.read++, found->bytes, found->last, found->applied});
    if (!o.broken_off)
      post(to, o.unanswered.back(), channel::bulk);
    read_piece(o);
    return;
  }
}

void replica_actor::take(const peer_ptr& from, const installed_piece& x) {
  auto i = outgoing_.find(from->store);
  if (i == outgoing_.end() || i->second.transfer != x.transfer || x.transfer == 0)
    return;
  auto& o = i->second;
  if (!x.ok) {
    release(o);
    replication_.installed(from->store, false);
    return;
  }
  bool is_last = o.all_read() && o.unanswered.back().number == x.number;
  while (!o.unanswered.empty() && o.unanswered.front().number <= x.number)
    o.unanswered.pop_front();
  o.heard_ms = house_.steady_ms();
  if (is_last) {
    spdlog::info("what=install_done shard={} to={} pieces={}", id_, from->store, o.read);
    cluster_.counts.replicas.snapshots_out.add();
    release(o);
    outgoing_.erase(i);
    replication_.installed(from->store, true);
  } else {
    read_piece(o);
  }
}

// -- to here ---------------------------------------------------------------------------------------------------------

void replica_actor::take(const peer_ptr& from, const install_piece& x) {
  bool known = incoming_ && incoming_->is_of(from, x);
  if (known && x.number < incoming_->next) {
    // Once more, because a link has ended. What is not on the disk yet is answered when it is.
    if (x.number < incoming_->stored)
      post(from->store, installed_piece{x.transfer, x.number, true});
    return;
  }
  bool good = known ? x.number == incoming_->next : x.number == 0 && begin_install(from, x);
  if (!good) {
    if (known)
      incoming_.reset(); // what follows is refused as well, and it begins anew
    post(from->store, installed_piece{x.transfer, x.number, false});
    return;
  }
  ++incoming_->next;
  if (incoming_->begun)
    put(x);
  else
    incoming_->held.push_back(x);
}

bool replica_actor::begin_install(const peer_ptr& from, const install_piece& x) {
  if (phase_ != phase::up || !replication_.may_be_installed(x.epoch))
    return false;
  // Sent once more after it was complete, and overtaken by what said so: others may count on this store by now.
  std::pair transfer{x.epoch, x.transfer};
  if (begun_install_ >= transfer)
    return false;
  begun_install_ = transfer;
  spdlog::info("what=install_comes shard={} from={} transfer={}", id_, from->name, x.transfer);
  replication_.store_failed(); // it answers nothing until the mark is on the disk
  writes_.clear();
  applies_.clear();
  reads_.clear();
  ++life_;
  incoming_ = incoming{from->store, x.epoch, x.transfer};
  // By itself: the store drops whole files then, in which the first piece could be already.
  auto token = give_to_store({storage::install_begin{id_}});
  writes_.push_back({token, writing::kind::begin, x.transfer, 0});
  return true;
}

void replica_actor::put(const install_piece& x) {
  std::vector<storage::mutation> all;
  all.emplace_back(storage::install_chunk{id_, std::make_shared<const std::string>(x.bytes)});
  if (x.last)
    all.emplace_back(storage::install_end{id_, x.applied});
  auto token = give_to_store(std::move(all));
  writes_.push_back({token, x.last ? writing::kind::end : writing::kind::piece, x.transfer, x.number});
}

void replica_actor::installed_write(const writing& w) {
  bool wanted = incoming_ && incoming_->transfer == w.transfer;
  switch (w.what) {
  case writing::kind::append:
    break;
  case writing::kind::begin: {
    // From now on every primary is told that a snapshot is waited for, so that one that does not know begins anew.
    storage::shard_state nothing;
    nothing.installing = true;
    kept_.restart(nothing);
    replication_.loaded(nothing, {});
    if (!wanted)
      break;
    incoming_->begun = true;
    for (const auto& x : std::exchange(incoming_->held, {}))
      put(x);
    break;
  }
  case writing::kind::piece:
    if (wanted) {
      incoming_->stored = w.number + 1;
      post(incoming_->from, installed_piece{w.transfer, w.number, true});
    }
    break;
  case writing::kind::end:
    cluster_.counts.replicas.snapshots_in.add();
    if (wanted)
      incoming_->complete = true; // told when the shard can answer
    replication_.store_failed();
    load();
    break;
  }
}

void replica_actor::drop_incoming() {
  if (!incoming_)
    return;
  post(incoming_->from, installed_piece{incoming_->transfer, incoming_->next, false});
  incoming_.reset();
}

} // namespace greenroom::cluster
