#include "actors/cluster/placement.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <numeric>
#include <unordered_map>

namespace greenroom::cluster {

namespace {

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

/// FNV-1a, then the finalizer of splitmix64, because FNV's upper bits hardly see the last byte. Written out: std::hash
/// may be another one on the next node.
uint64_t score(const store_id& store, uint32_t shard) {
  uint64_t h = 0xcbf29ce484222325;
  auto feed = [&](uint8_t byte) { h = (h ^ byte) * 0x100000001b3; };
  for (char c : store)
    feed(static_cast<uint8_t>(c));
  for (int shift = 0; shift < 32; shift += 8)
    feed(static_cast<uint8_t>(shard >> shift));
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

/// Works on indices into the wanted stores in ascending order of their ids, so that the order of the input does not
/// matter.
class planner {
public:
  planner(std::span<const placed_store> stores, uint32_t shards, const placement_policy& policy)
      : slack_(policy.slack), chosen_(shards) {
    for (const auto& store : stores)
      if (store.wanted)
        ids_.push_back(store.id);
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    zone_.resize(ids_.size());
    leads_.resize(ids_.size());
    std::map<std::string, size_t> zones;
    for (const auto& store : stores) {
      if (!store.wanted)
        continue;
      const auto i = index_of(store.id);
      // A store without a zone is one: a store id, unlike a zone, never begins with 'z' and '/'.
      zone_[i] = zones.try_emplace(store.zone.empty() ? store.id : "z/" + store.zone, zones.size()).first->second;
      leads_[i] = store.leads;
    }
    zones_ = zones.size();
    replicas_ = std::min<size_t>(policy.replicas, ids_.size());
  }

  std::vector<wanted_shard> plan() {
    std::vector<wanted_shard> result(chosen_.size());
    if (replicas_ == 0)
      return result;
    scores_.resize(chosen_.size());
    for (uint32_t shard = 0; shard < chosen_.size(); ++shard) {
      for (const auto& id : ids_)
        scores_[shard].push_back(score(id, shard));
      choose(shard);
    }
    even_out_replicas();
    choose_primaries();
    relieve();
    for (size_t shard = 0; shard < chosen_.size(); ++shard) {
      for (size_t store : chosen_[shard])
        result[shard].replicas.push_back(ids_[store]);
      result[shard].primary = ids_[primary_[shard]];
    }
    return result;
  }

private:
  size_t index_of(const store_id& id) const {
    return static_cast<size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
  }
  bool better(size_t shard, size_t a, size_t b) const {
    return scores_[shard][a] != scores_[shard][b] ? scores_[shard][a] > scores_[shard][b] : a < b;
  }
  void sort_by_score(size_t shard) {
    std::sort(chosen_[shard].begin(), chosen_[shard].end(), [&](size_t a, size_t b) { return better(shard, a, b); });
  }

  /// The best of those whose zone has the fewest of this shard, until there are enough.
  void choose(size_t shard) {
    std::vector<size_t> used(zones_);
    std::vector<bool> taken(ids_.size());
    while (chosen_[shard].size() < replicas_) {
      size_t best = ids_.size();
      for (size_t store = 0; store < ids_.size(); ++store) {
        if (taken[store])
          continue;
        if (best == ids_.size() || used[zone_[store]] < used[zone_[best]] ||
            (used[zone_[store]] == used[zone_[best]] && better(shard, store, best)))
          best = store;
      }
      taken[best] = true;
      ++used[zone_[best]];
      chosen_[shard].push_back(best);
    }
  }

  /// Whether `to` may stand in for `from` with the replicas as well spread as before.
  bool may_replace(size_t shard, size_t from, size_t to) const {
    size_t with_from = 0;
    size_t with_to = 0;
    for (size_t store : chosen_[shard]) {
      if (store == to)
        return false;
      if (store == from)
        continue;
      with_from += zone_[store] == zone_[from] ? 1 : 0;
      with_to += zone_[store] == zone_[to] ? 1 : 0;
    }
    return with_to <= with_from;
  }

  /// Takes from a store that holds more than one that could hold it instead, while either is further from the even
  /// share than the slack. Each exchange makes the sum of squares smaller, so it ends.
  void even_out_replicas() {
    std::vector<size_t> load(ids_.size());
    for (const auto& stores : chosen_)
      for (size_t store : stores)
        ++load[store];
    const size_t total = chosen_.size() * replicas_;
    const size_t most = (total + ids_.size() - 1) / ids_.size() + slack_;
    const size_t even = total / ids_.size();
    const size_t least = even > slack_ ? even - slack_ : 0;
    while (exchange_one(load, most, least)) {
    }
    for (size_t shard = 0; shard < chosen_.size(); ++shard)
      sort_by_score(shard);
  }

  bool exchange_one(std::vector<size_t>& load, size_t most, size_t least) {
    // From the fullest to the emptiest pair that has something to exchange; of that, what the hash minds least.
    std::vector<size_t> order(ids_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return load[a] > load[b]; });
    for (size_t from : order) {
      for (auto it = order.rbegin(); it != order.rend(); ++it) {
        size_t to = *it;
        if (load[from] < load[to] + 2)
          break;
        if (load[from] <= most && load[to] >= least)
          break;
        size_t best = chosen_.size();
        for (size_t shard = 0; shard < chosen_.size(); ++shard)
          if (holds(shard, from) && may_replace(shard, from, to) &&
              (best == chosen_.size() || scores_[shard][to] > scores_[best][to]))
            best = shard;
        if (best == chosen_.size())
          continue;
        std::replace(chosen_[best].begin(), chosen_[best].end(), from, to);
        --load[from];
        ++load[to];
        return true;
      }
    }
    return false;
  }

  bool holds(size_t shard, size_t store) const {
    return std::find(chosen_[shard].begin(), chosen_[shard].end(), store) != chosen_[shard].end();
  }

  /// The best replica of each leads it, then the same evening out. Where only a chain of stores could even it out, each
  /// step of the chain does so by itself, as neighbours differ by two at least.
  void choose_primaries() {
    std::vector<size_t> load(ids_.size());
    for (const auto& stores : chosen_) {
      primary_.push_back(stores.front());
      ++load[stores.front()];
    }
    const size_t most = (chosen_.size() + ids_.size() - 1) / ids_.size() + slack_;
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t shard = 0; shard < chosen_.size(); ++shard) {
        size_t now = primary_[shard];
        if (load[now] <= most)
          continue;
        size_t best = now;
        for (size_t store : chosen_[shard])
          if (load[store] < load[best])
            best = store;
        if (load[best] + 2 > load[now])
          continue;
        --load[now];
        ++load[best];
        primary_[shard] = best;
        changed = true;
      }
    }
  }

  /// What was chosen for a store that is not to lead goes to the replica that leads least. Only after all others have
  /// been chosen, as though nobody drained: else shards of stores that have nothing to do with it would move, there and
  /// back.
  void relieve() {
    std::vector<size_t> load(ids_.size());
    for (size_t store : primary_)
      ++load[store];
    for (size_t shard = 0; shard < chosen_.size(); ++shard) {
      const size_t now = primary_[shard];
      if (leads_[now])
        continue;
      size_t best = ids_.size();
      for (size_t store : chosen_[shard])
        if (leads_[store] && (best == ids_.size() || load[store] < load[best]))
          best = store;
      if (best == ids_.size())
        continue; // nobody else: better than nobody at all
      --load[now];
      ++load[best];
      primary_[shard] = best;
    }
  }

  size_t slack_;
  size_t replicas_ = 0;
  size_t zones_ = 0;
  std::vector<store_id> ids_;
  std::vector<size_t> zone_;
  std::vector<bool> leads_;
  std::vector<std::vector<size_t>> chosen_; // per shard
  std::vector<std::vector<uint64_t>> scores_;
  std::vector<size_t> primary_;
};

} // namespace

std::vector<wanted_shard> wanted_shards(std::span<const placed_store> stores, uint32_t shards,
                                        const placement_policy& policy) {
  return planner(stores, shards, policy).plan();
}

namespace {

class mover {
public:
  mover(std::span<const shard_record> records, std::span<const placed_store> stores, const placement_policy& policy)
      : records_(records), policy_(policy),
        wanted_(wanted_shards(stores, static_cast<uint32_t>(records.size()), policy)) {
    for (const auto& store : stores)
      stores_.emplace(store.id, &store);
    for (const auto& record : records)
      for (const auto& id : record.replicas)
        learners_ += !has(record.in_sync, id) && alive(id) ? 1 : 0; // a dead one does not catch up and blocks nobody
  }

  std::vector<move> moves() {
    std::vector<uint32_t> order(records_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return copies(a) < copies(b); });
    std::vector<move> primaries;
    std::vector<move> others;
    for (uint32_t shard : order) {
      if (needs_primary(shard))
        name_primary(shard, primaries);
      else
        one_of_the_others(shard, others);
    }
    primaries.insert(primaries.end(), others.begin(), others.end());
    return primaries;
  }

private:
  bool alive(const store_id& id) const {
    auto found = stores_.find(id);
    return found != stores_.end() && found->second->alive;
  }
  size_t copies(uint32_t shard) const {
    const auto& in_sync = records_[shard].in_sync;
    return static_cast<size_t>(std::count_if(in_sync.begin(), in_sync.end(), [&](auto& id) { return alive(id); }));
  }
  /// Whether it is to lead. One that nobody knows is none of those that drain.
  bool leads(const store_id& id) const {
    auto found = stores_.find(id);
    return found == stores_.end() || found->second->leads;
  }
  bool needs_primary(uint32_t shard) const { return !alive(records_[shard].primary); }
  bool can_lead(uint32_t shard, const store_id& id) const { return has(records_[shard].in_sync, id) && alive(id); }
  bool may_lead(uint32_t shard, const store_id& id) const { return can_lead(shard, id) && leads(id); }

  void name_primary(uint32_t shard, std::vector<move>& out) const {
    const auto& record = records_[shard];
    const auto& wanted = wanted_[shard];
    const store_id* chosen = nullptr;
    auto consider = [&](const store_id& id) {
      if (!chosen && may_lead(shard, id))
        chosen = &id;
    };
    // Nobody after somebody: that one has given up, because it could not go on, and stands last. It is not the one to
    // try first, whatever balance asks for.
    if (!record.primary.empty() || record.epoch == 0) {
      if (!wanted.primary.empty())
        consider(wanted.primary);
      for (const auto& id : wanted.replicas)
        consider(id);
    }
    for (const auto& id : record.in_sync)
      consider(id);
    // A node that drains, if it has the only copy that is alive: until there is another, or it stops.
    for (const auto& id : record.in_sync)
      if (!chosen && can_lead(shard, id))
        chosen = &id;
    if (!chosen)
      return;
    auto old = stores_.find(record.primary);
    out.push_back({move::kind::name_primary, shard, *chosen, record.primary,
                   old == stores_.end() ? std::string() : old->second->node});
  }

  void one_of_the_others(uint32_t shard, std::vector<move>& out) {
    const auto& record = records_[shard];
    const auto& wanted = wanted_[shard];
    if (!leads(record.primary)) {
      if (const store_id* next = successor(shard)) {
        out.push_back({move::kind::hand_over, shard, *next, {}, {}});
        return;
      }
    }
    for (const auto& id : wanted.replicas) {
      // Not on a node that drains: it would stop in the middle of it.
      if (learners_ < policy_.learners_max && !has(record.replicas, id) && alive(id) && leads(id)) {
        ++learners_;
        out.push_back({move::kind::add_learner, shard, id, {}, {}});
        return;
      }
    }
    for (const auto& id : record.replicas) {
      if (drops_ < policy_.drops_max && !has(record.in_sync, id) && !has(wanted.replicas, id)) {
        ++drops_;
        out.push_back({move::kind::drop_replica, shard, id, {}, {}});
        return;
      }
    }
    if (requests_ == policy_.requests_max || wanted.replicas.empty())
      return;
    if (const store_id* next = successor(shard)) {
      ++requests_;
      out.push_back({move::kind::hand_over, shard, *next, {}, {}});
      return;
    }
    if (const store_id* extra = superfluous(shard)) {
      ++requests_;
      out.push_back({move::kind::put_out, shard, *extra, {}, {}});
    }
  }

  /// To whom the primary should hand over; nullptr: it should stay.
  const store_id* successor(uint32_t shard) const {
    const auto& record = records_[shard];
    const auto& wanted = wanted_[shard];
    const bool drains = !leads(record.primary);
    if (record.primary == wanted.primary && !drains)
      return nullptr;
    if (may_lead(shard, wanted.primary))
      return &wanted.primary;
    // One that is wanted, only not as primary, waits for the right one; one that is to be emptied, or drains, goes as
    // soon as it can.
    if (has(wanted.replicas, record.primary) && !drains)
      return nullptr;
    for (const auto& id : wanted.replicas)
      if (may_lead(shard, id))
        return &id;
    for (const auto& id : record.in_sync) // not where it should be in the end, but it lives
      if (drains && may_lead(shard, id))
        return &id;
    return nullptr;
  }

  /// A member that is not wanted, where all that are wanted have become members.
  const store_id* superfluous(uint32_t shard) const {
    const auto& record = records_[shard];
    const auto& wanted = wanted_[shard];
    if (record.in_sync.size() <= policy_.min_in_sync)
      return nullptr;
    for (const auto& id : wanted.replicas)
      if (!has(record.in_sync, id))
        return nullptr;
    for (const auto& id : record.in_sync)
      if (id != record.primary && !has(wanted.replicas, id))
        return &id;
    return nullptr;
  }

  std::span<const shard_record> records_;
  const placement_policy& policy_;
  std::vector<wanted_shard> wanted_;
  std::unordered_map<store_id, const placed_store*> stores_;
  uint32_t learners_ = 0;
  uint32_t drops_ = 0;
  uint32_t requests_ = 0;
};

} // namespace

std::vector<move> next_moves(std::span<const shard_record> records, std::span<const placed_store> stores,
                             const placement_policy& policy) {
  return mover(records, stores, policy).moves();
}

shard_record after(shard_record record, const move& made) {
  switch (made.what) {
  case move::kind::name_primary:
    ++record.epoch;
    record.primary = made.store;
    return record;
  case move::kind::add_learner:
    record.replicas.push_back(made.store);
    return record;
  case move::kind::drop_replica:
    std::erase(record.replicas, made.store);
    return record;
  case move::kind::hand_over:
  case move::kind::put_out:
    break;
  }
  assert(false && "only the primary writes that record");
  return record;
}

} // namespace greenroom::cluster
