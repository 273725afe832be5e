// Gateways in one process: each node has an actor system of its own, and CAF's sockets lie between them.
#include "link_world.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>

using namespace greenroom;
using namespace greenroom::cluster;
using namespace greenroom::cluster::test;
using kind = witness::event::kind;

namespace {

std::vector<std::string> numbers(size_t count) {
  std::vector<std::string> all;
  for (size_t i = 0; i < count; ++i)
    all.push_back(std::to_string(i));
  return all;
}

bool wait_until(const std::function<bool()>& holds) {
  auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::yield();
  }
  return true;
}

/// Holds a gateway in the callback for letters until it is opened.
class gate {
public:
  void pass() {
    reached_.set_value();
    open_.get_future().wait();
  }
  void wait_reached() { REQUIRE(reached_.get_future().wait_for(patience) == std::future_status::ready); }
  void open() { open_.set_value(); }

private:
  std::promise<void> reached_;
  std::promise<void> open_;
};

} // namespace

TEST_CASE("two nodes that know each other have one link", "[gateway]") {
  node a{"a"}, b{"b"};
  a.meet(b);
  b.meet(a);
  auto at_a = a.seen.link("b");
  auto at_b = b.seen.link("a");
  REQUIRE(at_a);
  REQUIRE(at_b);
  CHECK(at_a->incarnation == at_b->incarnation);
  CHECK(at_a->store == "store-b");
  CHECK(at_b->store == "store-a");
  CHECK(a.figures.dials.get() == 0); // the greater name dials
  CHECK(a.figures.links_up.get() == 1);
  CHECK(a.living.count(actor_kind::gateway) == 1);
  a.living.each([](const vital_signs& s) { CHECK(s.name() == "a"); });
  b.stop();
  REQUIRE(a.seen.wait_down(at_a->incarnation));
  CHECK(b.living.count(actor_kind::gateway) == 0);
  CHECK_FALSE(at_b->post(channel::bulk, text(1, "too late")));
  CHECK(b.seen.all().back().what == kind::down);
  CHECK(a.figures.links_up.get() == 0);
  CHECK(b.figures.link_losses.get() == 0);
  CHECK(a.figures.link_losses.get() == 1);
}

TEST_CASE("letters arrive once and in order, by channel, in both directions", "[gateway]") {
  link_options small = quick("b");
  small.batch_bytes = 1000; // many frames, cut within letters
  small.credit_bulk_bytes = 4000;
  node a{"a"}, b{small};
  a.meet(b);
  b.meet(a);
  auto to_b = a.seen.link("b");
  auto to_a = b.seen.link("a");
  REQUIRE(to_b);
  REQUIRE(to_a);
  constexpr size_t count = 20'000;
  auto post = [](const peer_ptr& to, channel by) {
    for (size_t i = 0; i < count; ++i)
      if (!to->post(by, text(static_cast<uint16_t>(i), std::to_string(i))))
        return false;
    return true;
  };
  std::vector<std::future<bool>> posts;
  for (const auto& to : {to_a, to_b})
    for (auto by : {channel::control, channel::bulk})
      posts.push_back(std::async(std::launch::async, post, to, by));
  for (auto& p : posts)
    CHECK(p.get());
  REQUIRE(a.seen.wait_letters("b", 2 * count));
  REQUIRE(b.seen.wait_letters("a", 2 * count));
  for (auto by : {channel::control, channel::bulk}) {
    CHECK(a.seen.texts("b", by) == numbers(count));
    CHECK(b.seen.texts("a", by) == numbers(count));
    CHECK(a.figures[by].letters_in.get() == count);
    CHECK(a.figures[by].letters_out.get() == count);
    CHECK(a.figures[by].bytes_out.get() == b.figures[by].bytes_in.get());
  }
  CHECK(b.figures[channel::bulk].frames_out.get() > b.figures[channel::bulk].bytes_out.get() / 1001);
  for (const auto& x : a.seen.all())
    if (x.what == kind::letter && std::to_string(x.to) != x.text)
      FAIL("mailbox " << x.to << " of letter " << x.text); // count is below 65536
  CHECK(a.seen.disorder().empty());
  REQUIRE(wait_until([&] { return a.figures.queue_bytes.get() == 0; }));
}

TEST_CASE("a letter longer than a frame arrives whole", "[gateway]") {
  node a{"a"}, b{"b"};
  a.meet(b);
  b.meet(a);
  auto to_b = a.seen.link("b");
  REQUIRE(to_b);
  std::string big(5'000'000, '\0');
  for (size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<char>(i * 31 >> 3);
  REQUIRE(to_b->post(channel::bulk, text(1, "before")));
  REQUIRE(to_b->post(channel::bulk, text(2, big)));
  REQUIRE(to_b->post(channel::bulk, text(3, "")));
  REQUIRE(b.seen.wait_letters("a", 3));
  auto got = b.seen.texts("a", channel::bulk);
  CHECK(got[0] == "before");
  CHECK((got[1] == big));
  CHECK(got[2].empty());
}

TEST_CASE("three nodes have three links", "[gateway]") {
  node a{"a"}, b{"b"}, c{"c"};
  std::vector<known_peer> all{a.entry(), b.entry(), c.entry()};
  for (auto* n : {&a, &b, &c})
    n->know(all);
  for (auto* from : {&a, &b, &c})
    for (auto* to : {&a, &b, &c})
      if (from != to) {
        auto link = from->seen.link(to->options.name);
        REQUIRE(link);
        REQUIRE(link->post(channel::control, text(1, "hello from " + from->options.name)));
        REQUIRE(to->seen.wait_letters(from->options.name, 1));
      }
  auto b_at_a = a.seen.link("b");
  b.stop();
  REQUIRE(a.seen.wait_down(b_at_a->incarnation));
  REQUIRE(c.seen.link("a")->post(channel::bulk, text(1, "still here")));
  REQUIRE(a.seen.wait_letters("c", 2));
}

TEST_CASE("a node that is no longer listed has no link, until it is listed again", "[gateway]") {
  node a{"a"}, b{"b"};
  a.meet(b);
  b.meet(a);
  auto first = a.seen.link("b");
  REQUIRE(first);
  REQUIRE(b.seen.link("a"));
  SECTION("to the one who dials") { b.know({}); }
  SECTION("to the one who is dialled") { a.know({}); }
  SECTION("with the same store") {
    auto wiped = b.entry();
    wiped.store = "new";
    a.know({wiped});
  }
  REQUIRE(a.seen.wait_down(first->incarnation));
  REQUIRE(b.seen.wait_down(first->incarnation));
  CHECK_FALSE(first->post(channel::bulk, text(1, "lost")));
  a.meet(b);
  b.meet(a);
  auto second = a.seen.link("b", first->incarnation);
  REQUIRE(second);
  REQUIRE(b.seen.link("a", first->incarnation)->post(channel::bulk, text(1, "again")));
  REQUIRE(a.seen.wait_letters("b", 1));
  CHECK_FALSE(first->post(channel::bulk, text(1, "lost")));
  CHECK(a.seen.disorder().empty());
  CHECK(b.seen.disorder().empty());
}

TEST_CASE("a node that does not belong here is refused, and tries again", "[gateway]") {
  auto options = quick("b");
  SECTION("another cluster") { options.cluster = "other"; }
  SECTION("another version") { ++options.version; }
  SECTION("another store than listed") { options.store = "new"; }
  node a{"a"}, b{options};
  auto listed = b.entry();
  listed.store = "store-b";
  a.know({listed});
  b.meet(a);
  REQUIRE(wait_until([&] { return a.figures.refusals.get() >= 3 && b.figures.refusals.get() >= 3; }));
  CHECK(a.seen.all().empty());
  CHECK(b.seen.all().empty());
  if (options.store == "new") {
    a.meet(b);
    REQUIRE(a.seen.link("b"));
  }
}

TEST_CASE("a node is refused until it is listed", "[gateway]") {
  node a{"a"}, b{"b"};
  b.meet(a);
  REQUIRE(wait_until([&] { return a.figures.refusals.get() >= 3; }));
  CHECK(a.seen.all().empty());
  a.meet(b);
  CHECK(a.seen.link("b"));
}

TEST_CASE("who answers under another name than the one dialled gets no link", "[gateway]") {
  node a{"a"}, c{"c"};
  auto wrong = a.entry();
  SECTION("another node took the address") { wrong.name = "b"; }
  SECTION("the node has another store") { wrong.store = "other"; }
  a.meet(c);
  c.know({wrong});
  REQUIRE(wait_until([&] { return c.figures.dials_failed.get() >= 3; }));
  CHECK(c.seen.all().empty());
  CHECK(a.seen.all().empty());
  c.meet(a);
  CHECK(c.seen.link("a"));
}

TEST_CASE("the way to a node is asked for before each dialling", "[gateway]") {
  node a{"a"};
  std::atomic<int> asked{0};
  std::vector<std::thread> threads;
  node b{quick("b"), [&](const known_peer& to, const std::function<void(const endpoint*)>& found) {
           if (asked++ == 0) {
             found(nullptr);
             return;
           }
           // Later, by another thread.
           threads.emplace_back([found, port = to.port] {
             endpoint where{"127.0.0.1", static_cast<uint16_t>(port - 1)};
             found(&where);
           });
         }};
  a.meet(b);
  auto listed = a.entry();
  ++listed.port;
  b.know({listed});
  CHECK(b.seen.link("a"));
  b.stop();
  for (auto& t : threads)
    t.join();
  CHECK(asked == 2);
}

TEST_CASE("more letters than may wait end the link, and it comes back empty", "[gateway]") {
  auto options = quick("a");
  options.queue_bytes = 2'000'000;
  options.letter_bytes_max = 1'000'000;
  node a{options}, b{"b"};
  gate hold;
  std::atomic<bool> first{true};
  b.seen.on_letters = [&](const peer_ptr&, channel, const std::vector<letter>&) {
    if (first.exchange(false))
      hold.pass();
  };
  a.meet(b);
  b.meet(a);
  auto to_b = a.seen.link("b");
  REQUIRE(to_b);
  auto kilobyte = std::make_shared<const std::string>(1000, 'x');
  REQUIRE(to_b->post(channel::bulk, {1, kilobyte}));
  hold.wait_reached();
  // The peer is stuck: its credit and our queue take so much, and no more.
  size_t posted = 0;
  while (to_b->post(channel::bulk, {1, kilobyte}))
    ++posted;
  CHECK(posted * 1064 < options.queue_bytes + b.options.credit_bulk_bytes * 1064 / 1000 + 2000);
  REQUIRE(a.seen.wait_down(to_b->incarnation));
  CHECK(a.figures.overflows.get() == 1);
  CHECK(a.figures.queue_bytes.get() == 0);
  CHECK(a.figures[channel::bulk].bytes_out.get() <= static_cast<int64_t>(b.options.credit_bulk_bytes));
  hold.open();
  auto again = a.seen.link("b", to_b->incarnation);
  REQUIRE(again);
  REQUIRE(again->post(channel::bulk, text(1, "fresh")));
  REQUIRE(b.seen.wait([](const auto& all) { return all.back().text == "fresh"; }));
  CHECK(a.seen.disorder().empty());
  CHECK(b.seen.disorder().empty());
}

TEST_CASE("control overtakes bulk that waits", "[gateway]") {
  node a{"a"}, b{"b"};
  gate hold;
  std::atomic<bool> first{true};
  b.seen.on_letters = [&](const peer_ptr&, channel, const std::vector<letter>&) {
    if (first.exchange(false))
      hold.pass();
  };
  a.meet(b);
  b.meet(a);
  auto to_b = a.seen.link("b");
  REQUIRE(to_b);
  REQUIRE(to_b->post(channel::bulk, text(1, "first")));
  hold.wait_reached();
  auto big = std::make_shared<const std::string>(100'000, 'x');
  constexpr int count = 100; // ten times the credit
  for (int i = 0; i < count; ++i)
    REQUIRE(to_b->post(channel::bulk, {1, big}));
  REQUIRE(wait_until([&] { return a.figures[channel::bulk].credit_waits.get() == 1; }));
  REQUIRE(to_b->post(channel::control, text(2, "urgent")));
  REQUIRE(wait_until([&] { return a.figures[channel::control].letters_out.get() == 1; }));
  hold.open();
  REQUIRE(b.seen.wait_letters("a", count + 2));
  size_t before = 0;
  for (const auto& x : b.seen.all()) {
    if (x.text == "urgent")
      break;
    before += x.text.size();
  }
  CHECK(before <= b.options.credit_bulk_bytes);
}

TEST_CASE("wrong options are refused", "[gateway]") {
  CHECK(quick("a").wrong().empty());
  CHECK(link_options{.name = "a", .cluster = "c", .store = "s"}.wrong().empty());
  auto o = quick("a");
  SECTION("no name") { o.name.clear(); }
  SECTION("frames that are too long") { o.batch_bytes = 2'000'000; }
  SECTION("no heartbeats") { o.heartbeat_ms = 0; }
  SECTION("letters longer than the queue") { o.letter_bytes_max = o.queue_bytes; }
  SECTION("no patience") { o.silence_ms = o.pulse_ms; }
  CHECK_FALSE(o.wrong().empty());
  CHECK_THROWS(node{o});
}

TEST_CASE("a port that is taken is said so, and the node ends", "[gateway]") {
  node a{"a"};
  auto o = quick("b");
  o.port = a.port();
  CHECK_THROWS_WITH(node{o}, Catch::Contains(std::to_string(o.port)));
}
