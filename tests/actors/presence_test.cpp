// Presence: who is there, in rooms and to those who watch; never in the way of messages.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using namespace greenroom::testing;
using namespace std::chrono_literals;
using storage::presence_status;

namespace {

using frames = std::vector<std::string>;

void with_presence(settings& c) { c.limits.presence_per_s = 5; }

op::presence as(presence_status status, std::string note = {}) { return {std::nullopt, status, std::move(note)}; }
op::presence of(const char* user) { return {user_id::trusted(user), std::nullopt, std::nullopt}; }

op::watch watch(std::initializer_list<const char*> names) {
  op::watch x;
  for (const auto* name : names)
    x.users.push_back(user_id::trusted(name));
  return x;
}

} // namespace

TEST_CASE("who watches somebody hears what becomes of them, once a second at most", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello();
  bob.hello();
  ada.ask(7, watch({"bob", "cid"})).heard();
  s.pass(2s);
  CHECK(ada.heard().empty()); // as they were
  bob.ask(8, as(presence_status::away)).ask(9, as(presence_status::dnd, "in a meeting"));
  CHECK(bob.heard().back() == "9 bob:dnd(in a meeting)");
  s.pass(1s);
  CHECK(ada.heard() == frames{"presence bob:dnd(in a meeting)"});
  auto cid = s.enter("cid");
  cid.hello();
  s.pass(1s);
  CHECK(ada.heard() == frames{"presence cid:online"});
  ada.ask(10, op::unwatch{{user_id::trusted("cid")}});
  CHECK(ada.heard() == frames{"10 ok"});
  cid.hang_up();
  s.pass(10s);
  CHECK(ada.heard().empty());
  bob.hang_up();
  s.pass(4s);
  CHECK(ada.heard().empty()); // may come back
  s.pass(3s);
  CHECK(ada.heard() == frames{"presence bob:offline"});
}

TEST_CASE("the answer to watch says how each of them appears", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob", 1), cid = s.enter("cid");
  ada.hello();
  bob.hello().ask(8, as(presence_status::away, "soon back"));
  cid.hello().ask(8, as(presence_status::invisible, "hidden"));
  ada.heard();
  ada.ask(7, watch({"bob", "cid", "dan"}));
  CHECK(ada.heard() == frames{"7 watched bob:away(soon back) cid:offline dan:offline"});
  ada.ask(8, watch({}));
  CHECK(ada.heard() == frames{"8 watched"});
  ada.ask(9, of("bob")).ask(10, of("cid")).ask(11, of("nobody"));
  CHECK(ada.heard() == frames{"9 bob:away(soon back)", "10 cid:offline", "11 nobody:offline"});
  CHECK(s.home->living.count(actor_kind::user) == 3); // nobody was woken
}

TEST_CASE("what was chosen outlives the connection and the node", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada");
  ada.hello().ask(7, as(presence_status::invisible, "writing"));
  ada.hang_up();
  s.restart();
  auto again = s.enter("ada"), bob = s.enter("bob");
  again.hello().ask(7, op::presence{});
  CHECK(again.heard().back() == "7 ada:invisible(writing)");
  bob.hello().ask(7, watch({"ada"}));
  CHECK(bob.heard().back() == "7 watched ada:offline");
  again.ask(8, op::presence{std::nullopt, presence_status::online, std::nullopt});
  s.pass(1s);
  CHECK(bob.heard() == frames{"presence ada:online(writing)"});
}

TEST_CASE("one device tells the others what was chosen", "[presence]") {
  scene s(with_presence);
  auto phone = s.enter("ada"), laptop = s.enter("ada", 1);
  phone.hello();
  laptop.hello().heard();
  phone.ask(7, as(presence_status::invisible));
  CHECK(laptop.heard() == frames{"presence ada:invisible"});
}

TEST_CASE("a small room tells who comes and goes, a large one how many", "[presence]") {
  scene s([](settings& c) {
    with_presence(c);
    c.rooms.presence_members = 2;
  });
  auto ada = s.enter("ada"), bob = s.enter("bob", 1), cid = s.enter("cid");
  ada.hello().create("lobby");
  s.pass(1s);
  CHECK(ada.heard().back() == "presence lobby=1 ada:online");
  bob.hello().join("lobby");
  s.pass(1s);
  CHECK(ada.heard().back() == "presence lobby=2 bob:online");
  bob.ask(7, as(presence_status::away));
  s.pass(1s);
  CHECK(ada.heard() == frames{"presence lobby=2 bob:away"});
  cid.hello().join("lobby");
  s.pass(1s);
  CHECK(ada.heard().back() == "presence lobby=3");
  ada.ask(9, op::members{s.room("lobby"), {}, 10});
  CHECK(ada.heard() == frames{"9 members ada* bob* cid*"});
  bob.ask(8, as(presence_status::invisible));
  s.pass(1s);
  CHECK(ada.heard() == frames{"presence lobby=2"});
  ada.ask(9, op::members{s.room("lobby"), {}, 10});
  CHECK(ada.heard() == frames{"9 members ada* bob cid*"});
  cid.hang_up();
  auto again = s.enter("cid");
  again.hello();
  s.pass(1s);
  // Between two turns of the clock nobody saw anything but the count, which is what it was.
  CHECK(ada.heard().empty());
}

TEST_CASE("who asks while somebody is gone for a moment hears that they are back", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob"), cid = s.enter("cid", 1);
  bob.hello();
  ada.hello().ask(7, watch({"bob"})).heard();
  cid.hello().heard();
  s.pass(2s);
  bob.hang_up();
  s.pass(1s);
  cid.ask(7, watch({"bob"}));
  CHECK(cid.heard() == frames{"7 watched bob:offline"});
  auto again = s.enter("bob");
  again.hello();
  s.pass(2s);
  CHECK(cid.heard() == frames{"presence bob:online"});
}

TEST_CASE("whom one has blocked does not see one come, asleep or not", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().ask(7, op::block{user_id::trusted("bob"), true});
  bob.hello().heard();
  const bool asleep = GENERATE(true, false);
  if (asleep) { // and known from the disk alone
    ada.hang_up();
    bob.hang_up();
    s.restart();
    bob = s.enter("bob");
    bob.hello().heard();
  }
  bob.ask(8, watch({"ada"}));
  CHECK(bob.heard() == frames{"8 watched ada:offline"});
  if (asleep) {
    ada = s.enter("ada");
    ada.hello();
  } else {
    ada.ask(8, as(presence_status::away));
  }
  s.pass(10s);
  CHECK(bob.heard().empty());
}

TEST_CASE("what is given up before it is answered is not watched", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob");
  ada.hello().heard();
  ada.ask_later(7, watch({"bob"}));
  ada.ask_later(8, op::unwatch{{user_id::trusted("bob")}});
  s.run();
  CHECK(ada.heard().size() == 2);
  bob.hello();
  s.pass(2s);
  CHECK(ada.heard().empty());
}

TEST_CASE("where two talk, the room tells nobody who is there", "[presence]") {
  scene s(with_presence);
  auto ada = s.enter("ada"), bob = s.enter("bob", 1);
  ada.hello();
  bob.hello();
  ada.say("to:bob", "hi").heard();
  bob.heard();
  s.pass(3s);
  bob.hang_up();
  s.pass(10s);
  CHECK(ada.heard().empty());
}

TEST_CASE("presence is rationed, merged, and waits while messages do", "[presence]") {
  scene s([](settings& c) {
    c.limits.presence_per_s = 1;
    c.limits.presence_held = 3;
  });
  auto ada = s.enter("ada");
  ada.hello();
  for (const auto* room : {"a", "b", "c", "d", "e"})
    ada.create(room);
  s.pass(10s);
  ada.heard();
  auto bob = s.enter("bob", 1);
  bob.hello();
  for (const auto* room : {"a", "b", "c", "d", "e"})
    bob.join(room);
  s.pass(900ms);
  auto of_presence = [&] {
    frames list;
    for (auto& f : ada.heard())
      if (f.starts_with("presence"))
        list.push_back(f);
    return list;
  };
  of_presence();
  SECTION("in time") {
    s.pass(200ms);
    CHECK(of_presence().size() == 1); // one at once
    s.pass(5s);
    auto rest = of_presence();
    REQUIRE(rest.size() == 1); // a room and its one user, and another room: three; the others had no place
    CHECK(s.figures.presence_dropped.get() > 0);
  }
  SECTION("not while much waits for the socket") {
    ada.socket().queued = s.config.limits.outbox_bytes / 4;
    s.pass(5s);
    CHECK(of_presence().empty());
    ada.socket().queued = 0;
    s.pass(5s);
    CHECK_FALSE(of_presence().empty());
  }
  SECTION("not of rooms that were left meanwhile") {
    ada.socket().queued = s.config.limits.outbox_bytes / 4;
    s.pass(5s);
    for (const auto* room : {"a", "b", "c", "d", "e"})
      ada.ask(ada.last_id() + 1, op::unsubscribe{s.room(room)});
    ada.socket().queued = 0;
    s.pass(5s);
    CHECK(of_presence() == frames{"presence incomplete"}); // that others had no place
  }
}

TEST_CASE("a connection may watch only so many", "[presence]") {
  scene s([](settings& c) {
    with_presence(c);
    c.limits.watched = 2;
  });
  auto ada = s.enter("ada");
  ada.hello().heard();
  ada.ask(7, watch({"bob", "cid"})).ask(8, watch({"bob"})).ask(9, watch({"dan"}));
  CHECK(ada.heard() == frames{"7 watched bob:offline cid:offline", "8 watched bob:offline", "9 too_large"});
  ada.ask(10, op::unwatch{{user_id::trusted("cid")}}).ask(11, watch({"dan"}));
  CHECK(ada.heard() == frames{"10 ok", "11 watched dan:offline"});
}

TEST_CASE("a signal reaches the devices that are there, and is kept nowhere", "[presence]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello().heard();
  auto to = [](std::string device = {}) { return op::signal{user_id::trusted("bob"), std::move(device), "{}"}; };
  ada.ask(7, to());
  CHECK(ada.heard() == frames{"7 ok"}); // nobody is there
  op::hello as_phone, as_laptop;
  as_phone.device = "phone";
  as_laptop.device = "laptop";
  auto phone = s.enter("bob"), laptop = s.enter("bob", 1);
  phone.hello({}, as_phone).heard();
  laptop.hello({}, as_laptop).heard();
  ada.ask(8, to()).ask(9, to("laptop"));
  CHECK(phone.heard() == frames{"ada signals {}"});
  CHECK(laptop.heard() == frames{"ada signals {}", "ada signals {}"});
}
