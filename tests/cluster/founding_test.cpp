#include "actors/cluster/founding.hpp"

#include "actors/cluster/view.hpp"
#include "config/ids.hpp"
#include "tests/support/memory_agreement.hpp"
#include "tests/support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

namespace greenroom::cluster::test {

using fate = memory_agreement::fate;

namespace {

const record_keys keys{"c"};
const cluster_record wished{"id", shard_count, 3, 2};

class fresh_store {
public:
  fresh_store() {
    storage::store_options o;
    o.path = directory_.path() / "store";
    o.min_free_bytes = 0;
    auto opened = storage::store::open(o);
    REQUIRE(opened.has_value());
    it = std::move(*opened);
  }

private:
  greenroom::test::temporary_directory directory_;

public:
  std::unique_ptr<storage::store> it;
};

void all_is_there(memory_agreement& etcd) {
  for (uint32_t s = 0; s < shard_count; ++s) {
    auto x = etcd.get(keys.shard(s));
    REQUIRE(x);
    CHECK(parse_shard_record(x->value).value() == shard_record{1, "s1", {"s1"}, {"s1"}});
  }
  CHECK(cluster_now(etcd, keys).value() == wished);
}

} // namespace

TEST_CASE("founding writes every shard, and the cluster with the last of them", "[founding]") {
  memory_agreement etcd;
  CHECK(cluster_now(etcd, keys).error().code == errc::not_found);
  REQUIRE(found_cluster(etcd, keys, wished, "s1").has_value());
  all_is_there(etcd);
  REQUIRE(etcd.commits.size() == 2);
  for (const auto& c : etcd.commits)
    CHECK(c.size() <= 128); // what etcd takes
  CHECK(etcd.commits.back().back().key == keys.cluster());
  CHECK(found_cluster(etcd, keys, {"other", shard_count, 3, 2}, "s1").error().code == errc::exists);
}

TEST_CASE("founding that was broken off goes on, with the same store only", "[founding]") {
  memory_agreement etcd;
  const auto what = GENERATE(fate::lost, fate::answer_lost);
  const auto at = GENERATE(1, 2);
  int asked = 0;
  etcd.judge = [&](const auto&) { return ++asked == at ? what : fate::answered; };
  auto first = found_cluster(etcd, keys, wished, "s1", 1);
  CHECK(first.has_error());
  if (at == 2)
    CHECK(found_cluster(etcd, keys, {"other", shard_count, 3, 2}, "s2").error().code == errc::exists);
  REQUIRE(found_cluster(etcd, keys, wished, "s1").has_value());
  all_is_there(etcd);
}

TEST_CASE("an outcome that is not known is looked at", "[founding]") {
  memory_agreement etcd;
  bool lost = false;
  etcd.judge = [&](const auto& changes) {
    return changes.back().key == keys.cluster() && !std::exchange(lost, true) ? fate::answer_lost : fate::answered;
  };
  REQUIRE(found_cluster(etcd, keys, wished, "s1").has_value());
  CHECK(etcd.commits.size() == 2);
}

TEST_CASE("a store is founded once, and again as long as nothing was written", "[founding]") {
  fresh_store store;
  CHECK_FALSE(store.it->clustered().value());
  REQUIRE(found_store(*store.it).has_value());
  CHECK(store.it->clustered().value());
  REQUIRE(found_store(*store.it).has_value());
  const std::vector<storage::mutation> entry = {
      storage::append_entry{5, {{2, 2}, std::make_shared<const std::string>()}}};
  REQUIRE(store.it->write(entry).has_value());
  auto again = found_store(*store.it);
  REQUIRE(again.has_error());
  CHECK(again.error().message.find("shard 5 has a log up to 2/2") != std::string::npos);
}

} // namespace greenroom::cluster::test
