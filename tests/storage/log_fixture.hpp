// Short words for the log of a shard: entries, writes, what is in the log.
#pragma once

#include "../support/faulty_env.hpp"
#include "fixture.hpp"

namespace greenroom::storage::testing {

inline outcome<void> write(store& to, const std::vector<mutation>& all) { return to.write(all); }

/// The `i`th room of a shard.
inline room_id room_in(shard_id shard, int i = 0) {
  for (int n = 0;; ++n)
    if (auto x = room("r" + std::to_string(n)); x.shard() == shard && i-- == 0)
      return x;
}

/// A disk whose syncs cost nothing, for tests of thousands of writes. It outlives every store.
inline rocksdb::Env* quick_disk() {
  static greenroom::testing::faulty_env disk;
  return disk.env();
}

inline std::shared_ptr<const std::string> shared(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

/// An entry whose batch is one message; its seq is the index, so that the state tells what was applied.
inline log_entry an_entry(const room_id& where, uint64_t epoch, uint64_t index, const std::string& text = "") {
  auto words = text.empty() ? std::to_string(epoch) + "." + std::to_string(index) : text;
  return {{epoch, index}, shared(a_send(where, index, words).bytes())};
}
inline log_entry an_empty_entry(uint64_t epoch, uint64_t index) { return {{epoch, index}, shared("")}; }

inline std::vector<log_position> positions(const std::vector<log_entry>& entries) {
  std::vector<log_position> result;
  for (auto& x : entries)
    result.push_back(x.at);
  return result;
}

struct log_fixture : store_fixture {
  const shard_id shard = lobby.shard();

  void put(const std::vector<mutation>& all) {
    auto done = write(*db, all);
    CHECK(done);
  }
  /// Entries from..to of one epoch.
  void append(uint64_t epoch, uint64_t from, uint64_t to) {
    std::vector<mutation> all;
    for (auto i = from; i <= to; ++i)
      all.emplace_back(append_entry{shard, an_entry(lobby, epoch, i)});
    put(all);
  }
  /// What the log holds from..to.
  void apply(uint64_t from, uint64_t to) {
    std::vector<mutation> all;
    for (auto& x : db->log_after(shard, from - 1, to - from + 1, SIZE_MAX).value())
      all.emplace_back(apply_entry{shard, x});
    CHECK(all.size() == to - from + 1);
    put(all);
  }
  /// As the writer knows it, as a reader sees it, and as it is found after a restart: all three alike.
  shard_state state() {
    auto seen = db->load_shard(shard).value();
    restart();
    CHECK(db->load_shard(shard).value() == seen);
    return seen;
  }
  std::vector<log_position> log(uint64_t after) {
    return positions(db->log_after(shard, after, SIZE_MAX, SIZE_MAX).value());
  }
  std::vector<uint64_t> applied_messages() {
    return seqs(db->events_after(lobby, 0, SIZE_MAX, SIZE_MAX).value().events);
  }
};

} // namespace greenroom::storage::testing

template <>
struct Catch::StringMaker<greenroom::storage::log_position> {
  static std::string convert(const greenroom::storage::log_position& x) {
    return std::to_string(x.epoch) + "." + std::to_string(x.index);
  }
};
template <>
struct Catch::StringMaker<greenroom::storage::shard_state> {
  static std::string convert(const greenroom::storage::shard_state& x) {
    using one = Catch::StringMaker<greenroom::storage::log_position>;
    return "first " + one::convert(x.first) + " last " + one::convert(x.last) + " applied " + one::convert(x.applied) +
           (x.installing ? " installing" : "");
  }
};
