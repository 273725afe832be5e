// Replies and their threads, mentions, what is unread, and messages that nobody keeps.
#include "tests/actors/scene.hpp"

#include <algorithm>

using namespace greenroom;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

op::send send(const scene& s, std::string text, std::string key, uint64_t reply_to = 0) {
  op::send x;
  x.room = s.room("lobby");
  x.text = std::move(text);
  x.key = std::move(key);
  x.reply_to = reply_to;
  return x;
}
op::thread thread(const scene& s, uint64_t target, uint64_t after = 0, uint32_t limit = 50) {
  return {s.room("lobby"), target, after, limit, 0};
}
op::read read(const scene& s, uint64_t seq, uint64_t thread = 0) { return {s.room("lobby"), seq, thread}; }
op::history all(const scene& s) {
  op::history x;
  x.room = s.room("lobby");
  x.limit = 200;
  return x;
}

/// ada made the lobby (#1), bob is in it (#2); eve listens without being a member.
struct lobby : scene {
  lobby() : lobby(std::function<void(settings&)>{}) {}
  explicit lobby(const std::function<void(settings&)>& adjust)
      : scene(adjust), ada(enter("ada")), bob(enter("bob", 1)), eve(enter("eve")) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    eve.hello().ask(2, op::subscribe{room("lobby"), {}});
    ada.heard(), bob.heard(), eve.heard();
  }
  /// All go, and the server is started anew.
  void leave() {
    ada.hang_up(), bob.hang_up(), eve.hang_up();
    restart();
  }
  std::string inbox(person& who) {
    who.heard();
    who.ask(next_, op::rooms{});
    auto all = who.heard();
    return all.back().substr(std::to_string(next_++).size() + 1);
  }
  person ada, bob, eve;
  int64_t next_ = 1'000;
};

} // namespace

TEST_CASE("what replies to a message is its thread", "[threads]") {
  lobby s;
  s.ada.ask(10, send(s, "root", "a")).ask(11, send(s, "beside", "b"));
  s.bob.ask(10, send(s, "one", "a", 3)).ask(11, send(s, "two", "b", 3));
  s.ada.ask(12, send(s, "three", "c", 3));
  s.ada.heard(), s.bob.heard();
  s.bob.ask(12, thread(s, 3));
  CHECK(s.bob.heard() == lines{"12 thread 5 6 7 read 0"});
  s.bob.ask(13, thread(s, 3, 5, 1)).ask(14, thread(s, 3, 6)).ask(15, thread(s, 4));
  CHECK(s.bob.heard() == lines{"13 thread 6 more read 0", "14 thread 7 read 0", "15 thread read 0"});
  SECTION("history tells of it at the message") {
    s.bob.ask(16, all(s));
    CHECK(s.bob.heard() == lines{"16 page 1 2 3{3 replies, last 7} 4 5 6 7"});
  }
  SECTION("a reply is a send like any other: repeated, it is the same one") {
    s.bob.ask(16, send(s, "one", "a", 3)).ask(17, send(s, "one", "a", 4)).ask(18, send(s, "one", "a"));
    CHECK(s.bob.heard() == lines{"16 sent lobby#5 duplicate", "17 conflict", "18 conflict"});
    s.bob.ask(19, thread(s, 3));
    CHECK(s.bob.heard() == lines{"19 thread 5 6 7 read 0"});
  }
  SECTION("also while the first one is on its way") {
    s.bob.ask_later(16, send(s, "four", "d", 3)).ask_later(17, send(s, "four", "d", 3));
    s.run();
    CHECK(s.bob.heard() == lines{"16 sent lobby#8", "17 sent lobby#8 duplicate", "lobby#8 bob: four"});
    s.bob.ask(18, thread(s, 3, 7));
    CHECK(s.bob.heard() == lines{"18 thread 8 read 0"});
  }
  SECTION("messages in it are shown as they stand") {
    s.ada.ask(13, op::edit{s.room("lobby"), 7, "e", "drei", {}}).ask(14, op::revoke{s.room("lobby"), 5, "v"});
    s.ada.heard(), s.bob.heard();
    s.bob.ask(16, thread(s, 3));
    CHECK(s.bob.heard() == lines{"16 thread 5{revoked} 6 7{edited 8: drei} read 0"});
  }
  SECTION("it outlives what it is about") {
    s.ada.ask(13, op::revoke{s.room("lobby"), 3, "v"});
    s.ada.heard(), s.bob.heard();
    s.bob.ask(16, thread(s, 3)).ask(17, all(s)).ask(18, send(s, "late", "l", 3));
    CHECK(s.bob.heard() == lines{"16 thread 5 6 7 read 0", "17 page 1 2 3{revoked, 3 replies, last 7} 4 5 6 7 8",
                                 "18 sent lobby#9", "lobby#9 bob: late"});
  }
  SECTION("after a restart, too") {
    s.leave();
    auto bob = s.enter("bob");
    bob.hello().ask(2, thread(s, 3)).ask(3, send(s, "four", "d", 3)).ask(4, all(s));
    CHECK(bob.heard() == lines{"1 hello bob lobby#7", "2 thread 5 6 7 read 0", "3 sent lobby#8", "lobby#8 bob: four",
                               "4 page 1 2 3{4 replies, last 8} 4 5 6 7 8"});
  }
}

TEST_CASE("what is not there can't be replied to", "[threads]") {
  lobby s;
  s.bob.ask(10, send(s, "welcome to me", "a", 2)).ask(11, send(s, "x", "b", 9)).ask(12, thread(s, 9));
  CHECK(s.bob.heard() == lines{"10 sent lobby#3", "lobby#3 bob: welcome to me", "11 bad_request", "12 not_found"});
  s.bob.ask(13, send(s, "x", "b")).ask(14, thread(s, 2)); // what is refused uses up no key
  CHECK(s.bob.heard() == lines{"13 sent lobby#4", "lobby#4 bob: x", "14 thread 3 read 0"});
  auto max = s.enter("max");
  max.hello().ask(2, op::send{{}, user_id::trusted("ada"), "k", "psst", {}, 1});
  CHECK(max.heard() == lines{"1 hello max", "2 bad_request"});
}

TEST_CASE("a thread has its own read position, which moves forward only", "[threads]") {
  lobby s;
  s.ada.ask(10, send(s, "root", "a"));
  for (int i = 0; i < 4; ++i)
    s.ada.ask(11 + i, send(s, "x", "k" + std::to_string(i), 3));
  s.bob.heard();
  s.bob.ask(10, read(s, 5, 3)).ask(11, read(s, 4, 3)).ask(12, read(s, 99, 3)).ask(13, read(s, 3, 3));
  CHECK(s.bob.heard() == lines{"10 read 5", "11 read 5", "12 bad_request", "13 bad_request"});
  s.bob.ask_later(14, read(s, 7, 3)).ask_later(15, read(s, 6, 3)).ask_later(16, thread(s, 3, 6));
  s.run();
  auto heard = s.bob.heard();
  CHECK(std::count(heard.begin(), heard.end(), "14 read 7") == 1);
  CHECK(std::count(heard.begin(), heard.end(), "15 read 7") == 1);
  CHECK(s.inbox(s.bob) == "rooms lobby#7:5"); // the room's own has not moved
  s.leave();
  auto bob = s.enter("bob");
  bob.hello().ask(2, thread(s, 3, 6)).ask(3, read(s, 6, 3));
  CHECK(bob.heard() == lines{"1 hello bob lobby#7", "2 thread 7 read 7", "3 read 7"});
}

TEST_CASE("members are meant by their names, and everybody by @room where one may", "[threads]") {
  lobby s;
  auto meant = [&](const std::string& text, person& by) {
    static int n = 0;
    by.ask(500 + n, send(s, text, "m" + std::to_string(n)));
    ++n;
    auto page = s.store->events_before(s.room("lobby"), UINT64_MAX, 1, 1 << 20);
    REQUIRE(page.has_value());
    return page->events.back().more->mentions;
  };
  CHECK(meant("hi @bob", s.ada) == lines{"bob"});
  CHECK(meant("@bob.", s.ada) == lines{"bob"});
  CHECK(meant("(@Bob), @bob-- @bob", s.ada) == lines{"bob"});
  CHECK(meant("ada@bob, mail@bob.org", s.ada).empty());
  CHECK(meant("@bobby @eve @ @@ @.bob @nobody", s.ada).empty()); // eve only listens
  CHECK(meant("@@bob", s.ada) == lines{"bob"});
  CHECK(meant("@ada, remember", s.ada).empty()); // oneself
  CHECK(meant("@room and @bob", s.ada) == lines{"@room", "bob"});
  CHECK(meant("@room and @ada", s.bob) == lines{"ada"}); // in a public room that is for moderators
  CHECK(meant("@" + std::string(40, 'b'), s.ada).empty());
  s.ada.say("to:bob", "@bob");
  auto page = s.store->events_before(s.room("@ada+bob"), UINT64_MAX, 1, 1 << 20);
  CHECK(page->events.back().more->mentions == lines{"bob"});
}

TEST_CASE("the inbox counts messages and mentions behind the read position", "[threads]") {
  const auto ring = GENERATE(1u, 64u); // from the disk and from memory
  lobby s([&](settings& c) {
    c.rooms.ring_events = ring;
    c.limits.mentions_counted = 3;
  });
  s.ada.ask(10, send(s, "@bob one", "a")).ask(11, send(s, "two", "b"));
  s.ada.ask(12, op::react{s.room("lobby"), 3, "r", "+1", true}).ask(13, send(s, "@room three", "c"));
  CHECK(s.inbox(s.bob) == "rooms lobby#6:3@2"); // reactions and who comes in are no messages
  s.bob.ask(10, read(s, 3));
  CHECK(s.inbox(s.bob) == "rooms lobby#6:2@1");
  s.ada.ask(14, op::revoke{s.room("lobby"), 6, "v"}); // what was taken back calls nobody any more
  CHECK(s.inbox(s.bob) == "rooms lobby#7:2");
  for (int i = 0; i < 5; ++i)
    s.ada.ask(20 + i, send(s, "@bob", "k" + std::to_string(i)));
  CHECK(s.inbox(s.bob) == "rooms lobby#12:7@3"); // no more than mentions_counted
  s.bob.ask(11, read(s, 12));
  CHECK(s.inbox(s.bob) == "rooms lobby#12:0");
  s.ada.ask(40, send(s, "@bob and @room", "both")).ask(41, read(s, 12));
  CHECK(s.inbox(s.bob) == "rooms lobby#13:1@1"); // one message
  CHECK(s.inbox(s.ada) == "rooms lobby#13:1");   // whose author is not meant
  s.bob.ask(12, read(s, 13));
  s.leave();
  auto bob = s.enter("bob");
  bob.hello();
  s.ada = s.enter("ada");
  s.ada.hello().ask(30, send(s, "@bob again", "z"));
  CHECK(s.inbox(bob) == "rooms lobby#14:1@1");
}

TEST_CASE("an ephemeral message is heard by who listens, and kept by nobody", "[threads]") {
  lobby s;
  auto passing = send(s, "look!", {});
  passing.ephemeral = true;
  auto phone = s.enter("bob");
  phone.hello();
  phone.heard();
  s.bob.ask(10, passing);
  CHECK(s.bob.heard() == lines{"10 ok", "lobby bob in passing: look!"});
  CHECK(phone.heard() == lines{"lobby bob in passing: look!"});
  CHECK(s.ada.heard() == lines{"lobby bob in passing: look!"});
  CHECK(s.eve.heard() == lines{"lobby bob in passing: look!"});
  s.eve.ask(10, passing);
  CHECK(s.eve.heard() == lines{"10 not_member"});
  s.ada.ask(10, all(s));
  CHECK(s.ada.heard() == lines{"10 page 1 2"});
  s.ada.ask(11, op::moderate{s.room("lobby"), op::moderate::act::mute, user_id::trusted("bob"), 0, {}, {}});
  s.bob.heard();
  s.bob.ask(11, passing);
  CHECK(s.bob.heard() == lines{"11 muted"});
}
