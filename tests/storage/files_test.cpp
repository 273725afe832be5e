// Attachments in the store: their records, content, places and what they take; and that they leave the disk.
#include "storage/database.hpp"
#include "tests/storage/fixture.hpp"

#include <filesystem>
#include <fstream>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

const std::string file(file_id_bytes, 'f'), other(file_id_bytes, 'g');

file_record a_file(uint64_t size) {
  file_record x;
  x.owner = user("ada");
  x.name = "cat.png";
  x.size = x.received = size;
  x.chunk_bytes = 64;
  return x;
}

} // namespace

TEST_CASE_METHOD(store_fixture, "an attachment is read chunk by chunk, and goes as a whole", "[files]") {
  batch x(lobby.shard());
  x.put(lobby, file, a_file(130));
  for (uint64_t i = 0; i < 3; ++i)
    x.put_chunk(lobby, file, i, std::string(i + 1, 'c'));
  x.put(lobby, other, a_file(1));
  x.put_chunk(lobby, other, 0, "o");
  REQUIRE(commit(*db, {&x}));
  CHECK(db->load_file(lobby, file).value() == a_file(130));
  CHECK(db->load_chunk(lobby, file, 2).value() == "ccc");
  CHECK_FALSE(db->load_chunk(lobby, file, 3).value());
  CHECK(db->files(lobby, 9)->size() == 2);
  CHECK(db->files(lobby, 1)->size() == 1);
  batch gone(lobby.shard());
  gone.erase_file(lobby, file);
  REQUIRE(commit(*db, {&gone}));
  CHECK_FALSE(db->load_file(lobby, file).value());
  CHECK_FALSE(db->load_chunk(lobby, file, 0).value());
  CHECK(db->load_chunk(lobby, other, 0).value() == "o");
}

TEST_CASE_METHOD(store_fixture, "attachments are found by the messages that they belong to", "[files]") {
  batch x(lobby.shard());
  x.put_attached(lobby, 3, file, user("ada"));
  x.put_attached(lobby, 3, other, user("ada"));
  x.put_attached(lobby, 9, file, user("bob"));
  REQUIRE(commit(*db, {&x}));
  const std::vector<attached_file> three{{3, file, user("ada")}, {3, other, user("ada")}};
  CHECK(db->attached(lobby, 1, 9, 100).value() == three);
  CHECK(db->attached(lobby, 4, 10, 100)->size() == 1);
  CHECK(db->attached(lobby, 1, 10, 2).value() == three);
  batch dropped(lobby.shard());
  dropped.erase_events(lobby, 1, 9);
  REQUIRE(commit(*db, {&dropped}));
  CHECK(db->attached(lobby, 1, 100, 100)->size() == 1);
}

TEST_CASE_METHOD(store_fixture, "what attachments take is kept with its parts", "[files]") {
  const auto ada = user("ada");
  batch x(ada.shard());
  x.put(ada, usage_record{7, 1, {}});
  x.put_charge(ada, room("lobby"), file, 7);
  REQUIRE(commit(*db, {&x}));
  CHECK(db->load_usage(ada, room("lobby"), file).value() == std::pair{usage_record{7, 1, {}}, uint64_t{7}});
  CHECK(db->load_usage(ada, room("lobby"), other)->second == 0);
  CHECK(db->load_usage(user("bob"), room("lobby"), file).value() == std::pair{usage_record{}, uint64_t{0}});
}

TEST_CASE_METHOD(store_fixture, "the bytes of a removed attachment leave the disk", "[files]") {
  const std::string secret = "what nobody shall read any more";
  auto is_there = [&] {
    for (const auto& f : std::filesystem::directory_iterator(options.path)) {
      std::ifstream in(f.path(), std::ios::binary);
      const std::string all{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
      if (all.find(secret) != all.npos)
        return true;
    }
    return false;
  };
  batch x(lobby.shard());
  x.put(lobby, file, a_file(64));
  x.put_chunk(lobby, file, 0, secret);
  REQUIRE(commit(*db, {&x}));
  CHECK(is_there());
  batch gone(lobby.shard());
  gone.erase_file(lobby, file);
  REQUIRE(commit(*db, {&gone}));
  CHECK(is_there());
  REQUIRE(db->scrub(100));
  CHECK_FALSE(is_there());
}
