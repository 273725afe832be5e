// The version of the schema: a newer store is refused, an older one is brought up to date step by step.
#include "../support/faulty_env.hpp"
#include "fixture.hpp"
#include "storage/schema.hpp"

#include <rocksdb/db.h>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;
using greenroom::testing::fault;
using greenroom::testing::faulty_env;

namespace {

struct schema_fixture : store_fixture {
  schema_fixture() {
    id = db->id();
    db.reset();
  }

  /// What happens when a program of version `target` opens the store.
  outcome<std::string> open_as(uint32_t target, std::span<const migration> steps) {
    database_parts parts;
    auto opened = database::open(options, parts).value();
    return bring_up_to_date(*opened, target, steps);
  }

  migration step(uint32_t from) {
    return {from, [this, from](database&) -> outcome<void> {
              done.push_back(from);
              if (from == failing)
                return fail(errc::unavailable, "no");
              return {};
            }};
  }

  std::string id;
  std::vector<uint32_t> done;
  uint32_t failing = 0;
};

using numbers = std::vector<uint32_t>;
constexpr auto now = schema_version;

/// As a program of version 1 left it: without the families `log` and `files`.
void make_version_1(const store_options& options) {
  database_parts parts;
  auto db = database::open(options, parts).value();
  for (auto family : {keys::family::log, keys::family::files})
    REQUIRE((*db)->DropColumnFamily(db->family(family)).ok());
  std::string record;
  REQUIRE((*db)->Get({}, db->family(keys::family::state), keys::schema, &record).ok());
  record[0] = 1;
  rocksdb::WriteOptions synced;
  synced.sync = true;
  REQUIRE((*db)->Put(synced, db->family(keys::family::state), keys::schema, record).ok());
}

} // namespace

TEST_CASE_METHOD(schema_fixture, "a store is brought up to date in order, once, and keeps its id", "[schema]") {
  std::vector<migration> steps{step(now + 1), step(now), step(now + 2)};
  CHECK(open_as(now + 2, steps).value() == id);
  CHECK(done == numbers{now, now + 1});
  CHECK(open_as(now + 2, steps).value() == id);
  CHECK(done == numbers{now, now + 1});
  CHECK(open_as(now + 3, steps).value() == id);
  CHECK(done == numbers{now, now + 1, now + 2});
}

TEST_CASE_METHOD(schema_fixture, "a step that fails is run again at the next open, those before it are not",
                 "[schema]") {
  std::vector<migration> steps{step(now), step(now + 1)};
  failing = now + 1;
  CHECK_FALSE(open_as(now + 2, steps));
  failing = 0;
  CHECK(open_as(now + 2, steps));
  CHECK(done == numbers{now, now + 1, now + 1});
}

TEST_CASE_METHOD(schema_fixture, "a version without a step to the next is refused", "[schema]") {
  auto refused = open_as(now + 1, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("no way from schema version " + std::to_string(now)) != std::string::npos);
}

TEST_CASE_METHOD(schema_fixture, "a store of a newer version is refused with both versions", "[schema]") {
  std::vector<migration> steps{step(now)};
  REQUIRE(open_as(now + 1, steps));
  auto refused = store::open(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::unavailable);
  auto expected =
      "schema version " + std::to_string(now + 1) + ", this version of Greenroom knows up to " + std::to_string(now);
  CHECK(refused.error().message.find(expected) != std::string::npos);
}

TEST_CASE_METHOD(schema_fixture, "a store with an unknown column family is refused", "[schema]") {
  {
    database_parts parts;
    auto opened = database::open(options, parts).value();
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    REQUIRE((*opened)->CreateColumnFamily({}, "future", &handle).ok());
    REQUIRE((*opened)->DestroyColumnFamilyHandle(handle).ok());
  }
  auto refused = store::open(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("'future'") != std::string::npos);
}

TEST_CASE_METHOD(schema_fixture, "data without a version are not a store", "[schema]") {
  {
    database_parts parts;
    auto opened = database::open(options, parts).value();
    auto* state = opened->family(keys::family::state);
    REQUIRE((*opened)->Delete({}, state, keys::schema).ok());
    REQUIRE((*opened)->Put({}, state, "somebody", "else").ok());
  }
  CHECK_FALSE(store::open(options));
}

TEST_CASE("a store of version 1 is taken over whole, however often that is interrupted", "[schema][fault]") {
  auto kind = GENERATE(fault::none, fault::io_error, fault::power_loss);
  bool hit = true;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(int(kind), nth);
    faulty_env disk;
    temporary_directory directory;
    auto options = small_store(directory / "store", disk.env());
    auto x = a_send(room("lobby"), 1, "hello");
    {
      auto fresh = store::open(options).value();
      REQUIRE(commit(*fresh, {&x}));
    }
    make_version_1(options);
    if (kind != fault::none)
      disk.fail_at(nth, kind);
    auto first = store::open(options);
    hit = disk.failed();
    if (first)
      first->reset();
    disk.heal();
    if (kind == fault::power_loss)
      disk.lose_power(nth % 2 == 0);
    auto db = store::open(options);
    REQUIRE(db);
    CHECK(seqs((*db)->events_after(room("lobby"), 0, 10, 10'000).value().events) == std::vector<uint64_t>{1});
    CHECK((*db)->clustered().value() == false);
    REQUIRE((*db)->write(std::vector<mutation>{found_log{3}}));
    CHECK((*db)->clustered().value());
  }
}
