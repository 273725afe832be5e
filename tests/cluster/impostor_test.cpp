// A gateway and somebody who speaks its language badly.
#include "actors/cluster/wire.hpp"
#include "link_world.hpp"

#include <catch2/catch.hpp>

#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>

using namespace greenroom::cluster;
using namespace greenroom::cluster::test;
using kind = witness::event::kind;

namespace {

/// Known to the impostor only.
struct stranger {
  int32_t x = 0;
};
template <class I>
typename I::result_type inspect(I& f, stranger& x) {
  return f(x.x);
}

class impostor {
public:
  explicit impostor(const std::string& name) : config_(quick(name)), system_(config_), self{system_}, name_(name) {}

  void connect(const node& to) {
    auto found = system_.middleman().remote_actor("127.0.0.1", to.port());
    REQUIRE(found);
    gateway = *found;
  }
  uint16_t publish() { return *system_.middleman().publish(caf::actor_cast<caf::actor>(self), 0, "127.0.0.1"); }
  known_peer entry(uint16_t port = 1) const { return {name_, "store-" + name_, "127.0.0.1", port}; }
  wire::hello hello(const std::string& to, uint64_t attempt, uint64_t process = 1) const {
    return {
        link_options{}.version,
        process * 1000 + attempt,
        process,
        attempt,
        process * 2000 + attempt,
        caf::actor_cast<caf::actor>(self),
        {10'000, 10'000},
        {{"cluster", "test"}, {"name", name_}, {"store", "store-" + name_}, {"to", to}, {"to_store", "store-" + to}}};
  }
  template <class Message>
  Message expect() {
    Message got;
    bool late = false;
    self->receive([&](const Message& x) { got = x; }, caf::after(patience) >> [&] { late = true; });
    REQUIRE_FALSE(late);
    return got;
  }
  template <class Message>
  void say(Message x) {
    self->send(gateway, std::move(x));
  }
  wire::welcome greet(const std::string& to, uint64_t attempt = 1) {
    say(hello(to, attempt));
    return expect<wire::welcome>();
  }

private:
  struct config : caf::actor_system_config {
    explicit config(const link_options& options) {
      set("scheduler.max-threads", size_t{1});
      set("work-stealing.moderate-poll-attempts", size_t{0});
      gateway::configure(*this, options);
      add_stranger("test.stranger");
    }
    [[gnu::noinline]] void add_stranger(std::string type) { add_message_type<stranger>(std::move(type)); }
  };
  config config_;
  caf::actor_system system_;

public:
  caf::scoped_actor self;
  caf::actor gateway;

private:
  const std::string name_;
};

std::string one_letter(char x) { return std::string("\1\0\1\0\0\0", 6) + x; }

} // namespace

TEST_CASE("a message that is wrong ends the link, and the node goes on", "[impostor]") {
  auto options = quick("a");
  options.letter_bytes_max = 1000;
  options.credit_bulk_bytes = 3000;
  node a{options};
  impostor b{"b"};
  a.know({b.entry()});
  b.connect(a);
  auto welcome = b.greet("a");
  auto link = a.seen.link("b");
  REQUIRE(link);
  auto t = welcome.token;
  CHECK(welcome.credit == credits{1u << 20, 3000});
  b.say(wire::frame{t, 1, 1, wire::blob{one_letter('x')}});
  REQUIRE(a.seen.wait_letters("b", 1));
  int unreadable = 0;
  SECTION("a type that we do not know") {
    b.say(stranger{});
    unreadable = 1;
  }
  SECTION("a type that is not for gateways") {
    b.say(std::string("hello"));
    unreadable = 1;
  }
  SECTION("a frame that is too long") {
    b.say(wire::frame{t, 1, 2, wire::blob{std::string(frame_bytes_max + 1, 'x')}});
    unreadable = 1;
  }
  SECTION("a frame of an unknown channel") { b.say(wire::frame{t, 2, 2, wire::blob{one_letter('x')}}); }
  SECTION("a frame after one that was lost") { b.say(wire::frame{t, 1, 3, wire::blob{one_letter('x')}}); }
  SECTION("a frame twice") { b.say(wire::frame{t, 1, 1, wire::blob{one_letter('x')}}); }
  SECTION("a frame above the credit") { b.say(wire::frame{t, 1, 2, wire::blob{std::string(3001, '\0')}}); }
  SECTION("a letter that is too long") { b.say(wire::frame{t, 1, 2, wire::blob{std::string("\1\0\xff\xff\0\0", 6)}}); }
  SECTION("credit for what was never sent") { b.say(wire::credit{t, 0, 1}); }
  SECTION("credit for an unknown channel") { b.say(wire::credit{t, 7, 0}); }
  SECTION("a farewell") { b.say(wire::bye{t}); }
  REQUIRE(a.seen.wait_down(link->incarnation));
  CHECK(a.figures.decode_errors.get() == unreadable);
  CHECK(b.expect<wire::bye>().token == b.hello("a", 1).token);
  b.greet("a", 2);
  REQUIRE(a.seen.link("b", link->incarnation));
  CHECK(a.seen.texts("b", channel::bulk).size() == 1);
  CHECK(a.seen.disorder().empty());
}

TEST_CASE("what does not carry the token of a live link is passed over", "[impostor]") {
  node a{"a"};
  impostor b{"b"};
  a.know({b.entry()});
  b.connect(a);
  auto first = b.greet("a", 1);
  auto t = b.greet("a", 2).token;
  CHECK(b.expect<wire::bye>().token == b.hello("a", 1).token);
  for (auto wrong : {first.token, t + 1, uint64_t{0}}) {
    b.say(wire::frame{wrong, 0, 1, wire::blob{one_letter('x')}});
    b.say(wire::bye{wrong});
    b.say(wire::credit{wrong, 0, 9});
  }
  b.self->send_exit(b.gateway, caf::exit_reason::user_shutdown);
  b.say(wire::frame{t, 0, 1, wire::blob{one_letter('y')}});
  REQUIRE(a.seen.wait_letters("b", 1));
  CHECK(a.seen.texts("b", channel::control) == std::vector<std::string>{"y"});
  CHECK(a.figures.link_losses.get() == 1);
}

TEST_CASE("of two hellos of one name the newer wins", "[impostor]") {
  node a{"a"};
  impostor old{"b"};
  impostor fresh{"b"};
  a.know({old.entry()});
  old.connect(a);
  old.greet("a", 5);
  auto first = a.seen.link("b");
  REQUIRE(first);
  SECTION("of another process") {
    fresh.connect(a);
    fresh.say(fresh.hello("a", 1, 2));
    fresh.expect<wire::welcome>();
  }
  SECTION("but not one that came late") {
    old.say(old.hello("a", 4));
    old.say(old.hello("a", 6));
    CHECK(old.expect<wire::welcome>().incarnation == old.hello("a", 6).incarnation);
  }
  CHECK(old.expect<wire::bye>().token == old.hello("a", 5).token);
  auto second = a.seen.link("b", first->incarnation);
  REQUIRE(second);
  auto all = a.seen.all();
  REQUIRE(all.size() == 3);
  CHECK(all[1].what == kind::down);
  CHECK(all[1].incarnation == first->incarnation);
}

TEST_CASE("who says nothing for too long is lost", "[impostor]") {
  auto options = quick("a");
  options.pulse_ms = 20;
  options.silence_ms = 200;
  node a{options};
  impostor b{"b"};
  a.know({b.entry()});
  b.connect(a);
  b.greet("a");
  auto link = a.seen.link("b");
  REQUIRE(link);
  b.expect<wire::pulse>();
  REQUIRE(a.seen.wait_down(link->incarnation));
}

TEST_CASE("who does not answer the hello is dialled again, and his late answer is declined", "[impostor]") {
  auto options = quick("b");
  options.hello_timeout_ms = 50;
  impostor a{"a"};
  auto port = a.publish();
  node b{options};
  b.know({a.entry(port)});
  auto first = a.expect<wire::hello>();
  auto second = a.expect<wire::hello>();
  CHECK(second.attempt > first.attempt);
  CHECK(second.process == first.process);
  CHECK(second.incarnation != first.incarnation);
  a.gateway = first.from;
  a.say(wire::welcome{first.incarnation, 77, {1000, 1000}, {{"cluster", "test"}, {"name", "a"}, {"store", "store-a"}}});
  CHECK(a.expect<wire::bye>().token == 77);
  CHECK(b.seen.all().empty());
  CHECK(b.figures.dials_failed.get() > 0);
}

TEST_CASE("an answer from somebody else is declined", "[impostor]") {
  impostor a{"a"};
  auto port = a.publish();
  node b{"b"};
  b.know({a.entry(port)});
  auto hello = a.expect<wire::hello>();
  a.gateway = hello.from;
  wire::welcome answer{hello.incarnation, 77, {1000, 1000}, {{"cluster", "test"}, {"name", "a"}, {"store", "store-a"}}};
  SECTION("another cluster") { answer.facts["cluster"] = "other"; }
  SECTION("another node") { answer.facts["name"] = "c"; }
  SECTION("another store") { answer.facts["store"] = "other"; }
  SECTION("no word about it") { answer.facts.clear(); }
  a.say(answer);
  CHECK(a.expect<wire::bye>().token == 77);
  CHECK(a.expect<wire::hello>().attempt > hello.attempt);
  CHECK(b.seen.all().empty());
}
