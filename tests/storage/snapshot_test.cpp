// A shard's state on its way to another store: equal contents, nothing damaged or left out gets in, and whatever
// happens to the sender's store meanwhile ends in "unavailable".
#include "log_fixture.hpp"
#include "storage/database.hpp"
#include "storage/log_records.hpp"

#include <rocksdb/db.h>

#include <atomic>
#include <map>
#include <thread>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

using numbers = std::vector<uint64_t>;
using contents = std::map<std::string, std::string>;

/// Everything that a shard holds but its log and positions, read past the store. REQUIRES: the store is closed.
contents contents_of(const store_options& options, shard_id shard) {
  database_parts parts;
  auto db = database::open(options, parts).value();
  contents result;
  for (auto family : keys::state_families) {
    std::unique_ptr<rocksdb::Iterator> it((*db)->NewIterator({}, db->family(family)));
    for (it->SeekToFirst(); it->Valid(); it->Next())
      if (static_cast<shard_id>(it->key()[0]) == shard)
        result[std::to_string(int(family)) + it->key().ToString()] = it->value().ToString();
    REQUIRE(it->status().ok());
  }
  return result;
}

struct snapshot_fixture : log_fixture {
  store_options other_options = small_store(directory / "other");
  std::unique_ptr<store> other = store::open(other_options).value();
  const room_id second = room_in(shard, 1);
  const user_id someone = [this] {
    for (int i = 0;; ++i)
      if (auto x = user("u" + std::to_string(i)); x.shard() == shard)
        return x;
  }();

  /// Two rooms and a user, all through the log, up to {4, last}.
  void fill_shard(uint64_t last) {
    batch first(shard);
    first.put(lobby, a_room());
    first.put(lobby, user("ada"), {member_role::owner, 1, {}});
    first.put(second, a_room());
    first.put_chunk(lobby, std::string(file_id_bytes, 'f'), 0, std::string(60, 'c'));
    first.put(someone, account_record{"$argon2id$", 1, false, false});
    first.put(
        effect_record{lobby, "e", 1, user("ada"), member_change::joined, member_role::member, room_kind::public_});
    log_entry entry{{4, 1}, shared(first.bytes())};
    put({append_entry{shard, entry}, apply_entry{shard, entry}});
    say(2, last);
  }
  void say(uint64_t from, uint64_t to) {
    for (auto i = from; i <= to; ++i) {
      auto entry = an_entry(i % 2 == 0 ? lobby : second, 4, i, std::string(100, 'x') + std::to_string(i));
      REQUIRE(write(*db, {append_entry{shard, entry}, apply_entry{shard, entry}}));
    }
  }

  static std::vector<snapshot_chunk> rest_of(shard_snapshot& x, size_t bytes) {
    std::vector<snapshot_chunk> result;
    do
      result.push_back(x.next(bytes).value());
    while (!result.back().last);
    return result;
  }
  std::vector<snapshot_chunk> chunks(size_t bytes) { return rest_of(*db->snapshot(shard).value(), bytes); }

  outcome<void> install(const snapshot_chunk& x) { return write(*other, {install_chunk{shard, shared(x.bytes)}}); }
  void install_all(const std::vector<snapshot_chunk>& all, const log_position& applied) {
    REQUIRE(write(*other, {install_begin{shard}}));
    for (auto& x : all)
      REQUIRE(install(x));
    REQUIRE(write(*other, {install_end{shard, applied}}));
  }
  /// Closes both stores.
  void check_equal() {
    db.reset();
    other.reset();
    auto here = contents_of(options, shard);
    CHECK(here.size() > 3);
    CHECK(contents_of(other_options, shard) == here);
  }
};

bool refused_as_damage(const outcome<void>& x) { return !x && x.error().code == errc::internal; }

} // namespace

TEST_CASE_METHOD(snapshot_fixture, "a shard that is installed is the one that was read", "[snapshot]") {
  fill_shard(40);
  size_t bytes = GENERATE(0, 1, 300, 2'000, 1'000'000);
  auto snapshot = db->snapshot(shard).value();
  CHECK(snapshot->shard() == shard);
  CHECK(snapshot->applied() == log_position{4, 40});
  auto all = rest_of(*snapshot, bytes);
  auto records = 6u + 39 * 2;
  if (bytes <= 1)
    CHECK(all.size() == records); // one at least
  else if (bytes > 100'000)
    CHECK(all.size() == 1);
  else
    for (auto& x : all)
      CHECK(x.bytes.size() <= std::max<size_t>(bytes, 1'000) + 100); // the greatest is a chunk of a file
  // What is there before goes: other rooms, and a log that is longer.
  auto old = an_entry(room_in(shard, 3), 1, 1);
  std::vector<mutation> before{append_entry{shard, old}, apply_entry{shard, old}};
  for (uint64_t i = 2; i <= 50; ++i)
    before.emplace_back(append_entry{shard, an_empty_entry(1, i)});
  REQUIRE(write(*other, before));
  install_all(all, snapshot->applied());
  CHECK(other->load_shard(shard).value() == shard_state{{4, 40}, {4, 40}, {4, 40}, false});
  CHECK(other->log_after(shard, 40, 10, 10).value().empty());
  CHECK(other->log_after(shard, 1, 10, 10).error().code == errc::not_found);
  // The log goes on where the snapshot ends.
  auto next = an_entry(lobby, 5, 41);
  for (auto* x : {db.get(), other.get()})
    REQUIRE(write(*x, {append_entry{shard, next}, apply_entry{shard, next}}));
  CHECK(other->find_key(lobby, hash_of(user("ada"), "5.41"), read_tier::disk).value().first == lookup::found);
  snapshot.reset();
  check_equal();
}

TEST_CASE_METHOD(snapshot_fixture, "an empty shard is one chunk", "[snapshot]") {
  auto all = chunks(1'000);
  REQUIRE(all.size() == 1);
  CHECK(all[0].token.empty());
  install_all(all, {0, 0});
  CHECK(other->load_shard(shard).value() == shard_state{});
}

TEST_CASE_METHOD(snapshot_fixture, "the first and the last shard are as whole as those between", "[snapshot]") {
  auto edge = static_cast<shard_id>(GENERATE(0u, 1u, shard_count - 1));
  auto neighbour = static_cast<shard_id>((edge + 1) % shard_count);
  for (auto x : {edge, neighbour}) {
    auto entry = an_entry(room_in(x), 1, 1);
    for (auto* to : {db.get(), other.get()})
      REQUIRE(write(*to, {append_entry{x, entry}, apply_entry{x, entry}}));
  }
  auto chunk = db->snapshot(edge).value()->next(10'000).value();
  REQUIRE(write(*other, {install_begin{edge}}));
  CHECK(other->events_after(room_in(edge), 0, 10, 1'000).value().events.empty());
  REQUIRE(write(*other, {install_chunk{edge, shared(chunk.bytes)}, install_end{edge, {1, 1}}}));
  CHECK(seqs(other->events_after(room_in(edge), 0, 10, 1'000).value().events) == numbers{1});
  CHECK(seqs(other->events_after(room_in(neighbour), 0, 10, 1'000).value().events) == numbers{1});
  CHECK(other->log_after(neighbour, 0, 10, 1'000).value().size() == 1);
}

TEST_CASE_METHOD(snapshot_fixture, "all chunks are of one moment while the writer goes on", "[snapshot]") {
  options = small_store(directory / "busy", quick_disk());
  options.write_buffer_bytes = 64 << 10; // so that files come and go under the snapshot
  restart();
  fill_shard(200);
  auto expected = [&] {
    db.reset();
    auto result = contents_of(options, shard);
    restart();
    return result;
  }();
  auto snapshot = db->snapshot(shard).value();
  std::atomic<bool> done{false};
  std::atomic<uint64_t> written{0};
  std::vector<snapshot_chunk> all;
  std::thread reader([&] {
    do {
      while (written < 20 * all.size())
        std::this_thread::yield();
      all.push_back(snapshot->next(500).value());
    } while (!all.back().last);
    done = true;
  });
  bool good = true;
  for (uint64_t i = 201; good && !done; ++i) {
    auto entry = an_entry(i % 2 == 0 ? lobby : second, 4, i, std::string(300, 'y') + std::to_string(i));
    good = write(*db, {append_entry{shard, entry}, apply_entry{shard, entry}, trim_log{shard, i - 50}}).has_value();
    ++written;
  }
  if (!good)
    written = UINT64_MAX; // so that the reader does not wait for ever
  reader.join();
  REQUIRE(good);
  CHECK(written > 1'000);
  install_all(all, {4, 200});
  other.reset();
  CHECK(contents_of(other_options, shard) == expected);
}

TEST_CASE_METHOD(snapshot_fixture, "a transfer that broke off goes on behind any chunk", "[snapshot]") {
  fill_shard(30);
  auto snapshot = db->snapshot(shard).value();
  auto all = rest_of(*snapshot, 400);
  say(31, 40); // not in it
  for (size_t from = 0; from < all.size(); ++from) {
    REQUIRE(snapshot->resume(from == 0 ? "" : all[from - 1].token));
    for (auto i = from; i < all.size(); ++i)
      CHECK(snapshot->next(400).value().bytes == all[i].bytes);
  }
  // Behind the last one there is an empty one, in which nothing is lost.
  auto behind = snapshot->next(400).value();
  CHECK(behind.last);
  CHECK(behind.token == all.back().token);
  // Of another size, too.
  REQUIRE(snapshot->resume(all[1].token));
  all.resize(2);
  for (auto& x : rest_of(*snapshot, 900))
    all.push_back(x);
  install_all(all, {4, 30});
  for (auto& bad : {std::string("x"), keys::room(room_in(static_cast<shard_id>(shard + 1))), std::string(keys::schema)})
    CHECK(snapshot->resume(bad).error().code == errc::bad_request);
}

TEST_CASE_METHOD(snapshot_fixture, "a damaged chunk is refused, whichever bit it is", "[snapshot]") {
  fill_shard(3);
  auto chunk = chunks(10'000).at(0);
  REQUIRE(write(*other, {install_begin{shard}}));
  for (size_t bit = 0; bit < chunk.bytes.size() * 8; ++bit) {
    auto turned = chunk;
    turned.bytes[bit / 8] = static_cast<char>(turned.bytes[bit / 8] ^ 1 << bit % 8);
    if (!refused_as_damage(install(turned)))
      FAIL("bit " << bit);
  }
  for (size_t size = 0; size < chunk.bytes.size(); ++size) {
    auto cut = chunk;
    cut.bytes.resize(size);
    if (!refused_as_damage(install(cut)))
      FAIL("size " << size);
  }
  CHECK(other->healthy());
  CHECK_FALSE(other->load_room(lobby, 1, 1).value());
  REQUIRE(install(chunk));
  REQUIRE(write(*other, {install_end{shard, {4, 3}}}));
  check_equal();
}

TEST_CASE_METHOD(snapshot_fixture, "a chunk that was made with foreign keys is refused, its checksum right or not",
                 "[snapshot]") {
  REQUIRE(write(*other, {install_begin{shard}}));
  auto foreign = room_in(static_cast<shard_id>((shard + 1) % shard_count));
  auto disguised = keys::room(foreign);
  disguised[0] = static_cast<char>(shard);
  auto refused = [&](std::initializer_list<std::string> all, std::string_view follows = "") {
    chunk_writer x(shard, {4, 3}, follows, 100);
    for (auto& key : all)
      x.add(key, "v");
    CHECK(refused_as_damage(install({std::move(x).finish(true), "", true})));
  };
  refused({keys::room(foreign)});
  refused({disguised});
  refused({keys::entry(shard, 1)});
  refused({keys::positions(shard)});
  refused({std::string(keys::schema)});
  refused({""});
  refused({keys::room(second), keys::room(lobby)}); // out of order, one way or the other
  refused({keys::room(lobby), keys::room(second)}, keys::room(std::max(lobby, second)));
  refused({keys::event(lobby, 1), keys::room(lobby)}); // the families have an order, too
  refused({keys::room(lobby), keys::room(lobby)});
  refused({}, keys::room(foreign));
  chunk_writer stranger(foreign.shard(), {4, 3}, "", 100);
  stranger.add(keys::room(foreign), "v");
  CHECK(refused_as_damage(install({std::move(stranger).finish(true), "", true})));
}

TEST_CASE_METHOD(snapshot_fixture, "no chunk is left out, repeated or mixed with those of another snapshot",
                 "[snapshot]") {
  fill_shard(20);
  auto all = chunks(500);
  REQUIRE(all.size() > 4);
  say(21, 22);
  auto later = chunks(500);
  CHECK_THROWS_AS(install(all[0]), std::logic_error); // not yet begun
  REQUIRE(write(*other, {install_begin{shard}}));
  auto end = [&](const log_position& at) { return write(*other, {install_end{shard, at}}); };
  CHECK(refused_as_damage(end({4, 20})));
  CHECK(refused_as_damage(install(all[1])));
  REQUIRE(install(all[0]));
  CHECK(refused_as_damage(install(all[0])));
  CHECK(refused_as_damage(install(all[2])));
  CHECK(later[1].token == all[1].token); // it would fit, but for the moment that it is of
  CHECK(refused_as_damage(install(later[1])));
  for (size_t i = 1; i < all.size(); ++i) {
    CHECK(refused_as_damage(end({4, 20})));
    REQUIRE(install(all[i]));
  }
  CHECK(refused_as_damage(install(all.back())));
  CHECK(refused_as_damage(end({4, 22})));
  REQUIRE(end({4, 20}));
  CHECK_THROWS_AS(end({4, 20}), std::logic_error);
}

TEST_CASE_METHOD(snapshot_fixture, "an installation is nothing until its end, and begins anew after a restart",
                 "[snapshot]") {
  fill_shard(20);
  auto all = chunks(500);
  REQUIRE(write(*other, {install_begin{shard}}));
  REQUIRE(install(all[0]));
  bool by_restart = GENERATE(false, true);
  if (by_restart) {
    other.reset();
    other = store::open(other_options).value();
  } else {
    REQUIRE(other->reopen());
  }
  CHECK(other->load_shard(shard).value() == shard_state{{0, 0}, {0, 0}, {0, 0}, true});
  CHECK(other->clustered().value());
  CHECK(refused_as_damage(install(all[1])));
  auto snapshot = other->snapshot(shard);
  REQUIRE_FALSE(snapshot);
  CHECK(snapshot.error().code == errc::unavailable);
  // While it lasts there is no log.
  auto entry = an_entry(lobby, 1, 1);
  auto direct = a_send(lobby, 1, "direct");
  for (auto& x : std::initializer_list<mutation>{append_entry{shard, entry}, apply_entry{shard, entry},
                                                 trim_log{shard, 0}, cut_log{shard, 0}, found_log{shard}, &direct})
    CHECK_THROWS_AS(write(*other, {x}), std::logic_error);
  say(21, 30);
  auto later = chunks(800);
  install_all(later, {4, 30});
  check_equal();
}

TEST_CASE_METHOD(snapshot_fixture, "dropping a shard takes its files and nothing of its neighbours", "[snapshot]") {
  // As many files as such small buffers make, several shards in each.
  other.reset();
  other_options = small_store(directory / "full", quick_disk());
  other_options.write_buffer_bytes = 64 << 10;
  other = store::open(other_options).value();
  auto neighbour = static_cast<shard_id>((shard + 1) % shard_count);
  for (uint64_t i = 1; i <= 400; ++i)
    for (auto x : {shard, neighbour}) {
      auto entry = an_entry(room_in(x), 1, i, std::string(1'000, 'x') + std::to_string(i));
      REQUIRE(write(*other, {append_entry{x, entry}, apply_entry{x, entry}}));
    }
  auto reader = other->snapshot(neighbour).value();
  auto gone = other->snapshot(shard).value();
  fill_shard(10);
  install_all(chunks(10'000), {4, 10});
  CHECK(other->events_after(room_in(neighbour), 0, 1'000, SIZE_MAX).value().events.size() == 400);
  CHECK(other->log_after(neighbour, 0, 1'000, SIZE_MAX).value().size() == 400);
  CHECK(rest_of(*reader, 10'000).size() > 10);
  auto missing = gone->next(1'000); // rather than half of what it was
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::unavailable);
  reader.reset();
  check_equal();
}

TEST_CASE_METHOD(snapshot_fixture, "a snapshot ends with the reopening of its store, and outlives it", "[snapshot]") {
  fill_shard(20);
  auto snapshot = db->snapshot(shard).value();
  auto never_read = db->snapshot(shard).value();
  REQUIRE(snapshot->next(400));
  REQUIRE(db->reopen());
  auto void_is = [](shard_snapshot& x) {
    auto read = x.next(400);
    return !read && read.error().code == errc::unavailable;
  };
  CHECK(void_is(*snapshot));
  CHECK(void_is(*never_read));
  never_read.reset();
  auto fresh = db->snapshot(shard).value();
  CHECK(fresh->next(400));
  db.reset();
  CHECK(void_is(*fresh));
  CHECK(void_is(*snapshot));
  CHECK(fresh->applied() == log_position{4, 20});
}

TEST_CASE_METHOD(snapshot_fixture, "snapshots are read and dropped while the store is reopened", "[snapshot]") {
  fill_shard(50);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> whole{0}, broken{0}, wrong{0};
  auto read = [&] {
    while (!stop) {
      auto snapshot = db->snapshot(shard);
      if (!snapshot) {
        wrong += snapshot.error().code != errc::unavailable;
        continue;
      }
      for (;;) {
        auto chunk = (*snapshot)->next(300);
        if (!chunk) {
          wrong += chunk.error().code != errc::unavailable;
          ++broken;
          break;
        }
        if (chunk->last) {
          ++whole;
          break;
        }
      }
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back(read);
  for (int i = 0; i < 20 || ((broken == 0 || whole == 0) && i < 2'000); ++i)
    if (!db->reopen())
      ++wrong;
  stop = true;
  for (auto& x : readers)
    x.join();
  CHECK(wrong == 0);
  CHECK(whole > 0);
  CHECK(broken > 0);
}
