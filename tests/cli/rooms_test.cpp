// The person among rooms: going from one to another, leaving, and what counts as read.
#include "fixture.hpp"

namespace greenroom::cli {

TEST_CASE_METHOD(fixture, "a /join that cannot be meant says why, and nothing else happens", "[conversation]") {
  settle_in();
  talk.typed("/join");
  CHECK(noticed.back() == "/join ROOM");
  talk.typed("/join Bad Name");
  CHECK(noticed.back().starts_with("/join: a room id is "));
  talk.typed("/join general");
  CHECK(noticed.back() == "you are in general");
  CHECK(next().is_null());
  talk.typed("here");
  CHECK(next()["room"] == "general");
  CHECK_FALSE(talk.finished());
}

TEST_CASE_METHOD(fixture, "a /join that is refused leaves the person where they were", "[conversation]") {
  settle_in(5);
  talk.typed("/join secret");
  talk.typed("only for them");
  talk.typed("/who");
  auto join = next();
  CHECK(join["room"] == "secret");
  CHECK(next().is_null());
  refuse(join, "forbidden");
  CHECK(noticed == strings{"connected as alice; /help lists the commands", "join: forbidden: no", "cannot enter secret",
                           "not in secret; /who was not done", "not sent: only for them", "still in general"});
  CHECK(next().is_null()); // Least of all is the line said in general.
  talk.typed("back");
  auto back = next();
  CHECK(back["room"] == "general");
  CHECK(back["text"] == "back");
  answer(back, sent_ok(6));
  say("general", 6, "alice", "back");
  CHECK(shown.back() == "[general 6] alice: back");
  talk.input_ended();
  told_at_the_end(6);
  CHECK(talk.finished() == 1); // Not all that was typed is in a log.
}

TEST_CASE_METHOD(fixture, "what is typed after a /join goes to that room, commands too", "[conversation]") {
  settle_in();
  talk.typed("/join hall");
  talk.typed("hello, hall");
  talk.typed("/who");
  answer(next(), {{"epoch", "e2"}, {"seq", 3}});
  CHECK(noticed.back() == "now in hall");
  CHECK(next()["op"] == "history");
  auto who = next();
  CHECK(who["op"] == "members");
  CHECK(who["room"] == "hall");
  auto line = next();
  CHECK(line["room"] == "hall");
  CHECK(line["text"] == "hello, hall");
}

TEST_CASE_METHOD(fixture, "a /join without a connection is done when there is one", "[conversation]") {
  settle_in();
  talk.disconnected();
  talk.typed("/who");
  CHECK(noticed.back() == "not connected; /who was not done");
  talk.typed("/join hall");
  CHECK(noticed.back() == "not connected; hall is entered when the server is back, and lines go there");
  talk.typed("for the hall");
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(0)}), recovered));
  auto join = next();
  CHECK(join["op"] == "join");
  CHECK(join["room"] == "hall");
  SECTION("it is entered") {
    answer(join, {{"epoch", "e2"}, {"seq", 1}});
    CHECK(next()["op"] == "history");
    auto line = next();
    CHECK(line["room"] == "hall");
    CHECK(line["text"] == "for the hall");
  }
  SECTION("it is refused") {
    refuse(join, "forbidden");
    CHECK(noticed.back() == "still in general");
    CHECK(next().is_null());
    talk.typed("for all");
    CHECK(next()["room"] == "general");
  }
}

TEST_CASE_METHOD(fixture, "who leaves before all is acknowledged is told what waits and what becomes of it",
                 "[conversation]") {
  settle_in();
  CHECK(talk.left_over().empty());
  talk.typed("one");
  CHECK(next()["text"] == "one");
  CHECK(talk.left_over() == "1 line is not acknowledged: it may have arrived or not");
  talk.typed("two");
  talk.disconnected();
  talk.typed("three");
  CHECK(talk.left_over() == "1 line is not acknowledged: it may have arrived or not; 2 lines were not sent");
  talk.typed("/quit");
  CHECK(noticed.back() == "3 lines wait for the server; /quit again or Ctrl-C leaves without");
  CHECK_FALSE(talk.finished());
  SECTION("waiting for it") {
    come_back({{"general", {{"recovered", true}}}});
    for (uint64_t seq = 1; seq <= 3; ++seq) {
      say("general", seq, "alice", "x");
      answer(next(), sent_ok(seq));
    }
    told_at_the_end(3);
    CHECK(talk.finished() == 0);
    CHECK(talk.left_over().empty());
  }
  SECTION("not waiting for it") {
    talk.typed("/quit");
    CHECK(talk.finished() == 1);
  }
}

TEST_CASE_METHOD(fixture, "a connection that breaks on the way out says what is waited for", "[conversation]") {
  settle_in();
  talk.typed("one");
  talk.typed("/quit");
  CHECK(noticed.size() == 1); // The answer is a moment away.
  talk.disconnected();
  CHECK(noticed.back() == "1 line waits for the server; /quit again or Ctrl-C leaves without");
  talk.disconnected(); // An attempt to come back that failed is no news.
  CHECK(noticed.size() == 2);
}

TEST_CASE_METHOD(fixture, "the read position follows what is shown, once for many events", "[conversation]") {
  settle_in(5);
  CHECK(marks == 1); // history was shown
  say("general", 6, "bob", "a");
  say("general", 7, "alice", "b"); // our own count no less
  CHECK(marks == 1);
  CHECK(next().is_null());
  talk.mark_read();
  auto read = next();
  CHECK(read["op"] == "read");
  CHECK(read["room"] == "general");
  CHECK(read["seq"] == 7);
  CHECK(next().is_null());
  answer(read, {{"seq", 7}});
  talk.mark_read();
  CHECK(next().is_null());
  say("general", 8, "bob", "c");
  CHECK(marks == 2);
  talk.typed("/rooms");
  answer(next(), {{"rooms", {{{"room", "general"}, {"seq", 8}, {"unread", 1}}}}});
  CHECK(shown.back() == "general: 0 unread of 8"); // The server does not know yet, but the person has seen it.
}

TEST_CASE_METHOD(fixture, "what was said elsewhere before we came stays unread", "[conversation]") {
  const json hall = {{"room", "hall"}, {"epoch", "e2"}, {"seq", 5}, {"read", 2}, {"subscribed", true}};
  const json yard = {{"room", "yard"}, {"epoch", "e3"}, {"seq", 5}, {"read", 5}, {"subscribed", true}};
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(0), hall, yard})));
  answer(next(), {{"events", json::array()}});
  say("hall", 6, "bob", "x");
  CHECK(marks == 0);
  say("yard", 6, "bob", "x");
  CHECK(marks == 1);
  talk.mark_read();
  CHECK(next()["room"] == "yard");
  CHECK(next().is_null());
  talk.typed("/rooms");
  answer(next(),
         {{"rooms", {{{"room", "hall"}, {"seq", 6}, {"unread", 4}}, {{"room", "yard"}, {"seq", 6}, {"unread", 1}}}}});
  CHECK(shown[shown.size() - 2] == "hall: 4 unread of 6");
  CHECK(shown.back() == "yard: 0 unread of 6");
}

TEST_CASE_METHOD(fixture, "a room that was made anew is read from its beginning", "[conversation]") {
  settle_in(50);
  talk.disconnected();
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(2, "e2")}), {{"general", {{"recovered", false}}}}));
  talk.mark_read();
  CHECK(next().is_null());
}

} // namespace greenroom::cli
