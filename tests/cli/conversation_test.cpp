// The conversation over connections that break: what goes out, in which order, and what is shown.
#include "fixture.hpp"

#include "net/cli/show.hpp"

namespace greenroom::cli {

TEST_CASE_METHOD(fixture, "a room that is not there is made, then joined", "[conversation]") {
  talk.connected("secret");
  auto hello = next();
  CHECK(hello["op"] == "hello");
  CHECK(hello["token"] == "secret");
  answer(hello, hello_ok());
  auto join = next();
  CHECK(join["op"] == "join");
  CHECK(join["room"] == "general");
  refuse(join, "not_found");
  auto create = next();
  CHECK(create["op"] == "create");
  answer(create, {{"room", "general"}, {"epoch", "e1"}, {"seq", 1}});
  join = next();
  CHECK(join["op"] == "join");
  answer(join, {{"epoch", "e1"}, {"seq", 1}, {"recovered", true}});
  CHECK(next()["op"] == "history");
  CHECK_FALSE(talk.finished());
}

TEST_CASE_METHOD(fixture, "what happens on the way into a room is shown once, with its history", "[conversation]") {
  talk.connected("t");
  answer(next(), hello_ok());
  refuse(next(), "not_found");
  answer(next(), {{"room", "general"}, {"epoch", "e1"}, {"seq", 1}});
  auto join = next();
  const json event = {{"ev", "message"}, {"room", "general"}, {"seq", 2}, {"from", "bob"}, {"text", "early"}};
  talk.received(event.dump());
  CHECK(shown.empty());
  answer(join, {{"epoch", "e1"}, {"seq", 2}, {"recovered", true}});
  auto history = next();
  CHECK(history["before"] == 3);
  answer(history, {{"events", json::array({event})}});
  CHECK(shown.size() == 1);
}

TEST_CASE_METHOD(fixture, "a room that somebody else makes at the same time is joined", "[conversation]") {
  talk.connected("t");
  answer(next(), hello_ok());
  refuse(next(), "not_found");
  refuse(next(), "exists");
  CHECK(next()["op"] == "join");
}

TEST_CASE_METHOD(fixture, "a room that may not be entered ends the conversation", "[conversation]") {
  talk.connected("t");
  answer(next(), hello_ok());
  refuse(next(), "forbidden");
  CHECK(talk.finished() == 1);
}

TEST_CASE_METHOD(fixture, "lines typed before the server is there wait, and go one at a time in order",
                 "[conversation]") {
  talk.typed("one");
  talk.typed("two");
  settle_in();
  auto one = next();
  CHECK(one["op"] == "send");
  CHECK(one["text"] == "one");
  CHECK(one["key"] == "k1");
  CHECK(next().is_null());
  answer(one, sent_ok(1));
  auto two = next();
  CHECK(two["text"] == "two");
  answer(two, sent_ok(2));
  CHECK(talk.unacknowledged() == 0);
}

TEST_CASE_METHOD(fixture, "a line whose answer was lost goes again under the same key", "[conversation]") {
  settle_in();
  talk.typed("word");
  auto first = next();
  REQUIRE(first["text"] == "word");
  talk.disconnected();
  talk.typed("later");
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(1)}), recovered));
  auto again = next();
  CHECK(again["text"] == "word");
  CHECK(again["key"] == first["key"]);
  auto duplicate = sent_ok(1);
  duplicate["duplicate"] = true;
  answer(again, duplicate);
  auto later = next();
  CHECK(later["text"] == "later");
  CHECK(later["key"] != first["key"]);
}

TEST_CASE_METHOD(fixture, "who is told to go finishes what is under way, comes back, and nothing is seen of it",
                 "[conversation]") {
  settle_in();
  noticed.clear();
  receive({{"ev", "goaway"}, {"reconnect_ms", 700}, {"reason", "the node drains"}});
  CHECK(leave_ms == 700);
  talk.typed("one");
  auto one = next();
  CHECK(one["text"] == "one");
  talk.leave();
  talk.typed("two");
  CHECK(goodbyes == 0);
  answer(one, sent_ok(1));
  CHECK(goodbyes == 1);
  CHECK(next().is_null()); // the rest is for the next connection
  say("general", 1, "alice", "one");
  talk.typed("/who");
  CHECK(talk.moving());
  talk.disconnected();
  talk.connected("t");
  auto hello = next();
  CHECK(hello["resume"]["general"]["seq"] == 1);
  answer(hello, hello_ok(json::array({room_at(1)}), recovered));
  CHECK(next()["op"] == "members");
  CHECK(next()["text"] == "two");
  CHECK(noticed.empty());
  CHECK_FALSE(talk.moving());
}

TEST_CASE_METHOD(fixture, "an idle client that is told to go goes when its time has come", "[conversation]") {
  settle_in();
  receive({{"ev", "goaway"}, {"reconnect_ms", 0}, {"reason", "the node drains"}});
  CHECK(goodbyes == 0);
  talk.leave();
  CHECK(goodbyes == 1);
  // A connection that then does not come about is an outage like any other.
  talk.disconnected();
  CHECK(talk.moving());
  talk.disconnected();
  CHECK_FALSE(talk.moving());
  noticed.clear();
  talk.leave();
  CHECK(goodbyes == 1);
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(1)}), recovered));
  CHECK(noticed == strings{"connected again"});
}

TEST_CASE_METHOD(fixture, "a refusal that may pass pauses all lines for as long as it says", "[conversation]") {
  settle_in();
  talk.typed("one");
  talk.typed("two");
  auto one = next();
  refuse(one, "rate_limited", true, 850);
  CHECK(retry_ms == 850);
  talk.typed("three");
  CHECK(next().is_null());
  talk.retry();
  auto again = next();
  CHECK(again["text"] == "one");
  CHECK(again["key"] == one["key"]);
  CHECK(talk.unacknowledged() == 3);
}

TEST_CASE_METHOD(fixture, "a line that is refused for good is named, and the next one goes", "[conversation]") {
  settle_in();
  talk.typed("bad");
  talk.typed("good");
  refuse(next(), "too_large");
  CHECK(noticed.back() == "not sent: bad: too_large: no");
  answer(next(), sent_ok(1));
  say("general", 1, "alice", "good");
  talk.input_ended();
  told_at_the_end(1);
  CHECK(talk.finished() == 1); // Not all that was typed is in the log.
}

TEST_CASE_METHOD(fixture, "the end comes only when all is acknowledged", "[conversation]") {
  settle_in();
  talk.typed("last");
  auto last = next();
  talk.input_ended();
  CHECK_FALSE(talk.finished());
  talk.disconnected();
  CHECK_FALSE(talk.finished());
  talk.connected("t");
  answer(next(), hello_ok(json::array({room_at(1)}), recovered));
  say("general", 1, "alice", "last");
  answer(next(), sent_ok(1));
  told_at_the_end(1);
  CHECK(talk.finished() == 0);
}

TEST_CASE_METHOD(fixture, "an answer that overtakes its event does not hide it", "[conversation]") {
  settle_in();
  talk.typed("last");
  talk.input_ended();
  answer(next(), sent_ok(1));
  CHECK_FALSE(talk.finished());
  say("general", 1, "alice", "last");
  told_at_the_end(1);
  CHECK(talk.finished() == 0);
  CHECK(shown == strings{"[general 1] alice: last"});
}

TEST_CASE_METHOD(fixture, "input that is empty still waits for the first hello", "[conversation]") {
  talk.input_ended();
  talk.connected("t");
  CHECK_FALSE(talk.finished());
  refuse(next(), "unauthenticated");
  CHECK_FALSE(talk.finished());
}

TEST_CASE_METHOD(fixture, "a new connection resumes each room at the last event that was seen", "[conversation]") {
  settle_in(5);
  say("general", 6, "bob", "hi");
  receive({{"ev", "subscribed"}, {"room", "@alice+bob"}, {"epoch", "d1"}, {"seq", 0}});
  say("@alice+bob", 1, "bob", "psst");
  CHECK(shown == strings{"[general 6] bob: hi", "[@alice+bob 1] bob: psst"});
  talk.disconnected();
  talk.connected("t");
  auto hello = next();
  CHECK(hello["resume"]["general"] == json{{"epoch", "e1"}, {"seq", 6}});
  CHECK(hello["resume"]["@alice+bob"] == json{{"epoch", "d1"}, {"seq", 1}});
  answer(hello, hello_ok(json::array({room_at(8)}), {{"general", {{"recovered", true}}}}));
  say("general", 7, "bob", "still");
  say("general", 8, "bob", "there");
  CHECK(shown.back() == "[general 8] bob: there");
  CHECK(noticed.back() == "connected again");
}

TEST_CASE_METHOD(fixture, "a room that cannot be resumed goes on from its head, and that is said", "[conversation]") {
  settle_in(5);
  come_back({{"general", {{"recovered", false}}}});
  CHECK(noticed.back() == "some events of general cannot be replayed; /history shows the latest");
  say("general", 100, "bob", "new");
  CHECK(shown.back() == "[general 100] bob: new");
}

TEST_CASE_METHOD(fixture, "a gap or a repetition is a mistake of the server and is said aloud", "[conversation]") {
  settle_in(5);
  say("general", 7, "bob", "seven");
  CHECK(noticed.back() == "mistake of the server: general goes from 5 to 7");
  say("general", 7, "bob", "seven");
  CHECK(noticed.back() == "mistake of the server: general 7 came again");
  CHECK(shown == strings{"[general 7] bob: seven"});
}

TEST_CASE_METHOD(fixture, "a hello that may succeed later is tried on a new connection", "[conversation]") {
  talk.connected("t");
  refuse(next(), "unavailable", true);
  CHECK(reconnects == 1);
}

TEST_CASE_METHOD(fixture, "a token that ends soon is renewed on the same connection", "[conversation]") {
  settle_in();
  receive({{"ev", "expiring"}, {"expires_at", 1}});
  CHECK(renewals == 1);
  talk.renewed("t2");
  auto refresh = next();
  CHECK(refresh["op"] == "refresh");
  CHECK(refresh["token"] == "t2");
}

TEST_CASE_METHOD(fixture, "commands ask for what they are about", "[conversation]") {
  settle_in(5);
  talk.typed("/to bob how are you");
  auto direct = next();
  CHECK(direct["to"] == "bob");
  CHECK(direct["text"] == "how are you");
  CHECK_FALSE(direct.contains("room"));
  answer(direct, sent_ok(1));
  talk.typed("/history 3");
  auto history = next();
  CHECK(history["before"] == 6);
  CHECK(history["limit"] == 3);
  answer(history, {{"events", {{{"ev", "message"}, {"room", "general"}, {"seq", 5}, {"from", "bob"}, {"text", "x"}}}}});
  CHECK(shown.back() == "[general 5] bob: x");
  talk.typed("/who");
  answer(next(), {{"members", {{{"user", "bob"}, {"role", "owner"}, {"online", true}}}}});
  CHECK(shown.back() == "general: bob (owner, online)");
  talk.typed("/rooms");
  answer(next(), {{"rooms", {{{"room", "hall"}, {"seq", 5}, {"unread", 2}}}}});
  CHECK(shown.back() == "hall: 2 unread of 5");
  talk.typed("//shrug");
  CHECK(next()["text"] == "/shrug");
  talk.typed("/nonsense");
  CHECK(noticed.back() == "no such command; /help lists them");
  CHECK(next().is_null());
}

TEST_CASE_METHOD(fixture, "whatever the server sends costs at most a notice", "[conversation]") {
  talk.connected("t");
  for (const std::string bad :
       {"", "\n\n", "{", "[]", "3", "\"x\"", R"({"re":null,"error":{}})", R"({"re":{}})", R"({"re":1})", R"({"ev":3})",
        R"({"ev":"message","room":[],"seq":"x"})", R"({"ev":"message","seq":1,"data":[[]]})",
        R"({"re":1,"ok":{"rooms":3,"resumed":[]}})", "\xff\xfe"}) {
    CAPTURE(bad);
    CHECK_NOTHROW(talk.received(bad));
  }
  CHECK_FALSE(talk.finished());
}

TEST_CASE("what others write cannot steer the terminal", "[conversation]") {
  CHECK(printable("a\x1b[2J\r\nb\x7f") == "a?[2J??b?");
  CHECK(printable("\xc2\x9b"
                  "31m") == "?31m");
  CHECK(printable("Grüße, 世界 🎭") == "Grüße, 世界 🎭");
}

TEST_CASE("what happens in a room is told in a line for people", "[conversation]") {
  auto line = [](const char* text) { return line_of(nlohmann::json::parse(text)); };
  CHECK(line(R"({"ev":"member","room":"r","seq":2,"from":"bob","user":"bob","change":"joined"})") ==
        "[r 2] * bob joined");
  CHECK(line(R"({"ev":"member","room":"r","seq":2,"from":"ada","user":"bob","change":"kicked","reason":"spam"})") ==
        "[r 2] * bob kicked by ada: spam");
  CHECK(line(R"({"ev":"member","room":"r","seq":2,"from":"ada","user":"bob","change":"role","role":"owner"})") ==
        "[r 2] * bob is owner now by ada");
  CHECK(line(R"({"ev":"edited","room":"r","seq":4,"from":"ada","target":3,"text":"x"})") == "[r 4] ada edited 3: x");
  CHECK(line(R"({"ev":"edited","room":"r","seq":4,"from":"ada","target":3,"revoked":true})") == "[r 4] ada edited 3");
  CHECK(line(R"({"ev":"revoked","room":"r","seq":5,"from":"ada","target":3})") == "[r 5] ada took back 3");
  CHECK(line(R"({"ev":"reaction","room":"r","seq":6,"from":"bob","target":3,"emoji":"+1","on":true})") ==
        "[r 6] bob put +1 on 3");
  CHECK(line(R"({"ev":"reaction","room":"r","seq":7,"from":"bob","target":3,"emoji":"+1","on":false})") ==
        "[r 7] bob took +1 off 3");
  CHECK(line(R"({"ev":"topic","room":"r","seq":8,"from":"ada","title":"cats"})") == "[r 8] ada set the topic: cats");
  CHECK(line(R"({"ev":"pinned","room":"r","seq":9,"from":"ada","target":3})") == "[r 9] ada * pinned 3");
  CHECK(line(R"({"ev":"room","room":"r","seq":9,"from":"ada","title":"T","kind":"private"})") ==
        "[r 9] ada changed the room: T (private)");
}

} // namespace greenroom::cli
