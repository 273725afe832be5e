// storage_bench: what the store costs by itself. One JSON line per measurement:
//
// - commit: batches per commit; commits/s, batches/s, CPU microseconds per batch, p50 of one commit in microseconds
//
// - logged: the same batches appended to logs, which keep `kept` entries per shard, then applied; p50 of the append
//
// - fdatasync: p50 of appending the same bytes to a bare file and syncing it, in microseconds; the yardstick
//
// - find_absent: CPU microseconds per look-up of a key that is not there, with filters of `keys` stored ones
//
// Usage: storage_bench DIRECTORY (which must not exist; it is made and left behind)
#include "storage/store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

using namespace greenroom;
using namespace greenroom::storage;

namespace {

double cpu_us() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double wall_us() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

double p50(std::vector<double>& samples) {
  auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

room_id bench_room(size_t i) { return room_id::parse("bench" + std::to_string(i)).value(); }
const user_id ada = user_id::parse("ada").value();

/// What a send writes: an event of some 150 bytes, and the entry of its key.
batch a_send(const room_id& to, uint64_t seq) {
  event e;
  e.seq = seq;
  e.ts = 1'700'000'000'000 + static_cast<int64_t>(seq);
  e.from = ada;
  e.key = "key-" + std::to_string(seq);
  e.text = std::string(100, 'x');
  batch x(to.shard());
  x.put(to, e);
  x.put(to, hash_of(ada, e.key), key_record{1, seq, e.ts, seq});
  return x;
}

void bench_commits(store& db, size_t group, size_t commits, uint64_t first_seq) {
  std::vector<double> times;
  auto cpu = cpu_us();
  auto wall = wall_us();
  for (size_t c = 0; c < commits; ++c) {
    std::vector<batch> batches;
    std::vector<const batch*> pointers;
    for (size_t i = 0; i < group; ++i)
      batches.push_back(a_send(bench_room(i), first_seq + c));
    for (auto& x : batches)
      pointers.push_back(&x);
    auto start = wall_us();
    if (auto done = db.commit(pointers); !done) {
      std::fprintf(stderr, "%s\n", done.error().message.c_str());
      std::exit(1);
    }
    times.push_back(wall_us() - start);
  }
  cpu = cpu_us() - cpu;
  wall = wall_us() - wall;
  auto batches = static_cast<double>(group * commits);
  std::printf("{\"bench\":\"commit\",\"group\":%zu,\"commits_per_s\":%.0f,\"batches_per_s\":%.0f,"
              "\"cpu_us_per_batch\":%.2f,\"p50_us\":%.0f}\n",
              group, static_cast<double>(commits) / wall * 1e6, batches / wall * 1e6, cpu / batches, p50(times));
}

/// What a cluster's node does with each batch instead: it appends the batches to the logs of their shards, synced, and
/// later applies them, unsynced. A commit's time is that of the append alone: that is what is waited for.
void bench_logged(store& db, size_t group, size_t commits, uint64_t first_seq, uint64_t kept) {
  std::vector<double> times;
  std::vector<uint64_t> heads(shard_count, 0);
  auto cpu = cpu_us();
  auto wall = wall_us();
  for (size_t c = 0; c < commits; ++c) {
    std::vector<mutation> appends, applies;
    for (size_t i = 0; i < group; ++i) {
      auto x = a_send(bench_room(i), first_seq + c);
      auto shard = x.shard();
      log_entry entry{{1, ++heads[shard]}, std::make_shared<const std::string>(x.bytes())};
      appends.emplace_back(append_entry{shard, entry});
      applies.emplace_back(apply_entry{shard, std::move(entry)});
    }
    // Each log is trimmed now and then, as the primary would.
    for (unsigned shard = 0; shard < shard_count; ++shard)
      if (c % 16 == shard % 16 && heads[shard] > kept)
        applies.emplace_back(trim_log{static_cast<shard_id>(shard), heads[shard] - kept});
    auto start = wall_us();
    auto done = db.write(appends);
    times.push_back(wall_us() - start);
    if (done)
      done = db.write(applies);
    if (!done) {
      std::fprintf(stderr, "%s\n", done.error().message.c_str());
      std::exit(1);
    }
  }
  cpu = cpu_us() - cpu;
  wall = wall_us() - wall;
  auto batches = static_cast<double>(group * commits);
  std::printf("{\"bench\":\"logged\",\"group\":%zu,\"kept\":%lu,\"commits_per_s\":%.0f,\"batches_per_s\":%.0f,"
              "\"cpu_us_per_batch\":%.2f,\"p50_us\":%.0f}\n",
              group, static_cast<unsigned long>(kept), static_cast<double>(commits) / wall * 1e6, batches / wall * 1e6,
              cpu / batches, p50(times));
}

void bench_fdatasync(const std::string& path, size_t bytes) {
  int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  std::string data(bytes, 'x');
  std::vector<double> times;
  for (int i = 0; i < 500; ++i) {
    auto start = wall_us();
    if (::write(fd, data.data(), data.size()) < 0 || ::fdatasync(fd) != 0)
      std::exit(1);
    times.push_back(wall_us() - start);
  }
  ::close(fd);
  ::unlink(path.c_str());
  std::printf("{\"bench\":\"fdatasync\",\"bytes\":%zu,\"p50_us\":%.0f}\n", bytes, p50(times));
}

void bench_find_absent(const store& db, size_t stored, const char* where) {
  constexpr size_t lookups = 200'000;
  auto room = bench_room(0);
  std::vector<key_hash> keys;
  for (size_t i = 0; i < lookups; ++i)
    keys.push_back(hash_of(ada, "absent-" + std::to_string(i)));
  size_t slow = 0;
  auto cpu = cpu_us();
  for (auto& key : keys)
    slow += db.find_key(room, key, read_tier::cached).value().first != lookup::absent;
  cpu = cpu_us() - cpu;
  std::printf("{\"bench\":\"find_absent\",\"where\":\"%s\",\"keys\":%zu,\"cpu_us\":%.3f,\"would_block\":%.5f}\n", where,
              stored, cpu / lookups, static_cast<double>(slow) / lookups);
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2 || std::filesystem::exists(argv[1])) {
    std::fprintf(stderr, "usage: storage_bench DIRECTORY (a new one)\n");
    return 2;
  }
  store_options options;
  options.path = argv[1];
  auto db = store::open(options).value();
  bench_fdatasync(options.path + "/yardstick", 300);
  bench_commits(*db, 1, 500, 1);
  bench_commits(*db, 64, 500, 1'000);
  bench_commits(*db, 1'000, 500, 10'000);
  size_t stored = 500 * (1 + 64 + 1'000);
  bench_find_absent(*db, stored, "memtable");
  if (!db->reopen())
    return 1;
  bench_find_absent(*db, stored, "tables");
  for (auto& [name, value] : db->figures())
    std::printf("{\"figure\":\"%s\",\"value\":%lu}\n", name.c_str(), static_cast<unsigned long>(value));
  db.reset();
  // Each in a store of its own: the direct commits once more, at the speed of this minute, beside those through logs.
  auto alone = [&](const char* name, auto&& run) {
    store_options fresh;
    fresh.path = options.path + "/" + name;
    run(*store::open(fresh).value());
    std::filesystem::remove_all(fresh.path);
  };
  for (int round = 0; round < 3; ++round) {
    alone("direct", [](store& x) { bench_commits(x, 1'000, 500, 1); });
    alone("logged", [](store& x) { bench_logged(x, 1'000, 500, 1, 1'000); });
  }
  alone("logged", [](store& x) { bench_logged(x, 1'000, 500, 1, 1'000'000); }); // nothing is trimmed
  alone("logged", [](store& x) { bench_logged(x, 64, 500, 1, 1'000); });
  alone("logged", [](store& x) { bench_logged(x, 1, 500, 1, 1'000); });
}
