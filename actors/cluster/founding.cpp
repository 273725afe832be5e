#include "actors/cluster/founding.hpp"

#include "config/ids.hpp"

#include <algorithm>
#include <future>
#include <set>

namespace greenroom::cluster {
namespace {

/// Of one transaction: etcd takes 128 changes, and as many conditions.
constexpr size_t records_at_once = 64;

template <class T>
struct waiting {
  std::shared_ptr<std::promise<outcome<T>>> promise = std::make_shared<std::promise<outcome<T>>>();
  agreement::handler<T> handler() {
    return [p = promise](outcome<T> r) { p->set_value(std::move(r)); };
  }
  outcome<T> get() { return promise->get_future().get(); }
};

shard_record first_record(const store_id& first) { return {1, first, {first}, {first}}; }

} // namespace

outcome<listing> list_now(agreement& from, const std::string& prefix) {
  waiting<listing> answer;
  from.list(prefix, answer.handler());
  return answer.get();
}

outcome<committed> commit_now(agreement& by, std::vector<condition> conditions, std::vector<change> changes) {
  waiting<committed> answer;
  by.commit(std::move(conditions), std::move(changes), answer.handler());
  return answer.get();
}

outcome<cluster_record> cluster_now(agreement& from, const record_keys& keys) {
  auto all = list_now(from, keys.cluster());
  if (!all)
    return std::move(all).error();
  for (const auto& x : all->entries)
    if (x.key == keys.cluster())
      return parse_cluster_record(x.value);
  return fail(errc::not_found, "there is no " + keys.cluster() +
                                   " in etcd: run `greenroom cluster init` once, on the node whose data founds it");
}

outcome<void> may_found(const listing& all, const record_keys& keys, const store_id& first) {
  for (const auto& x : all.entries) {
    if (x.key == keys.cluster()) {
      auto there = parse_cluster_record(x.value);
      return fail(errc::exists, "the cluster is founded already" +
                                    (there ? ", with the id " + there->id : std::string()) +
                                    ": a node joins it by being started");
    }
    if (!keys.shard_of(x.key))
      continue;
    auto there = parse_shard_record(x.value);
    if (!there || *there != first_record(first))
      return fail(errc::exists, x.key + " is left of another cluster, or of founding it with another store: " +
                                    x.value + "; found it with that one, or erase everything under " + keys.prefix());
  }
  return {};
}

outcome<void> found_store(storage::store& in) {
  static constexpr storage::log_position founded{1, 1};
  std::vector<storage::mutation> all;
  for (unsigned s = 0; s < shard_count; ++s) {
    const auto shard = static_cast<shard_id>(s);
    auto state = in.load_shard(shard);
    if (!state)
      return std::move(state).error();
    if (*state != storage::shard_state{} && *state != storage::shard_state{founded, founded, founded, false})
      return fail(errc::exists, "this store has been in a cluster: shard " + std::to_string(s) + " has a log up to " +
                                    std::to_string(state->last.epoch) + "/" + std::to_string(state->last.index));
    all.emplace_back(storage::found_log{shard});
  }
  return in.write(all);
}

outcome<void> found_cluster(agreement& by, const record_keys& keys, const cluster_record& wished, const store_id& first,
                            unsigned attempts) {
  for (;;) {
    auto all = list_now(by, keys.prefix());
    if (!all)
      return std::move(all).error();
    std::set<std::string> there;
    bool founded = false;
    bool ours = true;
    for (const auto& x : all->entries) {
      there.insert(x.key);
      founded = founded || (x.key == keys.cluster() && x.value == encode(wished));
      ours = ours && (!keys.shard_of(x.key) || x.value == encode(first_record(first)));
    }
    if (founded && ours)
      return {}; // by the request whose answer was lost
    if (auto may = may_found(*all, keys, first); !may)
      return may;

    std::vector<condition> conditions;
    std::vector<change> changes;
    const auto add = [&](const std::string& key, std::string value) {
      conditions.push_back({key, 0});
      changes.push_back({key, std::move(value), 0});
    };
    for (uint32_t s = 0; s < wished.shards && changes.size() < records_at_once; ++s)
      if (!there.contains(keys.shard(s)))
        add(keys.shard(s), encode(first_record(first)));
    const auto shards = static_cast<size_t>(
        std::count_if(there.begin(), there.end(), [&](const auto& key) { return keys.shard_of(key).has_value(); }));
    if (shards + changes.size() == wished.shards)
      add(keys.cluster(), encode(wished));
    auto done = commit_now(by, std::move(conditions), std::move(changes));
    if (done && !done->done)
      continue; // somebody else founds it at the same time: the listing says who
    if (!done && (done.error().code != errc::unavailable || --attempts == 0))
      return std::move(done).error();
  }
}

} // namespace greenroom::cluster
