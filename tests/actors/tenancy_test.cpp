// Namespaces that separate tenants: a token opens the rooms of some, whoever the user is elsewhere.
#include "tests/actors/scene.hpp"

using namespace greenroom;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

TEST_CASE("a token opens the rooms of its namespaces and no others, on whatever way", "[tenancy]") {
  scene s;
  auto root = s.enter("root");
  root.hello();
  for (const auto* room : {"lobby", "acme/lobby", "beta/lobby"})
    root.create(room);
  auto ada = s.enter("ada", 1);
  ada.hello("ada#acme").heard();
  ada.join("acme/lobby").join("beta/lobby").join("lobby");
  CHECK(ada.heard() == lines{"2 joined #2 2/2", "3 forbidden", "4 forbidden"});
  ada.ask(5, op::history{s.room("beta/lobby")}).create("beta/mine").create("acme/mine");
  ada.say("beta/lobby", "hi").say("to:bob", "hi");
  CHECK(ada.heard() == lines{"5 forbidden", "6 forbidden", "7 created acme/mine#1", "8 forbidden", "9 sent @ada+bob#1",
                             "subscribed @ada+bob#0", "@ada+bob#1 ada: hi"});
  // REST is no other way round.
  auto by_rest = s.perform("ada", op::any{op::join{s.room("lobby"), std::nullopt}});
  CHECK(by_rest.has_value()); // without a claim all are open
  ada.heard();
}

TEST_CASE("what a user is in elsewhere is not shown to a token that does not open it", "[tenancy]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  for (const auto* room : {"acme/a", "beta/b", "c"})
    ada.create(room);
  ada.hang_up();
  auto again = s.enter("ada");
  op::hello x;
  x.subscribe = op::hello::scope::all;
  x.resume = {{s.room("acme/a"), {s.epoch_of("acme/a"), 1}}, {s.room("beta/b"), {s.epoch_of("beta/b"), 1}}};
  again.hello("ada/x#acme,", x);
  CHECK(again.heard() == lines{"1 hello ada acme/a#1 c#1 acme/a=recovered beta/b=forbidden"});
  again.ask(2, op::rooms{});
  CHECK(again.heard() == lines{"2 rooms acme/a#1:0 c#1:0"});
  SECTION("nor when it comes onto the list meanwhile") {
    auto bob = s.enter("bob");
    bob.hello().create("beta/new").create("acme/new");
    bob.ask(8, op::moderate{s.room("beta/new"), op::moderate::act::invite, user_id::trusted("ada"), 0, {}, {}});
    bob.ask(9, op::moderate{s.room("acme/new"), op::moderate::act::invite, user_id::trusted("ada"), 0, {}, {}});
    CHECK(again.heard() == lines{"subscribed acme/new#1", "acme/new#2 ada invited"});
  }
  SECTION("nor any more when the next token opens less") {
    auto bob = s.enter("bob");
    bob.hello().join("acme/a").join("c");
    again.heard();
    again.ask(3, op::refresh{"ada/x#"}).heard();
    bob.say("acme/a", "hi").say("c", "hi");
    CHECK(again.heard() == lines{"c#3 bob: hi"});
  }
}

TEST_CASE("all that there is about a user is told of the rooms that the token opens", "[tenancy]") {
  scene s;
  auto ada = s.enter("ada");
  ada.hello();
  for (const auto* room : {"acme/a", "beta/b", "c"}) {
    ada.create(room).say(room, "words");
    op::send later;
    later.room = s.room(room);
    later.key = "later";
    later.text = "more words";
    later.at = s.clock + 3'600'000;
    ada.ask(90, later);
  }
  ada.say("to:bob", "psst");
  using part = account::look_into::part;
  const auto look = [&](const std::string& token, part what, const char* room, std::string session = {}) {
    account::look_into x{user_id::trusted("ada"), what, {}, {}, 0};
    if (*room != '\0')
      x.room = s.room(room);
    return s.perform(token, account::any{x}, std::move(session));
  };
  const auto rooms = [&](const std::string& token, std::string session = {}) {
    const auto found = look(token, part::rooms, "", std::move(session));
    REQUIRE(found.has_value());
    lines names;
    for (const auto& [room, entry] : std::get<ok::about_rooms>(*found).list)
      names.push_back(room.str());
    return names;
  };
  CHECK(rooms("ada") == lines{"@ada+bob", "acme/a", "beta/b", "c"});
  CHECK(rooms("ada#acme") == lines{"@ada+bob", "acme/a"});
  CHECK(rooms("root#beta", "s_admin") == lines{"@ada+bob", "beta/b"});
  for (const auto what : {part::events, part::scheduled, part::threads}) {
    CHECK(look("ada", what, "beta/b").has_value());
    CHECK(look("ada#acme", what, "acme/a").has_value());
    const auto closed = look("ada#acme", what, "beta/b");
    REQUIRE_FALSE(closed.has_value());
    CHECK(closed.error().code == errc::not_found);
    CHECK_FALSE(look("root#acme", what, "c", "s_admin").has_value());
  }
  CHECK(look("ada#acme", part::self, "").has_value());
}

TEST_CASE("what a tenant's rooms may holds in each of them, and the rate in all of them together", "[tenancy]") {
  scene s([](settings& c) {
    c.tenant.text_bytes = 8;
    c.tenants = {{"acme", {2, 4, 0, 2}}, {"beta", {0, 0, 1, 0}}};
  });
  auto ada = s.enter("ada"), bob = s.enter("bob", 1), cid = s.enter("cid");
  ada.hello(), bob.hello(), cid.hello();
  for (const auto* room : {"acme/a", "acme/b", "beta/a", "zeta/a", "free"})
    ada.create(room);
  bob.join("acme/a").heard();
  cid.heard();
  cid.join("acme/a");
  CHECK(cid.heard() == lines{"2 too_large"});
  auto says = [&](const char* room, const char* text) {
    ada.heard();
    ada.say(room, text);
    for (const auto& f : ada.heard())
      if (f.ends_with("too_large") || f.ends_with("rate_limited"))
        return f.substr(f.find(' ') + 1);
    return std::string("sent");
  };
  CHECK(says("acme/a", "12345") == "too_large");
  CHECK(says("zeta/a", "12345678") == "sent");
  CHECK(says("zeta/a", "123456789") == "too_large");
  CHECK(says("free", "123456789") == "sent");
  CHECK(says("acme/a", "1") == "sent");
  CHECK(says("acme/b", "1") == "sent");
  CHECK(says("acme/a", "1") == "rate_limited");
  CHECK(says("acme/b", "1") == "rate_limited");
  CHECK(says("beta/a", "1") == "sent");
  CHECK(says("beta/a", "1") == "rate_limited");
  const auto* acme = s.home->tenants.find("acme");
  CHECK(acme->counts.sends.get() == 2);
  CHECK(acme->counts.refused.get() == 2);
  CHECK(acme->counts.rooms.get() == 2);
  CHECK(s.home->tenants.find("zeta")->name == "other");
  CHECK(s.home->tenants.find("") == nullptr);
}
