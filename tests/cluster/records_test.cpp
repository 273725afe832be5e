#include "actors/cluster/records.hpp"

#include <catch2/catch.hpp>

namespace greenroom::cluster {

namespace {

template <class T>
std::string why(const outcome<T>& parsed) {
  REQUIRE(parsed.has_error());
  CHECK(parsed.error().code == errc::bad_request);
  return parsed.error().message;
}

} // namespace

TEST_CASE("a record is read as it was written", "[records]") {
  cluster_record cluster{"c0ffee", 128, 3, 2};
  CHECK(parse_cluster_record(encode(cluster)).value() == cluster);
  store_record store{"n1", ""};
  CHECK(parse_store_record(encode(store)).value() == store);
  node_record node{"5a", "east", "10.0.0.1:7400", "0.1.0"};
  CHECK(parse_node_record(encode(node)).value() == node);
  shard_record shard{7, "a", {"a", "b"}, {"a", "b", "c"}};
  CHECK(parse_shard_record(encode(shard)).value() == shard);
  shard.primary.clear();
  CHECK(parse_shard_record(encode(shard)).value() == shard);
  for (auto connections : {std::optional<uint64_t>(), std::optional<uint64_t>(0), std::optional<uint64_t>(7)}) {
    drain_record drain{"a", connections};
    CHECK(parse_drain_record(encode(drain)).value() == drain);
  }
}

TEST_CASE("a shard's record looks as the README says", "[records]") {
  CHECK(encode(shard_record{7, "a", {"a", "b"}, {"a", "b", "c"}}) ==
        R"({"epoch":7,"primary":"a","in_sync":["a","b"],"replicas":["a","b","c"]})");
  CHECK(encode(shard_record{8, "", {"a"}, {"a"}}) == R"({"epoch":8,"primary":null,"in_sync":["a"],"replicas":["a"]})");
}

TEST_CASE("a name that is no UTF-8 is written without ending the process", "[records]") {
  CHECK(parse_store_record(encode(store_record{"n\xff", ""})).has_value());
}

TEST_CASE("fields that are not known are passed over", "[records]") {
  CHECK(parse_store_record(R"({"node":"n1","zone":"","rack":4})").value() == store_record{"n1", ""});
}

TEST_CASE("a malformed record is refused with the field named", "[records]") {
  for (auto text : {"", "{", "[]", "7", "{\"epoch\":7,}", "\xff"})
    CHECK(why(parse_shard_record(text)) == "record: not a JSON object");

  const std::vector<std::pair<const char*, const char*>> shards = {
      {R"({"primary":null,"in_sync":[],"replicas":[]})", "epoch: missing"},
      {R"({"epoch":-1,"primary":null,"in_sync":[],"replicas":[]})", "epoch: not a whole number from 0"},
      {R"({"epoch":"7","primary":null,"in_sync":[],"replicas":[]})", "epoch: not a whole number from 0"},
      {R"({"epoch":1.5,"primary":null,"in_sync":[],"replicas":[]})", "epoch: not a whole number from 0"},
      {R"({"epoch":18446744073709551615,"primary":null,"in_sync":[],"replicas":[]})",
       "epoch: not between 0 and 9223372036854775807"},
      {R"({"epoch":1,"in_sync":[],"replicas":[]})", "primary: missing"},
      {R"({"epoch":1,"primary":"","in_sync":[],"replicas":[]})", "primary: empty"},
      {R"({"epoch":1,"primary":3,"in_sync":[],"replicas":[]})", "primary: not a text"},
      {R"({"epoch":1,"primary":"a","in_sync":["b"],"replicas":["b"]})", "primary: not a member of in_sync"},
      {R"({"epoch":1,"primary":null,"replicas":[]})", "in_sync: missing"},
      {R"({"epoch":1,"primary":null,"in_sync":"a","replicas":["a"]})", "in_sync: not an array"},
      {R"({"epoch":1,"primary":null,"in_sync":["a",null],"replicas":["a"]})", "in_sync[1]: not a text"},
      {R"({"epoch":1,"primary":null,"in_sync":["a","a"],"replicas":["a"]})", "in_sync[1]: named twice"},
      {R"({"epoch":1,"primary":null,"in_sync":["a","b"],"replicas":["a"]})", "in_sync[1]: not one of replicas"},
      {R"({"epoch":1,"primary":null,"in_sync":[]})", "replicas: missing"},
      {R"({"epoch":1,"primary":null,"in_sync":[],"replicas":["a","b",""]})", "replicas[2]: empty"},
  };
  for (auto [text, message] : shards) {
    CAPTURE(text);
    CHECK(why(parse_shard_record(text)) == message);
  }

  shard_record crowd;
  for (size_t i = 0; i <= record_members_max; ++i)
    crowd.replicas.push_back("s" + std::to_string(i));
  CHECK(why(parse_shard_record(encode(crowd))) == "replicas: more than 32 members");

  CHECK(why(parse_cluster_record(R"({"id":"c","shards":0,"replicas":3,"min_in_sync":2})")) ==
        "shards: not between 1 and 1000");
  CHECK(why(parse_cluster_record(R"({"id":"c","shards":128,"replicas":1,"min_in_sync":2})")) ==
        "min_in_sync: more than replicas");
  CHECK(why(parse_cluster_record(R"({"shards":128,"replicas":1,"min_in_sync":1})")) == "id: missing");
  CHECK(why(parse_store_record(R"({"node":"","zone":""})")) == "node: empty");
  CHECK(why(parse_store_record(R"({"node":"n1"})")) == "zone: missing");
  CHECK(why(parse_node_record(R"({"store":"a","zone":"","version":"1"})")) == "address: missing");
  CHECK(why(parse_node_record(encode(node_record{std::string(65, 'x'), "", "h:1", "1"}))) ==
        "store: longer than 64 bytes");
  CHECK(why(parse_drain_record("{}")) == "store: missing");
  CHECK(why(parse_drain_record(R"({"store":"a","connections":-1})")) == "connections: not a whole number from 0");
}

TEST_CASE("keys stand under one prefix and can be read back", "[records]") {
  record_keys keys("prod");
  CHECK(keys.cluster() == "/greenroom/prod/cluster");
  CHECK(keys.controller() == "/greenroom/prod/controller");
  CHECK(keys.store("5a") == "/greenroom/prod/stores/5a");
  CHECK(keys.node("n1") == "/greenroom/prod/nodes/n1");
  CHECK(keys.drain("n1") == "/greenroom/prod/drains/n1");
  CHECK(keys.drain_of(keys.drain("n1")) == "n1");
  CHECK_FALSE(keys.drain_of(keys.node("n1")));
  CHECK(keys.shard(0) == "/greenroom/prod/shards/000");
  CHECK(keys.shard(17) == "/greenroom/prod/shards/017");
  CHECK(keys.shard(127) == "/greenroom/prod/shards/127");
  for (uint32_t shard : {0U, 17U, 127U, 999U})
    CHECK(keys.shard_of(keys.shard(shard)) == shard);
  CHECK(keys.store_of(keys.store("5a")) == "5a");
  CHECK(keys.node_of(keys.node("n1")) == "n1");
  for (auto stranger : {"", "/greenroom/prod/shards/", "/greenroom/prod/shards/17", "/greenroom/prod/shards/01x",
                        "/greenroom/prod/shards/0171", "/greenroom/prod2/shards/017", "/greenroom/prod/nodes/017"})
    CHECK_FALSE(keys.shard_of(stranger));
  CHECK_FALSE(keys.node_of("/greenroom/prod/nodes/a/b"));
}

} // namespace greenroom::cluster
