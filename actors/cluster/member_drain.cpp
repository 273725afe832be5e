// member, as its node drains: from the operator's order in etcd to the word that the process may end.
//
// The controller, this node's or another's, sees the same order and asks for the hand-overs; here is only looked how
// far they are. The node's part as a member goes on meanwhile: its copies are in sync until it stops, and if it is the
// controller it stays that.
#include "actors/cluster/member.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::cluster::member {

size_t member_actor::shards_led() const {
  return static_cast<size_t>(std::count_if(view_.shards().begin(), view_.shards().end(),
                                           [this](const auto& s) { return s.what.primary == options_.store; }));
}

void member_actor::look_for_drain() {
  // Under another lease it was for an earlier process of this name, whose keys have not gone yet.
  const auto* order = phase_ == phase::serving && key_is_ours() ? view_.drain_of(options_.node) : nullptr;
  if (!order || drains_since_ns_ != 0)
    return;
  drains_since_ns_ = now();
  metrics_.draining.add();
  spdlog::info("what=draining node={} shards={} connections={}", options_.node, shards_led(),
               parts_.connections ? parts_.connections() : 0);
  if (parts_.drains)
    parts_.drains();
}

void member_actor::drain() {
  if (drains_since_ns_ == 0 || drained_ || phase_ == phase::stopping)
    return;
  const auto connections = parts_.connections ? parts_.connections() : 0;
  const auto shards = shards_led();
  const auto waited_ms = (now() - drains_since_ns_) / ms_ns;
  if (shards > 0)
    drain_led_ns_ = now();
  const bool done = shards == 0 && connections == 0 && waited_ms >= options_.drain_notice_ms &&
                    (now() - drain_led_ns_) / ms_ns >= options_.drain_linger_ms;
  if (!done && waited_ms < options_.drain_ms)
    return report_drain(connections);
  drained_ = true;
  if (done)
    spdlog::info("what=drained node={} ms={}", options_.node, waited_ms);
  else
    spdlog::warn("what=drain_incomplete node={} ms={} shards={} connections={} reason=\"cluster.drain_ms is over\"",
                 options_.node, waited_ms, shards, connections);
  if (parts_.drained)
    parts_.drained();
}

/// For whoever waits for it, who may ask etcd only.
void member_actor::report_drain(uint64_t connections) {
  const auto* order = phase_ == phase::serving ? view_.drain_of(options_.node) : nullptr;
  if (!order || order->lease != lease_ || reporting_ || now() < report_due_ns_ ||
      order->what.connections == connections)
    return;
  reporting_ = true;
  reported_ = connections;
  report_due_ns_ = now() + options_.drain_report_ms * ms_ns;
  const auto key = view_.keys().drain(options_.node);
  house_.decide.commit({{key, order->revision}}, {{key, encode(drain_record{options_.store, connections}), lease_}},
                       hear<committed>([this](const outcome<committed>&) { reporting_ = false; }));
}

} // namespace greenroom::cluster::member
