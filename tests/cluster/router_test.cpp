// The way of a send through changes of primary: whose answer the client gets, and that it gets one.
#include "actors/cluster/router.hpp"
#include "bare_house.hpp"
#include "tests/support/temporary_directory.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <limits>

using namespace greenroom;
using namespace greenroom::cluster;
using namespace greenroom::cluster::test;
using strings = std::vector<std::string>;

namespace {

/// The client: what it was answered, as text.
class client_ear : public hosted_actor<client_ear, asker> {
public:
  client_ear(caf::actor_config& cfg, house& in, strings& into)
      : hosted_actor(cfg, *in.strands[0], actor_kind::requester, "ear", in.living), into_(into) {}

  void receive(const reply& x) {
    if (x.ticket == 0) {
      quit(); // said by the test
    } else if (!x.what) {
      into_.push_back(std::string(to_string(x.what.error().code)));
    } else if (const auto* sent = std::get_if<ok::sent>(&*x.what)) {
      into_.push_back("sent #" + std::to_string(sent->seq) + (sent->duplicate ? " duplicate" : ""));
    } else {
      into_.push_back("something else");
    }
  }

private:
  strings& into_;
};

/// Another node: keeps the commands that it was sent, and the answers.
struct far_node : peer {
  explicit far_node(const std::string& to) : peer(to, "store-" + to, 1) {}
  bool post(channel, letter what) const override {
    auto read = read_shard_letter(*what.what);
    REQUIRE(read);
    if (const auto* a = std::get_if<answered_letter>(&*read))
      answers.push_back(*a);
    else if (const auto* w = std::get_if<watching_users>(&*read))
      watches.push_back(*w);
    else if (const auto* p = std::get_if<appearances>(&*read))
      appeared.insert(appeared.end(), p->users.begin(), p->users.end());
    else if (!std::holds_alternative<turned_away>(*read))
      commands.push_back(std::get<forward>(*read));
    return true;
  }
  size_t queued() const override { return 0; }
  mutable std::vector<forward> commands;
  mutable std::vector<answered_letter> answers;
  mutable std::vector<watching_users> watches;
  mutable std::vector<appearance> appeared;
};

/// A router on a node of its own, with a shard that only notes what is to be done here.
struct crossing : router::shard {
  crossing() {
    storage::store_options o;
    o.path = directory / "store";
    store = storage::store::open(o).value();
    home = std::make_unique<house>(config, *store, encoder_of_all, tokens_of_all, figures);
    home->now_ms = home->steady_ms = [this] { return now; };
    home->strands.push_back(std::make_unique<strand>(system, 100));
    home->cluster = std::make_unique<cluster_house>(agreement_of_all);
    home->cluster->lease_until_ns = std::numeric_limits<int64_t>::max();
    client = system.spawn<client_ear>(*home, heard);
    it = std::make_unique<router>(*home, room.shard(), *this);
    for (const auto& node : {a, b})
      it->receive(peer_up{node});
  }
  ~crossing() override {
    tell(client, reply{});
    run();
    client = asker{};
  }

  void perform(const room::ask& x) override { here.push_back(x.what); }
  void perform(const user::ask& x) override { of_users.push_back(x.what); }
  void will_listen(const room_id&) override {}
  audience* find_audience(const room_id&) override { return nullptr; }
  audience& make_audience(const room_id&) override { throw std::logic_error("nobody listens here"); }
  void forget_audience(const room_id&) override {}
  std::vector<audience*> all_audiences() override { return {}; }
  std::vector<user_id> watched_users() const override { return watched; }
  void watched_from(uint32_t node, const std::vector<user_id>& users, bool on, bool anew) override {
    for (const auto& user : users)
      seen_from += std::to_string(node) + (on ? anew ? "=" : "+" : "-") + user.str() + " ";
  }
  void not_watched_from(uint32_t node) override { seen_from += std::to_string(node) + "! "; }
  void appeared(const std::vector<appearance>& users) override {
    for (const auto& user : users)
      seen_from += user.user.str() + ":" + std::string(to_string(user.status)) + " ";
  }
  asker as_asker() override { return {}; }
  caf::typed_actor<caf::reacts_to<room::pulled>> as_puller() override { return {}; }
  caf::typed_actor<caf::reacts_to<stands>> as_looker() override { return {}; }
  user::member_connection as_connection() override { return {}; }
  caf::typed_actor<caf::reacts_to<user::effect_applied>> as_origin() override { return {}; }

  void led_by(const std::shared_ptr<far_node>& who) { it->receive(primary_is{++epoch, who->store}); }
  /// The client sends, or asks what is given.
  void send(std::optional<room::command> other = std::nullopt) {
    op::send what;
    what.room = room;
    what.key = what.text = "hi";
    auto c = other.value_or(room::command{room, {}, what});
    c.from.to = client;
    c.from.ticket = ++asked;
    c.from.user = user_id::trusted("ada");
    it->take(std::make_shared<const room::command>(c));
  }
  /// The client sends while `a` is the primary, and then `b` is: both have been sent it.
  void send_to_both() {
    led_by(a);
    send();
    led_by(b);
  }
  user::command of_ada(decltype(user::command::what) what) { return {user_id::trusted("ada"), {}, std::move(what)}; }
  /// `who` sends, under the next ticket of its own.
  template <class Command>
  uint64_t forwards(const std::shared_ptr<far_node>& who, const Command& what) {
    auto bytes = encode(shard_letter{forward{epoch, 1, ++asked, false, what}});
    it->receive(arrived{who, std::make_shared<const std::string>(std::move(bytes))});
    return asked;
  }
  void answers(const std::shared_ptr<far_node>& who, uint64_t ticket, const answer& what) {
    auto bytes = std::make_shared<const std::string>(encode(shard_letter{answered_letter{ticket, what}}));
    it->receive(arrived{who, std::move(bytes)});
  }
  answer sent(uint64_t seq, bool duplicate = false) const {
    return ok::any{ok::sent{room, "epoch", seq, 5, duplicate, 3, 3}};
  }
  const strings& all_heard() {
    run();
    return heard;
  }
  void run() {
    while (dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler()).run() > 0) {
    }
  }

  greenroom::test::temporary_directory directory;
  const room_id room = room_id::trusted("lobby");
  settings config;
  greenroom::metrics figures;
  std::unique_ptr<storage::store> store;
  caf_settings caf_config;
  caf::actor_system system{caf_config};
  std::unique_ptr<house> home;
  strings heard;
  std::vector<user_id> watched;
  std::string seen_from;
  asker client;
  std::shared_ptr<far_node> a = std::make_shared<far_node>("a"), b = std::make_shared<far_node>("b");
  std::vector<room::command_ptr> here;
  std::vector<user::command_ptr> of_users;
  std::unique_ptr<router> it;
  uint64_t epoch = 0, asked = 0;
  int64_t now = 1'000'000;
};

const answer refusal = fail(errc::unavailable, "not now");

} // namespace

TEST_CASE("the first answer to a send is the client's, also when it comes from the primary of before", "[router]") {
  crossing w;
  w.send_to_both();
  REQUIRE(w.a->commands.size() == 1);
  REQUIRE(w.b->commands.size() == 1);
  CHECK(w.b->commands[0].again);
  auto first = w.a->commands[0].ticket, second = w.b->commands[0].ticket;
  CHECK(first != second);
  SECTION("the old one's is late, but earlier than the next one's") {
    w.answers(w.a, first, w.sent(7));
    CHECK(w.all_heard() == strings{"sent #7"});
    w.answers(w.b, second, w.sent(7, true));
  }
  SECTION("the next one's comes first: it may be the client's doing that it was sent before") {
    w.answers(w.b, second, w.sent(7, true));
    CHECK(w.all_heard() == strings{"sent #7 duplicate"});
    w.answers(w.a, first, w.sent(7));
  }
  CHECK(w.all_heard().size() == 1);
  w.now += w.config.limits.request_ms + 1;
  w.it->tick();
  CHECK(w.all_heard().size() == 1);
}

TEST_CASE("what the primary of before refuses is still asked of the next one", "[router]") {
  crossing w;
  w.send_to_both();
  w.answers(w.a, w.a->commands[0].ticket, refusal);
  CHECK(w.all_heard().empty());
  w.answers(w.b, w.b->commands[0].ticket, w.sent(7));
  CHECK(w.all_heard() == strings{"sent #7"});
}

TEST_CASE("what the primary of before has read, or anything but a send, is asked anew", "[router]") {
  crossing w;
  w.led_by(w.a);
  w.send(room::command{w.room, {}, op::history{w.room}});
  w.send(room::command{w.room, {}, op::leave{w.room}});
  w.led_by(w.b);
  w.answers(w.a, w.a->commands.at(0).ticket, ok::any{ok::page{w.room, {}, {}, {}}});
  w.answers(w.a, w.a->commands.at(1).ticket, ok::any{ok::left{9}});
  CHECK(w.all_heard().empty());
  w.answers(w.b, w.b->commands.at(0).ticket, ok::any{ok::page{w.room, {}, {}, {}}});
  w.answers(w.b, w.b->commands.at(1).ticket, ok::any{ok::left{9}});
  CHECK(w.all_heard().size() == 2);
}

TEST_CASE("a send's answer holds after several changes, and each of two gets its own", "[router]") {
  crossing w;
  w.send_to_both();
  w.send();
  w.led_by(w.a);
  w.led_by(w.b);
  w.answers(w.b, w.b->commands.at(1).ticket, w.sent(8)); // the second, at its first primary
  CHECK(w.all_heard() == strings{"sent #8"});
  w.answers(w.a, w.a->commands.at(0).ticket, w.sent(7));
  CHECK(w.all_heard() == strings{"sent #8", "sent #7"});
  for (const auto& node : {w.a, w.b})
    for (const auto& c : node->commands)
      w.answers(node, c.ticket, w.sent(7, true));
  CHECK(w.all_heard().size() == 2);
}

TEST_CASE("of a send that was sent very often the first ticket and the last ones are kept", "[router]") {
  crossing w;
  w.led_by(w.a);
  w.send();
  for (int i = 0; i < 20; ++i)
    w.led_by(i % 2 ? w.a : w.b);
  w.answers(w.b, w.b->commands.front().ticket, w.sent(7, true));
  CHECK(w.all_heard().empty());
  w.answers(w.a, w.a->commands.front().ticket, w.sent(7));
  CHECK(w.all_heard() == strings{"sent #7"});
}

TEST_CASE("nobody hears an answer after the one that said that there was none in time", "[router]") {
  crossing w;
  w.send_to_both();
  w.now += w.config.limits.request_ms + 1;
  w.it->tick();
  CHECK(w.all_heard() == strings{"unavailable"});
  w.answers(w.a, w.a->commands[0].ticket, w.sent(7));
  w.answers(w.b, w.b->commands[0].ticket, w.sent(7, true));
  CHECK(w.all_heard().size() == 1);
}

TEST_CASE("a node that was the primary itself tells its client what it has committed", "[router]") {
  crossing w;
  w.it->receive(primary_is{++w.epoch, "store-here"});
  w.it->receive(serve{w.epoch});
  w.send();
  REQUIRE(w.here.size() == 1);
  auto first = w.here[0]->from.ticket;
  w.it->receive(yield{});
  SECTION("before it has heard of the next one") { w.it->answered(first, w.sent(7)); }
  SECTION("afterwards") {
    w.led_by(w.b);
    w.it->answered(first, w.sent(7));
  }
  SECTION("but not what it refuses at its end") {
    w.it->answered(first, refusal);
    w.led_by(w.b);
    w.it->answered(first, refusal);
    CHECK(w.all_heard().empty());
    w.answers(w.b, w.b->commands.at(0).ticket, w.sent(7));
  }
  CHECK(w.all_heard() == strings{"sent #7"});
}

TEST_CASE("what a primary turned away and what it did before are one stream to the client", "[router]") {
  crossing w;
  w.led_by(w.a);
  w.send();
  auto stream = w.a->commands.at(0).stream;
  auto bytes = std::make_shared<const std::string>(encode(shard_letter{turned_away{stream}}));
  w.it->receive(arrived{w.a, bytes}); // something behind the send, which is being done
  w.it->tick();
  REQUIRE(w.a->commands.size() == 2);
  w.answers(w.a, w.a->commands[0].ticket, w.sent(7));
  w.answers(w.a, w.a->commands[1].ticket, w.sent(7, true));
  CHECK(w.all_heard() == strings{"sent #7"});
}

TEST_CASE("over cluster.pending a request is refused at once, but no departure", "[router]") {
  crossing w;
  w.config.cluster.pending = 2;
  const bool led = GENERATE(false, true); // else they wait here
  if (led)
    w.led_by(w.a);
  for (int i = 0; i < 4; ++i)
    w.send();
  CHECK(w.all_heard() == strings{"unavailable", "unavailable"});
  w.it->take(std::make_shared<const user::command>(w.of_ada(user::depart{7})));
  if (!led)
    w.led_by(w.a);
  CHECK(w.a->commands.size() == (led ? 3 : 2)); // a primary that has just begun knows of nobody to depart from
  w.answers(w.a, w.a->commands.at(0).ticket, w.sent(7));
  w.answers(w.a, w.a->commands.at(1).ticket, w.sent(8));
  CHECK(w.all_heard().size() == 4);
  if (led)
    w.answers(w.a, w.a->commands.at(2).ticket, ok::any{ok::none{}});
  w.send();
  CHECK(w.all_heard().size() == 4); // is being asked
}

TEST_CASE("over cluster.guests a request of another node is refused with the limit's name, but no departure",
          "[router]") {
  crossing w;
  w.config.cluster.guests = 2;
  w.it->receive(primary_is{++w.epoch, "store-here"});
  w.it->receive(serve{w.epoch});
  op::send what;
  what.room = w.room;
  what.key = what.text = "hi";
  const room::command sent{w.room, {}, what};
  auto first = w.forwards(w.a, sent);
  w.forwards(w.b, sent);
  CHECK(w.a->answers.empty());
  auto third = w.forwards(w.b, sent);
  REQUIRE(w.b->answers.size() == 1);
  CHECK(w.b->answers[0].ticket == third);
  const auto& why = std::get<answer>(w.b->answers[0].what);
  REQUIRE(why.has_error());
  CHECK(why.error().code == errc::unavailable);
  CHECK(why.error().message.find("cluster.guests: 2") == 0);
  CHECK(w.here.size() == 2);
  // One that arrives once more, at a new primary, has nobody who waits: what it is told is an answer of its kind, so
  // that it is tried again.
  w.forwards(w.b, w.of_ada(user::arrive{7, "s", {}}));
  REQUIRE(w.b->answers.size() == 2);
  const auto& welcome = std::get<user::welcome>(w.b->answers[1].what);
  CHECK(welcome.rooms.has_error());
  CHECK(welcome.otherwise == close_code::shutdown);
  CHECK(w.of_users.empty());
  w.forwards(w.b, w.of_ada(user::depart{7}));
  CHECK(w.of_users.size() == 1);
  // The node's own are not counted with them, and an answer makes room.
  w.send();
  CHECK(w.here.size() == 3);
  w.it->answered(w.here[0]->from.ticket, w.sent(7));
  w.it->answered(w.of_users[0]->from.ticket, ok::any{ok::none{}});
  REQUIRE(w.a->answers.size() == 1);
  CHECK(w.a->answers[0].ticket == first);
  w.forwards(w.a, sent);
  CHECK(w.here.size() == 4);
}

TEST_CASE("whom this node watches is told to each new home, in letters of a bounded size", "[router]") {
  crossing w;
  for (int i = 0; i < 1'200; ++i)
    w.watched.push_back(user_id::trusted("u" + std::to_string(i)));
  w.led_by(w.a);
  REQUIRE(w.a->watches.size() == 3);
  size_t told = 0;
  for (const auto& x : w.a->watches) {
    CHECK((x.on && x.anew));
    told += x.users.size();
  }
  CHECK(told == 1'200);
  w.it->watch_user(user_id::trusted("bob"), false);
  REQUIRE(w.a->watches.size() == 4);
  CHECK_FALSE(w.a->watches.back().on);
  w.led_by(w.b);
  CHECK(w.b->watches.size() == 3);
  w.it->receive(peer_down{w.b});
  w.it->receive(peer_up{w.b});
  CHECK(w.b->watches.size() == 6); // it may have missed something
}

TEST_CASE("a home hears who watches, and tells each node what it watches", "[router]") {
  crossing w;
  auto says = [&](const std::shared_ptr<far_node>& who, const shard_letter& x) {
    w.it->receive(arrived{who, std::make_shared<const std::string>(encode(x))});
  };
  const auto ada = user_id::trusted("ada"), bob = user_id::trusted("bob");
  says(w.a, watching_users{1, 1, {ada}, true, true});
  CHECK(w.seen_from.empty()); // this is not the home
  w.it->receive(primary_is{++w.epoch, "store-here"});
  w.it->receive(serve{w.epoch});
  says(w.a, watching_users{w.epoch, 2, {ada}, true, true});
  says(w.b, watching_users{w.epoch, 2, {bob}, true, false});
  says(w.b, watching_users{w.epoch, 2, {bob}, false, false});
  CHECK(w.seen_from == "1=ada 2+bob 2-bob ");
  w.it->tell_watchers({{{ada, seen_as::away, {}}, 0, 6}, {{bob, seen_as::online, {}}, 0, 4}});
  CHECK(w.a->appeared.size() == 1);
  CHECK(w.b->appeared.size() == 2);
  w.it->receive(peer_down{w.a});
  CHECK(w.seen_from == "1=ada 2+bob 2-bob 1! ");
}
