// requests: what a single etcd is asked, and what it answers.
#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::test;

TEST_CASE("what was committed is listed, ascending, with its revisions", "[etcd]") {
  patient c(shared_etcd());
  const auto empty = c.list("list/");
  REQUIRE(empty);
  CHECK(empty->entries.empty());
  const auto b = c.put("list/b", "2");
  const auto a = c.put("list/a", std::string("\0\xff\"\n", 4));
  c.put("lisu", "outside");
  const auto all = c.list("list/");
  REQUIRE(all);
  REQUIRE(all->entries.size() == 2);
  CHECK(all->entries[0].key == "list/a");
  CHECK(all->entries[0].value == std::string("\0\xff\"\n", 4));
  CHECK(all->entries[0].revision == a);
  CHECK(all->entries[0].lease == 0);
  CHECK(all->entries[1].revision == b);
  CHECK(all->revision > a);
  CHECK(b > empty->revision);
}

TEST_CASE("a prefix of the greatest bytes, and of none, is listed to its end", "[etcd]") {
  patient c(shared_etcd());
  c.put("\xff\xff", "greatest");
  CHECK(c.contents("\xff") == "\xff\xff=greatest");
  const auto all = c.list("");
  REQUIRE(all);
  CHECK(all->entries.back().key == "\xff\xff");
  c.erase("\xff\xff");
}

TEST_CASE("changes are made only if all conditions hold", "[etcd]") {
  patient c(shared_etcd());
  const auto first = c.commit({{"cas/a", 0}, {"cas/b", 0}}, {{"cas/a", "1", 0}, {"cas/b", "1", 0}});
  REQUIRE(first);
  CHECK(first->done);
  CHECK(first->present.empty());
  const auto again = c.commit({{"cas/a", 0}, {"cas/none", 0}}, {{"cas/a", "2", 0}});
  REQUIRE(again);
  CHECK_FALSE(again->done);
  REQUIRE(again->present.size() == 1);
  CHECK(again->present[0].key == "cas/a");
  CHECK(again->present[0].value == "1");
  CHECK(again->present[0].revision == first->revision);

  const auto swap = c.commit({{"cas/a", first->revision}}, {{"cas/a", "3", 0}, {"cas/b", std::nullopt, 0}});
  REQUIRE(swap);
  CHECK(swap->done);
  CHECK(swap->revision == first->revision + 1);
  CHECK(c.contents("cas/") == "cas/a=3");
}

TEST_CASE("of many that swap the same key one succeeds each time", "[etcd]") {
  patient one(shared_etcd());
  patient two(shared_etcd());
  int64_t revision = one.put("race", "0");
  for (int round = 0; round < 20; ++round) {
    std::vector<std::promise<outcome<committed>>> got(8);
    for (size_t i = 0; i < got.size(); ++i)
      (i % 2 ? one : two)
          ->commit({{"race", revision}}, {{"race", std::to_string(i), 0}},
                   [&got, i](outcome<committed> x) { got[i].set_value(std::move(x)); });
    int done = 0;
    for (auto& g : got) {
      const auto x = g.get_future().get();
      REQUIRE(x);
      if (x->done) {
        ++done;
        revision = x->revision;
      }
    }
    CHECK(done == 1);
  }
}

TEST_CASE("a lease lives as long as it is renewed, and its keys with it", "[etcd]") {
  patient c(shared_etcd());
  const auto lease = c.grant(1500ms);
  REQUIRE(lease);
  c.put("leased", "1", *lease);
  const auto there = c.list("leased");
  REQUIRE(there);
  REQUIRE(there->entries.size() == 1);
  CHECK(there->entries[0].lease == *lease);
  const auto lives = c.renew(*lease);
  REQUIRE(lives);
  CHECK(*lives >= 1500ms);
  CHECK(*lives < 60s);
  CHECK(eventually([&] { return c.contents("leased").empty(); }));
  const auto gone = c.renew(*lease);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == errc::not_found);
}

TEST_CASE("to revoke a lease erases its keys; to revoke it again is no mistake", "[etcd]") {
  patient c(shared_etcd());
  const auto lease = c.grant(60s);
  REQUIRE(lease);
  c.put("revoked", "1", *lease);
  CHECK(c.revoke(*lease));
  CHECK(c.contents("revoked").empty());
  CHECK(c.revoke(*lease));
  const auto gone = c.renew(*lease);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == errc::not_found);
}

TEST_CASE("what etcd refuses for good is told so, and was not done", "[etcd]") {
  patient c(shared_etcd());
  const auto twice = c.commit({}, {{"twice", "1", 0}, {"twice", "2", 0}});
  REQUIRE_FALSE(twice);
  CHECK(twice.error().code == errc::bad_request);
  const auto leaseless = c.commit({}, {{"leaseless", "1", 4711}});
  REQUIRE_FALSE(leaseless);
  CHECK(leaseless.error().code == errc::not_found);
  std::vector<change> many;
  for (int i = 0; i < 129; ++i)
    many.push_back({"many/" + std::to_string(i), "1", 0});
  const auto too_many = c.commit({}, many);
  REQUIRE_FALSE(too_many);
  CHECK(too_many.error().code == errc::bad_request);
  CHECK(too_many.error().message.find("too many operations") != std::string::npos);
  CHECK(c->counts().unknown == 0);
  CHECK(c.contents("many/").empty());
}

TEST_CASE("requests beyond the bound fail at once, the others are answered", "[etcd]") {
  auto o = patient::to({shared_etcd().url()});
  o.pending_max = 4;
  o.connections_max = 2;
  patient c(std::move(o));
  std::atomic<int> good{0}, refused{0};
  // Asked on the client's own thread: nothing can be answered between them.
  c->list("first", [&](outcome<listing>) {
    for (int i = 0; i < 10; ++i)
      c->list("bound/", [&](outcome<listing> x) { ++(x ? good : refused); });
  });
  CHECK(eventually([&] { return good + refused == 10; }));
  CHECK(good == 4);
  CHECK(refused == 6);
  CHECK(c.list("bound/"));
}

TEST_CASE("many requests share few connections, which are kept", "[etcd]") {
  auto o = patient::to({shared_etcd().url()});
  o.connections_max = 3;
  patient c(std::move(o));
  std::atomic<int> good{0};
  for (int i = 0; i < 300; ++i)
    c->list("share/", [&](outcome<listing> x) { good += x ? 1 : 0; });
  CHECK(eventually([&] { return good == 300; }));
  CHECK(c->counts().connections <= 3);
  CHECK(c->counts().requests == 300);
  CHECK(c->counts().failures == 0);
}

TEST_CASE("an answer beyond its bound fails the request", "[etcd]") {
  auto o = patient::to({shared_etcd().url()});
  patient other(o);
  for (int i = 0; i < 4; ++i)
    other.put("long/" + std::to_string(i), std::string(1000, 'x'));
  o.body_bytes_max = 4096;
  o.request_ms = 300;
  patient c(o);
  const auto all = c.list("long/");
  REQUIRE_FALSE(all);
  CHECK(all.error().code == errc::unavailable);
  CHECK(eventually([&] { return c.contents("long/1").starts_with("long/1=x"); }));
}

TEST_CASE("a client that ends fails what is not answered, each handler once", "[etcd]") {
  std::atomic<int> answered{0}, strange{0};
  {
    patient c(shared_etcd());
    for (int i = 0; i < 500; ++i)
      c->list("end/", [&](outcome<listing> x) {
        if (!x && x.error().code != errc::unavailable)
          ++strange;
        ++answered;
      });
  }
  CHECK(answered == 500);
  CHECK(strange == 0);
}
