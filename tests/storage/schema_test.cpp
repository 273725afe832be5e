// The version of the schema: a newer store is refused, an older one is brought up to date step by step.
#include "fixture.hpp"
#include "storage/schema.hpp"

#include <rocksdb/db.h>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

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

} // namespace

TEST_CASE_METHOD(schema_fixture, "a store is brought up to date in order, once, and keeps its id", "[schema]") {
  std::vector<migration> steps{step(2), step(1), step(3)};
  CHECK(open_as(3, steps).value() == id);
  CHECK(done == numbers{1, 2});
  CHECK(open_as(3, steps).value() == id);
  CHECK(done == numbers{1, 2});
  CHECK(open_as(4, steps).value() == id);
  CHECK(done == numbers{1, 2, 3});
}

TEST_CASE_METHOD(schema_fixture, "a step that fails is run again at the next open, those before it are not",
                 "[schema]") {
  std::vector<migration> steps{step(1), step(2)};
  failing = 2;
  CHECK_FALSE(open_as(3, steps));
  failing = 0;
  CHECK(open_as(3, steps));
  CHECK(done == numbers{1, 2, 2});
}

TEST_CASE_METHOD(schema_fixture, "a version without a step to the next is refused", "[schema]") {
  auto refused = open_as(2, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("no way from schema version 1") != std::string::npos);
}

TEST_CASE_METHOD(schema_fixture, "a store of a newer version is refused with both versions", "[schema]") {
  std::vector<migration> steps{step(1)};
  REQUIRE(open_as(2, steps));
  auto refused = store::open(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::unavailable);
  CHECK(refused.error().message.find("schema version 2, this version of Greenroom knows up to 1") != std::string::npos);
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
