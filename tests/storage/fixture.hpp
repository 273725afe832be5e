// A store in a directory of its own, and short words for what the tests of the store put into it.
#pragma once

#include "storage/store.hpp"
#include "tests/support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

/// So that a failed check shows the failure; not every T in an outcome can be printed.
template <class T>
struct Catch::StringMaker<greenroom::outcome<T>> {
  static std::string convert(const greenroom::outcome<T>& x) { return x ? "a value" : x.error().message; }
};

namespace greenroom::storage::testing {

using greenroom::test::temporary_directory;

inline user_id user(const std::string& text) { return user_id::parse(text).value(); }
inline room_id room(const std::string& text) { return room_id::parse(text).value(); }

inline event message(uint64_t seq, std::string text, int64_t ts = 1'000) {
  event x;
  x.seq = seq;
  x.ts = ts;
  x.from = user("ada");
  x.text = std::move(text);
  return x;
}

inline room_record a_room() {
  room_record x;
  x.epoch = "e1";
  x.title = "The lobby";
  x.creator = user("ada");
  x.created = 17;
  return x;
}

inline store_options small_store(std::string path, rocksdb::Env* env = nullptr) {
  store_options x;
  x.path = std::move(path);
  x.cache_bytes = 8u << 20;
  x.write_buffer_bytes = 4u << 20;
  x.min_free_bytes = 0;
  x.env = env;
  return x;
}

inline outcome<void> commit(store& to, std::initializer_list<const batch*> batches) {
  return to.commit({batches.begin(), batches.size()});
}

/// One message and the entry of its key, as a room commits them.
inline batch a_send(const room_id& to, uint64_t seq, const std::string& text) {
  batch x(to.shard());
  x.put(to, message(seq, text));
  x.put(to, hash_of(user("ada"), text), key_record{1, seq, 1'000, 7});
  return x;
}

/// A room with `count` messages; the text of each is its seq, its ts ten times that.
inline void fill(store& to, const room_id& id, uint64_t count) {
  batch x(id.shard());
  x.put(id, a_room());
  for (uint64_t seq = 1; seq <= count; ++seq)
    x.put(id, message(seq, std::to_string(seq), static_cast<int64_t>(seq * 10)));
  REQUIRE(commit(to, {&x}));
}

inline std::vector<uint64_t> seqs(const std::vector<event>& events) {
  std::vector<uint64_t> result;
  for (auto& x : events)
    result.push_back(x.seq);
  return result;
}

struct store_fixture {
  temporary_directory directory;
  store_options options = small_store(directory / "store");
  std::unique_ptr<store> db = store::open(options).value();
  const room_id lobby = room("lobby");

  /// As if the program had ended and started again.
  void restart() {
    db.reset();
    db = store::open(options).value();
  }
};

} // namespace greenroom::storage::testing
