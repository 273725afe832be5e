// outages: endpoints that are down, hang, lose answers, or are cut off from the others.
#include "middle.hpp"
#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::test;

namespace {

std::string refusing_url() { return "http://127.0.0.1:" + std::to_string(free_port()); }

} // namespace

TEST_CASE("an endpoint that is down is passed over, also by commits", "[etcd]") {
  patient c(patient::to({refusing_url(), shared_etcd().url()}));
  c.put("down/a", "1");
  CHECK(c.contents("down/") == "down/a=1");
  CHECK(c->counts().failures == 0);
  // It is asked first no more.
  CHECK(c->counts().attempts_failed == 1);
}

TEST_CASE("when all endpoints are down the error says so, and it ends when they come back", "[etcd]") {
  etcd_process etcd;
  etcd.kill();
  auto o = patient::to({etcd.url()});
  o.request_ms = 200;
  patient c(o);
  const auto none = c.commit({}, {{"a", "1", 0}});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == errc::unavailable);
  CHECK(none.error().message.find("onnection refused") != std::string::npos);
  CHECK(c->counts().unknown == 0);
  etcd.start();
  etcd.await_health();
  CHECK(eventually([&] { return c.list("").has_value(); }));
}

TEST_CASE("reads and renewals get past an endpoint that hangs", "[etcd]") {
  const listening_socket hangs;
  auto o = patient::to({hangs.url(), shared_etcd().url()});
  o.request_ms = 4'000;
  patient c(o);
  CHECK(c.list("hang/"));
  const auto lease = c.grant(60s);
  REQUIRE(lease);
  CHECK(c.renew(*lease));
  CHECK(c.revoke(*lease));
  // What has been found out once costs no more.
  CHECK(c->counts().attempts_failed == 1);
}

TEST_CASE("a commit to an endpoint that hangs has an unknown outcome, in time", "[etcd]") {
  const listening_socket hangs;
  auto o = patient::to({hangs.url(), shared_etcd().url()});
  o.request_ms = 3'000;
  patient c(o);
  const auto got = c.commit({}, {{"hang/a", "1", 0}});
  REQUIRE_FALSE(got);
  CHECK(got.error().code == errc::unavailable);
  CHECK(got.error().message.find("not known") != std::string::npos);
  CHECK(c->counts().unknown == 1);
  // The next one goes elsewhere at once.
  c.put("hang/b", "1");
  CHECK(c->counts().attempts_failed == 1);
}

TEST_CASE("a commit whose answer is lost is not repeated", "[etcd]") {
  middle between(shared_etcd().port());
  auto o = patient::to({between.url(), shared_etcd().url()});
  o.request_ms = 1'000;
  patient c(o);
  patient direct(shared_etcd());
  const auto way = GENERATE(middle::way::cut_answers, middle::way::swallow);
  direct.put("lost", "before");
  // A connection that has been used before is no exception.
  if (GENERATE(false, true))
    CHECK(c.list("lost"));
  between.go(way);
  const auto before = direct.list("lost");
  REQUIRE(before);
  const auto got = c.commit({}, {{"lost", "after", 0}});
  REQUIRE_FALSE(got);
  CHECK(got.error().code == errc::unavailable);
  CHECK(got.error().message.find("not known") != std::string::npos);
  CHECK(c->counts().unknown == 1);
  // It did happen, once.
  const auto after = direct.list("lost");
  REQUIRE(after);
  CHECK(after->entries.at(0).value == "after");
  CHECK(after->revision == before->revision + 1);
}

TEST_CASE("reads and renewals whose answer is lost are repeated", "[etcd]") {
  middle between(shared_etcd().port());
  patient c(patient::to({between.url(), shared_etcd().url()}));
  const auto lease = c.grant(60s);
  REQUIRE(lease);
  between.go(middle::way::cut_answers);
  CHECK(c.renew(*lease));
  CHECK(between.stopped() == 1);
  CHECK(c.list("lost/"));
  CHECK(c->counts().failures == 0);
}

TEST_CASE("a connection that etcd closed meanwhile costs no commit", "[etcd]") {
  etcd_process etcd;
  patient c(etcd);
  for (int i = 0; i < 3; ++i) {
    c.put("a", std::to_string(i));
    etcd.restart();
  }
  c.put("a", "last");
  CHECK(c->counts().unknown == 0);
}

TEST_CASE("renewals do not wait behind commits that hang", "[etcd]") {
  middle between(shared_etcd().port());
  auto o = patient::to({between.url()});
  o.connections_max = 2;
  o.request_ms = 60'000;
  patient c(o);
  const auto lease = c.grant(60s);
  REQUIRE(lease);
  between.go(middle::way::swallow);
  std::atomic<int> failed{0};
  for (int i = 0; i < 10; ++i)
    c->commit({}, {{"stuck/" + std::to_string(i), "1", 0}}, [&](outcome<committed> x) { failed += x ? 0 : 1; });
  REQUIRE(eventually([&] { return between.stopped() == 2; }));
  between.go(middle::way::pass);
  CHECK(c.renew(*lease));
  CHECK(failed == 0);
  c.reset();
  CHECK(failed == 10);
}

TEST_CASE("a cluster that loses a member goes on, and so do watches", "[etcd]") {
  etcd_cluster etcd;
  auto o = patient::to(etcd.urls());
  o.request_ms = 6'000;
  o.watch_silence_ms = 500;
  patient c(o);
  record seen;
  const auto watch = c->watch("k/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  const auto lease = c.grant(120s);
  REQUIRE(lease);
  std::map<std::string, std::string> written;
  int next = 0;
  // A commit may fail, with its outcome unknown; that is what is read back then.
  const auto write = [&] {
    const auto key = "k/" + std::to_string(next % 5);
    const auto value = std::to_string(next++);
    const bool there = eventually([&] {
      if (const auto done = c.commit({}, {{key, value, 0}}); done)
        return true;
      return c.contents(key) == key + "=" + value;
    });
    REQUIRE(there);
    written[key] = value;
  };
  for (size_t harmed = 0; harmed < etcd.size(); ++harmed) {
    write();
    const bool freeze = harmed % 2 == 0;
    if (freeze)
      etcd[harmed].freeze();
    else
      etcd[harmed].kill();
    for (int i = 0; i < 5; ++i)
      write();
    CHECK(eventually([&] { return c.renew(*lease).has_value(); }));
    CHECK(seen.await_belief(written));
    if (freeze)
      etcd[harmed].thaw();
    else
      etcd[harmed].start();
    etcd[harmed].await_health();
  }
  write();
  CHECK(seen.await_belief(written));
  CHECK(seen.mistakes() == "");
}

TEST_CASE("without a majority nothing is answered, and nothing is told that is not so", "[etcd]") {
  etcd_cluster etcd;
  auto o = patient::to(etcd.urls());
  o.request_ms = 500;
  patient c(o);
  REQUIRE(eventually([&] { return c.commit({}, {{"a", "1", 0}}).has_value(); }));
  const auto lease = answer_of<int64_t>([&](auto done) { c->grant(120s, done); });
  REQUIRE(lease);
  etcd[0].freeze();
  etcd[1].freeze();
  const auto list = c.list("a");
  REQUIRE_FALSE(list);
  CHECK(list.error().code == errc::unavailable);
  // A leader that is alone renews leases on its own word; ours does not count as renewed.
  const auto renewed = c.renew(*lease);
  REQUIRE_FALSE(renewed);
  CHECK(renewed.error().code == errc::unavailable);
  etcd[0].thaw();
  etcd[1].thaw();
  CHECK(eventually([&] { return c.contents("a") == "a=1"; }));
  CHECK(eventually([&] { return c.renew(*lease).has_value(); }));
}
