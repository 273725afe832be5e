// replica: the log of one shard on this node. Wraps `replication` and does what it says: writes to the store, reads of
// the log, letters to the replicas on other nodes, proposals to the member; and gives away snapshots or takes one in.
//
// In   commit from rooms, users and the shard; arrived, peer_up, peer_down from the gateway; record_now, settled,
//      alive, hand_over, put_out from the member; logged, shard_loaded, log_found, snapshot_read from the store's
//      actors; replica_tick
// Out  committed; primary_is, serve, yield to the shard; propose to the member; letters
//
// Invariants
// - A commit is answered when it is applied, in order, or never: after a yield nothing that came before is. One that
//   was prepared in another era than the present one (cluster_house::eras) is passed over.
// - Nothing of the store is believed from a failed write, or the growth of house::era, until the shard was read anew;
//   answers to writes of the time before are passed over.
// - A snapshot replaces what is here only as long as nobody counts on this store, see replication::may_be_installed.
//   From its first piece on the shard holds no truth, on the disk as well, until the last one is there.
//
// Runs on the shard's strand. Handlers answer in the order replication requires: it is told nothing from within its own
// calls.
#pragma once

#include "actors/base.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/cluster/kept_log.hpp"
#include "actors/cluster/letters.hpp"
#include "actors/cluster/replication.hpp"
#include "actors/reader.hpp"
#include "actors/storage_actor.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace greenroom::cluster {

struct replica_options {
  replication_limits limits;
  size_t log_bytes = 4u << 20;     // of the log, kept behind what is applied for stores that lag
  int64_t log_ms = 43'200'000;     // and for how long, a quarter more at most
  size_t piece_bytes = 256u << 10; // of a snapshot in one letter, about
  size_t pieces_under_way = 4;     // of one snapshot
  // Waiting for a node: stores there that lag get one message at a time then, which of 128 shards fits into
  // link_options::queue_bytes.
  size_t crowd_bytes = 8u << 20;
  uint32_t installs_max = 8;           // snapshots that this node sends at once
  int64_t install_silence_ms = 30'000; // a snapshot of which no piece was taken for so long is begun anew, and one
                                       // whose link has ended is kept for so long
  int64_t retry_ms = 100;              // after a failure of the store until the shard is read again; doubles each time,
  int64_t retry_ms_max = 5'000;        // up to this, until something was applied
};

/// To itself: all that was submitted in this burst goes on its way.
struct flush_due {
  using local = message_tag;
};

using replica_interface =
    caf::typed_actor<caf::reacts_to<persist::commit>, caf::reacts_to<persist::logged>, caf::reacts_to<arrived>,
                     caf::reacts_to<flush_due>, caf::reacts_to<record_now>, caf::reacts_to<settled>,
                     caf::reacts_to<alive>, caf::reacts_to<hand_over>, caf::reacts_to<put_out>, caf::reacts_to<peer_up>,
                     caf::reacts_to<peer_down>, caf::reacts_to<shard_loaded>, caf::reacts_to<log_found>,
                     caf::reacts_to<snapshot_read>, caf::reacts_to<replica_tick>, caf::reacts_to<replica_stop>>;

class replica_actor : public hosted_actor<replica_actor, replica_interface>, private replication::outside {
public:
  /// REQUIRES: in.cluster is there; `shard` stands on the same strand.
  replica_actor(caf::actor_config& cfg, house& in, shard_id id, replicated shard, replica_options options);

  // Messages.
  void receive(const persist::commit& x);
  void receive(const persist::logged& x);
  void receive(const arrived& x);
  void receive(const flush_due&);
  void receive(const record_now& x);
  void receive(const settled&) { replication_.settled(); }
  void receive(const alive& x) { replication_.alive(*x.stores); }
  void receive(const hand_over& x) { replication_.move_to(x.to); }
  void receive(const put_out& x) { replication_.put_out(x.store); }
  void receive(const peer_up& x);
  void receive(const peer_down& x);
  void receive(const shard_loaded& x);
  void receive(const log_found& x);
  void receive(const snapshot_read& x);
  void receive(const replica_tick&);
  void receive(const replica_stop&) { quit(); }

  void on_exit() override;

private:
  enum class phase : uint8_t { down, loading, up };
  /// A batch on its way; `index` is its place in the log.
  struct waiting {
    uint64_t index = 0;
    uint64_t token = 0;
    committer to;
  };
  /// A write under way to the storage actor.
  struct writing {
    enum class kind : uint8_t { append, begin, piece, end };
    uint64_t token = 0;
    kind what = kind::append;
    uint64_t transfer = 0; // of a snapshot
    uint64_t number = 0;   // of a piece
  };
  struct applying {
    uint64_t token = 0;
    uint64_t upto = 0;
  };
  struct reading {
    uint64_t token = 0;
    uint64_t after = 0;
    bool failed = false;
  };
  /// A snapshot on its way to a learner. It outlives the link: what was not answered goes once more over the next one.
  struct outgoing {
    uint64_t transfer = 0; // 0: waits for its turn
    uint64_t epoch = 0;
    uint64_t read = 0;                         // pieces
    std::deque<install_piece> unanswered = {}; // of those, at most pieces_under_way
    bool is_reading = false;
    bool broken_off = false; // by the end of a link
    int64_t heard_ms = 0;

    bool all_read() const noexcept { return !unanswered.empty() && unanswered.back().last; }
  };
  /// A snapshot on its way in. It outlives the link. An epoch has one primary and that one process, which never gives a
  /// transfer's number twice: by those two it is known.
  struct incoming {
    store_id from;
    uint64_t epoch = 0;
    uint64_t transfer = 0;
    uint64_t next = 0;                    // number of the piece that follows
    uint64_t stored = 0;                  // pieces on the disk
    bool begun = false;                   // the mark is on the disk
    bool complete = false;                // all of it is; the shard is being read
    std::vector<install_piece> held = {}; // until it has begun

    bool is_of(const peer_ptr& who, const install_piece& x) const {
      return from == who->store && epoch == x.epoch && transfer == x.transfer;
    }
  };

  void start() override;
  void on_failure() override;

  // replication::outside
  void write(std::optional<uint64_t> cut_after, const std::vector<log_entry>& entries) override;
  void apply(const std::vector<log_entry>& entries) override;
  void read_log(const store_id& whom, uint64_t index) override;
  void send(const store_id& to, const append& what) override { post(to, what); }
  void send(const store_id& to, const appended& what) override { post(to, what); }
  bool is_crowded(const store_id& to) const override;
  void install(const store_id& to) override;
  void propose(const shard_record& wanted, int64_t revision) override;
  void serve(uint64_t epoch) override;
  void yield() override;

  void load();
  void lose_store();
  uint64_t give_to_store(std::vector<storage::mutation> what);
  void post(const store_id& to, const replica_letter& what, channel by = channel::control);
  void answer_commits();
  void forget_commits();
  void ask_for_log(reading& r);
  void count_role();

  // Snapshots (replica_install.cpp).
  void take(const peer_ptr& from, const append& x) { replication_.receive(from->store, x); }
  void take(const peer_ptr& from, const appended& x) { replication_.receive(from->store, x); }
  void take(const peer_ptr& from, const install_piece& x);
  void take(const peer_ptr& from, const installed_piece& x);
  bool begin_install(const peer_ptr& from, const install_piece& x);
  void put(const install_piece& x);
  void installed_write(const writing& w);
  void drop_incoming();
  void break_off(const store_id& to);
  void tend_installs();
  void trim_old(int64_t now);
  void read_piece(outgoing& o);
  void release(outgoing& o);

  house& house_;
  cluster_house& cluster_;
  const shard_id id_;
  const replicated shard_;
  const replica_options options_;
  replication replication_;
  kept_log kept_;
  std::map<store_id, peer_ptr> peers_;

  phase phase_ = phase::down;
  uint64_t era_ = 0;  // of the house, when the shard was read
  uint64_t life_ = 0; // grows whenever it is read
  int64_t retry_at_ms_ = 0;
  int64_t retry_ms_;
  uint64_t last_token_ = 0;
  std::deque<writing> writes_;
  std::deque<applying> applies_;
  std::map<store_id, reading> reads_;

  std::deque<waiting> commits_;
  bool flush_armed_ = false;
  bool serves_ = false;
  bool counted_leading_ = false;
  bool counted_short_ = false;
  std::optional<std::pair<uint64_t, store_id>> named_; // primary, as the shard was told

  std::map<store_id, outgoing> outgoing_;
  std::optional<incoming> incoming_;
  std::pair<uint64_t, uint64_t> begun_install_; // epoch and transfer of the newest one that was begun here
};

} // namespace greenroom::cluster
