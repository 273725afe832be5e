// scene: a whole node of actors on CAF's deterministic scheduler, on a real store in a temporary directory, with lanes
// that run when told to and clients that only record. One message at a time; clocks move when told.
//
// An encoder that writes for people takes the place of the codec: an answer is "1 sent lobby#3", an error
// "1 not_member", an event "lobby#3 bob: hi".
#pragma once

#include "actors/connection.hpp"
#include "actors/house.hpp"
#include "actors/requester.hpp"
#include "tests/support/faulty_env.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace greenroom::testing {

class readable : public encoder {
public:
  frame answer(std::optional<int64_t> re, const greenroom::answer& what) const override;
  frame event(const room_id& room, const storage::event& e) const override;
  frame subscribed(const room_id& room, const position& from) const override;
  frame typing(const room_id& room, const user_id& user, bool on) const override;
  frame ephemeral(const room_id& room, const user_id& from, int64_t ts, std::string_view text,
                  std::string_view data) const override;
  frame read(const room_id& room, const user_id& user, uint64_t seq, bool arrived) const override;
  frame presence(const presence_news& news) const override;
  frame signal(const user_id& from, std::string_view data) const override;
  frame expiring(int64_t expires_at) const override;
  frame goaway(uint32_t reconnect_ms, std::string_view reason) const override;
};

/// The token "alice" is alice's, in the session "s_alice"; "alice/x" is alice's in the session "s_x"; "alice#acme,beta"
/// opens the rooms of two namespaces only.
class plain_tokens : public token_verifier {
public:
  explicit plain_tokens(const int64_t& clock) : clock_(clock) {}
  outcome<identity> verify(std::string_view token) const override;
  int64_t lifetime_ms = 3'600'000;

private:
  const int64_t& clock_;
};

/// A web that answers when the test says so.
class told_web : public http_client {
public:
  struct asked {
    http_post what;
    std::function<void(outcome<http_answer>)> done;
    bool answered = false;
  };
  void post(http_post what, std::function<void(outcome<http_answer>)> done) override {
    posts.push_back({std::move(what), std::move(done)});
  }
  /// The bodies of those that have not been answered.
  std::vector<std::string> open() const {
    std::vector<std::string> bodies;
    for (const auto& p : posts)
      if (!p.answered)
        bodies.push_back(p.what.body);
    return bodies;
  }

  std::deque<asked> posts;
};

/// "audit lobby 1-3: 2 bob: hi", and "lobby bob: hi"; answers are "allow", "reject WHY" and "replace TEXT".
class plain_wire : public hooks::hook_wire {
public:
  std::string delivery(const hooks::delivery& x) const override;
  std::string question(const hooks::question& x) const override {
    constexpr const char* what[] = {" ", " in passing ", " edits "};
    auto asked = x.room.str() + what[static_cast<size_t>(x.what)] + x.from.str() + ": " + x.text;
    for (const auto& file : x.attachments)
      asked += " [" + file.name + " " + std::to_string(file.size) + "]";
    return asked + (x.scheduled ? " (scheduled)" : "");
  }
  hooks::verdict read_verdict(unsigned status, std::string_view body, const hooks::question& to,
                              const limits& bounds) const override;
};

/// A socket that remembers.
class recorder : public transport {
public:
  bool write(const frame& bytes, delivery how) override;
  void hold(bool on) override { held = on; }
  void close(close_code code, std::string_view) override { closed = code; }
  size_t queued_bytes() const noexcept override { return queued; }

  std::vector<std::string> frames;
  std::optional<close_code> closed;
  bool held = false;
  size_t queued = 0;   // what it claims to hold
  bool full = false;   // refuses reliable frames
  bool broken = false; // throws
};

class scene;

/// One client's connection, in the words of the protocol.
class person {
public:
  person(scene& in, std::string name, uint32_t lane);
  /// What came since the last look.
  std::vector<std::string> heard();
  recorder& socket() { return *socket_; }
  /// Asks and waits until nothing moves any more.
  person& hello(std::string token = {}, op::hello rest = {});
  person& ask(int64_t id, op::any what);
  /// Asks and lets nothing run yet.
  person& ask_later(int64_t id, op::any what);
  person& create(std::string room, storage::room_kind kind = storage::room_kind::public_);
  person& join(std::string room, std::optional<position> resume = std::nullopt);
  person& say(std::string room, std::string text, std::string key = {});
  person& say_later(std::string room, std::string text, std::string key = {});
  void garble(bool not_an_object);
  void drained();
  void hang_up();
  int64_t last_id() const { return next_id_ - 1; }

private:
  scene* scene_;
  std::string name_;
  std::shared_ptr<recorder> socket_;
  std::unique_ptr<client> client_;
  size_t looked_at_ = 0;
  int64_t next_id_ = 1;
  int next_key_ = 1;
};

class scene {
public:
  explicit scene(const std::function<void(settings&)>& adjust = {});
  ~scene();

  person enter(std::string name, uint32_t lane = 0) { return person{*this, std::move(name), lane}; }
  /// A REST call on lane 0; lets nothing run yet. `user` may name namespaces as plain_tokens do.
  void perform_later(const std::string& user, decltype(requester::call::what) what, std::function<void(answer)> done,
                     std::string session = {});
  /// The same; runs until it is answered.
  answer perform(const std::string& user, decltype(requester::call::what) what, std::string session = {});
  /// A request to an account that may have been carried out before, as another node of a cluster repeats it when it
  /// has lost the answer.
  answer perform_again(const user_id& user,
                       std::variant<account::register_user, account::guest, account::refresh> what);
  /// Runs until nothing moves any more.
  void run();
  /// Lets one actor run, or the lanes. False: nothing moves any more.
  bool step();
  /// Lets time pass: the actors' clock, the lanes' timers, the shards' ticks and CAF's delayed messages.
  void pass(std::chrono::milliseconds time);
  /// Webhooks from now on, and after a restart.
  void use_hooks(hooks::hook_set set);
  /// Answers the oldest post that has not been answered, and runs.
  void web_says(unsigned status, std::string body = {}, int64_t retry_after_ms = 0);
  /// Ends all actors and starts new ones on the same store, as a restart does.
  void restart();
  room_id room(const std::string& name) const { return room_id::trusted(name); }
  std::string epoch_of(const std::string& room);

  int64_t clock = 1'700'000'000'000;
  std::optional<size_t> stuck_lane; // does not run
  settings config;
  faulty_env disk;
  metrics figures;
  std::unique_ptr<storage::store> store;
  std::unique_ptr<house> home;
  std::vector<std::unique_ptr<lane>> lanes;
  told_web web;

private:
  friend class person;
  void start();
  void stop();
  bool run_lanes();
  caf::scheduler::test_coordinator& scheduler();

  std::string directory_;
  readable encode_;
  plain_wire wire_;
  hooks::hook_set_ptr hook_set_; // null: none
  plain_tokens tokens_{clock};
  std::unique_ptr<caf::actor_system_config> caf_config_;
  std::unique_ptr<caf::actor_system> system_;
  std::vector<requester::handle> requesters_;
  std::vector<bool> scheduled_;
  int drawn_ = 0;
};

} // namespace greenroom::testing
