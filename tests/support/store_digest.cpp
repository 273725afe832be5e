// store_digest: says what a stopped node's store holds, shard by shard, so that the stores of several nodes can be
// compared. Opens the store as a node would: what a crash left is recovered first.
//
// store_digest DIRECTORY prints one JSON object per line: first the store's id, then each shard that has a log. The
// digest of a state is over its keys and values alone, not over the position that it belongs to.
#include "storage/log_records.hpp"
#include "storage/store.hpp"

#include <nlohmann/json.hpp>
#include <sodium.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace greenroom;
using nlohmann::json;

constexpr size_t chunk_bytes = 1u << 20;
constexpr size_t page_entries = 1'000;

template <class T>
T or_throw(outcome<T> x) {
  if (!x)
    throw std::runtime_error(x.error().message);
  return std::move(*x);
}

/// Sixteen bytes of BLAKE2b over texts, each with its length in front.
class digest {
public:
  digest() { crypto_generichash_init(&state_, nullptr, 0, bytes_); }
  void add(std::string_view text) {
    uint64_t size = text.size();
    put(&size, sizeof size);
    put(text.data(), text.size());
  }
  std::string finish() {
    std::array<unsigned char, bytes_> raw{};
    crypto_generichash_final(&state_, raw.data(), raw.size());
    std::string hex(2 * raw.size() + 1, '\0');
    sodium_bin2hex(hex.data(), hex.size(), raw.data(), raw.size());
    hex.pop_back();
    return hex;
  }

private:
  void put(const void* from, size_t size) {
    crypto_generichash_update(&state_, static_cast<const unsigned char*>(from), size);
  }
  static constexpr size_t bytes_ = 16;
  crypto_generichash_state state_;
};

json of(const storage::log_position& x) { return json::array({x.epoch, x.index}); }

/// Epoch, index and digest of the batch of each entry that is kept.
json log_of(const storage::store& store, shard_id shard, const storage::shard_state& state) {
  json entries = json::array();
  for (uint64_t after = state.first.index; after < state.last.index;) {
    auto page = or_throw(store.log_after(shard, after, page_entries, chunk_bytes));
    if (page.empty())
      throw std::runtime_error("the log has a hole behind " + std::to_string(after));
    for (const auto& e : page) {
      std::string what;
      if (!e.batch->empty()) {
        digest d;
        d.add(*e.batch);
        what = d.finish();
      }
      entries.push_back({e.at.epoch, e.at.index, what});
    }
    after = page.back().at.index;
  }
  return entries;
}

std::string state_of(const storage::store& store, shard_id shard) {
  auto moment = or_throw(store.snapshot(shard));
  digest d;
  for (bool last = false; !last;) {
    auto chunk = or_throw(moment->next(chunk_bytes));
    or_throw(storage::read_chunk(chunk.bytes, shard, [&](std::string_view key, std::string_view value) {
      d.add(key);
      d.add(value);
    }));
    last = chunk.last;
  }
  return d.finish();
}

void print(const std::string& directory) {
  storage::store_options options;
  options.path = directory;
  options.min_free_bytes = 0;
  auto store = or_throw(storage::store::open(std::move(options)));
  std::cout << json{{"store", store->id()}}.dump() << '\n';
  for (unsigned s = 0; s < shard_count; ++s) {
    auto shard = static_cast<shard_id>(s);
    auto state = or_throw(store->load_shard(shard));
    if (state == storage::shard_state{})
      continue;
    json line{{"shard", s},
              {"first", of(state.first)},
              {"applied", of(state.applied)},
              {"last", of(state.last)},
              {"installing", state.installing}};
    if (!state.installing) {
      line["log"] = log_of(*store, shard, state);
      line["state"] = state_of(*store, shard);
    }
    std::cout << line.dump() << '\n';
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: store_digest DIRECTORY\n";
    return 2;
  }
  try {
    if (sodium_init() < 0)
      throw std::runtime_error("libsodium can't be used");
    print(argv[1]);
    std::cout.flush();
    return std::cout ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << "store_digest: " << argv[1] << ": " << e.what() << '\n';
    return 1;
  }
}
