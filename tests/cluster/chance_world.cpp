#include "chance_world.hpp"

#include <algorithm>
#include <type_traits>

namespace greenroom::cluster::test {

using storage::shard_state;

void chance_store::start() {
  load();
  world_.tell_record(*this);
}

void chance_store::load() {
  const bool is_new = !process;
  if (is_new)
    process = std::make_unique<replication>(
        id, replication_limits{.message_bytes = 100, .window_bytes = 400, .memory_bytes = 200, .bunch_entries = 3},
        *this);
  shard_state s;
  s.first = first;
  s.last = log.empty() ? first : log.back().at;
  s.applied = applied_at;
  s.installing = installing;
  std::vector<log_entry> tail;
  for (const auto& e : log)
    if (e.at.index > applied_at.index)
      tail.push_back(e);
  process->loaded(s, std::move(tail));
  for (auto& [other, x] : world_.stores)
    if (is_new && other != id && x->process)
      for (auto* p : {this, x.get()}) {
        bool up = !world_.broken.contains({id, other});
        p->process->link(p == this ? other : id, up);
      }
}

void chance_store::crash() {
  process.reset();
  // A prefix of what was not synced may have reached the disk all the same.
  while (!unsynced.empty() && world_.one_in(2)) {
    put(unsynced.front().cut_after, unsynced.front().entries);
    unsynced.pop_front();
  }
  unsynced.clear();
  applies.clear();
  reads.clear();
  installs.clear();
  proposal.reset();
  served = 0;
  for (auto& [way, queue] : world_.links)
    if (way.first == id || way.second == id)
      queue.clear();
  for (auto& [other, x] : world_.stores)
    if (other != id && x->process) {
      x->forget_install(id);
      x->process->link(id, false);
    }
}

void chance_store::put(const std::optional<uint64_t>& cut_after, const std::vector<log_entry>& entries) {
  if (cut_after)
    while (!log.empty() && log.back().at.index > *cut_after)
      log.pop_back();
  for (const auto& e : entries) {
    REQUIRE(e.at.index == (log.empty() ? first.index : log.back().at.index) + 1);
    log.push_back(e);
  }
}

void chance_store::sync() {
  auto w = std::move(unsynced.front());
  unsynced.pop_front();
  put(w.cut_after, w.entries);
  process->stored();
}

void chance_store::apply(const std::vector<log_entry>& entries) { applies.push_back(entries); }

void chance_store::finish_apply() {
  auto entries = std::move(applies.front());
  applies.pop_front();
  for (const auto& e : entries) {
    INFO(id << " applies " << e.at.epoch << "/" << e.at.index);
    REQUIRE(e.at.index == applied_at.index + 1);
    // All apply the same, whoever was the first to say that it is committed.
    if (e.at.index <= world_.committed.size())
      REQUIRE(world_.committed[e.at.index - 1] == e.at);
    else
      world_.committed.push_back(e.at);
    applied_at = e.at;
    state.push_back(e.at);
  }
  process->applied(applied_at.index);
  process->finish_move();
  while (log.size() > 30 && log.front().at.index < applied_at.index) { // no more is kept
    first = log.front().at;
    log.pop_front();
  }
}

void chance_store::finish_read() {
  auto [whom, index] = reads.front();
  reads.pop_front();
  if (index < first.index || (index > 0 && index > (log.empty() ? first.index : log.back().at.index))) {
    process->log_read(whom, std::nullopt);
    return;
  }
  std::pair<log_position, std::vector<log_entry>> found{first, {}};
  for (const auto& e : log) {
    if (e.at.index == index)
      found.first = e.at;
    else if (e.at.index > index && found.second.size() < 3)
      found.second.push_back(e);
  }
  process->log_read(whom, found);
}

void chance_store::send(const store_id& to, const append& what) {
  if (!world_.broken.contains({id, to}))
    world_.links[{id, to}].push_back(what);
}

void chance_store::send(const store_id& to, const appended& what) {
  if (!world_.broken.contains({id, to}))
    world_.links[{id, to}].push_back(what);
}

bool chance_store::is_crowded(const store_id&) const { return world_.one_in(8); }

void chance_store::propose(const shard_record& wanted, int64_t at) {
  REQUIRE_FALSE(proposal);
  proposal.emplace(wanted, at);
}

void chance_store::serve(uint64_t epoch) {
  INFO(id << " serves in " << epoch);
  auto [i, is_new] = world_.served.emplace(epoch, id);
  REQUIRE(is_new); // also not twice by the same one
  served = epoch;
  REQUIRE(state.size() >= world_.committed.size());
}

void chance_world::decide(chance_store& s, bool lose_answer) {
  const auto& [wanted, at] = *s.proposal;
  if (at == revision) {
    REQUIRE(wanted.epoch >= record.epoch);
    if (wanted.epoch == record.epoch && !wanted.primary.empty())
      REQUIRE(wanted.primary == record.primary);
    REQUIRE(wanted.in_sync.size() >= std::min<size_t>(record.in_sync.size(), 2));
    record = wanted;
    ++revision;
  }
  if (lose_answer)
    return;
  s.proposal.reset();
  s.process->record(record, revision);
  s.process->settled();
}

void chance_world::control() {
  bool gone = record.primary.empty() || dead_to_etcd.contains(record.primary);
  if (!gone) {
    if (one_in(20) && stores[record.primary]->process) {
      auto to = record.in_sync[chance() % record.in_sync.size()];
      if (one_in(2))
        stores[record.primary]->process->move_to(to);
      else
        stores[record.primary]->process->put_out(to);
    }
    for (const auto& [id, s] : stores)
      if (one_in(restless ? 1 : 5) && !std::count(record.replicas.begin(), record.replicas.end(), id)) {
        record.replicas.push_back(id);
        ++revision;
      } else if (one_in(restless ? 2 : 20) && !std::count(record.in_sync.begin(), record.in_sync.end(), id)) {
        std::erase(record.replicas, id);
        ++revision;
      }
    return;
  }
  std::vector<store_id> able;
  for (const auto& s : record.in_sync)
    if (!dead_to_etcd.contains(s))
      able.push_back(s);
  if (able.empty())
    return;
  record.primary = able[chance() % able.size()];
  ++record.epoch;
  ++revision;
}

void chance_world::deliver(const store_id& from, const store_id& to) {
  auto& queue = links[{from, to}];
  if (queue.empty())
    return;
  auto what = std::move(queue.front());
  queue.pop_front();
  if (auto& p = stores[to]->process)
    std::visit(
        [&](const auto& x) {
          if constexpr (std::is_same_v<std::decay_t<decltype(x)>, install_answer>) {
            if (stores[to]->transfers[from] == x.transfer)
              p->installed(from, x.done);
          } else
            p->receive(from, x);
        },
        what);
}

void chance_world::step() {
  auto& s = any();
  switch (chance() % 12) {
  case 0:
  case 1:
  case 2:
  case 3:
    deliver(s.id, any().id);
    break;
  case 4:
    if (s.process && !s.unsynced.empty())
      s.sync();
    break;
  case 5:
    if (s.process && !s.applies.empty())
      s.finish_apply();
    break;
  case 6:
    if (s.process && !s.reads.empty())
      s.finish_read();
    break;
  case 7:
    if (s.process && s.proposal)
      decide(s, one_in(4));
    break;
  case 8:
    if (s.process && s.served && talks) {
      for (auto n = chance() % 4; n > 0; --n)
        s.process->submit(std::make_shared<const std::string>(chance() % 40, 'x'));
      if (!one_in(4))
        s.process->flush();
    }
    break;
  case 9:
    tell_record(s);
    break;
  case 10:
    now += chance() % 300;
    if (s.process) {
      std::vector<store_id> living;
      for (const auto& [id, x] : stores)
        if (!dead_to_etcd.contains(id))
          living.push_back(id);
      s.process->alive(living);
      s.process->flush();
      s.process->tick(now);
    }
    break;
  case 11:
    if (one_in(5))
      control();
    if (s.process && !s.installs.empty()) {
      auto [to, epoch, transfer] = s.installs.front();
      s.installs.pop_front();
      auto l = stores.find(to);
      bool done = l != stores.end() && l->second->process && l->second->process->may_be_installed(epoch);
      if (done) {
        auto& learner = *l->second;
        learner.unsynced.clear();
        learner.applies.clear();
        learner.first = learner.applied_at = s.applied_at;
        learner.state = s.state;
        learner.log.clear();
        learner.installing = false;
        learner.process->store_failed();
        learner.load();
      }
      // In order with what it had acknowledged of the log that is gone.
      links[{to, s.id}].push_back(install_answer{transfer, done});
    }
    break;
  }
}

void chance_world::fault() {
  auto& s = any();
  auto& o = any();
  switch (chance() % 8) {
  case 0:
  case 1:
    if (s.process)
      s.crash();
    break;
  case 2:
    if (!s.process)
      s.start();
    break;
  case 3:
    if (s.id != o.id) {
      bool break_it = !broken.contains({s.id, o.id});
      for (auto [x, y] : {std::pair{&s, &o}, std::pair{&o, &s}}) {
        links[{x->id, y->id}].clear();
        x->forget_install(y->id);
        if (break_it)
          broken.insert({x->id, y->id});
        else
          broken.erase({x->id, y->id});
        if (x->process && y->process)
          x->process->link(y->id, !break_it);
      }
    }
    break;
  case 4:
    dead_to_etcd.insert(s.id); // perhaps it lives
    break;
  case 5:
    dead_to_etcd.erase(s.id);
    break;
  case 6: // a failed write: the disk may hold it or not
    if (s.process) {
      while (!s.unsynced.empty() && one_in(2)) {
        s.put(s.unsynced.front().cut_after, s.unsynced.front().entries);
        s.unsynced.pop_front();
      }
      s.unsynced.clear();
      s.applies.clear();
      s.process->store_failed();
      s.load();
    }
    break;
  case 7: // wiped: it comes back as another store, which is a learner
    if (!s.process && wiped < 3 && !std::count(record.in_sync.begin(), record.in_sync.end(), s.id)) {
      ++wiped;
      auto id = s.id;
      auto fresh = id.substr(0, 1) + std::to_string(wiped);
      std::replace(record.replicas.begin(), record.replicas.end(), id, fresh);
      ++revision;
      stores.erase(id);
      dead_to_etcd.erase(id);
      stores[fresh] = std::make_unique<chance_store>(*this, fresh);
      stores[fresh]->start();
    }
    break;
  }
}

void chance_world::check() {
  for (auto& [x, a] : stores)
    for (auto& [y, b] : stores) {
      if (x >= y)
        continue;
      bool same = false;
      for (auto i = a->log.rbegin(); i != a->log.rend(); ++i)
        for (const auto& e : b->log)
          if (e.at.index == i->at.index) {
            if (same)
              REQUIRE(e.at == i->at);
            same = same || e.at == i->at;
          }
    }
}

bool chance_world::quiet() const {
  if (record.primary.empty() || record.in_sync.size() < 3)
    return false;
  auto end = stores.at(record.primary)->applied_at;
  for (const auto& [id, s] : stores)
    if (!s->process || !s->unsynced.empty() || s->applied_at != end ||
        (s->log.empty() ? s->first : s->log.back().at) != end)
      return false;
  return stores.at(record.primary)->served == record.epoch;
}

void chance_world::heal() {
  broken.clear();
  dead_to_etcd.clear();
  for (auto& [id, s] : stores)
    if (!s->process)
      s->start();
  for (auto& [x, a] : stores)
    for (auto& [y, b] : stores)
      if (x != y)
        a->process->link(y, true);
}

} // namespace greenroom::cluster::test
