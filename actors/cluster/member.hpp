// member: this node's part in etcd: its lease and its key there, what it and its replicas hear of the records, and what
// they want changed. As long as it holds the controller's key, what the controller does, too.
//
// In   propose from replicas; member_stop; etcd's answers, and a tick
// Out  record_now, settled, alive, hand_over and put_out to the replicas; the nodes to the gateway;
//      house.lease_until_ns; that the node drains, and that it has drained, to whoever started it
//
// The life of a registration: find the cluster's record, be granted a lease, write the node's key under it, and read
// all records after that. Only then the lease counts for reads (cluster_house::lease_until_ns). A lease that has ended,
// by etcd's word or by our own count, does not come back: all of it begins anew. It is not revoked then: as long as the
// key is still there under the old lease it is overwritten, and nothing moves because etcd was slow.
//
// Invariants
// - lease_until_ns is never past the moment the last answered renewal was sent, plus its time to live, less the margin;
//   and it is 0 from the loss of a registration until the records were read under the next one.
// - No record_now before the first listing that followed this process's own registration.
// - Each propose is settled once, and not before its outcome is known: the same request is made until then.
// - house.registration grows before record_now carries it, and that before lease_until_ns.
// - A process that was told to drain drains until its end, also under another lease.
//
// Runs on a host of its own: nothing here blocks. etcd's thread only puts what it hears into the mailbox.
#pragma once

#include "actors/base.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/cluster/controller.hpp"
#include "actors/cluster/member_metrics.hpp"
#include "actors/cluster/view.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace greenroom::cluster::member {

/// What the member's clock counts, in a millisecond.
inline constexpr int64_t ms_ns = 1'000'000;

/// CLOCK_BOOTTIME, in nanoseconds: goes on while the machine sleeps (clock_gettime(2)).
int64_t boottime_ns() noexcept;

struct options {
  std::string cluster; // its name
  std::string node;
  store_id store;
  std::string zone;    // empty: none
  std::string address; // of the links: host:port
  std::string version;
  uint32_t lease_ms = 3'000;
  uint32_t margin_ms_min = 100;       // of the lease, that we don't count on; or a tenth of it, if that is more
  uint32_t tick_ms = 50;              // how precisely all this is kept
  uint32_t retry_ms = 500;            // after a failure
  uint32_t controller_ms = 500;       // between looks at everything, when nothing has changed
  uint32_t request_repeat_ms = 2'000; // a request that had no effect is told to the replica again
  uint32_t stop_ms = 2'000;           // for giving the lease back
  uint32_t renewals_max = 4;          // under way
  uint32_t proposals_max = 32;        // under way; the rest wait, one for each replica at most
  uint32_t drain_ms = 120'000;        // at most, from the order to the end
  uint32_t drain_notice_ms = 10'000;  // at least, so that whoever asks /readyz has seen it
  uint32_t drain_report_ms = 1'000;   // between two reports of how many connections are left
  /// At least, after the last shard has been handed over: so that who asks etcd now and then sees that, and that what
  /// was answered last arrives before the links end.
  uint32_t drain_linger_ms = 1'500;
  controller_options control;
};

struct parts {
  member::options options;
  cluster_house& house; // its replicas are there already
  directory& living;
  member_metrics& metrics;
  /// All nodes in etcd, as often as they change; for the gateway. May be null; must not block.
  std::function<void(std::vector<known_peer>)> know;
  /// Once, before the first record_now: what the cluster is. May be null; must not block.
  std::function<void(const cluster_record&)> found;
  std::function<int64_t()> now_ns = boottime_ns;
  /// Once: the node is to drain, clients are to be sent away. May be null; must not block.
  std::function<void()> drains = nullptr;
  /// How many clients there are yet. May be null: none.
  std::function<uint64_t()> connections = nullptr;
  /// Once, after drains: there is nothing left to wait for, or the time is over. May be null; must not block.
  std::function<void()> drained = nullptr;
};

class member_actor : public hosted_actor<member_actor, member_handle> {
public:
  member_actor(caf::actor_config& cfg, host& on, parts p);

  void receive(const propose& x);
  void receive(const etcd_says& x);
  void receive(const member_tick&);
  void receive(const member_stop&);
  void on_exit() override;

private:
  enum class phase : uint8_t { finding, granting, joining, confirming, serving, stopping };

  /// The way from etcd's thread into the mailbox; closed when the actor ends, so that late answers find nobody.
  class mouth {
  public:
    explicit mouth(member_handle to) : to_(std::move(to)) {}
    void say(std::function<void()> what);
    void close();

  private:
    std::mutex mutex_;
    member_handle to_;
  };

  struct proposal {
    propose what;
    bool under_way = false;
    int64_t not_before_ns = 0;
  };

  void start() override;
  template <class T, class F>
  agreement::handler<T> hear(F then);
  /// As hear(), but not if the registration has begun anew meanwhile.
  template <class T, class F>
  agreement::handler<T> hear_step(F then);
  int64_t now() const { return parts_.now_ns(); }

  // -- the registration (member.cpp)
  void advance();
  void find();
  bool founded();
  void grant();
  void join();
  void confirm();
  void serve();
  void pause_in(phase next, const std::string& why);
  void trouble(const std::string& why);
  void renew();
  void check_lease();
  void lose_lease(const char* why);
  void publish_lease();
  bool key_is_ours() const;

  // -- what is told to others (member_records.cpp)
  void changed();
  void hand_out();
  void tell_nodes();
  void tell_requests();
  void tell_record(shard_id shard, shard_record what, int64_t revision, uint64_t registration);
  void pump_proposals();
  void proposal_answered(uint64_t number, uint64_t registration, const outcome<committed>& r);
  void settle(std::map<uint64_t, proposal>::iterator which);
  void control();
  void claim();

  // -- the end of the node's work (member_drain.cpp)
  void look_for_drain();
  void drain();
  void report_drain(uint64_t connections);
  size_t shards_led() const;

  const parts parts_;
  const options& options_;
  cluster_house& house_;
  member_metrics& metrics_;
  std::shared_ptr<mouth> mouth_;
  std::shared_ptr<void> watch_;
  cluster_view view_;

  phase phase_ = phase::finding;
  uint64_t attempt_ = 0;      // answers to steps of an older one are passed over
  bool step_busy_ = false;    // the phase's request is under way
  int64_t not_before_ns_ = 0; // the phase's next request
  std::string cluster_id_;    // empty: not found yet
  std::string last_trouble_;

  int64_t lease_ = 0;
  int64_t registered_lease_ = 0; // that the node's key was written under last
  int64_t counted_until_ns_ = 0; // the lease's end by our own count
  int64_t renew_due_ns_ = 0;
  uint32_t renewing_ = 0;
  uint64_t registration_ = 0;
  uint32_t revoking_ = 0;
  int64_t stop_due_ns_ = 0;

  std::vector<int64_t> told_; // by shard: the revision that the replica was told
  std::vector<known_peer> told_nodes_;
  std::shared_ptr<const std::vector<store_id>> told_alive_;
  struct told_request {
    int64_t revision = 0;
    int64_t again_ns = 0;
  };
  std::map<uint32_t, told_request> told_requests_;
  std::map<uint64_t, proposal> proposals_; // by number, in the order they came
  uint64_t last_proposal_ = 0;
  uint32_t proposing_ = 0;

  controller controller_;
  bool controlling_ = false;
  bool claiming_ = false;
  int64_t control_due_ns_ = 0;
  int64_t claim_due_ns_ = 0;

  int64_t drains_since_ns_ = 0; // 0: the node does not drain
  int64_t drain_led_ns_ = 0;    // when it led something last
  bool drained_ = false;        // and whoever started it knows
  uint64_t reported_ = 0;       // connections, to etcd
  bool reporting_ = false;
  int64_t report_due_ns_ = 0;
};

template <class T, class F>
agreement::handler<T> member_actor::hear(F then) {
  return [mouth = mouth_, then = std::move(then)](outcome<T> r) {
    mouth->say([then, r = std::make_shared<const outcome<T>>(std::move(r))] { then(*r); });
  };
}

template <class T, class F>
agreement::handler<T> member_actor::hear_step(F then) {
  step_busy_ = true;
  return hear<T>([this, then = std::move(then), mine = attempt_](const outcome<T>& r) {
    if (mine != attempt_)
      return;
    step_busy_ = false;
    then(r);
  });
}

} // namespace greenroom::cluster::member
