// connection: owns one client's session, whatever its transport: identity, requests in flight, subscriptions with their
// cursors, send window. Hosted on the lane of its socket.
//
// In   incoming, garbled, drained and gone from the transport; reply, stands, pulled from rooms; delivered, go_away and
//      look_again from the relay lane; welcome, listed, shown, signalled and ended from the user
// Out  commands to rooms and users (through their shards); whom it watches to the relay lane; frames to the transport
//
// Invariants
// - Each request with an id is answered exactly once, unless the connection ends before.
// - A live event is handed over only if its seq is cursor + 1. If it is further on, the connection is behind and pulls
//   pages from the room until it meets the live stream; nothing is buffered meanwhile. The same when its outbox is more
//   than half full; if that lasts for limits.slow_ms, the client is closed as a slow consumer.
// - Nothing of a room is handed over before the answer that names it, or before a `subscribed` event.
// - At most limits.in_flight requests are under way; what was read beyond that waits, and reading stops.
// - At most limits.presence_per_s events of presence are handed over in a second, and none while much waits for the
//   socket; what is over that is merged (presence_backlog) and told later.
// - Each request costs a token of this connection, and a send or join one of its user's. Who goes on after
//   limits.flood_refusals refusals is closed with 3429 and banned.
#pragma once

#include "actors/client.hpp"
#include "actors/presence_backlog.hpp"
#include "actors/relay_lane.hpp"
#include "actors/room.hpp"
#include "actors/timer_wheel.hpp"
#include "actors/user.hpp"
#include "config/address.hpp"
#include "config/flood.hpp"
#include "config/token_bucket.hpp"

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::connection {

using client_request = greenroom::request; // CAF's base class has a member of that name
using request_ptr = std::shared_ptr<const client_request>;

// -- from the transport ----------------------------------------------------------------------------------------------
struct incoming {
  using local = message_tag;
  request_ptr what;
};
struct garbled {
  using local = message_tag;
  bad_frame what;
};
struct drained {
  using local = message_tag;
};
struct gone {
  using local = message_tag;
};

using handle =
    caf::typed_actor<caf::reacts_to<incoming>, caf::reacts_to<delivered>, caf::reacts_to<reply>,
                     caf::reacts_to<garbled>, caf::reacts_to<drained>, caf::reacts_to<gone>, caf::reacts_to<stands>,
                     caf::reacts_to<room::pulled>, caf::reacts_to<user::welcome>, caf::reacts_to<user::listed>,
                     caf::reacts_to<user::ended>, caf::reacts_to<user::shown>, caf::reacts_to<user::signalled>,
                     caf::reacts_to<user::vanished>, caf::reacts_to<go_away>, caf::reacts_to<look_again>>;

class connection_actor : public lane_actor<connection_actor, handle> {
public:
  connection_actor(caf::actor_config& cfg, house& in, lane& on, std::shared_ptr<transport> socket,
                   std::optional<identity> who, std::optional<network_id> from = std::nullopt);
  void on_exit() override;

  // Messages. In connection.cpp: of requests; in greeting.cpp and subscriptions.cpp: the others.
  void receive(const incoming& x);
  void receive(const delivered& x);
  void receive(const reply& x);
  void receive(const garbled& x);
  void receive(const drained&);
  void receive(const gone&) { end(); }
  void receive(const stands& x);
  void receive(const room::pulled& x);
  void receive(const user::welcome& x);
  void receive(const user::listed& x);
  void receive(const user::ended& x) { close(x.code, x.reason); }
  void receive(const user::shown& x);
  void receive(const user::signalled& x);
  void receive(const user::vanished& x);
  void receive(const go_away&);
  void receive(const look_again&);

private:
  /// Tickets of commands that no request stands behind; request ids end at 2^53.
  static constexpr uint64_t own_tickets = uint64_t{1} << 62;
  static constexpr uint64_t visit_tickets = uint64_t{1} << 61; // + index into greeting::visits
  static constexpr uint64_t look_tickets = uint64_t{1} << 60;  // + number of a look at a user
  enum class phase : uint8_t { silent, greeting, live, over };
  struct subscription {
    std::shared_ptr<const room_face> face;
    uint64_t cursor = 0; // everything up to here has been handed over
    uint64_t seen = 0;   // the room has at least this much
    bool unsure = false; // deliveries were lost: the room may have more than was seen
    bool pulling = false;
    uint8_t waits = 0;  // care ticks since the pull was asked for
    bool stuck = false; // wants to pull, but the outbox is full or the room did not answer
    bool named = false; // the client knows that it listens
    bool behind() const noexcept { return unsure || cursor < seen; }
  };
  struct flight {
    int64_t id = 0; // also the ticket
    int64_t since = 0;
  };
  /// A room that will be listened to when its answer comes.
  struct approach {
    uint64_t ticket = 0;
    room_id room;
    bool named = true;                           // by an answer to the client
    bool cancelled = false;                      // unsubscribed meanwhile
    bool joins = false;                          // the user's rooms become one more
    std::optional<position> from = std::nullopt; // where our own begin, to be tried again
    bool goes_on = false;                        // as op::subscribe says
    uint64_t ended = 0;                          // the relay of the stream that an event has ended at `from`
  };
  /// A room that could not be listened to when it should have been; tried again until it can.
  struct missed {
    room_id room;
    std::optional<position> from;
    bool goes_on = false;
    uint64_t ended = 0; // as above
  };
  /// A room that hello asks about.
  struct visit {
    room_id room;
    std::optional<storage::listed_room> entry; // on the user's list
    std::optional<position> resume;            // asked for by the client
    bool attach = false;
    std::optional<outcome<standing>> found;
  };
  /// The room may be there again in a moment.
  static bool is_transient(const outcome<standing>& x) { return !x && x.error().code == errc::unavailable; }
  struct greeting {
    request_ptr hello;
    std::vector<visit> visits;
    std::vector<user::listed> later; // came while greeting
    appearance presence;             // the own user's
    size_t missing = 0;
    bool more = false; // the user has rooms that are not visited
  };

  /// First the own user says who may be seen at all; then each of them is asked, with the tickets from `first` on, in
  /// their order.
  struct watch_request {
    struct look {
      bool open = false;   // no answer yet
      bool is_new = false; // was not watched before
    };
    int64_t id = 0;
    std::vector<user_id> wanted; // sorted; until they are asked
    uint64_t first = 0;          // 0: they have not been asked
    ok::watched found;
    std::vector<look> looks; // of each in found
    size_t missing = 0;      // looks that are open

    /// Null: they are not asked for, or not yet.
    look* look_at(const user_id& user) {
      for (size_t i = 0; i < looks.size(); ++i)
        if (found.users[i].user == user)
          return &looks[i];
      return nullptr;
    }
  };
  /// What few connections have need of.
  struct presence_state {
    std::vector<user_id> watched; // sorted
    std::list<watch_request> requests;
    uint64_t next_look = look_tickets;
    presence_backlog backlog;
    std::string note; // of the own user
  };

  // connection.cpp: requests and answers.
  bool may_drop(const caf::mailbox_element& e) const override;
  void on_loss() override;
  void on_failure() override;
  void process(const request_ptr& r);
  void perform(const client_request& r);
  void refresh(const client_request& r, const op::refresh& x);
  void listen(const client_request& r, const room_id& room);
  void unsubscribe(const client_request& r, const op::unsubscribe& x);
  void send(const client_request& r, const op::send& x);
  void take_off(const client_request& r);
  bool may_have_one_more(const client_request& r, const room_id& room);
  template <class Operation>
  void ask_room(const client_request& r, const room_id& room, Operation what);
  void ask_user(const client_request& r, decltype(user::command::what) what, const user_id* other = nullptr);
  bool admit(const client_request& r);
  void turn_down(std::optional<int64_t> id, flood kind, const failure& why);
  bool flies(uint64_t ticket) const;
  bool land(uint64_t ticket);
  void respond(std::optional<int64_t> re, const answer& what);
  void refuse(const client_request& r, errc code, std::string message);
  bool has_room() const;
  void next_requests();
  void look_after();
  void look_after_soon();
  void expire();
  void set_expiry();
  void await_end();
  void write(const frame& bytes, delivery how);
  void close(close_code code, std::string_view reason);
  void end();
  caller as_caller(uint64_t ticket);

  // greeting.cpp: hello.
  void hello(const request_ptr& r);
  void plan(const std::vector<std::pair<room_id, storage::listed_room>>& rooms);
  void start_visits();
  void visited(size_t index, const outcome<standing>& found);
  void finish_greeting();
  void fail_greeting(const failure& why, close_code code);
  void greet_without();
  void wait_for_greeting();

  // connection_presence.cpp: how users appear; signals.
  void watch(const client_request& r, const op::watch& x);
  void unwatch(const client_request& r, const op::unwatch& x);
  void look_at(int64_t id, const ok::watched& allowed);
  void looked(uint64_t ticket, const answer& what);
  bool look_away(const user_id& user);
  bool watches(const user_id& user) const;
  void forget_watch(int64_t id);
  void end_looks(const watch_request& w);
  bool be_seen(const appearance& own);
  void show(const publication& p);
  bool may_show();
  void show_backlog();
  bool has_backlog() const { return presence_ && !presence_->backlog.empty(); }
  presence_state& presence();

  // subscriptions.cpp: the streams of events.
  subscription& add_subscription(const stands& x);
  subscription* find(uint64_t relay);
  subscription* find(const room_id& room);
  void drop(subscription& s);
  bool hand_over(uint64_t relay, const storage::event& e, const frame& bytes);
  void follow(const room_id& room, std::optional<position> from, bool named, bool goes_on = false, uint64_t ended = 0);
  void subscribe(const room_id& room, std::optional<position> from, uint64_t ticket, bool goes_on = false);
  std::optional<approach> arrive(uint64_t ticket);
  void pull(subscription& s);
  bool outbox_is_high() const;
  void stick(subscription& s);
  void mark_named(const room_id& room);
  void forget_unwanted(const room_id& room);
  void miss(const approach& a);
  uint64_t ended_at(const room_face& face) const;
  bool is_awaited(const room_id& room) const;
  void follow_missed();
  void listen_late(const stands& x);

  house& house_;
  std::shared_ptr<transport> socket_;
  std::optional<identity> who_;
  std::shared_ptr<ok::live_session> session_; // set with hello
  phase phase_ = phase::silent;
  bool follows_all_ = false; // hello said "all": every room of the user, present and future
  std::vector<room_id>
      unwanted_; // unsubscribed by hand where all is followed; a list told anew brings none of them back
  std::unique_ptr<greeting> greeting_;
  std::vector<subscription> subscriptions_; // sorted by relay
  size_t unnamed_ = 0;
  std::vector<flight> in_flight_;
  std::vector<approach> approaches_;
  std::vector<missed> missed_; // at most limits.subscriptions
  uint64_t own_ticket_ = own_tickets;
  size_t room_count_ = 0; // on the user's list
  std::list<request_ptr> waiting_;
  bool holding_ = false;
  int64_t slow_since_ = 0; // since when the outbox is more than half full; 0: it is not
  int64_t leave_by_ = 0;   // when a client that was told to go and is still here is closed; 0: it was not told
  bool warned_ = false;    // `expiring` has been sent
  uint32_t bad_frames_ = 0;
  token_bucket sends_;
  token_bucket requests_;                    // all others
  token_bucket shown_;                       // events of presence, to the client
  std::unique_ptr<presence_state> presence_; // null: nothing to remember
  seen_as own_ = seen_as::online;            // as the user has chosen
  uint32_t user_cell_ = 0;                   // of flood_control, set with hello
  const std::optional<network_id> from_;
  timer_wheel::entry care_;   // hello deadline, then once a second while something is under way
  timer_wheel::entry expiry_; // of the token; and of the connection, once the client was told to go
};

/// What net/ holds of a connection.
std::unique_ptr<client> make_client(handle to);

} // namespace greenroom::connection
