#include "net/cli/cluster_tables.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace greenroom::cli {

using namespace cluster;

namespace {

/// Three stores, one of them gone; four shards: whole, short, without, whole but led by nobody that is known.
cluster_view small_cluster() {
  const record_keys keys("c");
  cluster_view view(keys, 4, [](const std::string&, const failure& why) { FAIL(why.message); });
  listing all{{}, 10};
  const auto add = [&](const std::string& key, const std::string& value) { all.entries.push_back({key, value, 5, 0}); };
  add(keys.cluster(), encode(cluster_record{"c0ffee", 4, 2, 1}));
  add(keys.controller(), "n1");
  add(keys.store("s1"), encode(store_record{"n1", "east"}));
  add(keys.store("s2"), encode(store_record{"n2", ""}));
  add(keys.store("s3"), encode(store_record{"number3", ""}));
  add(keys.node("n1"), encode(node_record{"s1", "east", "127.0.0.1:7401", "0.1.0"}));
  add(keys.node("n2"), encode(node_record{"s2", "", "127.0.0.1:7402", "0.1.0"}));
  add(keys.shard(0), encode(shard_record{1, "s1", {"s1", "s2"}, {"s1", "s2", "s3"}}));
  add(keys.shard(1), encode(shard_record{2, "s2", {"s2", "s3"}, {"s2", "s3"}}));
  add(keys.shard(2), encode(shard_record{3, "s3", {"s3"}, {"s3"}}));
  add(keys.shard(3), encode(shard_record{4, "", {"s1"}, {"s1"}}));
  view.take(all);
  return view;
}

} // namespace

TEST_CASE("columns line up, with nothing behind the last", "[tables]") {
  CHECK(table_of({{"A", "LONG"}, {"wide one", "x"}, {"", "y", "z"}}) ==
        "A         LONG\nwide one  x\n          y     z\n");
}

TEST_CASE("the state of a cluster in short", "[tables]") {
  const auto view = small_cluster();
  CHECK(status_text("c", view) == "cluster     c, id c0ffee, 2 copies of each shard, at least 1 in sync\n"
                                  "controller  n1\n"
                                  "nodes       2 alive of 3 stores\n"
                                  "shards      2 of 4 have a primary, 1 under-replicated, 2 without a primary\n");
  const auto data = status_json(view);
  CHECK(data["shards"]["without_primary"] == 2);
  CHECK(data["shards"]["under_replicated"] == 1);
  CHECK(data["controller"] == "n1");
}

TEST_CASE("nodes and shards as tables", "[tables]") {
  const auto view = small_cluster();
  CHECK(nodes_text(view) == "NODE     STATE  ZONE  ADDRESS         VERSION  LEADS  IN SYNC  LEARNS  STORE\n"
                            "n1       alive  east  127.0.0.1:7401  0.1.0    1      2        0       s1\n"
                            "n2       alive  -     127.0.0.1:7402  0.1.0    1      2        0       s2\n"
                            "number3  gone   -     -               -        1      2        1       s3\n");
  CHECK(shards_text(view) == "SHARD  EPOCH  PRIMARY   IN SYNC      LEARNERS\n"
                             "0      1      n1        n1 n2        number3?\n"
                             "1      2      n2        n2 number3?  -\n"
                             "2      3      number3?  number3?     -\n"
                             "3      4      -         n1           -\n");
  CHECK(nodes_json(view)[2]["alive"] == false);
  CHECK(shards_json(view)[3]["primary"].is_null());
  CHECK(shards_json(view)[0]["learners"] == nlohmann::json{"s3"});
}

} // namespace greenroom::cli
