// The lane of chunks: their order, and how many are under way.
#include "actors/bulk.hpp"
#include "tests/actors/lone_house.hpp"

#include <sodium.h>

using namespace greenroom;
using namespace greenroom::testing;
using how = bulk::stored::how;

namespace {

struct lane_of_chunks : lone_house {
  explicit lane_of_chunks(const std::function<void(settings&)>& adjust = {}) : lone_house(adjust) {
    home->storage = disk_ear.handle;
    bulk = spawn<bulk::bulk_actor>(*home);
  }
  ~lane_of_chunks() { home->storage = persist::handle{}; }

  void give(const std::string& room, uint64_t token, storage::file_record record = {}) {
    record.owner = user_id::trusted("ada");
    record.size = record.size == 0 ? 128 : record.size;
    record.chunk_bytes = 64;
    tell(bulk, bulk::store{room_id::trusted(room), std::string(32, 'f'), record,
                           std::make_shared<const std::string>(64, 'x'), home->era, token, room_ear.handle});
    run();
  }
  /// What is under way, as far as the disk has heard.
  std::vector<persist::commit> commits() { return disk_ear.all<persist::commit>(); }
  void done(const persist::commit& c, bool ok = true) {
    home->commits_waiting.fetch_sub(1);
    tell(c.to, committed{c.token, ok});
    run();
  }
  void tick() {
    tell(bulk, bulk::tick{});
    run();
  }

  ear<persist::handle> disk_ear = listen<persist::handle>();
  ear<caf::typed_actor<caf::reacts_to<bulk::stored>>> room_ear =
      listen<caf::typed_actor<caf::reacts_to<bulk::stored>>>();
  bulk::handle bulk;
};

/// Two rooms of different shards.
const std::string here = "here", there = "there";

} // namespace

TEST_CASE("one chunk is under way at a time", "[bulk]") {
  lane_of_chunks s;
  REQUIRE(room_id::trusted(here).shard() != room_id::trusted(there).shard());
  s.give(here, 1), s.give(here, 2), s.give(there, 3);
  REQUIRE(s.commits().size() == 1);
  CHECK(s.room_ear.heard().empty());
  s.done(s.commits()[0]);
  auto told = s.room_ear.only<bulk::stored>();
  CHECK(told.token == 1);
  CHECK(told.what == how::ok);
  CHECK(told.record.received == 64);
  REQUIRE(s.commits().size() == 2);
  s.done(s.commits()[1], false);
  told = s.room_ear.only<bulk::stored>();
  CHECK(told.token == 2);
  CHECK(told.what == how::failed);
  REQUIRE(s.commits().size() == 3);
  CHECK(s.commits()[2].what->shard() == room_id::trusted(there).shard());
}

TEST_CASE("a chunk without an answer holds up its own shard only, after a while", "[bulk]") {
  lane_of_chunks s;
  s.give(here, 1), s.give(here, 2), s.give(there, 3);
  s.now += bulk::bulk_actor::hold_ms - 1;
  s.tick();
  CHECK(s.commits().size() == 1);
  s.now += 1;
  s.tick();
  REQUIRE(s.commits().size() == 2);
  CHECK(s.commits()[1].what->shard() == room_id::trusted(there).shard());
  s.done(s.commits()[1]);
  CHECK(s.room_ear.only<bulk::stored>().token == 3);
  CHECK(s.commits().size() == 2);
  s.done(s.commits()[0]);
  CHECK(s.room_ear.only<bulk::stored>().token == 1);
  CHECK(s.commits().size() == 3);
}

TEST_CASE("no more chunks wait than may", "[bulk]") {
  lane_of_chunks s([](settings& c) { c.attachments.queue = 2; });
  for (uint64_t i = 1; i <= 4; ++i)
    s.give(here, i);
  const auto told = s.room_ear.only<bulk::stored>();
  CHECK(told.token == 4);
  CHECK(told.what == how::crowded);
}

TEST_CASE("the hash of a file is laid down with each chunk and taken up again", "[bulk]") {
  lane_of_chunks s;
  storage::file_record record;
  record.size = 128;
  s.give(here, 1, record);
  s.done(s.commits()[0]);
  record = s.room_ear.only<bulk::stored>().record;
  CHECK(record.at == storage::file_record::stage::uploading);
  CHECK(record.digest.size() == 40);
  SECTION("to the right end") {
    s.give(here, 2, record);
    s.done(s.commits()[1]);
    record = s.room_ear.only<bulk::stored>().record;
    CHECK(record.at == storage::file_record::stage::complete);
    CHECK(record.digest.empty());
    std::string all(128, 'x'), hash(32, '\0');
    crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                       reinterpret_cast<const unsigned char*>(all.data()), all.size());
    CHECK(record.sha256 == hash);
  }
  SECTION("to another end than was said") {
    record.sha256 = std::string(32, 'h');
    s.give(here, 2, record);
    CHECK(s.room_ear.only<bulk::stored>().what == how::wrong);
    CHECK(s.commits().size() == 1); // nothing was written
  }
}
