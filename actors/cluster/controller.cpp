#include "actors/cluster/controller.hpp"

#include <algorithm>

namespace greenroom::cluster {
namespace {

constexpr int64_t second_ns = 1'000'000'000;

controller::step::kind kind_of(move::kind x) {
  switch (x) {
  case move::kind::name_primary:
    return controller::step::kind::name_primary;
  case move::kind::add_learner:
    return controller::step::kind::add_learner;
  case move::kind::drop_replica:
  case move::kind::hand_over:
  case move::kind::put_out:
    break;
  }
  return controller::step::kind::drop_replica;
}

const store_id& target(const request_record& x) { return x.out.empty() ? x.to : x.out; }

/// Its node runs with another data directory: there is nothing to wait for.
bool is_replaced(const cluster_view& view, const store_id& id, const std::string& node) {
  const auto now = view.nodes().find(node);
  return now != view.nodes().end() && now->second.what.store != id;
}

} // namespace

const char* to_string(controller::step::kind x) noexcept {
  switch (x) {
  case controller::step::kind::name_primary:
    return "name_primary";
  case controller::step::kind::add_learner:
    return "add_learner";
  case controller::step::kind::drop_replica:
    return "drop_replica";
  case controller::step::kind::ask:
    return "ask";
  case controller::step::kind::take_back:
    return "take_back";
  }
  return "?";
}

std::vector<placed_store> controller::placed(const cluster_view& view, int64_t now_ns) {
  const auto alive = view.alive();
  std::vector<placed_store> all;
  for (const auto& [id, store] : view.stores()) {
    placed_store x{id,   store.what.node, store.what.zone, std::binary_search(alive.begin(), alive.end(), id),
                   true, !view.drains(id)};
    if (x.alive) {
      gone_since_ns_.erase(id);
    } else {
      auto since = gone_since_ns_.try_emplace(id, now_ns).first->second;
      x.wanted = now_ns - since < options_.replace_s * second_ns && !is_replaced(view, id, store.what.node);
    }
    all.push_back(std::move(x));
  }
  std::erase_if(gone_since_ns_, [&](const auto& x) { return !view.stores().contains(x.first); });
  return all;
}

bool controller::busy(const cluster_view& view, uint32_t shard) {
  auto found = held_.find(shard);
  if (found == held_.end())
    return false;
  if (found->second == view.shards()[shard].revision)
    return true;
  held_.erase(found); // the record has changed since, and what is under way for it will do nothing
  return false;
}

std::vector<controller::step> controller::next(const cluster_view& view, int64_t lease, int64_t now_ns) {
  const auto stores = placed(view, now_ns);
  std::vector<shard_record> records;
  for (const auto& s : view.shards())
    records.push_back(s.what);
  placement_policy policy;
  policy.replicas = view.cluster()->what.replicas;
  policy.min_in_sync = view.cluster()->what.min_in_sync;
  // Requests are counted in ask(), which knows those that stand.
  policy.requests_max = static_cast<uint32_t>(records.size());
  const auto moves = next_moves(records, stores, policy);

  const condition still{view.keys().controller(), view.controller()->revision};
  const bool quiet = under_way_ == 0 && std::none_of(moves.begin(), moves.end(), [&](const move& m) {
                       return m.what != move::kind::hand_over && m.what != move::kind::put_out && busy(view, m.shard);
                     });
  std::vector<step> out;
  for (const auto& m : moves) {
    if (m.what == move::kind::hand_over || m.what == move::kind::put_out || busy(view, m.shard))
      continue;
    if (m.what != move::kind::name_primary && !quiet)
      continue;
    const auto& now = view.shards()[m.shard];
    if (now.revision == 0 || under_way_ + out.size() >= options_.commits_max)
      continue; // no record, or an unreadable one: nothing to go on from
    step s{kind_of(m.what), m.shard, m.store, now.revision, {still}, {}};
    s.conditions.push_back({view.keys().shard(m.shard), now.revision});
    if (m.what == move::kind::name_primary && !m.old_primary.empty()) {
      s.conditions.push_back({view.keys().store(m.old_primary), view.store_revision(m.old_primary)});
      if (!m.old_node.empty())
        s.conditions.push_back({view.keys().node(m.old_node), view.node_revision(m.old_node)});
    }
    if (const auto* node = view.node_of(m.store); node && m.what == move::kind::add_learner)
      s.conditions.push_back({view.keys().node(*node), view.node_revision(*node)});
    s.changes.push_back({view.keys().shard(m.shard), encode(after(now.what, m)), 0});
    out.push_back(std::move(s));
  }
  for (const auto& s : out)
    held_[s.shard] = s.compared;
  if (under_way_ == 0)
    ask(view, moves, still, lease, out);
  under_way_ += out.size();
  return out;
}

void controller::ask(const cluster_view& view, const std::vector<move>& moves, const condition& still, int64_t lease,
                     std::vector<step>& out) const {
  std::map<uint32_t, request_record> wished;
  for (const auto& m : moves)
    if (m.what == move::kind::hand_over)
      wished.emplace(m.shard, request_record{.to = m.store});
    else if (m.what == move::kind::put_out)
      wished.emplace(m.shard, request_record{.out = m.store});
  // Balance can wait, an operator does: what drains has places of its own.
  size_t for_balance = 0;
  size_t for_drains = 0;
  const auto has_place = [&](uint32_t shard) {
    const bool drains = view.drains(view.shards()[shard].what.primary);
    auto& taken = drains ? for_drains : for_balance;
    if (taken >= (drains ? options_.drain_requests_max : options_.requests_max))
      return false;
    ++taken;
    return true;
  };
  // Those that stand and are still wished for go on; others take the place of what is taken back.
  for (const auto& [shard, request] : view.requests()) {
    const auto found = wished.find(shard);
    if (found != wished.end() && found->second == request.what && request.lease == lease && has_place(shard))
      continue;
    const auto key = view.keys().request(shard);
    out.push_back({step::kind::take_back,
                   shard,
                   target(request.what),
                   0,
                   {still, {key, request.revision}},
                   {{key, std::nullopt, 0}}});
  }
  for (const auto& [shard, wish] : wished) {
    if (view.requests().contains(shard) || !has_place(shard))
      continue; // stands, or is just being taken back; or there are enough
    const auto key = view.keys().request(shard);
    out.push_back({step::kind::ask, shard, target(wish), 0, {still, {key, 0}}, {{key, encode(wish), lease}}});
  }
}

void controller::ended(const step& s, bool done) {
  if (under_way_ > 0)
    --under_way_;
  // Done: held until it is seen. Else nothing was done, or may yet be, at the same revision as what is tried next.
  if (auto found = held_.find(s.shard); !done && s.compared != 0 && found != held_.end() && found->second == s.compared)
    held_.erase(found);
}

void controller::reset() {
  gone_since_ns_.clear();
  held_.clear();
}

} // namespace greenroom::cluster
