// member, the other half: what it tells the replicas and the gateway, what replicas propose, and the controller.
#include "actors/cluster/member.hpp"

#include "config/ids.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

namespace greenroom::cluster::member {
namespace {

/// host:port, or [host]:port.
std::optional<endpoint> address_of(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return std::nullopt;
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  const auto digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (wrong != std::errc{} || end != digits.data() + digits.size() || port == 0 || host.empty())
    return std::nullopt;
  return endpoint{std::string(host), port};
}

} // namespace

// -- what has changed -------------------------------------------------------------------------------------------------

void member_actor::changed() {
  if (phase_ == phase::stopping)
    return;
  if (phase_ == phase::serving && !key_is_ours()) {
    // Somebody erased it, though the lease goes on. From now on others may be named.
    house_.lease_until_ns = 0;
    pause_in(phase::finding, "the node's key is gone from etcd");
    not_before_ns_ = 0;
    advance();
  }
  look_for_drain();
  hand_out();
  tell_requests();
  pump_proposals();
}

void member_actor::hand_out() {
  if (registration_ == 0)
    return;
  for (unsigned s = 0; s < shard_count; ++s) {
    const auto& x = view_.shards()[s];
    if (x.revision != 0 && x.revision != told_[s]) {
      told_[s] = x.revision;
      control_due_ns_ = std::min(control_due_ns_, now() + options_.tick_ms * ms_ns); // a learner may have come in
      tell_record(static_cast<shard_id>(s), x.what, x.revision, registration_);
    }
  }
  tell_nodes();
}

void member_actor::tell_record(shard_id shard, shard_record what, int64_t revision, uint64_t registration) {
  if (shard < house_.replicas.size())
    tell(house_.replicas[shard], record_now{std::move(what), revision, registration});
}

void member_actor::tell_nodes() {
  std::vector<known_peer> nodes;
  for (const auto& [name, node] : view_.nodes()) {
    if (auto at = address_of(node.what.address))
      nodes.push_back({name, node.what.store, std::move(at->host), at->port});
    else if (name != options_.node)
      signs().failed("the address of node " + name + " is not host:port: " + node.what.address);
  }
  if (nodes != told_nodes_) {
    metrics_.nodes_alive.add(static_cast<int64_t>(nodes.size()) - static_cast<int64_t>(told_nodes_.size()));
    told_nodes_ = nodes;
    if (parts_.know)
      parts_.know(std::move(nodes));
  }
  auto stores = view_.alive();
  if (told_alive_ && stores == *told_alive_)
    return;
  told_alive_ = std::make_shared<const std::vector<store_id>>(std::move(stores));
  for (const auto& r : house_.replicas)
    tell(r, alive{told_alive_});
  control_due_ns_ = 0; // a node that has gone leaves shards without a primary
  control();
}

void member_actor::tell_requests() {
  if (registration_ == 0 || phase_ == phase::stopping)
    return;
  std::erase_if(told_requests_, [this](const auto& x) { return !view_.requests().contains(x.first); });
  for (const auto& [shard, request] : view_.requests()) {
    if (shard >= house_.replicas.size() || shard >= shard_count ||
        view_.shards()[shard].what.primary != options_.store || request.what.to == options_.store ||
        request.what.out == options_.store)
      continue;
    auto& told = told_requests_[shard];
    if (told.revision == request.revision && now() < told.again_ns)
      continue;
    told = {request.revision, now() + options_.request_repeat_ms * ms_ns};
    metrics_.requests.add();
    if (request.what.out.empty())
      tell(house_.replicas[shard], hand_over{request.what.to});
    else
      tell(house_.replicas[shard], put_out{request.what.out});
  }
}

// -- proposals --------------------------------------------------------------------------------------------------------

void member_actor::receive(const propose& x) {
  if (phase_ == phase::stopping || x.shard >= shard_count)
    return;
  metrics_.proposals.add();
  proposals_.emplace(++last_proposal_, proposal{x});
  pump_proposals();
}

void member_actor::pump_proposals() {
  for (auto i = proposals_.begin(); i != proposals_.end();) {
    auto& p = i->second;
    const auto at = i++;
    if (view_.shards()[p.what.shard].revision > p.what.revision) {
      // Whatever became of the request, it can't do anything any more.
      metrics_.proposals_refused.add();
      const auto& x = view_.shards()[p.what.shard];
      tell_record(p.what.shard, x.what, x.revision, registration_);
      settle(at);
      continue;
    }
    if (p.under_way || now() < p.not_before_ns || proposing_ >= options_.proposals_max)
      continue;
    p.under_way = true;
    ++proposing_;
    const auto key = view_.keys().shard(p.what.shard);
    house_.decide.commit(
        {{key, p.what.revision}}, {{key, encode(p.what.wanted), 0}},
        hear<committed>([this, number = at->first, registration = registration_](const outcome<committed>& r) {
          proposal_answered(number, registration, r);
        }));
  }
}

void member_actor::proposal_answered(uint64_t number, uint64_t registration, const outcome<committed>& r) {
  --proposing_;
  const auto found = proposals_.find(number);
  if (found == proposals_.end())
    return; // its outcome is known from the record
  auto& p = found->second;
  p.under_way = false;
  if (!r) {
    // Perhaps it was done, or will be: one of two requests at the same revision fails for good. A refusal (no right to
    // write, say) answers this request, not an earlier one that was lost, so it is repeated, too.
    metrics_.proposal_repeats.add();
    p.not_before_ns = now() + options_.retry_ms * ms_ns;
    signs().failed("propose: " + r.error().message);
    return;
  }
  (r->done ? metrics_.proposals_done : metrics_.proposals_refused).add();
  if (r->done) {
    tell_record(p.what.shard, p.what.wanted, r->revision, registration);
  } else {
    const auto key = view_.keys().shard(p.what.shard);
    for (const auto& x : r->present)
      if (auto record = parse_shard_record(x.value); x.key == key && record)
        tell_record(p.what.shard, std::move(*record), x.revision, registration);
  }
  settle(found);
}

void member_actor::settle(std::map<uint64_t, proposal>::iterator which) {
  const auto shard = which->second.what.shard;
  proposals_.erase(which);
  if (shard < house_.replicas.size())
    tell(house_.replicas[shard], settled{});
}

// -- the controller ---------------------------------------------------------------------------------------------------

void member_actor::control() {
  const auto& c = view_.controller();
  const bool mine = phase_ == phase::serving && c && c->what == options_.node && c->lease == lease_;
  if (mine != controlling_) {
    controlling_ = mine;
    metrics_.controller.add(mine ? 1 : -1);
    metrics_.controller_terms.add(mine ? 1 : 0);
    controller_.reset();
    control_due_ns_ = 0;
    spdlog::info("what={} node={}", mine ? "controller" : "not_controller", options_.node);
  }
  if (phase_ != phase::serving)
    return;
  // Our own name under an older lease is ours to take over, too.
  if (!mine && (!c || c->what == options_.node))
    return claim();
  if (!mine || now() < control_due_ns_ || !view_.cluster() || view_.cluster()->what.id != cluster_id_)
    return;
  control_due_ns_ = now() + options_.controller_ms * ms_ns;
  for (auto& s : controller_.next(view_, lease_, now())) {
    auto done = hear<committed>([this, s](const outcome<committed>& r) {
      const bool did = r && r->done;
      controller_.ended(s, did);
      auto& counts = did ? metrics_.moves : metrics_.moves_failed;
      counts[static_cast<size_t>(s.what)].add();
      control_due_ns_ = std::min(control_due_ns_, now() + options_.tick_ms * ms_ns); // there may be more to do
      if (did)
        spdlog::info("what=moved kind={} shard={} store={}", to_string(s.what), s.shard, s.store);
    });
    house_.decide.commit(s.conditions, s.changes, std::move(done));
  }
}

void member_actor::claim() {
  if (claiming_ || now() < claim_due_ns_)
    return;
  claiming_ = true;
  const auto& c = view_.controller();
  house_.decide.commit({{view_.keys().controller(), c ? c->revision : 0}},
                       {{view_.keys().controller(), options_.node, lease_}},
                       hear<committed>([this](const outcome<committed>& r) {
                         claiming_ = false;
                         // Who has it now is told by the watch.
                         claim_due_ns_ = now() + options_.retry_ms * ms_ns;
                         if (!r)
                           signs().failed("claim: " + r.error().message);
                       }));
}

} // namespace greenroom::cluster::member
