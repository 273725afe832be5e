// The end of an account: what goes, what stays, who may ask for it, and that nothing in between leaves half of it. And
// all that there is about somebody.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::fault;
using greenroom::testing::scene;
using lines = std::vector<std::string>;
using storage::event_kind;

namespace {

user_id of(const char* name) { return user_id::trusted(name); }
account::any erase(const char* name, bool keep = false) { return account::erase{of(name), {}, "enough", keep}; }
op::send say(const scene& s, const char* room, std::string text, std::string key, int64_t at = 0) {
  op::send x;
  x.room = s.room(room);
  x.text = std::move(text);
  x.key = std::move(key);
  x.at = at;
  return x;
}
errc refused(const answer& a) {
  REQUIRE_FALSE(a.has_value());
  return a.error().code;
}
ok::erasure record_of(scene& s, const char* name) {
  auto a = s.perform("root", account::any{account::show_erasure{of(name)}}, "s_admin");
  REQUIRE(a.has_value());
  return std::get<ok::erasure>(*a);
}
/// All messages of that user that can still be read.
lines said_by(const scene& s, const char* room, const char* name) {
  lines texts;
  const auto page = s.store->events_after(s.room(room), 0, 10'000, 1 << 26).value();
  for (const auto& e : page.events)
    if ((e.kind == event_kind::message || e.kind == event_kind::edited) && e.from == of(name) && !e.text.empty())
      texts.push_back(e.text);
  return texts;
}
storage::member_role role_of(const scene& s, const char* room, const char* name) {
  const auto image = s.store->load_room(s.room(room), 0, 0).value();
  for (const auto& [user, seat] : image->members)
    if (user == of(name))
      return seat.role;
  return storage::member_role::none;
}

/// Ada has said something everywhere: in a room that she owns, one that she has left, and one for two.
struct house_of_ada : scene {
  house_of_ada() {
    REQUIRE(perform("ada", op::any{op::create{room("lobby"), storage::room_kind::public_, {}, 0}}).has_value());
    REQUIRE(perform("bob", op::any{op::join{room("lobby"), {}}}).has_value());
    REQUIRE(perform("eve", op::any{op::create{room("cellar"), storage::room_kind::private_, {}, 0}}).has_value());
    op::moderate invite{room("cellar"), op::moderate::act::invite, of("ada"), 0, storage::member_role::none, {}};
    REQUIRE(perform("eve", op::any{invite}).has_value());
    for (int i = 0; i < 40; ++i)
      REQUIRE(perform("ada", op::any{say(*this, "lobby", "ada's " + std::to_string(i), "a" + std::to_string(i))})
                  .has_value());
    REQUIRE(perform("ada", op::any{op::edit{room("lobby"), 3, "e", "ada's better", {}}}).has_value());
    REQUIRE(perform("bob", op::any{say(*this, "lobby", "bob's", "b")}).has_value());
    REQUIRE(perform("ada", op::any{say(*this, "cellar", "ada's secret", "a")}).has_value());
    REQUIRE(perform("ada", op::any{op::leave{room("cellar")}}).has_value());
    REQUIRE(perform("ada", op::any{say(*this, "@ada+bob", "ada's whisper", "a")}).has_value());
    REQUIRE(perform("bob", op::any{say(*this, "@ada+bob", "bob's whisper", "b")}).has_value());
    REQUIRE(perform("ada", op::any{say(*this, "lobby", "ada's later", "l", clock + 3'600'000)}).has_value());
    REQUIRE(perform("ada", op::any{say(*this, "@ada+zoe", "ada's later", "l", clock + 3'600'000)}).has_value());
    REQUIRE(perform("ada", op::any{op::block{of("cy")}}).has_value());
    op::profile mine;
    mine.name = "Ada";
    REQUIRE(perform("ada", op::any{mine}).has_value());
    pass(3s);
  }
  void check_gone() {
    const auto ada = store->load_user(of("ada")).value();
    CHECK_FALSE(ada.account);
    CHECK_FALSE(ada.profile);
    CHECK(ada.sessions.empty());
    CHECK(ada.rooms.empty());
    CHECK(ada.blocks.empty());
    REQUIRE(ada.erasure);
    CHECK(ada.erasure->completed != 0);
    CHECK(store->load_activity(of("ada")).value().empty());
    CHECK(store->due(of("ada").shard(), 10).value().empty());
    for (const auto* r : {"lobby", "@ada+zoe"})
      CHECK(store->scheduled(room(r), of("ada"), 10).value().empty());
    CHECK(role_of(*this, "lobby", "ada") == storage::member_role::none);
    CHECK(role_of(*this, "lobby", "bob") == storage::member_role::owner);
    CHECK(said_by(*this, "lobby", "bob") == lines{"bob's"});
    CHECK(said_by(*this, "@ada+bob", "bob") == lines{"bob's whisper"});
  }
  void check_silent() {
    for (const auto* r : {"lobby", "cellar", "@ada+bob"})
      CHECK(said_by(*this, r, "ada").empty());
  }
};

} // namespace

TEST_CASE("an account is erased with all that was said, and nobody is it again", "[erasure]") {
  house_of_ada s;
  auto phone = s.enter("ada"), bob = s.enter("bob", 1);
  phone.hello(), bob.hello();
  bob.heard();
  CHECK(refused(s.perform("ada", erase("ada"))) == errc::forbidden); // the token is old
  CHECK(refused(s.perform("bob", erase("ada"))) == errc::forbidden);
  CHECK(refused(s.perform("root", account::any{account::show_erasure{of("ada")}}, "s_admin")) == errc::not_found);
  auto begun = s.perform("ada", erase("ada"), "s_fresh");
  REQUIRE(begun.has_value());
  CHECK(phone.socket().closed == close_code::revoked);
  s.pass(1s);
  s.check_gone();
  s.check_silent();
  const auto record = record_of(s, "ada");
  CHECK(record.what.by == of("ada"));
  CHECK(record.what.reason == "enough");
  CHECK(record.what.messages == 42);
  CHECK(record.what.rooms == 5); // three in which something was said, one where something was to be, one of a block
  CHECK(record.rooms_left == 0);

  // Whoever listens is told of each of them.
  auto heard = bob.heard();
  CHECK(std::count_if(heard.begin(), heard.end(),
                      [](const auto& line) { return line.find("ada revokes") != std::string::npos; }) == 41);
  CHECK(refused(s.perform("ada", op::any{op::rooms{}})) == errc::unauthenticated);
  CHECK(refused(s.perform("bob", op::any{op::profile{of("ada"), {}, {}, {}}})) == errc::not_found);
  CHECK(refused(s.perform("", account::any{account::register_user{of("ada"), "correct horse", {}}})) == errc::exists);
  op::moderate invite{s.room("lobby"), op::moderate::act::invite, of("ada"), 0, storage::member_role::none, {}};
  CHECK(refused(s.perform("bob", op::any{invite})) == errc::not_found);
  CHECK(refused(s.perform("bob", op::any{say(s, "@ada+bob", "are you there?", "x")})) == errc::forbidden);
  auto back = s.enter("ada");
  back.hello();
  CHECK(back.socket().closed == close_code::revoked);
  CHECK(s.perform("root", erase("ada"), "s_admin").has_value()); // as it is
  phone.hang_up(), bob.hang_up(), back.hang_up();
  s.restart();
  s.pass(2s);
  s.check_gone();
  CHECK(refused(s.perform("", account::any{account::register_user{of("ada"), "correct horse", {}}})) == errc::exists);
}

TEST_CASE("to others who was erased is nobody, not a mistake", "[erasure]") {
  house_of_ada s;
  auto phone = s.enter("ada"), bob = s.enter("bob", 1);
  phone.hello(), bob.hello();
  const auto record = op::presence{of("ada"), {}, {}};
  op::watch both;
  both.users = {of("eve"), of("ada")};
  bob.heard();
  bob.ask(10, record).ask(11, both);
  CHECK(bob.heard() == lines{"10 ada:online", "11 watched eve:offline ada:online"});
  bob.ask(12, op::unwatch{both.users}).heard();
  REQUIRE(s.perform("ada", erase("ada"), "s_fresh").has_value()); // and its actor stays awake for a while
  s.pass(2s);
  bob.heard();
  bob.ask(13, record).ask(14, both).ask(15, op::signal{of("ada"), {}, "{}"}).ask(16, op::block{of("ada")});
  CHECK(bob.heard() ==
        lines{"13 ada:offline", "14 watched eve:offline ada:offline", "15 ok", "presence ada:offline", "16 ok"});
  CHECK(refused(s.perform("ada", op::any{op::presence{}})) == errc::unauthenticated);
  phone.hang_up();
  CHECK(s.perform("bob", op::any{record}).has_value());
}

TEST_CASE("a password is needed where there is one, but for admins", "[erasure]") {
  scene s;
  REQUIRE(s.perform("", account::any{account::register_user{of("ada"), "correct horse", {}}}).has_value());
  auto with = [&](std::string password, const char* session) {
    return s.perform("ada", account::any{account::erase{of("ada"), std::move(password), {}, false}}, session);
  };
  CHECK(refused(with({}, "s_fresh")) == errc::forbidden);
  CHECK(refused(with("wrong horse", "s_fresh")) == errc::forbidden);
  CHECK(refused(s.perform("root", erase("nobody"), "s_admin")) == errc::not_found);
  if (GENERATE(true, false)) {
    CHECK(with("correct horse", "s_old").has_value());
  } else {
    CHECK(s.perform("root", erase("ada"), "s_admin").has_value());
    CHECK(record_of(s, "ada").what.by == of("root"));
  }
  CHECK(refused(s.perform("", account::any{account::log_in{of("ada"), "correct horse", {}}})) == errc::unauthenticated);
}

TEST_CASE("messages can be kept, under a name that nobody has", "[erasure]") {
  house_of_ada s;
  REQUIRE(s.perform("root", erase("ada", true), "s_admin").has_value());
  s.pass(1s);
  s.check_gone();
  CHECK(said_by(s, "lobby", "ada").size() == 41);
  CHECK(said_by(s, "@ada+bob", "ada") == lines{"ada's whisper"});
  CHECK(record_of(s, "ada").what.messages == 0);
}

TEST_CASE("an erasure that was begun ends, wherever the disk fails and the node is started anew", "[erasure]") {
  const bool restarts = GENERATE(false, true);
  // Every seventh operation: there are some hundred of them, and each is another story.
  for (uint64_t at = 1;; at += 7) {
    house_of_ada s;
    s.disk.fail_at(at, fault::io_error);
    const bool answered = s.perform("root", erase("ada"), "s_admin").has_value();
    const bool failed = s.disk.failed();
    s.disk.heal();
    if (restarts)
      s.restart();
    s.pass(60s);
    CAPTURE(at);
    const auto image = s.store->load_user(of("ada")).value();
    if (answered)
      REQUIRE(image.erasure);
    if (image.erasure) {
      s.check_gone();
      s.check_silent();
      if (!restarts)
        CHECK(refused(s.perform("bob", op::any{say(s, "@ada+bob", "x", "x")})) == errc::forbidden);
    } else {
      CHECK(image.profile);
      CHECK(said_by(s, "lobby", "ada").size() == 41);
    }
    if (!failed)
      break;
  }
}

TEST_CASE("all that there is about a user can be looked into, page by page, also of rooms that were left",
          "[erasure]") {
  house_of_ada s;
  auto look = [&](account::look_into::part what, const char* room = "", uint64_t seq = 0) {
    account::look_into x{of("ada"), what, s.room(room), {}, seq};
    auto a = s.perform("ada", account::any{x});
    REQUIRE(a.has_value());
    return *a;
  };
  using part = account::look_into::part;
  const auto self = *std::get<ok::about_user>(look(part::self)).what;
  CHECK(self.profile->name == "Ada");
  REQUIRE(self.blocks.size() == 1);
  CHECK(self.blocks[0].first == of("cy"));
  const auto listed = std::get<ok::about_rooms>(look(part::rooms));
  lines rooms;
  for (const auto& [room, entry] : listed.list)
    rooms.push_back(room.str() + (entry.left ? " left" : ""));
  CHECK(rooms == lines{"@ada+bob", "@ada+zoe left", "cellar left", "lobby"});
  const auto cellar = std::get<ok::about_events>(look(part::events, "cellar"));
  CHECK(cellar.what.events.size() == 3); // invited, said, left
  CHECK(cellar.next == 0);
  const auto lobby = std::get<ok::about_events>(look(part::events, "lobby"));
  CHECK(lobby.what.events.size() == 42); // and no word of bob's
  REQUIRE(lobby.what.folds.size() == 1);
  CHECK(lobby.what.folds[0].text == "ada's better");
  CHECK(std::get<ok::scheduled>(look(part::scheduled, "lobby")).list.size() == 1);
  CHECK(refused(s.perform("bob", account::any{account::look_into{of("ada"), part::self, {}, {}, 0}})) ==
        errc::forbidden);
  CHECK(s.perform("root", account::any{account::look_into{of("ada"), part::self, {}, {}, 0}}, "s_admin").has_value());
  CHECK(refused(s.perform("root", account::any{account::look_into{of("nobody"), part::self, {}, {}, 0}}, "s_admin")) ==
        errc::not_found);
  CHECK(s.perform("zed", account::any{account::look_into{of("zed"), part::self, {}, {}, 0}}).has_value());
}
