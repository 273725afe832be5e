// What changes a message after it was sent: who may, what everybody sees, what history makes of it, and what is left of
// what was revoked.
#include "tests/actors/scene.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

op::edit edit(const scene& s, uint64_t target, std::string text, std::string key, std::optional<uint64_t> base = {}) {
  return {s.room("lobby"), target, std::move(key), std::move(text), base};
}
op::revoke revoke(const scene& s, uint64_t target, std::string key) {
  return {s.room("lobby"), target, std::move(key)};
}
op::react react(const scene& s, uint64_t target, std::string emoji, bool on, std::string key) {
  return {s.room("lobby"), target, std::move(key), std::move(emoji), on};
}
op::history all(const scene& s) {
  op::history x;
  x.room = s.room("lobby");
  x.limit = 200;
  return x;
}

/// Whether these bytes are anywhere in what the store would hand to a new member of the room, or to a reader.
bool is_told(const scene& s, const std::string& words) {
  auto page = s.store->events_after(s.room("lobby"), 0, 1'000, 1 << 20);
  REQUIRE(page.has_value());
  REQUIRE(s.store->fold(s.room("lobby"), user_id::trusted("ada"), *page, 1 << 20, false).has_value());
  for (const auto& e : page->events)
    if (e.text.find(words) != std::string::npos || e.more->data.find(words) != std::string::npos)
      return true;
  return std::any_of(page->folds.begin(), page->folds.end(),
                     [&](const auto& f) { return f.text.find(words) != std::string::npos; });
}

/// ada made the lobby and said "one" (#3) in it; bob is there, too.
struct lobby : scene {
  lobby() : lobby(std::function<void(settings&)>{}) {}
  explicit lobby(const std::function<void(settings&)>& adjust)
      : scene(adjust), ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.say("lobby", "one");
    ada.heard(), bob.heard();
  }
  person ada, bob;
};

} // namespace

TEST_CASE("an edit reaches everybody as an event, and history shows the new text", "[changes]") {
  lobby s;
  s.ada.ask(10, edit(s, 3, "won", "e1"));
  CHECK(s.ada.heard() == lines{"10 sent lobby#4", "lobby#4 ada edits #3: won"});
  CHECK(s.bob.heard() == lines{"lobby#4 ada edits #3: won"});
  s.bob.ask(10, all(s));
  CHECK(s.bob.heard() == lines{"10 page 1 2 3{edited 4: won} 4"});
  SECTION("the same again is the same edit") {
    s.ada.ask(11, edit(s, 3, "won", "e1")).ask(12, edit(s, 3, "lost", "e1")).ask(13, revoke(s, 3, "e1"));
    CHECK(s.ada.heard() == lines{"11 sent lobby#4 duplicate", "12 conflict", "13 conflict"});
  }
  SECTION("on top of the last one only, where the editor says what that is") {
    s.ada.ask(11, edit(s, 3, "two", "e2", 3)).ask(12, edit(s, 3, "two", "e3", 4)).ask(13, edit(s, 3, "three", "e4", 4));
    CHECK(s.ada.heard() == lines{"11 conflict", "12 sent lobby#5", "lobby#5 ada edits #3: two", "13 conflict"});
  }
  SECTION("also while the last one is on its way") {
    s.ada.ask_later(11, edit(s, 3, "two", "e2", 4))
        .ask_later(12, edit(s, 3, "three", "e3", 4))
        .ask_later(13, edit(s, 3, "three", "e4", 5));
    s.run();
    CHECK(s.ada.heard() == lines{"11 sent lobby#5", "12 conflict", "13 sent lobby#6", "lobby#5 ada edits #3: two",
                                 "lobby#6 ada edits #3: three"});
  }
  SECTION("and it survives a restart") {
    s.ada.hang_up(), s.bob.hang_up();
    s.restart();
    auto again = s.enter("ada");
    again.hello().ask(2, edit(s, 3, "two", "e2", 3)).ask(3, all(s));
    CHECK(again.heard() == lines{"1 hello ada lobby#4", "2 conflict", "3 page 1 2 3{edited 4: won} 4"});
  }
}

TEST_CASE("what may not be changed, and by whom", "[changes]") {
  lobby s;
  auto eve = s.enter("eve");
  eve.hello();
  eve.heard();
  s.bob.ask(10, edit(s, 3, "x", "1")).ask(11, revoke(s, 3, "2"));
  CHECK(s.bob.heard() == lines{"10 forbidden", "11 forbidden"});
  s.ada.ask(10, edit(s, 2, "x", "1")).ask(11, edit(s, 4, "x", "2")).ask(12, react(s, 9, "+1", true, "3"));
  CHECK(s.ada.heard() == lines{"10 bad_request", "11 not_found", "12 not_found"});
  eve.ask(10, react(s, 3, "+1", true, "1")).ask(11, revoke(s, 3, "2"));
  CHECK(eve.heard() == lines{"10 not_member", "11 not_member"});
  s.ada.ask(13, op::revoke{s.room("nowhere"), 1, "4"});
  CHECK(s.ada.heard() == lines{"13 not_found"});
  s.bob.say("lobby", "mine");
  s.bob.heard(), s.ada.heard();
  s.ada.ask(14, revoke(s, 4, "5")); // she owns the room
  CHECK(s.ada.heard() == lines{"14 sent lobby#5", "lobby#5 ada revokes #4"});
  s.bob.heard();
  s.bob.ask(12, edit(s, 4, "again", "3")).ask(13, react(s, 4, "+1", true, "4")).ask(14, revoke(s, 4, "6"));
  CHECK(s.bob.heard() == lines{"12 not_found", "13 not_found", "14 not_found"});
}

TEST_CASE("a revoked message is told by nobody any more: not live, not in history, not on resume", "[changes]") {
  lobby s;
  s.ada.ask(10, edit(s, 3, "secret", "e1")).ask(11, edit(s, 3, "secret too", "e2"));
  s.bob.ask(10, react(s, 3, "+1", true, "r"));
  auto epoch = s.epoch_of("lobby");
  s.ada.heard(), s.bob.heard();
  SECTION("at once") {}
  SECTION("while edits and reactions are still on their way") {
    s.ada.ask_later(12, edit(s, 3, "secret, the third", "e3"));
    s.bob.ask_later(12, react(s, 3, "-1", true, "r2"));
  }
  s.ada.ask_later(13, revoke(s, 3, "v"));
  s.run();
  auto heard = s.ada.heard();
  CHECK(heard.back().ends_with("ada revokes #3"));
  CHECK_FALSE(is_told(s, "secret"));
  CHECK_FALSE(is_told(s, "one"));
  auto page = [&](person& who) {
    who.ask(20, all(s));
    return who.heard().back();
  };
  auto seen = page(s.bob);
  CHECK(seen.starts_with("20 page 1 2 3{revoked} 4 5"));
  CHECK(seen.find("+1") == std::string::npos);
  SECTION("from memory") {}
  SECTION("from the disk") {
    s.ada.hang_up(), s.bob.hang_up();
    s.restart();
  }
  auto late = s.enter("bob");
  op::hello hello;
  hello.resume = {{s.room("lobby"), position{epoch, 2}}};
  late.hello({}, hello);
  auto resumed = late.heard();
  REQUIRE(resumed.size() > 4);
  CHECK(resumed[1] == "lobby#3 ada (revoked)");
  CHECK(resumed[2] == "lobby#4 ada edits #3 (revoked)");
  CHECK(resumed[3] == "lobby#5 ada edits #3 (revoked)");
  auto again = s.enter("ada");
  again.hello().ask(2, revoke(s, 3, "v"));
  CHECK(again.heard().back().ends_with(" duplicate"));
}

TEST_CASE("reactions are counted by emoji, one for each user", "[changes]") {
  lobby s;
  s.ada.ask(10, react(s, 3, "+1", true, "a1")).ask(11, react(s, 3, "+1", true, "a2"));
  CHECK(s.ada.heard() ==
        lines{"10 sent lobby#4", "lobby#4 ada ++1 #3", "11 sent lobby#4"}); // the second says nothing new
  s.bob.ask(10, react(s, 3, "+1", true, "b1")).ask(11, react(s, 3, "heart", true, "b2"));
  s.bob.heard(), s.ada.heard();
  s.ada.ask(12, all(s));
  CHECK(s.ada.heard() == lines{"12 page 1 2 3{+1 2 mine, heart 1} 4 5 6"});
  s.ada.ask(13, react(s, 3, "+1", false, "a3"))
      .ask(14, react(s, 3, "+1", false, "a4"))
      .ask(15, react(s, 3, "+1", true, "a1"));
  CHECK(s.ada.heard() ==
        lines{"13 sent lobby#7", "lobby#7 ada -+1 #3", "14 sent lobby#7", "15 sent lobby#4 duplicate"});
  s.ada.ask(16, all(s));
  CHECK(s.ada.heard() == lines{"16 page 1 2 3{+1 1, heart 1} 4 5 6 7"});
  SECTION("also when many come at once") {
    s.ada.ask_later(20, react(s, 3, "x", true, "x1")).ask_later(21, react(s, 3, "x", false, "x2"));
    s.bob.ask_later(20, react(s, 3, "x", true, "x3")).ask_later(21, react(s, 3, "+1", false, "x4"));
    s.ada.ask_later(22, react(s, 3, "x", true, "x5"));
    s.run();
    s.bob.heard();
    s.bob.ask(22, all(s));
    CHECK(s.bob.heard().back().find("3{heart 1 mine, x 2 mine}") != std::string::npos);
  }
}

TEST_CASE("a revocation waits for changes that are on their way, and for nothing else", "[changes]") {
  lobby s([](settings& c) { c.rooms.ring_events = 1; });
  // A message whose change lands while another command is looked up.
  s.ada.ask_later(10, edit(s, 3, "two", "e1")).ask_later(11, react(s, 3, "+1", true, "r1"));
  s.ada.say_later("lobby", "between", "k").ask_later(22, revoke(s, 3, "v")).ask_later(23, revoke(s, 3, "v"));
  s.run();
  lines answers;
  for (const auto& line : s.ada.heard())
    if (!line.starts_with("lobby"))
      answers.push_back(line);
  REQUIRE(answers.size() == 5);
  CAPTURE(answers);
  CHECK(std::count_if(answers.begin(), answers.end(), [](const auto& a) { return a.ends_with("duplicate"); }) == 1);
  CHECK_FALSE(is_told(s, "two"));
  s.ada.say("lobby", "still served");
  CHECK(s.ada.heard().front().find("sent") != std::string::npos);
}

TEST_CASE("edits and kinds of reactions of one message are bounded", "[changes]") {
  lobby s([](settings& c) {
    c.limits.edits_per_message = 2;
    c.limits.reactions_per_message = 2;
  });
  s.ada.ask(10, edit(s, 3, "a", "1")).ask(11, edit(s, 3, "b", "2")).ask(12, edit(s, 3, "c", "3"));
  CHECK(s.ada.heard().back() == "12 too_large");
  s.bob.ask(10, react(s, 3, "a", true, "1")).ask(11, react(s, 3, "b", true, "2")).ask(12, react(s, 3, "c", true, "3"));
  CHECK(s.bob.heard().back() == "12 too_large");
  s.ada.ask(13, react(s, 3, "b", true, "4")).ask(14, revoke(s, 3, "5"));
  auto heard = s.ada.heard();
  CHECK(heard.back() == "lobby#9 ada revokes #3");
}

TEST_CASE("a page of edited messages stays within its bytes", "[changes]") {
  lobby s([](settings& c) { c.limits.page_bytes = 65'536; });
  for (int i = 0; i < 10; ++i)
    s.ada.say("lobby", "short");
  for (uint64_t seq = 3; seq < 13; ++seq)
    s.ada.ask(static_cast<int64_t>(100 + seq), edit(s, seq, std::string(16'000, 'x'), "e" + std::to_string(seq)));
  s.ada.heard();
  op::history first;
  first.room = s.room("lobby");
  first.where = op::history::from::after;
  first.seq = 2;
  first.limit = 10;
  s.ada.ask(200, first);
  auto page = s.ada.heard().front();
  CHECK(page.size() < 70'000);
  CHECK(page.ends_with(" more"));
  CHECK(page.find("page 3{edited") != std::string::npos);
}

TEST_CASE("whatever is done in whatever order, history shows what a simple model shows", "[changes][random]") {
  // The model: what each message says, who put what on it. Some commands are sent again under their key, some are on
  // their way together, the disk fails, the room is put to sleep.
  for (unsigned seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    struct message {
      std::string author, text;
      uint64_t edited = 0;
      bool revoked = false;
      std::map<std::string, std::set<std::string>> reactions;
    };
    std::map<uint64_t, message> model;
    scene s([&](settings& c) {
      c.rooms.ring_events = 1 + static_cast<uint32_t>(below(12));
      c.limits.sends_per_s = c.limits.sends_burst = 1'000'000;
    });
    const lines names{"ada", "bob", "eve"};
    uint64_t head = 3; // ada made the room, both others joined
    auto call = [&](const std::string& who, op::any what) { return s.perform(who, std::move(what)); };
    REQUIRE(call("ada", op::create{s.room("lobby"), storage::room_kind::public_, "", 0}).has_value());
    REQUIRE(call("bob", op::join{s.room("lobby"), {}}).has_value());
    REQUIRE(call("eve", op::join{s.room("lobby"), {}}).has_value());
    int key = 0;
    auto expect = [&](const answer& a, std::optional<errc> why, bool is_new) {
      INFO((a ? std::string("ok") : a.error().message));
      if (why) {
        REQUIRE_FALSE(a.has_value());
        CHECK(a.error().code == *why);
        return;
      }
      REQUIRE(a.has_value());
      if (is_new)
        CHECK(std::get<ok::sent>(*a).seq == ++head);
      else
        CHECK(std::get<ok::sent>(*a).seq <= head);
    };
    for (int step = 0; step < 120; ++step) {
      const auto& who = names[below(3)];
      const auto k = "k" + std::to_string(++key);
      auto target = uint64_t{3} + 1 + below(std::max<uint64_t>(head - 3, 1));
      auto m = model.find(target);
      op::any what;
      std::optional<errc> why;
      bool is_new = true;
      std::function<void()> apply = [] {};
      if (m == model.end())
        why = target > head ? errc::not_found : errc::bad_request;
      else if (m->second.revoked)
        why = errc::not_found;
      switch (below(5)) {
      case 0: {
        op::send x;
        x.room = s.room("lobby");
        x.key = k;
        x.text = "word " + k;
        what = x;
        why = {};
        apply = [&, text = x.text] { model[head] = {who, text, 0, false, {}}; };
        break;
      }
      case 1: {
        auto x = edit(s, target, "edit " + k, k);
        what = x;
        if (!why && m->second.author != who)
          why = errc::forbidden;
        apply = [&, text = x.text] { m->second.text = text, m->second.edited = head; };
        break;
      }
      case 2: {
        if (below(3) != 0) { // rarer than the rest, or nothing is left
          --step;
          continue;
        }
        what = revoke(s, target, k);
        if (!why && m->second.author != who && who != "ada")
          why = errc::forbidden;
        apply = [&] { m->second.revoked = true; };
        break;
      }
      default: {
        const std::string emoji = below(2) ? "+1" : "heart";
        bool on = below(3) != 0;
        what = react(s, target, emoji, on, k);
        is_new = m != model.end() && m->second.reactions[emoji].contains(who) != on;
        apply = [&, emoji, on] {
          if (on)
            m->second.reactions[emoji].insert(who);
          else
            m->second.reactions[emoji].erase(who);
        };
      }
      }
      if (below(8) == 0) { // the disk fails somewhere on the way; the client asks again under the same key
        s.disk.fail_at(1 + below(3), below(2) ? fault::no_space : fault::io_error);
        auto first = call(who, what);
        s.disk.heal();
        s.pass(std::chrono::seconds(3));
        if (first) {
          expect(first, why, is_new);
          apply();
          continue;
        }
      }
      auto a = call(who, what);
      for (int more = 0; more < 5 && !a && a.error().code == errc::unavailable; ++more) {
        s.pass(std::chrono::seconds(3)); // the store is opened again in its own time
        a = call(who, what);
      }
      if (why || !a) {
        expect(a, why, is_new);
      } else {
        auto& sent = std::get<ok::sent>(*a);
        // What was refused because the disk failed may have got there all the same; then it is the first answer.
        if (sent.duplicate)
          CHECK(sent.seq == (is_new ? ++head : sent.seq));
        else
          expect(a, why, is_new);
        apply();
        if (below(4) == 0) {
          auto again = call(who, what);
          REQUIRE(again.has_value());
          CHECK(std::get<ok::sent>(*again).duplicate);
          CHECK(std::get<ok::sent>(*again).seq == sent.seq);
        }
      }
      if (below(15) == 0)
        s.restart();
    }
    for (const auto& reader : names) {
      auto page = call(reader, all(s));
      REQUIRE(page.has_value());
      const auto& p = std::get<ok::page>(*page);
      CHECK(p.as_of == head);
      REQUIRE(p.events.size() == head);
      std::map<uint64_t, storage::message_fold> folds;
      for (const auto& f : p.folds)
        folds[f.seq] = f;
      for (const auto& [seq, m] : model) {
        INFO("message " << seq << " for " << reader);
        const auto& e = p.events[seq - 1];
        const auto& f = folds[seq];
        CHECK(f.revoked == m.revoked);
        CHECK(e.revoked == m.revoked);
        if (m.revoked) {
          CHECK(e.text.empty());
          CHECK(f.text.empty());
          continue;
        }
        CHECK((f.edited != 0 ? f.text : e.text) == m.text);
        CHECK(f.edited == m.edited);
        std::map<std::string, std::set<std::string>> left;
        for (const auto& [emoji, people] : m.reactions)
          if (!people.empty())
            left[emoji] = people;
        REQUIRE(f.reactions.size() == left.size());
        for (const auto& r : f.reactions) {
          CHECK(r.count == left[r.emoji].size());
          CHECK(r.mine == left[r.emoji].contains(reader));
        }
      }
    }
  }
}
