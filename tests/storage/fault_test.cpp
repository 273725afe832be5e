// The store on a disk that fails: at every operation, in three ways. Whatever happens, nothing that commit()
// acknowledged may be missing afterwards, and what it refused is there as a whole or not at all.
#include "../support/faulty_env.hpp"
#include "fixture.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;
using greenroom::testing::fault;
using greenroom::testing::faulty_env;

namespace {

constexpr int rounds = 12;

/// Round `i` writes two batches, into two rooms of its own, as one commit. Large enough, with buffers as small as
/// RocksDB allows, that flushes and compactions happen among them.
struct story {
  faulty_env disk;
  temporary_directory directory;
  store_options options = small_store(directory / "store", disk.env());
  std::unique_ptr<store> db;
  std::vector<int> acknowledged, refused;

  story() {
    options.write_buffer_bytes = 64 << 10;
    db = store::open(options).value();
  }

  static room_id left(int i) { return room("left" + std::to_string(i)); }
  static room_id right(int i) { return room("right" + std::to_string(i)); }

  bool try_round(int i) {
    std::string text(12'000, static_cast<char>('a' + i));
    auto a = a_send(left(i), 1, text);
    auto b = a_send(right(i), 1, text);
    auto done = commit(*db, {&a, &b});
    (done ? acknowledged : refused).push_back(i);
    return done.has_value();
  }

  bool has(const room_id& where) const {
    auto page = db->events_after(where, 0, 10, 100'000);
    REQUIRE(page);
    auto found = page->events.size() == 1;
    if (found) {
      auto key = hash_of(user("ada"), page->events[0].text);
      CHECK(db->find_key(where, key, read_tier::disk).value().first == lookup::found);
    }
    return found;
  }

  void check() const {
    for (int i : acknowledged) {
      CHECK(has(left(i)));
      CHECK(has(right(i)));
    }
    for (int i : refused)
      CHECK(has(left(i)) == has(right(i)));
  }

  /// Whether RocksDB reports that a flush or a compaction failed.
  bool background_failed() const {
    for (auto& [name, value] : db->figures())
      if (name == "background_errors")
        return value > 0;
    return false;
  }

  /// Without power, then with it again.
  void power_cycle(bool torn) {
    db.reset();
    disk.lose_power(torn);
    auto opened = store::open(options);
    REQUIRE(opened);
    db = std::move(*opened);
  }
};

auto tables_in(const std::string& path) {
  return std::ranges::count_if(std::filesystem::directory_iterator(path),
                               [](auto& file) { return file.path().extension() == ".sst"; });
}

} // namespace

TEST_CASE("a failing operation loses nothing that was acknowledged, whichever it is", "[store][fault]") {
  auto kind = GENERATE(fault::io_error, fault::no_space);
  bool hit = true;
  int refusals = 0;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(int(kind), nth);
    story s;
    s.disk.fail_at(nth, kind);
    for (int i = 0; i < rounds; ++i) {
      if (s.try_round(i))
        continue;
      ++refusals;
      CHECK_FALSE(s.db->healthy());
      CHECK_FALSE(s.try_round(100 + i)); // not before it was reopened
      s.disk.heal();
      REQUIRE(s.db->reopen());
      s.check();
    }
    hit = s.disk.failed();
    s.disk.heal();
    // What was read after the failure must be on the disk, too: a failed sync leaves pages that only look written.
    s.power_cycle(nth % 2 == 0);
    s.check();
  }
  CHECK(refusals > 30);
}

TEST_CASE("a failure of background work is a failure of the next commit", "[store][fault]") {
  // Long enough for compactions, whose failures RocksDB alone would only count, until writes stall for ever.
  int met = 0;
  for (uint64_t nth = 200; nth < 1'600; nth += 47) {
    CAPTURE(nth);
    story s;
    s.disk.fail_at(nth, fault::no_space_once);
    // Until either a commit meets the full disk, or background work does while commits succeed.
    int i = 0;
    while (s.try_round(i) && !s.disk.failed())
      ++i;
    if (s.refused.empty() && s.disk.failed()) {
      auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (!s.background_failed() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
      CHECK(s.background_failed());
      CHECK_FALSE(s.try_round(i + 1));
      ++met;
    }
    REQUIRE(s.db->reopen());
    s.check();
  }
  CHECK(met > 0);
}

TEST_CASE("a loss of power loses nothing that was acknowledged, whenever it comes", "[store][fault]") {
  bool hit = true;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(nth);
    story s;
    s.disk.fail_at(nth, fault::power_loss);
    for (int i = 0; i < rounds && s.try_round(i); ++i) {
    }
    hit = s.disk.failed();
    s.power_cycle(nth % 2 == 0);
    s.check();
    // And the log can be continued.
    CHECK(s.try_round(50));
    s.power_cycle(false);
    s.check();
  }
}

TEST_CASE("an attempt to reopen may fail at any operation and be repeated", "[store][fault]") {
  auto kind = GENERATE(fault::io_error, fault::no_space, fault::power_loss);
  bool hit = true;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(int(kind), nth);
    story s;
    for (int i = 0; i < rounds; ++i)
      REQUIRE(s.try_round(i));
    s.disk.fail_at(nth, kind);
    auto reopened = s.db->reopen();
    hit = s.disk.failed();
    if (!reopened) {
      CHECK_FALSE(s.db->healthy());
      CHECK_FALSE(s.try_round(100));
      CHECK(s.db->load_room(s.left(0), 1, 1).error().code == errc::unavailable);
      if (kind == fault::power_loss) {
        s.power_cycle(nth % 2 == 0);
      } else {
        // Tried again and again it leaves nothing behind that adds up.
        auto tables = tables_in(s.options.path);
        bool failed = true;
        for (int i = 0; i < 3 && failed; ++i) {
          s.disk.fail_at(nth, fault::io_error);
          failed = !s.db->reopen();
        }
        if (failed)
          CHECK(tables_in(s.options.path) <= tables);
        s.disk.heal();
        REQUIRE(s.db->reopen());
      }
    }
    s.disk.heal();
    if (!s.db->healthy() || !s.try_round(20))
      REQUIRE(s.db->reopen()); // the fault came in background work
    s.check();
  }
}

TEST_CASE("making a store may fail at any operation and be repeated", "[store][fault]") {
  auto kind = GENERATE(fault::io_error, fault::no_space, fault::power_loss);
  bool hit = true;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(int(kind), nth);
    faulty_env disk;
    temporary_directory directory;
    auto options = small_store(directory / "store", disk.env());
    disk.fail_at(nth, kind);
    auto first = store::open(options);
    hit = disk.failed();
    if (first)
      first->reset();
    disk.heal();
    if (kind == fault::power_loss)
      disk.lose_power(nth % 2 == 0);
    auto again = store::open(options);
    REQUIRE(again);
    auto x = a_send(room("lobby"), 1, "hello");
    CHECK(commit(**again, {&x}));
  }
}

TEST_CASE("while the disk is full everything is refused, and service returns with the space", "[store][fault]") {
  story s;
  REQUIRE(s.try_round(0));
  s.disk.fail_at(1, fault::no_space);
  CHECK_FALSE(s.try_round(1));
  CHECK(s.has(s.left(0))); // reads go on until it is reopened
  for (int i = 0; i < 50; ++i) {
    CHECK_FALSE(s.db->reopen());
    CHECK_FALSE(s.try_round(1));
  }
  auto files = std::distance(std::filesystem::directory_iterator(s.options.path), {});
  for (int i = 0; i < 50; ++i)
    CHECK_FALSE(s.db->reopen());
  CHECK(std::distance(std::filesystem::directory_iterator(s.options.path), {}) ==
        files); // trying leaves nothing behind
  s.disk.heal();
  REQUIRE(s.db->reopen());
  CHECK(s.db->generation() == 2);
  CHECK(s.try_round(2));
  s.check();
}

namespace {

/// Plays the node that has the store open: it writes a file between our looking at the directory and our finding the
/// lock taken.
class busy_neighbour : public rocksdb::EnvWrapper {
public:
  explicit busy_neighbour(std::string file) : EnvWrapper(Env::Default()), file_(std::move(file)) {}
  rocksdb::Status LockFile(const std::string& name, rocksdb::FileLock** lock) override {
    std::ofstream(file_) << "what was acknowledged";
    return EnvWrapper::LockFile(name, lock);
  }

private:
  const std::string file_;
};

} // namespace

TEST_CASE_METHOD(store_fixture, "a store that is open elsewhere is said to be, and nothing in it is touched",
                 "[store][fault]") {
  const auto file = options.path + "/123456.log";
  busy_neighbour env{file};
  auto second = store::open(small_store(options.path, &env));
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().message, Catch::EndsWith("store: another node is using this data directory"));
  CHECK(std::filesystem::exists(file));
  std::filesystem::remove(file);
  CHECK(db->load_room(lobby, 10, 10'000));
}
