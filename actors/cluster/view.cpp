#include "actors/cluster/view.hpp"

#include <algorithm>
#include <set>

namespace greenroom::cluster {

cluster_view::cluster_view(record_keys keys, uint32_t shards, complaint complain)
    : keys_(std::move(keys)), complain_(std::move(complain)), shards_(shards) {}

bool cluster_view::take(const listing& all) {
  if (all.revision < revision_)
    return false;
  std::set<std::string> there;
  for (const auto& x : all.entries)
    there.insert(x.key);
  // What is gone; the rest is overwritten, or kept where the new value can't be read.
  const auto gone = [&there](const std::string& key) { return !there.contains(key); };
  if (gone(keys_.cluster()))
    cluster_.reset();
  if (gone(keys_.controller()))
    controller_.reset();
  std::erase_if(stores_, [&](const auto& x) { return gone(keys_.store(x.first)); });
  std::erase_if(nodes_, [&](const auto& x) { return gone(keys_.node(x.first)); });
  std::erase_if(drains_, [&](const auto& x) { return gone(keys_.drain(x.first)); });
  std::erase_if(requests_, [&](const auto& x) { return gone(keys_.request(x.first)); });
  for (uint32_t s = 0; s < shards_.size(); ++s)
    if (gone(keys_.shard(s)))
      shards_[s] = {};
  for (const auto& x : all.entries)
    put(x);
  revision_ = all.revision;
  return true;
}

void cluster_view::take(const std::vector<update>& news) {
  const auto known = revision_; // several keys may change at one revision
  for (const auto& x : news) {
    if (x.what.revision <= known)
      continue;
    if (x.erased)
      erase(x.what.key);
    else
      put(x.what);
    revision_ = std::max(revision_, x.what.revision);
  }
}

void cluster_view::put(const entry& x) {
  const auto parsed = [&](auto result) {
    if (!result)
      complain_(x.key, result.error());
    return result;
  };
  if (x.key == keys_.cluster()) {
    if (auto r = parsed(parse_cluster_record(x.value)))
      cluster_ = {std::move(*r), x.revision, x.lease};
  } else if (x.key == keys_.controller()) {
    controller_ = {x.value, x.revision, x.lease};
  } else if (auto store = keys_.store_of(x.key)) {
    if (auto r = parsed(parse_store_record(x.value)))
      stores_[*store] = {std::move(*r), x.revision, x.lease};
  } else if (auto node = keys_.node_of(x.key)) {
    if (auto r = parsed(parse_node_record(x.value)))
      nodes_[*node] = {std::move(*r), x.revision, x.lease};
  } else if (auto shard = keys_.shard_of(x.key)) {
    if (*shard >= shards_.size())
      complain_(x.key, fail(errc::bad_request, "there is no such shard"));
    else if (auto r = parsed(parse_shard_record(x.value)))
      shards_[*shard] = {std::move(*r), x.revision, x.lease};
  } else if (auto drained = keys_.drain_of(x.key)) {
    if (auto r = parsed(parse_drain_record(x.value)))
      drains_[*drained] = {std::move(*r), x.revision, x.lease};
  } else if (auto request = keys_.request_of(x.key)) {
    if (auto r = parsed(parse_request_record(x.value)))
      requests_[*request] = {std::move(*r), x.revision, x.lease};
  }
}

void cluster_view::erase(const std::string& key) {
  if (key == keys_.cluster())
    cluster_.reset();
  else if (key == keys_.controller())
    controller_.reset();
  else if (auto store = keys_.store_of(key))
    stores_.erase(*store);
  else if (auto node = keys_.node_of(key))
    nodes_.erase(*node);
  else if (auto drained = keys_.drain_of(key))
    drains_.erase(*drained);
  else if (auto request = keys_.request_of(key))
    requests_.erase(*request);
  else if (auto shard = keys_.shard_of(key); shard && *shard < shards_.size())
    shards_[*shard] = {};
}

std::vector<store_id> cluster_view::alive() const {
  std::set<store_id> all;
  for (const auto& [name, node] : nodes_)
    all.insert(node.what.store);
  return {all.begin(), all.end()};
}

const std::string* cluster_view::node_of(const store_id& id) const {
  const auto found =
      std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& x) { return x.second.what.store == id; });
  return found == nodes_.end() ? nullptr : &found->first;
}

const written<drain_record>* cluster_view::drain_of(const std::string& node) const {
  const auto order = drains_.find(node);
  const auto now = nodes_.find(node);
  const bool holds = order != drains_.end() && now != nodes_.end() && order->second.lease == now->second.lease &&
                     order->second.what.store == now->second.what.store;
  return holds ? &order->second : nullptr;
}

bool cluster_view::drains(const store_id& id) const {
  return std::any_of(drains_.begin(), drains_.end(),
                     [&](const auto& x) { return x.second.what.store == id && drain_of(x.first); });
}

int64_t cluster_view::node_revision(const std::string& name) const {
  auto found = nodes_.find(name);
  return found == nodes_.end() ? 0 : found->second.revision;
}

int64_t cluster_view::store_revision(const store_id& id) const {
  auto found = stores_.find(id);
  return found == stores_.end() ? 0 : found->second.revision;
}

} // namespace greenroom::cluster
