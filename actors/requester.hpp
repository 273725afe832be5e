// requester: asks rooms and users on behalf of REST. One per lane, hosted on it, so that answers come back on the
// thread of the HTTP session.
//
// In   perform (a call), reply
// Out  commands to rooms and users; the call's `done`, exactly once
//
// Invariants
// - Nothing is done in the name of a revoked session: the user is asked first.
// - Every call ends at the latest after limits.request_ms. At most limits.rest_requests are under way; who calls is
//   one HTTP connection each, so that the mailbox has no need of a bound.
#pragma once

#include "actors/caller.hpp"
#include "actors/timer_wheel.hpp"

#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>

namespace greenroom {

struct house;

namespace requester {

/// `done` is called on the lane's thread, at the latest after limits.request_ms, then with unavailable.
struct call {
  identity who;
  std::variant<op::any, account::any, admin::any> what;
  std::function<void(answer)> done;
};
struct perform {
  using local = message_tag;
  std::shared_ptr<call> what;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<perform>, caf::reacts_to<reply>, caf::reacts_to<stop>>;

class requester_actor : public lane_actor<requester_actor, handle> {
public:
  requester_actor(caf::actor_config& cfg, house& in, lane& on);
  void on_exit() override;

  // Messages.
  void receive(const perform& x);
  void receive(const reply& x);
  void receive(const stop&);

private:
  struct open_call {
    std::shared_ptr<call> what;
    ok::webhooks webhooks; // gathered likewise
    bool vouched = false;  // the session is known to be good
    size_t missing = 1;    // replies that are still to come
    ok::sessions sessions; // gathered from lanes and other nodes
    int64_t deadline = 0;  // of house::steady_ms
  };
  void go(uint64_t ticket, open_call& c);
  void go(uint64_t ticket, open_call& c, const op::any& what);
  void go(uint64_t ticket, open_call& c, const account::any& what);
  void erase(uint64_t ticket, open_call& c, const account::erase& x);
  void look_into(uint64_t ticket, open_call& c, const account::look_into& x);
  void go(uint64_t ticket, open_call& c, const admin::any& what);
  void list(uint64_t ticket, open_call& c, const account::list_sessions& x);
  template <class Command>
  user::ask user_command(uint64_t ticket, const user_id& user, Command what);
  template <class Command>
  void ask_user(uint64_t ticket, const user_id& user, Command what);
  void finish(uint64_t ticket, answer what);
  void sweep();
  caller as_caller(uint64_t ticket, const user_id& user);

  house& house_;
  std::unordered_map<uint64_t, open_call> calls_;
  uint64_t next_ticket_ = 0;
  timer_wheel::entry sweep_;
};

} // namespace requester
} // namespace greenroom
