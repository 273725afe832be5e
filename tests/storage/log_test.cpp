// The log of a shard beside its state: what each mutation does, what it refuses, and what readers see.
#include "log_fixture.hpp"
#include "storage/database.hpp"

#include <rocksdb/db.h>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

using numbers = std::vector<uint64_t>;
using places = std::vector<log_position>;

struct logs : log_fixture {
  /// All that are in the family, whatever the positions say. Closes the store.
  size_t entries_stored() {
    db.reset();
    database_parts parts;
    auto opened = database::open(options, parts).value();
    std::unique_ptr<rocksdb::Iterator> it((*opened)->NewIterator({}, opened->family(keys::family::log)));
    size_t count = 0;
    for (it->SeekToFirst(); it->Valid(); it->Next())
      count += it->key().size() == keys::entry_bytes;
    return count;
  }
};

} // namespace

TEST_CASE_METHOD(logs, "a shard without a log is all zeros", "[log]") {
  CHECK(db->empty().value());
  fill(*db, lobby, 3);
  CHECK_FALSE(db->empty().value());
  CHECK(state() == shard_state{});
  CHECK(log(0).empty());
  CHECK_FALSE(db->clustered().value());
}

TEST_CASE_METHOD(logs, "what is appended is in the log and not yet in the state", "[log]") {
  append(3, 1, 2);
  append(5, 3, 3);
  CHECK(state() == shard_state{{0, 0}, {5, 3}, {0, 0}, false});
  auto entries = db->log_after(shard, 0, 10, 10'000).value();
  CHECK(positions(entries) == places{{3, 1}, {3, 2}, {5, 3}});
  CHECK(*entries[1].batch == *an_entry(lobby, 3, 2).batch);
  CHECK(applied_messages().empty());
  CHECK(db->clustered().value());
}

TEST_CASE_METHOD(logs, "what is applied is in the state, with its position", "[log]") {
  append(3, 1, 4);
  apply(1, 2);
  CHECK(applied_messages() == numbers{1, 2});
  CHECK(state() == shard_state{{0, 0}, {3, 4}, {3, 2}, false});
  apply(3, 3);
  CHECK(applied_messages() == numbers{1, 2, 3});
  CHECK(log(0).size() == 4);
}

TEST_CASE_METHOD(logs, "an entry may change nothing", "[log]") {
  auto nothing = an_empty_entry(2, 1);
  put({append_entry{shard, nothing}, apply_entry{shard, nothing}});
  CHECK(state() == shard_state{{0, 0}, {2, 1}, {2, 1}, false});
  CHECK(db->log_after(shard, 0, 10, 10'000).value().at(0).batch->empty());
}

TEST_CASE_METHOD(logs, "a batch in an entry erases, too", "[log]") {
  effect_record effect{lobby, "e", 1, user("ada"), member_change::joined, member_role::member, room_kind::public_};
  batch puts(shard), erases(shard);
  puts.put(effect);
  erases.erase(effect);
  log_entry first{{1, 1}, shared(puts.bytes())}, second{{1, 2}, shared(erases.bytes())};
  put({append_entry{shard, first}, append_entry{shard, second}, apply_entry{shard, first}});
  CHECK(db->effects(shard, 10).value().size() == 1);
  put({apply_entry{shard, second}});
  CHECK(db->effects(shard, 10).value().empty());
}

TEST_CASE_METHOD(logs, "shards keep their logs apart", "[log]") {
  // Neighbours, and the ends of the range of shards.
  std::vector<shard_id> shards{0, 1, 2, shard_count - 2, shard_count - 1};
  for (auto x : shards)
    for (uint64_t i = 1; i <= x % 5u + 1; ++i)
      put({append_entry{x, an_empty_entry(1, i)}, apply_entry{x, an_empty_entry(1, i)}});
  put({trim_log{1, 1}, cut_log{0, 1}});
  restart();
  for (auto x : shards) {
    CAPTURE(int(x));
    auto last = x % 5u + 1;
    CHECK(db->load_shard(x).value().last.index == last);
    CHECK(db->log_after(x, x == 1 ? 1 : 0, 10, 10).value().size() == (x == 1 ? last - 1 : last));
  }
}

TEST_CASE_METHOD(logs, "one write is one: in order, and each sees those before it", "[log]") {
  auto old = an_entry(lobby, 1, 2, "old");
  auto other = an_entry(lobby, 2, 2, "new");
  put({append_entry{shard, an_entry(lobby, 1, 1)}, append_entry{shard, old}, append_entry{shard, an_entry(lobby, 1, 3)},
       cut_log{shard, 1}, append_entry{shard, other}, apply_entry{shard, an_entry(lobby, 1, 1)},
       apply_entry{shard, other}, trim_log{shard, 1}});
  CHECK(state() == shard_state{{1, 1}, {2, 2}, {2, 2}, false});
  CHECK(log(1) == places{{2, 2}});
  CHECK(db->events_after(lobby, 1, 1, 1'000).value().events.at(0).text == "new");
}

TEST_CASE_METHOD(logs, "a log is cut and goes on", "[log]") {
  append(1, 1, 3);
  append(2, 4, 9);
  apply(1, 2);
  bool fresh = GENERATE(false, true); // whether the writer knows the entries or must look
  if (fresh)
    restart();
  put({cut_log{shard, 3}});
  CHECK(state() == shard_state{{0, 0}, {1, 3}, {1, 2}, false});
  CHECK(log(0) == places{{1, 1}, {1, 2}, {1, 3}});
  append(3, 4, 5);
  CHECK(state().last == log_position{3, 5});
  CHECK(log(2) == places{{1, 3}, {3, 4}, {3, 5}});
  put({cut_log{shard, 5}}); // behind the end there is nothing to cut
  put({cut_log{shard, 77}});
  CHECK(state().last == log_position{3, 5});
  put({cut_log{shard, 2}}); // back to what was applied
  CHECK(state() == shard_state{{0, 0}, {1, 2}, {1, 2}, false});
  apply(1, 0); // and nothing is left to apply
}

TEST_CASE_METHOD(logs, "a log that is cut twice in one write ends where the second cut says", "[log]") {
  append(1, 1, 6);
  put({cut_log{shard, 5}, append_entry{shard, an_entry(lobby, 2, 6)}, append_entry{shard, an_entry(lobby, 2, 7)},
       cut_log{shard, 6}});
  CHECK(state().last == log_position{2, 6});
  put({append_entry{shard, an_entry(lobby, 3, 7)}, cut_log{shard, 4}, append_entry{shard, an_entry(lobby, 4, 5)}});
  CHECK(state().last == log_position{4, 5});
  CHECK(log(3) == places{{1, 4}, {4, 5}});
  put({append_entry{shard, an_entry(lobby, 5, 6)}, append_entry{shard, an_entry(lobby, 5, 7)}, cut_log{shard, 4},
       cut_log{shard, 3}, append_entry{shard, an_entry(lobby, 6, 4)}});
  CHECK(log(2) == places{{1, 3}, {6, 4}});
  put({cut_log{shard, 0}});
  CHECK(state() == shard_state{});
  CHECK(db->clustered().value());
}

TEST_CASE_METHOD(logs, "what is trimmed is not kept", "[log]") {
  append(1, 1, 4);
  append(2, 5, 8);
  apply(1, 6);
  put({trim_log{shard, 3}});
  CHECK(state() == shard_state{{1, 3}, {2, 8}, {2, 6}, false});
  CHECK(log(3) == places{{1, 4}, {2, 5}, {2, 6}, {2, 7}, {2, 8}});
  for (uint64_t gone : {0, 1, 2}) {
    auto refused = db->log_after(shard, gone, 10, 10'000);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::not_found);
  }
  put({trim_log{shard, 2}}); // gone already
  CHECK(state().first == log_position{1, 3});
  put({trim_log{shard, 6}});
  CHECK(state().first == log_position{2, 6});
  put({cut_log{shard, 6}}); // nothing left: the log is empty, and its end is known all the same
  CHECK(state() == shard_state{{2, 6}, {2, 6}, {2, 6}, false});
  CHECK(log(6).empty());
  append(3, 7, 7);
  CHECK(log(6) == places{{3, 7}});
  CHECK(applied_messages() == numbers{1, 2, 3, 4, 5, 6});
  CHECK(entries_stored() == 1); // and not only out of sight
}

TEST_CASE_METHOD(logs, "a log is read in pages", "[log]") {
  append(1, 1, 9);
  auto size = an_entry(lobby, 1, 1).batch->size();
  CHECK(positions(db->log_after(shard, 4, 2, SIZE_MAX).value()) == places{{1, 5}, {1, 6}});
  CHECK(positions(db->log_after(shard, 4, 100, 3 * size).value()) == places{{1, 5}, {1, 6}, {1, 7}});
  CHECK(positions(db->log_after(shard, 4, 100, 3 * size - 1).value()) == places{{1, 5}, {1, 6}});
  CHECK(positions(db->log_after(shard, 4, 100, 0).value()) == places{{1, 5}});
  CHECK(db->log_after(shard, 4, 0, 1'000).value().empty());
  CHECK(db->log_after(shard, 9, 10, 1'000).value().empty());
  CHECK(db->log_after(shard, 99, 10, 1'000).value().empty());
  CHECK(db->log_after(shard, UINT64_MAX, 10, 1'000).value().empty());
}

TEST_CASE_METHOD(logs, "a store founds a cluster once, and no empty log is the whole truth", "[log]") {
  fill(*db, lobby, 2);
  put({found_log{shard}});
  CHECK(state() == shard_state{{1, 1}, {1, 1}, {1, 1}, false});
  CHECK(db->clustered().value());
  CHECK(applied_messages() == numbers{1, 2});
  CHECK(db->log_after(shard, 0, 10, 10).error().code == errc::not_found);
  append(2, 2, 3);
  put({found_log{shard}});
  CHECK(state() == shard_state{{1, 1}, {2, 3}, {1, 1}, false});
  // Nor does it found one over a log that began from nothing.
  auto other = static_cast<shard_id>((shard + 1) % shard_count);
  put({append_entry{other, an_empty_entry(1, 1)}, found_log{other}});
  CHECK(db->load_shard(other).value() == shard_state{{0, 0}, {1, 1}, {0, 0}, false});
}

TEST_CASE_METHOD(logs, "what breaks the order is a programmer's mistake, and nothing is written", "[log]") {
  append(2, 1, 5);
  apply(1, 3);
  put({trim_log{shard, 1}});
  auto before = state();
  auto refused = [&](const mutation& x) {
    // Whatever stands before it in the same write is not written, either.
    CHECK_THROWS_AS(write(*db, {append_entry{shard, an_entry(lobby, 2, 6)}, x}), std::logic_error);
    CHECK_THROWS_AS(write(*db, {x}), std::logic_error);
    CHECK(db->healthy());
    CHECK(db->load_shard(shard).value() == before);
  };
  refused(append_entry{shard, an_entry(lobby, 2, 8)});
  refused(append_entry{shard, an_entry(lobby, 2, 5)});
  refused(append_entry{shard, an_entry(lobby, 0, 6)});
  refused(append_entry{shard, {{2, 6}, nullptr}});
  CHECK_THROWS_AS(write(*db, {append_entry{shard, an_entry(lobby, 1, 6)}}), std::logic_error);
  refused(append_entry{shard_count, an_empty_entry(1, 1)});
  refused(cut_log{shard, 2});
  refused(apply_entry{shard, an_entry(lobby, 2, 3)});
  refused(apply_entry{shard, an_entry(lobby, 2, 5)});
  refused(apply_entry{shard, an_entry(lobby, 3, 4)});
  refused(apply_entry{shard, an_entry(lobby, 1, 4)});
  refused(apply_entry{shard, {{2, 4}, nullptr}});
  refused(trim_log{shard, 4});
  refused(install_chunk{shard, shared("")});
  refused(install_end{shard, {2, 3}});
  auto beside = a_send(lobby, 4, "beside the log");
  refused(&beside);
  CHECK_THROWS_AS(commit(*db, {&beside}), std::logic_error);
  refused(static_cast<const batch*>(nullptr));
  // Applied before it is in the log.
  put({cut_log{shard, 3}});
  CHECK_THROWS_AS(write(*db, {apply_entry{shard, an_entry(lobby, 2, 4)}}), std::logic_error);
  append(2, 4, 4);
  apply(4, 4);
  CHECK(applied_messages() == numbers{1, 2, 3, 4});
}

TEST_CASE_METHOD(logs, "a batch that can't be applied is refused before anything is written", "[log]") {
  auto good = an_entry(lobby, 1, 1);
  auto stranger = a_send(room_in(static_cast<shard_id>((shard + 1) % shard_count)), 1, "stranger").bytes();
  auto disguised = stranger;
  disguised[1] = static_cast<char>(shard);
  auto cut = good.batch->substr(0, good.batch->size() - 1);
  for (auto& bytes : {stranger, disguised, cut, std::string("x")}) {
    log_entry bad{{1, 2}, shared(bytes)};
    put({append_entry{shard, good}, append_entry{shard, bad}});
    auto refused = write(*db, {apply_entry{shard, good}, apply_entry{shard, bad}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::internal);
    CHECK(db->healthy());
    CHECK(applied_messages().empty());
    CHECK(db->load_shard(shard).value() == shard_state{{0, 0}, {1, 2}, {0, 0}, false});
    put({cut_log{shard, 0}});
  }
}

TEST_CASE_METHOD(logs, "batches of shards without a log are written directly, beside the logs of others", "[log]") {
  auto other = room_in(static_cast<shard_id>((shard + 1) % shard_count));
  auto direct = a_send(other, 1, "direct");
  put({append_entry{shard, an_entry(lobby, 1, 1)}, &direct, apply_entry{shard, an_entry(lobby, 1, 1)}});
  CHECK(applied_messages() == numbers{1});
  CHECK(seqs(db->events_after(other, 0, 10, 1'000).value().events) == numbers{1});
  // And a store founds its cluster in the write that follows what it held.
  put({&direct, found_log{other.shard()}});
  CHECK_THROWS_AS(commit(*db, {&direct}), std::logic_error);
}

TEST_CASE_METHOD(logs, "many trims leave a log that is read as if they had been one", "[log]") {
  constexpr uint64_t count = 3'000;
  options = small_store(directory / "many", quick_disk());
  options.write_buffer_bytes = 64 << 10; // so that tombstones are in tables, too
  restart();
  for (uint64_t i = 1; i <= count; ++i) {
    auto entry = an_entry(lobby, 1, i, std::string(200, 'x'));
    std::vector<mutation> all{append_entry{shard, entry}, apply_entry{shard, entry}};
    if (i > 3)
      all.emplace_back(trim_log{shard, i - 3});
    REQUIRE(write(*db, all));
  }
  CHECK(state() == shard_state{{1, count - 3}, {1, count}, {1, count}, false});
  CHECK(log(count - 3) == places{{1, count - 2}, {1, count - 1}, {1, count}});
  CHECK(db->log_after(shard, count - 4, 10, 10).error().code == errc::not_found);
}
