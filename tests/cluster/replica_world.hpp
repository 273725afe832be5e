// replica_world: one shard on several nodes, each with a real store, its storage actor, a reader and a replica, all on
// CAF's deterministic scheduler; links that are queues, an etcd that is one record, clocks that move when told.
#pragma once

#include "actors/cluster/replica.hpp"
#include "actors/house.hpp"
#include "tests/support/faulty_env.hpp"
#include "tests/support/temporary_directory.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace greenroom::cluster::test {

class replica_world;

/// What the shard, a room and the member are told; owned by the world, so that it outlives the actor.
struct told {
  std::vector<uint64_t> served; // epochs
  size_t yields = 0;
  bool serves = false; // as the last of both says
  std::optional<primary_is> primary;
  std::vector<greenroom::committed> ended;
  std::deque<propose> proposals;
  std::vector<persist::logged> logged;
};
using ear = caf::typed_actor<caf::reacts_to<primary_is>, caf::reacts_to<serve>, caf::reacts_to<yield>,
                             caf::reacts_to<greenroom::committed>, caf::reacts_to<propose>, caf::reacts_to<etcd_says>,
                             caf::reacts_to<persist::logged>, caf::reacts_to<member_tick>, caf::reacts_to<member_stop>>;

/// A node. Its directory stays when its process ends.
class replica_node {
public:
  replica_node(replica_world& in, std::string name);
  ~replica_node();

  void open();
  void start();
  void stop();
  bool is_running() const { return home != nullptr; }
  bool serves() const { return is_running() && heard.serves; }

  /// Commits a message of the room; answers its token.
  uint64_t commit(uint64_t seq, const std::string& text = "hello");
  /// The same, prepared in another era.
  uint64_t commit(uint64_t seq, const std::string& text, uint64_t era);
  /// How many commits were answered.
  size_t ended() const { return heard.ended.size(); }
  std::vector<uint64_t> seqs() const;
  storage::shard_state state() const;
  /// All that the store holds of the shard, with the position.
  std::string contents() const;

  const std::string name;
  greenroom::testing::faulty_env disk;
  greenroom::metrics figures;
  told heard;
  std::unique_ptr<storage::store> store;
  std::unique_ptr<house> home;
  replica_handle replica;
  store_id id;

  /// What stands for the shard, its rooms and the member.
  ear ear_of_all;

private:
  replica_world& world_;
  uint64_t last_token_ = 0;
};

class replica_world {
public:
  explicit replica_world(const std::vector<std::string>& names, replica_options options = {});
  ~replica_world();

  replica_node& operator[](const std::string& name) { return *nodes.at(name); }
  /// Founds the shard on the stores of `in_sync`, the first of which is primary, and starts everybody.
  void found(const std::vector<std::string>& in_sync);
  void start(const std::string& name);
  void stop(const std::string& name);
  /// What can move does, until nothing is left; time stands still.
  void run();
  /// The same while time goes by, in ticks.
  void pass(int64_t ms);
  /// Passes time until it holds, at most `ms`. Answers whether it does.
  bool until(const std::function<bool()>& holds, int64_t ms = 60'000);
  /// Passes time until this node serves; the test fails if it does not.
  void serve_on(const std::string& name);
  /// Whether all running nodes hold the same, and have all of it applied.
  bool alike() const;
  void link(const std::string& a, const std::string& b, bool up);
  void write_record(const std::function<void(shard_record&)>& change);
  bool in_sync(const std::string& name) const;
  /// As if `from` had sent it.
  void inject(const std::string& from, const std::string& to, std::string bytes);
  /// Commits what no store can apply to this shard.
  void inject_misfit(const std::string& on);

  shard_record record;
  int64_t revision = 0;
  bool etcd_answers = true;
  bool bulk_flows = true;                   // else letters of that channel wait
  std::optional<size_t> pieces_to_flow;     // that many more of a snapshot, then the channel stands still
  std::optional<install_piece> first_piece; // the newest that was delivered
  bool answers_lost = false;                // those to pieces
  size_t piece_to_damage = 0;               // the nth from now on; 0: none
  int64_t now = 1'000'000;
  const replica_options options;
  const room_id room = room_id::trusted("lobby");
  const shard_id shard = room.shard();
  settings config;
  std::map<std::string, std::unique_ptr<replica_node>> nodes;
  std::map<std::string, size_t> pieces;           // of snapshots, by who got them
  std::map<std::string, uint64_t> most_under_way; // pieces sent and not answered, by who gets them

private:
  friend class replica_node;
  using letter_box = std::array<std::deque<letter>, channels>;
  class test_peer;
  /// One direction of a link.
  struct way {
    std::shared_ptr<const test_peer> to; // as its sender sees it
    std::shared_ptr<letter_box> waiting;
  };

  bool deliver();
  bool decide();
  void tell_record(replica_node& to);
  caf::scheduler::test_coordinator& scheduler();

  greenroom::test::temporary_directory directory_;
  std::unique_ptr<caf::actor_system_config> caf_config_;
  std::unique_ptr<caf::actor_system> system_;
  std::map<std::pair<std::string, std::string>, way> ways_; // both directions of each link
  std::map<std::string, uint64_t> answered_;                // pieces, by who took them
  uint64_t incarnations_ = 0;
};

} // namespace greenroom::cluster::test
