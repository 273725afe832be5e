// gateway_actor: the inside of the gateway; see gateway.hpp for what it does. gateway.cpp holds the links and what goes
// over them, gateway_hello.cpp how they come up: dialling, and both sides of the hello.
#pragma once

#include "actors/cluster/flow.hpp"
#include "actors/cluster/gateway.hpp"
#include "actors/cluster/wire.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace greenroom::cluster::gateway {

// -- from the gateway to itself ---------------------------------------------------------------------------------------
/// Something was posted.
struct due {
  using local = message_tag;
  uint64_t token = 0; // ours, of the link
};
/// The answer of find_way.
struct way_found {
  using local = message_tag;
  std::string name;
  uint64_t attempt = 0;
  std::optional<endpoint> where;
};
struct tick {
  using local = message_tag;
};

/// The gateway of another node.
using far = caf::typed_actor<caf::reacts_to<wire::hello>, caf::reacts_to<wire::welcome>, caf::reacts_to<wire::refusal>,
                             caf::reacts_to<wire::frame>, caf::reacts_to<wire::credit>, caf::reacts_to<wire::pulse>,
                             caf::reacts_to<wire::bye>>;
using inside = caf::typed_actor<caf::reacts_to<wire::frame>, caf::reacts_to<due>, caf::reacts_to<wire::credit>,
                                caf::reacts_to<tick>, caf::reacts_to<wire::pulse>, caf::reacts_to<wire::hello>,
                                caf::reacts_to<wire::welcome>, caf::reacts_to<wire::refusal>, caf::reacts_to<wire::bye>,
                                caf::reacts_to<way_found>, caf::reacts_to<know>, caf::reacts_to<stop>>;

class gateway_actor : public pooled_actor<inside> {
public:
  gateway_actor(caf::actor_config& cfg, const parts& p);
  behavior_type make_behavior() override;
  void on_exit() override;

private:
  struct link {
    std::shared_ptr<outbox> queue; // the peer, to others
    flow traffic;
    far remote;
    uint64_t token;     // in what comes to us
    uint64_t far_token; // in what goes out
    int64_t heard_ms;
    int64_t said_ms;
  };
  /// A node that we dial.
  struct target {
    enum class stage { idle, asking, connecting, greeting, up };
    known_peer who;
    stage at = stage::idle;
    int64_t due_ms = 0; // idle: when to dial; under way: when to give up
    uint64_t attempt = 0;
    uint64_t incarnation = 0;
    uint64_t token = 0;
    far remote;          // from greeting on
    std::string trouble; // what was logged last, so that each reason is logged once
  };

  // gateway.cpp
  void take(const wire::frame& x);
  void take(const wire::credit& x);
  void take(const wire::pulse& x);
  void take(const wire::bye& x);
  void take(const know& x);
  void look_around();
  void flush(link& l);
  void open(const std::string& name, const std::string& store, uint64_t incarnation, uint64_t token, uint64_t far_token,
            const credits& credit, const far& remote);
  void end(uint64_t token, const std::string& why);
  void lost(const caf::actor_addr& who, const std::string& why);
  void not_understood(const caf::message_view& x);
  link* find(uint64_t token);
  link* link_to(const std::string& name);
  template <class Message>
  void say(link& l, Message x) {
    l.said_ms = now_ms();
    x.token = l.far_token;
    send(l.remote, std::move(x));
  }
  static int64_t now_ms();
  /// For threads that must not keep the gateway alive.
  template <class Message>
  static void tell_weak(const caf::weak_actor_ptr& to, Message x) {
    if (auto strong = to.lock())
      tell(caf::actor_cast<inside>(strong), std::move(x));
  }
  caf::weak_actor_ptr weak() { return caf::weak_actor_ptr{ctrl()}; }

  // gateway_hello.cpp
  void dial(target& t);
  void connect(target& t, const endpoint& where);
  void greet(target& t, const caf::strong_actor_ptr& whom);
  void take(const way_found& x);
  void take(const wire::hello& x);
  void take(const wire::welcome& x);
  void take(const wire::refusal& x);
  void refuse(const wire::hello& x, const std::string& field, const std::string& why, bool lasting);
  void give_up(target& t, uint32_t retry_ms, const std::string& why);
  target* under_way(const std::string& name, uint64_t attempt, target::stage at);
  target* greeted(uint64_t incarnation);
  credits own_credit() const;
  static uint64_t random();

  const parts parts_;
  const link_options& options_;
  link_metrics& metrics_;
  const uint64_t process_;
  uint64_t attempts_ = 0;
  int64_t looked_ms_;
  bool stopping_ = false;
  std::map<std::string, known_peer> known_; // by name, without ourselves
  std::map<std::string, target> targets_;   // those of them that we dial
  std::map<uint64_t, std::unique_ptr<link>> links_;
  struct last_hello {
    uint64_t process;
    uint64_t attempt;
  };
  std::map<std::string, last_hello> hellos_;    // by name
  std::map<std::string, std::string> told_off_; // by name: the refusal that was logged last
};

} // namespace greenroom::cluster::gateway
