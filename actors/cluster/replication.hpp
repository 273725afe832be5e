// replication: the log of one shard on one store: what to append, acknowledge, commit, cut off and apply, as a primary
// or behind one. A plain state machine: it is told what happened and says what is to be done, it waits for nothing and
// knows neither actors nor clocks. The protocol and the reasons for its rules are in README.md. It is primary-backup as
// in PacificA (Lin et al., MSR-TR-2008-25), with the log matching of Raft (Ongaro and Ousterhout, 2014, section 5.3).
//
// Invariants
// - What was submitted is applied in the order of submission, and only after every store that must have it has said so.
// - After yield() nothing that was submitted before is reported as applied.
// - What is not applied yet is held in memory; beyond that up to `memory_bytes` for those who lag behind.
#pragma once

#include "actors/cluster/records.hpp"
#include "storage/log.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace greenroom::cluster {

using storage::log_entry;
using storage::log_position;

// -- between replicas ------------------------------------------------------------------------------------------------
/// From the primary: entries that follow on `before`, or none, to find out where the other one is.
struct append {
  uint64_t epoch = 0;
  log_position before;
  std::vector<log_entry> entries;
  uint64_t committed = 0;
};
/// The answer.
struct appended {
  enum class verdict : uint8_t {
    matched,    // synced, and like the primary's log up to `index`
    mismatch,   // `before` is not in the log; the next place to ask for is `index`, where an entry of `there` stands
    stale,      // there is a newer epoch
    installing, // waits for a snapshot
  };
  uint64_t epoch = 0; // of the append; if stale, the newer one
  verdict what = verdict::matched;
  uint64_t index = 0;
  uint64_t there = 0;
};

struct replication_limits {
  size_t message_bytes = 256u << 10; // of entries in one append, about; one entry goes in any case
  size_t window_bytes = 4u << 20;    // under way to one other store
  size_t memory_bytes = 64u << 10;   // applied entries that are kept in memory for others; who lags more reads the log
  uint64_t bunch_entries = 64;       // committed ones that a backup gathers before it applies them; each tick does, too
  uint64_t catch_up_entries = 64;    // a learner that is at most so far behind is waited for, then taken in
  int64_t heartbeat_ms = 500;        // an append without entries, where there is nothing else to say
  int64_t lease_ms = 3'000;          // who says nothing, or comes no nearer, for so long is put out of in_sync
  size_t min_in_sync = 2;            // in_sync is not made smaller; one that is smaller stays as it is
};

class replication {
public:
  /// What is to be done. Called from within the functions of replication; answers come later.
  class outside {
  public:
    virtual ~outside() = default;
    /// Cuts the log behind `cut_after`, if given, and appends; synced. Answered by stored(), in order.
    virtual void write(std::optional<uint64_t> cut_after, const std::vector<log_entry>& entries) = 0;
    /// Answered by applied(), in order.
    virtual void apply(const std::vector<log_entry>& entries) = 0;
    /// Entries after `index` are wanted for `whom`. Answered by log_read().
    virtual void read_log(const store_id& whom, uint64_t index) = 0;
    virtual void send(const store_id& to, const append& what) = 0;
    virtual void send(const store_id& to, const appended& what) = 0;
    /// Whether so much waits for that node, of all shards, that one more store which lags should wait.
    virtual bool is_crowded(const store_id& to) const = 0;
    /// Sends `to` a snapshot. Answered by installed().
    virtual void install(const store_id& to) = 0;
    /// A compare-and-swap of the record at `revision`, repeated until its outcome is known. Answered by record() with
    /// what stands there then, and after it by settled().
    virtual void propose(const shard_record& wanted, int64_t revision) = 0;
    /// The shard may be used from now on: everything committed is applied.
    virtual void serve(uint64_t epoch) = 0;
    /// No longer. May be said again.
    virtual void yield() = 0;
  };

  replication(store_id self, replication_limits limits, outside& out);

  // From the store.
  /// The log has been read, at the start or after a failure; `tail` holds what is not applied.
  void loaded(const storage::shard_state& state, std::vector<log_entry> tail);
  /// The oldest write() that was not answered is synced.
  void stored();
  /// apply() has been done up to this index, in one write with the index itself.
  void applied(uint64_t index);
  /// A write failed: what the log holds is unknown until loaded(). A primary asks that another be named.
  void store_failed();
  /// `entries` follow on `before`; nullopt: they are not kept any more.
  void log_read(const store_id& whom, const std::optional<std::pair<log_position, std::vector<log_entry>>>& found);

  // From those who decide.
  /// What stands in etcd; one that is older than what is known is passed over.
  void record(const shard_record& now, int64_t revision);
  /// The outcome of propose() is known: record() said it.
  void settled();
  /// What the cluster was founded with.
  void min_in_sync(size_t members) noexcept { limits_.min_in_sync = members; }
  /// Stores whose nodes are alive.
  void alive(std::vector<store_id> stores) { alive_ = std::move(stores); }

  // From other replicas.
  /// Of a link, in order. What is of another epoch, or does not fit, is answered or passed over.
  void receive(const store_id& from, const append& x);
  void receive(const store_id& from, const appended& x);
  /// The link to the store is new, or gone: what was under way is lost.
  void link(const store_id& to, bool up);
  /// The end of install(): the store holds the whole snapshot, or does not.
  void installed(const store_id& by, bool done);

  /// Numbers a batch and sends it on its way; 0: this store does not serve.
  uint64_t submit(std::shared_ptr<const std::string> batch);
  /// Sends what was submitted since. After each burst of submissions.
  void flush();
  /// `now_ms` of a clock that never goes back, several times per heartbeat.
  void tick(int64_t now_ms);
  /// Hands the shard over to a member of in_sync: nothing is admitted any more, what was is finished first.
  void move_to(const store_id& next);
  /// Names the successor, if everything admitted is applied. After applied(), when all that was applied is answered.
  void finish_move();
  /// Takes a member out of in_sync and replicas, if enough stay. It has nothing to wait for: the others have all that
  /// is committed.
  void put_out(const store_id& whom);

  bool serving() const noexcept { return role_ == role::serving; }
  uint64_t epoch() const noexcept { return epoch_; }
  const shard_record& record() const noexcept { return record_; }
  log_position last() const noexcept { return last_; }
  uint64_t committed() const noexcept { return committed_; }
  uint64_t applied_index() const noexcept { return applied_.index; }
  /// On how many stores everything committed now is synced.
  size_t copies() const noexcept { return record_.in_sync.size(); }
  /// Whether it is the primary, be it not yet or no longer serving.
  bool is_leading() const noexcept {
    return role_ == role::recovering || role_ == role::serving || role_ == role::leaving;
  }
  /// Whether install() for that store still holds.
  bool installs(const store_id& to) const {
    auto f = followers_.find(to);
    return is_leading() && f != followers_.end() && f->second.how == follower::mode::installing;
  }
  /// Whether that store may yet be found to need a snapshot: where it is has not been said since the link was there,
  /// and its node has not gone by etcd's word.
  bool may_install(const store_id& to) const;
  /// Whether a snapshot of a primary of `epoch` may replace what is here. A store on which others count is never to be
  /// dropped, whoever says so.
  bool may_be_installed(uint64_t epoch) const;
  /// How far another store is, as the primary knows.
  uint64_t matched(const store_id& by) const;

private:
  enum class role : uint8_t {
    unknown,    // the log has not been read
    following,  // somebody else's word counts
    renewing,   // named as primary of an epoch that is not ours to use; asks for the next one
    recovering, // primary, not yet sure of its log
    serving,
    leaving, // primary that has stopped
  };
  struct follower {
    enum class mode : uint8_t { unlinked, probing, streaming, reading, installing };
    mode how = mode::unlinked;
    uint64_t matched = 0; // in this epoch
    uint64_t next = 1;
    std::deque<std::pair<uint64_t, size_t>> flight; // last index and size of each message under way
    size_t flight_bytes = 0;
    int64_t heard_ms = 0;
    int64_t moved_ms = 0; // when it last had all, or came nearer to that
    int64_t sent_ms = 0;
    uint64_t told = 0; // committed, as it was sent last
    /// An entry that it has to write before it may join: its disk must do more than be read. 0: none yet.
    uint64_t test = 0;
  };
  /// A write of ours that is under way.
  struct writing {
    struct answer {
      store_id to;
      uint64_t epoch = 0;
      uint64_t index = 0;
    };
    uint64_t index = 0; // the log's end then
    std::vector<answer> answers;
  };

  static size_t size_of(const log_entry& e);
  static bool contains(const std::vector<store_id>& list, const store_id& s);

  void lead();
  void step_down();
  void follow_record();
  void propose(shard_record wanted);
  bool put_out_silent();
  void take_in();
  void choose_learner();
  void name_another();
  void give_up(shard_record& wanted) const;
  void append_own(std::shared_ptr<const std::string> batch);
  void advance();
  void apply_committed();
  void apply_bunch();
  void cut(uint64_t after);
  void feed(const store_id& to, follower& f);
  void probe(const store_id& to, follower& f);
  uint64_t last_index_of(uint64_t epoch, uint64_t index, uint64_t least) const;
  void install(const store_id& to, follower& f);
  void send(const store_id& to, follower& f, append what, size_t bytes);
  void start(const store_id& to, follower& f);
  std::optional<log_position> position_of(uint64_t index) const;
  const log_entry& entry(uint64_t index) const { return tail_[index - tail_.front().at.index]; }
  void forget_old();
  bool is_lost(const store_id& s, const follower& f) const;

  const store_id self_;
  replication_limits limits_;
  outside& out_;
  role role_ = role::unknown;
  int64_t now_ms_ = 0;

  shard_record record_;
  int64_t revision_ = 0;
  std::optional<shard_record> proposed_;
  // Primary of this epoch, or an earlier one, is nothing to build on: numbers may have been given out that the log does
  // not know.
  uint64_t spent_epoch_ = 0;
  std::vector<store_id> alive_;
  std::map<store_id, bool> linked_;

  uint64_t epoch_ = 0;  // the highest that is known
  log_position before_; // what precedes the tail
  std::deque<log_entry> tail_;
  size_t tail_bytes_ = 0;
  log_position last_;
  uint64_t durable_ = 0;
  uint64_t committed_ = 0;
  uint64_t applying_ = 0; // handed out to be applied
  log_position applied_;
  bool installing_ = false;
  std::deque<writing> writes_;
  std::vector<log_entry> unsent_; // numbered, not yet written: one write per burst

  std::map<store_id, follower> followers_;
  // Not in replicas any more, and told to install in this epoch, on a link that is there yet: it may drop what it has
  // at any time. If it comes back, nothing that it says counts before it has installed.
  std::set<store_id> left_installing_;
  uint64_t barrier_ = 0;            // the empty entry of this epoch
  std::optional<store_id> joining_; // a learner that commits wait for already
  store_id successor_;
  int64_t asked_ms_ = 0;       // when the record was asked to name it
  bool wants_another_ = false; // our log failed while we were the primary
};

} // namespace greenroom::cluster
