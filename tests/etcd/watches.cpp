// watches: what a watcher is told, by a real etcd.
#include "middle.hpp"
#include "scene.hpp"

#include <unistd.h>

#include <fstream>

using namespace greenroom;
using namespace greenroom::test;
using words = std::vector<std::string>;

namespace {

/// Whether that thread of ours waits for something. The state is the first field behind the name, which stands in
/// brackets and may hold anything (proc(5)).
bool is_asleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  auto name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] == 'S';
}

} // namespace

TEST_CASE("a watch lists, and then tells each change once, in order", "[etcd]") {
  patient c(shared_etcd());
  c.put("watch/a", "0");
  c.put("watchful", "outside");
  record seen;
  const auto watch = c->watch("watch/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  CHECK(seen.believed() == std::map<std::string, std::string>{{"watch/a", "0"}});
  words expected;
  for (int i = 1; i <= 100; ++i) {
    c.put("watch/a", std::to_string(i));
    expected.push_back("watch/a=" + std::to_string(i));
  }
  c.erase("watch/a");
  expected.emplace_back("watch/a erased");
  c.put("watchful", "outside again");
  c.put("watch/a", "back");
  expected.emplace_back("watch/a=back");
  REQUIRE(seen.await_updates(expected.size()));
  CHECK(seen.said() == expected);
  CHECK(seen.listings() == 1);
  CHECK(seen.mistakes() == "");
}

TEST_CASE("changes of one commit are told together", "[etcd]") {
  patient c(shared_etcd());
  record seen;
  const auto watch = c->watch("together/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  // Some 2.6 MiB of base64 in all: more than etcd puts into one message.
  for (int round = 0; round < 3; ++round) {
    std::vector<change> changes;
    for (int i = 0; i < 100; ++i)
      changes.push_back({"together/" + std::to_string(i), std::string(10'000, static_cast<char>('a' + round)), 0});
    const auto done = c.commit({}, changes);
    REQUIRE(done);
  }
  REQUIRE(seen.await_updates(300));
  for (const auto& batch : seen.batches())
    CHECK(batch.size() % 100 == 0);
  CHECK(seen.mistakes() == "");
}

TEST_CASE("a watch tells what ends with a lease", "[etcd]") {
  patient c(shared_etcd());
  record seen;
  const auto watch = c->watch("mortal", seen.watcher());
  REQUIRE(seen.await_listings(1));
  const auto lease = c.grant(1s);
  REQUIRE(lease);
  c.put("mortal", "1", *lease);
  REQUIRE(seen.await_updates(2));
  CHECK(seen.said() == words{"mortal=1", "mortal erased"});
}

TEST_CASE("a watch that ends calls nobody any more", "[etcd]") {
  patient c(shared_etcd());

  SECTION("ended from another thread while its watcher runs") {
    std::atomic<bool> inside{false}, ended{false}, late{false};
    std::atomic<pid_t> ending{0};
    cluster::watcher w;
    w.listed = [&](const listing&) {
      inside = true;
      late = late || !eventually([&] { return ended || (ending != 0 && is_asleep(ending)); }) || ended;
    };
    w.updated = [&](const std::vector<update>&) { late = late || ended; };
    auto watch = c->watch("over/", w);
    REQUIRE(eventually([&] { return inside.load(); }));
    ending = ::gettid();
    watch.reset(); // waits for the watcher, which waits to see that
    ended = true;
    c.put("over/a", "1");
    // One that came later has heard it: so would this one have.
    record after;
    const auto second = c->watch("over/", after.watcher());
    REQUIRE(after.await_belief({{"over/a", "1"}}));
    CHECK_FALSE(late);
  }
  SECTION("ended by its own watcher") {
    std::shared_ptr<void> watch;
    std::mutex mutex;
    std::atomic<int> calls{0};
    {
      const std::lock_guard lock(mutex);
      watch = c->watch("over/", {[&](const listing&) {
                                   const std::lock_guard inner(mutex);
                                   ++calls;
                                   watch.reset();
                                 },
                                 [&](const std::vector<update>&) { ++calls; }});
    }
    REQUIRE(eventually([&] { return calls == 1; }));
    c.put("over/b", "1");
    record after;
    const auto second = c->watch("over/", after.watcher());
    REQUIRE(after.await_listings(1));
    c.put("over/b", "2");
    REQUIRE(after.await_updates(1));
    CHECK(calls == 1);
  }
  SECTION("the client ended before it") {
    record seen;
    auto watch = c->watch("over/", seen.watcher());
    REQUIRE(seen.await_listings(1));
    c.reset();
    watch.reset();
    SUCCEED();
  }
}

TEST_CASE("a watch survives etcd's restart and misses nothing", "[etcd]") {
  etcd_process etcd;
  patient c(etcd);
  record seen;
  const auto watch = c->watch("k/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  c.put("k/a", "1");
  REQUIRE(seen.await_updates(1));
  etcd.kill();
  etcd.start();
  etcd.await_health();
  etcd.control({"put", "k/a", "2"});
  c.put("k/b", "1");
  REQUIRE(seen.await_belief({{"k/a", "2"}, {"k/b", "1"}}));
  CHECK(seen.said() == words{"k/a=1", "k/a=2", "k/b=1"});
  CHECK(seen.listings() == 1);
  CHECK(seen.mistakes() == "");
}

TEST_CASE("after compaction a watch that was cut off lists again", "[etcd]") {
  etcd_process etcd;
  middle between(etcd.port());
  patient c(patient::to({between.url()}));
  patient direct(etcd);
  record seen;
  const auto watch = c->watch("k/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  direct.put("k/a", "1");
  REQUIRE(seen.await_updates(1));
  between.go(middle::way::cut_answers);
  direct.put("k/a", "2"); // the stream is cut by this
  direct.put("k/b", "1");
  direct.erase("k/a");
  const auto now = direct.put("k/c", "1");
  etcd.control({"compact", std::to_string(now)});
  between.go(middle::way::pass);
  REQUIRE(seen.await_belief({{"k/b", "1"}, {"k/c", "1"}}));
  CHECK(seen.listings() == 2);
  direct.put("k/d", "1");
  REQUIRE(seen.await_belief({{"k/b", "1"}, {"k/c", "1"}, {"k/d", "1"}}));
  CHECK(seen.listings() == 2);
  CHECK(seen.mistakes() == "");
}

TEST_CASE("a stream that has fallen silent is found out, and the watch lists again", "[etcd]") {
  middle between(shared_etcd().port());
  auto o = patient::to({between.url(), shared_etcd().url()});
  o.watch_silence_ms = 100;
  patient c(std::move(o));
  record seen;
  c.erase("silent/b");
  c.put("silent/a", "1");
  const auto watch = c->watch("silent/", seen.watcher());
  REQUIRE(seen.await_listings(1));
  c.put("silent/a", "2");
  REQUIRE(seen.await_updates(1));
  between.go(middle::way::freeze_watches);

  SECTION("by a key that was written") {
    c.put("silent/a", "3");
    CHECK(seen.await_belief({{"silent/a", "3"}}));
  }
  SECTION("by a key that is gone") {
    c.erase("silent/a");
    CHECK(seen.await_belief({}));
  }
  CHECK(seen.listings() == 2);
  CHECK(c->counts().watches_behind == 1);
  c.put("silent/b", "1");
  CHECK(eventually([&] { return seen.believed().count("silent/b") == 1; }));
  CHECK(seen.mistakes() == "");
}

TEST_CASE("a silence in which nothing happened changes nothing", "[etcd]") {
  auto o = patient::to({shared_etcd().url()});
  o.watch_silence_ms = 20;
  patient c(std::move(o));
  c.put("calm/a", "1");
  record seen;
  const auto watch = c->watch("calm/", seen.watcher());
  REQUIRE(eventually([&] { return c->counts().watch_checks >= 10; }));
  c.put("calm/b", "1");
  REQUIRE(seen.await_updates(1));
  REQUIRE(eventually([&] { return c->counts().watch_checks >= 20; }));
  CHECK(seen.listings() == 1);
  CHECK(seen.said() == words{"calm/b=1"});
  CHECK(c->counts().watch_streams == 1);
}
