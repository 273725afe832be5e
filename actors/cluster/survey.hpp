// survey: who is connected, on all nodes, and what their webhooks have done. One actor per node; it asks the others,
// and answers them for its own connections, which its lanes know, and webhooks, which its pusher knows.
//
// In   ask from requesters; letters and links; the nodes that etcd lists; replies of lanes; tick, stop
// Out  list to the lanes; the answer to each ask: ok::sessions of the other nodes, or why they can't be had
//
// Invariants
// - An answer holds the connections of every other node that etcd lists, of each as many as one page can hold, or it is
//   an error: who counts must not be given less without knowing.
// - No letter is longer than `letter_sessions` sessions; at most `cluster.surveys` are under way, of this node and of
//   others each, and of this node `cluster.surveys_of_all` for all users; none stays for longer than
//   `limits.request_ms`.
// - Without a lease there is no list: the nodes that etcd lists are not known then.
#pragma once

#include "actors/caller.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/cluster/letters.hpp"
#include "actors/cluster/link.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace greenroom::cluster::survey {

/// Sessions in one letter.
inline constexpr size_t letter_sessions = 1'000;

class survey_actor : public hosted_actor<survey_actor, survey_handle> {
public:
  survey_actor(caf::actor_config& cfg, house& in, host& on);

  void receive(const survey_ask& x);
  void receive(const survey_hooks& x);
  void receive(const survey_know& x);
  void receive(const reply& x);
  void receive(const arrived& x);
  void receive(const peer_up& x);
  void receive(const peer_down& x);
  void receive(const survey_tick&);
  void receive(const survey_stop&) { quit(); }

private:
  /// Of a requester here.
  struct open_ask {
    caller from;
    bool of_all = false;
    std::set<std::string> missing; // nodes
    ok::sessions found;
    int64_t since = 0;
    bool of_hooks = false; // instead, what webhooks have done
    ok::webhooks hooks = {};
  };
  /// Of another node: what our lanes say is gathered for it.
  struct guest {
    peer_ptr from;
    uint64_t ticket = 0; // there
    size_t missing = 0;  // lanes
    ok::sessions found;
    int64_t since = 0;
    std::string after;
    uint32_t limit = 0;
  };
  void take(const peer_ptr& from, const list_there& x);
  void take(const peer_ptr& from, const sessions_there& x);
  void take(const peer_ptr& from, const hooks_asked_there& x);
  void take(const peer_ptr& from, const hooks_there& x);
  bool may_begin(const caller& from, bool hooks) const;
  void begin(open_ask a, const survey_letter& what);
  void heard_all(const std::string& node, uint64_t ticket, open_ask& a);
  void lost(const std::string& node);
  void send(const guest& g) const;

  house& house_;
  std::set<std::string> known_; // the other nodes in etcd
  std::map<std::string, peer_ptr> peers_;
  std::unordered_map<uint64_t, open_ask> asks_;
  std::unordered_map<uint64_t, guest> guests_;
  uint64_t next_ticket_ = 0;
};

} // namespace greenroom::cluster::survey
