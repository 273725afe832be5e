// The log of a shard on a disk that fails, at every operation and in three ways. Whatever happens: an entry whose
// append was acknowledged is there unless it was cut or trimmed, the state is what the entries up to `applied` made of
// it, log and state fit together, and a shard whose installation has begun never passes for a whole one.
#include "log_fixture.hpp"

#include <functional>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;
using greenroom::testing::fault;
using greenroom::testing::faulty_env;

namespace {

/// Two shards: one whose log grows, is cut, applied and trimmed; one that takes in snapshots. Entries are large and
/// buffers small, so that flushes and compactions happen among the writes. Beside the store stands what it must hold.
struct story {
  faulty_env disk;
  temporary_directory directory;
  store_options options = small_store(directory / "store", disk.env());
  std::unique_ptr<store> db;
  static constexpr shard_id shard = 7, target = 9;
  static constexpr log_position chunks_applied{3, 20};
  const room_id here = room_in(shard);
  const room_id there = room_in(target);

  /// The log as it was acknowledged, from index 1 on; what was being appended when a write failed, which may be there;
  /// and the length that it was being cut to.
  std::vector<log_entry> log, perhaps;
  std::optional<uint64_t> perhaps_cut;
  uint64_t applied = 0; // at most
  uint64_t first = 0;   // at most
  uint64_t epoch = 1;
  bool installing = false, perhaps_installing = false, perhaps_installed = false, installed = false;

  story() {
    options.write_buffer_bytes = 64 << 10;
    db = store::open(options).value();
  }

  /// What is installed, made once and on a disk that works: 20 messages.
  static const std::vector<snapshot_chunk>& chunks() {
    static const auto all = [] {
      faulty_env disk;
      temporary_directory directory;
      auto source = store::open(small_store(directory / "store", disk.env())).value();
      for (uint64_t i = 1; i <= chunks_applied.index; ++i) {
        auto entry = an_entry(room_in(target), chunks_applied.epoch, i, text(i));
        REQUIRE(write(*source, {append_entry{target, entry}, apply_entry{target, entry}}));
      }
      auto snapshot = source->snapshot(target).value();
      std::vector<snapshot_chunk> result;
      do
        result.push_back(snapshot->next(30'000).value());
      while (!result.back().last);
      REQUIRE(result.size() > 3);
      return result;
    }();
    return all;
  }

  static std::string text(uint64_t i) {
    return std::string(8'000, static_cast<char>('a' + i % 26)) + std::to_string(i);
  }

  bool append(uint64_t count) {
    std::vector<mutation> all;
    perhaps.clear();
    for (uint64_t i = 1; i <= count; ++i) {
      perhaps.push_back(an_entry(here, epoch, log.size() + i, text(epoch * 100 + log.size() + i)));
      all.emplace_back(append_entry{shard, perhaps.back()});
    }
    if (!write(*db, all))
      return false;
    log.insert(log.end(), perhaps.begin(), perhaps.end());
    perhaps.clear();
    return true;
  }
  bool cut(uint64_t after) {
    perhaps_cut = after;
    if (!write(*db, {cut_log{shard, after}}))
      return false;
    log.resize(after);
    perhaps_cut.reset();
    ++epoch;
    return true;
  }
  bool apply(uint64_t upto) {
    std::vector<mutation> all;
    for (auto i = db->load_shard(shard).value().applied.index + 1; i <= upto; ++i)
      all.emplace_back(apply_entry{shard, log[i - 1]});
    applied = std::max(applied, upto);
    return write(*db, all).has_value();
  }
  bool trim(uint64_t upto) {
    first = std::max(first, upto);
    return write(*db, {trim_log{shard, upto}}).has_value();
  }
  bool begin() {
    perhaps_installing = true;
    if (!write(*db, {install_begin{target}}))
      return false;
    installing = true;
    installed = false;
    return true;
  }
  bool install() {
    for (auto& x : chunks())
      if (!write(*db, {install_chunk{target, shared(x.bytes)}}))
        return false;
    perhaps_installed = true;
    if (!write(*db, {install_end{target, chunks_applied}}))
      return false;
    installed = true;
    installing = perhaps_installing = perhaps_installed = false;
    return true;
  }

  /// Until something fails.
  bool play() {
    if (!append(3) || !append(2) || !apply(3))
      return false;
    auto old = a_send(there, 77, "old"); // what the installation drops
    log_entry entry{{1, 1}, shared(old.bytes())};
    if (!write(*db, {append_entry{target, entry}}) || !write(*db, {apply_entry{target, entry}}))
      return false;
    return trim(2) && cut(4) && append(3) && apply(5) && begin() && append(1) && install() && trim(5) && apply(7) &&
           cut(7) && append(2) && begin() && install() && apply(8) && trim(7);
  }

  void check_log() const {
    auto state = db->load_shard(shard).value();
    CHECK(state.applied.index <= applied);
    CHECK(state.first.index <= first);
    CHECK_FALSE(state.installing);
    auto expected = log;
    if (perhaps_cut && state.last.index == *perhaps_cut)
      expected.resize(*perhaps_cut);
    expected.insert(expected.end(), perhaps.begin(), perhaps.end());
    // All that was acknowledged, and what was being appended as a whole or not at all.
    bool whole = state.last.index == expected.size() || state.last.index == expected.size() - perhaps.size();
    CHECK(whole);
    auto entries = db->log_after(shard, state.first.index, SIZE_MAX, SIZE_MAX).value();
    REQUIRE(entries.size() == state.last.index - state.first.index);
    for (auto& x : entries) {
      REQUIRE(x.at.index <= expected.size());
      CHECK(x.at == expected[x.at.index - 1].at);
      CHECK(*x.batch == *expected[x.at.index - 1].batch);
    }
    if (!entries.empty())
      CHECK(entries.back().at == state.last);
    // The state is the entries up to applied, neither more nor less.
    auto events = db->events_after(here, 0, SIZE_MAX, SIZE_MAX).value().events;
    REQUIRE(events.size() == state.applied.index);
    for (auto& x : events)
      CHECK(x.text == batch_text(expected[x.seq - 1]));
  }
  static std::string batch_text(const log_entry& x) { return text(x.at.epoch * 100 + x.at.index); }

  void check_target() const {
    auto state = db->load_shard(target).value();
    if (installed && !perhaps_installing)
      CHECK(state.applied == chunks_applied);
    if (installing && !perhaps_installed)
      CHECK(state.installing);
    if (!perhaps_installing)
      CHECK_FALSE(state.installing);
    if (state.installing) {
      CHECK(state == shard_state{{}, {}, {}, true});
      CHECK_FALSE(db->snapshot(target));
    } else if (state.applied == chunks_applied) {
      auto events = db->events_after(there, 0, SIZE_MAX, SIZE_MAX).value().events;
      CHECK(events.size() == chunks_applied.index);
      for (auto& x : events) {
        CHECK(x.text == text(x.seq));
        CHECK(db->find_key(there, hash_of(user("ada"), x.text), read_tier::disk).value().first == lookup::found);
      }
      CHECK(db->log_after(target, chunks_applied.index, 10, 10).value().empty());
    } else {
      CHECK(db->events_after(there, 0, SIZE_MAX, SIZE_MAX).value().events.size() == state.applied.index);
    }
  }
  void check() const {
    check_log();
    check_target();
  }

  /// As a node would go on after a failure: from what is there, and with the installation anew.
  void go_on() {
    auto state = db->load_shard(shard).value();
    if (perhaps_cut && state.last.index == *perhaps_cut)
      log.resize(*perhaps_cut);
    if (state.last.index > log.size())
      log.insert(log.end(), perhaps.begin(), perhaps.end());
    perhaps.clear();
    perhaps_cut.reset();
    epoch += 10;
    REQUIRE(append(1));
    REQUIRE(apply(log.size()));
    REQUIRE(begin());
    REQUIRE(install());
    REQUIRE(trim(log.size() - 1));
    check();
    CHECK(db->load_shard(target).value().applied == chunks_applied);
  }

  void power_cycle(bool torn) {
    db.reset();
    disk.lose_power(torn);
    auto opened = store::open(options);
    REQUIRE(opened);
    db = std::move(*opened);
  }
};

} // namespace

TEST_CASE("log and state fit together after any operation that fails", "[log][fault]") {
  auto kind = GENERATE(fault::io_error, fault::no_space);
  bool hit = true;
  int refusals = 0;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(int(kind), nth);
    story s;
    s.disk.fail_at(nth, kind);
    if (!s.play()) {
      ++refusals;
      CHECK_FALSE(s.db->healthy());
      s.check(); // reads go on
      s.disk.heal();
      REQUIRE(s.db->reopen());
    }
    hit = s.disk.failed();
    s.disk.heal();
    REQUIRE(s.db->reopen()); // the fault may have come in background work
    s.check();
    s.power_cycle(nth % 2 == 0);
    s.check();
    s.go_on();
  }
  CHECK(refusals > 30);
}

TEST_CASE("log and state fit together after a loss of power at any operation", "[log][fault]") {
  bool hit = true;
  for (uint64_t nth = 1; hit; ++nth) {
    CAPTURE(nth);
    story s;
    s.disk.fail_at(nth, fault::power_loss);
    s.play();
    hit = s.disk.failed();
    s.power_cycle(nth % 2 == 0);
    s.check();
    s.go_on();
    s.power_cycle(nth % 2 == 1);
    s.check();
  }
}

TEST_CASE("of what was not synced a loss of power takes the end only", "[log][fault]") {
  faulty_env disk;
  temporary_directory directory;
  auto options = small_store(directory / "store", disk.env());
  auto where = room("lobby");
  auto shard = where.shard();
  auto db = store::open(options).value();
  std::vector<mutation> appends;
  for (uint64_t i = 1; i <= 5; ++i)
    appends.emplace_back(append_entry{shard, an_entry(where, 1, i)});
  REQUIRE(write(*db, appends));
  REQUIRE(write(*db, {apply_entry{shard, an_entry(where, 1, 1)}}));
  REQUIRE(write(*db, {trim_log{shard, 1}}));
  REQUIRE(write(*db, {append_entry{shard, an_empty_entry(2, 6)}})); // a sync covers what was written before it
  REQUIRE(write(*db, {apply_entry{shard, an_entry(where, 1, 2)}}));
  db.reset();
  disk.lose_power(false);
  db = store::open(options).value();
  CHECK(db->load_shard(shard).value() == shard_state{{1, 1}, {2, 6}, {1, 1}, false});
  REQUIRE(write(*db, {apply_entry{shard, an_entry(where, 1, 2)}})); // and is done again
  CHECK(seqs(db->events_after(where, 0, 10, 10'000).value().events) == std::vector<uint64_t>{1, 2});
}
