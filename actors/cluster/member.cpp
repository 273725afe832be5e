#include "actors/cluster/member.hpp"

#include "config/ids.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <set>

namespace greenroom::cluster::member {

int64_t boottime_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_BOOTTIME, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

void member_actor::mouth::say(std::function<void()> what) {
  std::lock_guard guard{mutex_};
  tell(to_, etcd_says{std::move(what)});
}

void member_actor::mouth::close() {
  std::lock_guard guard{mutex_};
  to_ = member_handle{};
}

member_actor::member_actor(caf::actor_config& cfg, host& on, parts p)
    : hosted_actor(cfg, on, actor_kind::member, p.options.node, p.living), parts_(std::move(p)),
      options_(parts_.options), house_(parts_.house), metrics_(parts_.metrics),
      view_(record_keys(options_.cluster), shard_count,
            [this](const std::string& key, const failure& why) {
              signs().failed(key + ": " + why.message);
              spdlog::error("what=bad_record key={} reason=\"{}\"", key, why.message);
            }),
      told_(shard_count), controller_(options_.control) {}

void member_actor::start() {
  mouth_ = std::make_shared<mouth>(self());
  watch_ = house_.decide.watch(
      view_.keys().prefix(),
      {[this, m = mouth_](const listing& all) {
         m->say([this, all = std::make_shared<const listing>(all)] {
           metrics_.watch_listings.add();
           view_.take(*all);
         });
       },
       [this, m = mouth_](const std::vector<update>& news) {
         m->say([this, news = std::make_shared<const std::vector<update>>(news)] { view_.take(*news); });
       }});
  tell_self_after(std::chrono::milliseconds(options_.tick_ms), member_tick{});
  advance();
}

void member_actor::on_exit() {
  house_.lease_until_ns = 0;
  watch_.reset();
  if (mouth_)
    mouth_->close();
  metrics_.controller.add(controlling_ ? -1 : 0);
  metrics_.nodes_alive.add(-static_cast<int64_t>(told_nodes_.size()));
}

void member_actor::receive(const etcd_says& x) {
  check_lease(); // what has ended does not come back by an answer that was late
  x.what();
  changed();
}

void member_actor::receive(const member_tick&) {
  if (phase_ == phase::stopping && now() >= stop_due_ns_) {
    spdlog::warn("what=lease_not_given_back node={}", options_.node);
    return quit();
  }
  tell_self_after(std::chrono::milliseconds(options_.tick_ms), member_tick{});
  check_lease();
  renew();
  advance();
  pump_proposals();
  tell_requests();
  control();
  drain();
}

void member_actor::receive(const member_stop&) {
  if (phase_ == phase::stopping)
    return;
  phase_ = phase::stopping;
  house_.lease_until_ns = 0;
  ++attempt_;
  watch_.reset();
  proposals_.clear();
  stop_due_ns_ = now() + options_.stop_ms * ms_ns;
  // Others take over at once. The key may still stand under an older lease than the one we have.
  const std::set<int64_t> leases = {lease_, registered_lease_};
  lease_ = 0;
  for (auto l : leases) {
    if (l == 0)
      continue;
    ++revoking_;
    house_.decide.revoke(l, hear<void>([this](const outcome<void>&) {
                           if (--revoking_ == 0)
                             quit();
                         }));
  }
  if (revoking_ == 0)
    quit();
}

// -- the registration -------------------------------------------------------------------------------------------------

void member_actor::advance() {
  if (step_busy_ || now() < not_before_ns_)
    return;
  switch (phase_) {
  case phase::finding:
    return find();
  case phase::granting:
    return grant();
  case phase::joining:
    return join();
  case phase::confirming:
    return confirm();
  case phase::serving:
  case phase::stopping:
    return;
  }
}

void member_actor::find() {
  house_.decide.list(view_.keys().prefix(), hear_step<listing>([this](const outcome<listing>& r) {
                       if (!r)
                         return pause_in(phase::finding, r.error().message);
                       view_.take(*r);
                       if (!founded())
                         return;
                       phase_ = lease_ == 0 ? phase::granting : phase::joining;
                       advance();
                     }));
}

bool member_actor::founded() {
  const auto& c = view_.cluster();
  if (!c)
    pause_in(phase::finding, "etcd has no cluster \"" + options_.cluster +
                                 "\": run `greenroom cluster init` once, on the node whose data founds it");
  else if (c->what.shards != shard_count)
    pause_in(phase::finding, "the cluster has " + std::to_string(c->what.shards) + " shards, this program has " +
                                 std::to_string(shard_count));
  else if (!cluster_id_.empty() && c->what.id != cluster_id_)
    pause_in(phase::finding,
             "the cluster is another one than at the start of this process: id " + c->what.id + ", was " + cluster_id_);
  else
    return true;
  return false;
}

void member_actor::grant() {
  const auto sent = now();
  house_.decide.grant(std::chrono::milliseconds(options_.lease_ms),
                      hear<int64_t>([this, sent, mine = attempt_](const outcome<int64_t>& r) {
                        if (mine != attempt_) {
                          if (r) // nobody has use for it any more
                            house_.decide.revoke(*r, [](const outcome<void>&) {});
                          return;
                        }
                        step_busy_ = false;
                        if (!r)
                          return pause_in(phase::granting, r.error().message);
                        metrics_.lease_grants.add();
                        lease_ = *r;
                        const auto life_ns = options_.lease_ms * ms_ns;
                        counted_until_ns_ = sent + life_ns - std::max(life_ns / 10, options_.margin_ms_min * ms_ns);
                        renew_due_ns_ = sent + life_ns / 3;
                        phase_ = phase::joining;
                        advance();
                      }));
  step_busy_ = true;
}

bool member_actor::key_is_ours() const {
  const auto found = view_.nodes().find(options_.node);
  return found != view_.nodes().end() && found->second.what.store == options_.store && found->second.lease == lease_;
}

void member_actor::join() {
  const auto found = view_.nodes().find(options_.node);
  if (found != view_.nodes().end() && found->second.what.store != options_.store)
    return pause_in(phase::finding, "a node named " + options_.node + " with the store " + found->second.what.store +
                                        " is in etcd: each node needs a name of its own (node.name)");
  if (key_is_ours()) { // by a request whose outcome we did not know
    phase_ = phase::confirming;
    return advance();
  }
  const auto before = std::exchange(registered_lease_, lease_);
  const auto& keys = view_.keys();
  // Both in one: whoever names another primary compares the revisions of both.
  std::vector<change> changes = {
      {keys.store(options_.store), encode(store_record{options_.node, options_.zone}), 0},
      {keys.node(options_.node), encode(node_record{options_.store, options_.zone, options_.address, options_.version}),
       lease_}};
  const auto order = view_.drains().find(options_.node);
  // Given to this process, before it lost its lease.
  const bool unread = order != view_.drains().end() && before != 0 && order->second.lease == before &&
                      order->second.what.store == options_.store;
  if (drains_since_ns_ != 0 || unread) // what stood there went, or will go, with the lease before
    changes.push_back({keys.drain(options_.node), encode(drain_record{options_.store, reported_}), lease_});
  house_.decide.commit({{keys.node(options_.node), view_.node_revision(options_.node)}}, std::move(changes),
                       hear_step<committed>([this](const outcome<committed>& r) {
                         if (!r && r.error().code == errc::not_found)
                           return lose_lease("it had ended before the node's key was written");
                         if (!r)
                           return pause_in(phase::finding, r.error().message);
                         if (!r->done)
                           return pause_in(phase::finding, "the node's key has changed while it was written");
                         phase_ = phase::confirming;
                         advance();
                       }));
}

void member_actor::confirm() {
  house_.decide.list(view_.keys().prefix(), hear_step<listing>([this](const outcome<listing>& r) {
                       if (!r)
                         return pause_in(phase::confirming, r.error().message);
                       view_.take(*r);
                       if (!founded())
                         return;
                       if (!key_is_ours())
                         return pause_in(phase::finding, "the node's key is gone from etcd as soon as it was written");
                       serve();
                     }));
}

void member_actor::serve() {
  phase_ = phase::serving;
  last_trouble_.clear();
  metrics_.registrations.add();
  if (cluster_id_.empty()) {
    cluster_id_ = view_.cluster()->what.id;
    if (parts_.found)
      parts_.found(view_.cluster()->what);
  }
  // In this order: whoever sees the new lease sees the new registration, too, and waits for its records.
  house_.registration = ++registration_;
  std::fill(told_.begin(), told_.end(), 0);
  hand_out();
  publish_lease();
  spdlog::info("what=registered node={} store={} cluster={} registration={}", options_.node, options_.store,
               options_.cluster, registration_);
}

void member_actor::pause_in(phase next, const std::string& why) {
  phase_ = next;
  not_before_ns_ = now() + options_.retry_ms * ms_ns;
  trouble(why);
}

void member_actor::trouble(const std::string& why) {
  if (why == last_trouble_)
    return;
  last_trouble_ = why;
  signs().failed(why);
  spdlog::warn("what=not_registered node={} reason=\"{}\"", options_.node, why);
}

// -- the lease --------------------------------------------------------------------------------------------------------

void member_actor::renew() {
  if (lease_ == 0 || now() < renew_due_ns_ || renewing_ >= options_.renewals_max)
    return;
  const auto sent = now();
  renew_due_ns_ = sent + options_.lease_ms * ms_ns / 3;
  ++renewing_;
  house_.decide.renew(
      lease_,
      hear<std::chrono::milliseconds>([this, sent, lease = lease_](const outcome<std::chrono::milliseconds>& r) {
        --renewing_;
        (r ? metrics_.lease_renewals : metrics_.lease_renewal_failures).add();
        if (lease != lease_)
          return;
        if (!r && r.error().code == errc::not_found)
          return lose_lease("etcd says so");
        if (!r)
          return signs().failed("renew: " + r.error().message);
        const auto life_ns = int64_t{r->count()} * ms_ns;
        counted_until_ns_ =
            std::max(counted_until_ns_, sent + life_ns - std::max(life_ns / 10, options_.margin_ms_min * ms_ns));
        publish_lease();
      }));
}

void member_actor::check_lease() {
  if (lease_ != 0 && now() >= counted_until_ns_)
    lose_lease("no renewal was answered in time");
}

void member_actor::lose_lease(const char* why) {
  house_.lease_until_ns = 0;
  metrics_.leases_lost.add();
  spdlog::warn("what=lease_lost node={} reason=\"{}\"", options_.node, why);
  lease_ = 0;
  ++attempt_;
  step_busy_ = false;
  not_before_ns_ = 0;
  phase_ = phase::finding;
  advance();
}

void member_actor::publish_lease() { house_.lease_until_ns = phase_ == phase::serving ? counted_until_ns_ : 0; }

} // namespace greenroom::cluster::member
