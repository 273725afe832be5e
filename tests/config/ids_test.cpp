#include "config/ids.hpp"

#include <catch2/catch.hpp>

#include <set>

namespace greenroom {

TEST_CASE("user ids are lower case names of at most 32 characters", "[ids]") {
  for (auto good : {"a", "alice", "0.b_c-d", "abcdefghijklmnopqrstuvwxyz012345"})
    CHECK(user_id::parse(good).has_value());
  for (auto bad : {"", "Alice", ".a", "a b", "a/b", "a+b", "ä", "abcdefghijklmnopqrstuvwxyz0123456"}) {
    CAPTURE(bad);
    auto parsed = user_id::parse(bad, "to");
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == errc::bad_request);
    CHECK(parsed.error().message.starts_with("to: "));
  }
}

TEST_CASE("room ids have an optional namespace, or are two users in byte order", "[ids]") {
  for (auto good : {"general", "team/general", "@alice+bob", "@a+a.b"})
    CHECK(room_id::parse(good).has_value());
  for (auto bad : {"", "/a", "a/", "a/b/c", "@bob+alice", "@alice+alice", "@alice", "@+bob", "@alice+", "@Alice+bob"}) {
    CAPTURE(bad);
    CHECK(room_id::parse(bad).has_error());
  }
  CHECK(room_id::parse(std::string(64, 'x')).has_value());
  CHECK(room_id::parse(std::string(65, 'x')).has_error());
}

TEST_CASE("a direct room is the same from both sides and knows its two users", "[ids]") {
  auto a = user_id::trusted("alice");
  auto b = user_id::trusted("bob");
  CHECK(room_id::direct(a, b) == room_id::direct(b, a));
  CHECK(room_id::direct(b, a).str() == "@alice+bob");
  CHECK(room_id::direct(b, a).peers() == std::pair{a, b});
}

TEST_CASE("shards are fixed for ever and all in use", "[ids]") {
  // These numbers are in every store that exists: a change here is a migration.
  CHECK(shard_of("general") == 34);
  CHECK(shard_of("alice") == 116);
  CHECK(shard_of("@alice+bob") == 51);
  std::set<shard_id> seen;
  for (int i = 0; i < 10'000; ++i)
    seen.insert(shard_of("room-" + std::to_string(i)));
  CHECK(seen.size() == shard_count);
  CHECK(*seen.rbegin() < shard_count);
}

} // namespace greenroom
