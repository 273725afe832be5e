// pretences: what a real etcd answers seldom, or never should: from an endpoint that the test plays.
#include "middle.hpp"
#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::test;
using answer = pretender::answer;

namespace {

const std::string head = R"("header":{"revision":"5","raft_term":"2"})";

std::string renewed(int ttl, int term) {
  return R"({"result":{"header":{"revision":"5","raft_term":")" + std::to_string(term) + R"("},"ID":"7","TTL":")" +
         std::to_string(ttl) + "\"}}\n";
}
std::string range(int term) { return R"({"header":{"revision":"5","raft_term":")" + std::to_string(term) + "\"}}"; }

/// {"key":"a/<n>", ...} at a revision. Base64 of "a/0" and so on.
std::string event(int n, int revision) {
  return R"({"kv":{"key":"YS8)" + std::string(1, "wxyz"[n]) + R"(","value":"dg==","mod_revision":")" +
         std::to_string(revision) + "\"}}";
}

} // namespace

TEST_CASE("a renewal counts only if the leader was still the leader after it", "[etcd]") {
  int terms = 2; // of which the first renewal is not confirmed
  pretender etcd([&](const std::string& path, const std::string&) -> answer {
    if (path == "/v3/lease/keepalive")
      return {renewed(9, 2)};
    return {range(terms-- == 2 ? 3 : 2)};
  });
  patient c(patient::to({etcd.url()}));
  const auto got = c.renew(7);
  REQUIRE(got);
  CHECK(*got == 9s);
  CHECK(c->counts().attempts_failed == 1);
}

TEST_CASE("a lease that a new leader did not know yet is asked for again", "[etcd]") {
  int asked = 0;
  pretender etcd([&](const std::string& path, const std::string&) -> answer {
    if (path == "/v3/lease/keepalive")
      return {renewed(++asked == 1 ? 0 : 9, 2)};
    return {range(2)};
  });
  patient c(patient::to({etcd.url()}));
  const auto got = c.renew(7);
  REQUIRE(got);
  CHECK(*got == 9s);
}

TEST_CASE("answers that cannot be read are failures, of a commit one with unknown outcome", "[etcd]") {
  const std::string text =
      GENERATE("", "{", "[]", "{}", R"({"header":{"revision":"-4"}})", R"({"header":{"revision":[]}})",
               R"({"header":{"revision":"5"},"kvs":[{"key":"!"}],"count":"1"})",
               R"({"header":{"revision":"5"},"kvs":[],"count":"1"})",
               R"({"header":{"revision":"5"},"succeeded":"yes","more":3})");
  pretender etcd([&](const std::string&, const std::string&) -> answer { return {text}; });
  auto o = patient::to({etcd.url()});
  o.request_ms = 100;
  patient c(o);
  const auto listed = c.list("a/");
  REQUIRE_FALSE(listed);
  CHECK(listed.error().code == errc::unavailable);
  const bool fine_for_commit = text.find("kvs") != std::string::npos; // the fields of another answer are not looked at
  const auto done = c.commit({}, {});
  CHECK(done.has_value() == fine_for_commit);
  CHECK(c->counts().unknown == (fine_for_commit ? 0 : 1));
}

TEST_CASE("etcd's passing troubles are waited out by reads, and unknown outcomes for commits", "[etcd]") {
  std::atomic<int> asked{0};
  pretender etcd([&](const std::string&, const std::string&) -> answer {
    if (++asked % 3 != 0)
      return {R"({"error":"etcdserver: request timed out","message":"etcdserver: request timed out","code":14})", 503};
    return {"{" + head + "}"};
  });
  patient c(patient::to({etcd.url()}));
  CHECK(c.list("a/"));
  CHECK(asked == 3);
  const auto got = c.commit({}, {{"a", "1", 0}});
  REQUIRE_FALSE(got);
  CHECK(asked == 4);
  CHECK(got.error().message.find("request timed out") != std::string::npos);
  CHECK(c->counts().unknown == 1);
}

TEST_CASE("a message in fragments is told by whole revisions", "[etcd]") {
  pretender etcd([&](const std::string& path, const std::string&) -> answer {
    if (path == "/v3/watch")
      return {R"({"result":{)" + head + R"(,"created":true}})" + "\n", 200, true};
    return {"{" + head + "}"};
  });
  patient c(patient::to({etcd.url()}));
  record seen;
  const auto watch = c->watch("a/", seen.watcher());
  REQUIRE(eventually([&] { return etcd.streams() == 1; }));
  const auto lines = R"({"result":{)" + head + R"(,"fragment":true,"events":[)" + event(0, 6) + "," + event(0, 7) +
                     "]}}\n" + R"({"result":{)" + head + R"(,"fragment":true,"events":[)" + event(1, 7) + "]}}\n" +
                     R"({"result":{)" + head + R"(,"events":[)" + event(2, 7) + "," + event(3, 8) + "]}}\n";
  // One byte at a time: lines and chunks have nothing to do with each other.
  for (const char byte : lines)
    etcd.say(std::string(1, byte));
  REQUIRE(seen.await_updates(5));
  CHECK(seen.batches() == std::vector<std::vector<std::string>>{{"a/0=v"}, {"a/0=v", "a/1=v", "a/2=v", "a/3=v"}});
  CHECK(seen.mistakes() == "");
  // What has been told is not told again.
  etcd.say(R"({"result":{)" + head + R"(,"events":[)" + event(0, 8) + "," + event(1, 9) + "]}}\n");
  REQUIRE(seen.await_updates(6));
  CHECK(seen.said().size() == 6);
  CHECK(seen.said().back() == "a/1=v");
  CHECK(seen.mistakes() == "");
}

TEST_CASE("a line of a watch beyond its bound makes the watch list again", "[etcd]") {
  pretender etcd([&](const std::string& path, const std::string&) -> answer {
    if (path == "/v3/watch")
      return {R"({"result":{)" + head + R"(,"created":true}})" + "\n", 200, true};
    return {"{" + head + "}"};
  });
  auto o = patient::to({etcd.url()});
  o.watch_line_bytes_max = 4096;
  patient c(o);
  record seen;
  const auto watch = c->watch("a/", seen.watcher());
  REQUIRE(eventually([&] { return etcd.streams() == 1; }));
  etcd.say(std::string(5000, ' '));
  CHECK(seen.await_listings(2));
}
