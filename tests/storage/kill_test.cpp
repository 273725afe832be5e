// Killed at any moment: a child commits in a loop and tells each commit that was acknowledged; after SIGKILL all of
// them must be there, and the logs whole.
#include "fixture.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

constexpr int kills = 30;
constexpr int rooms = 5;
constexpr const char* path_variable = "GREENROOM_KILL_TEST_PATH";
constexpr const char* pipe_variable = "GREENROOM_KILL_TEST_PIPE";

room_id room_number(int i) { return room("room" + std::to_string(i)); }
std::string text_of(uint64_t seq) { return std::to_string(seq) + std::string(seq * 37 % 3'000, '.'); }

store_options tight_store(std::string path) {
  auto options = small_store(std::move(path));
  options.write_buffer_bytes = 64 << 10; // so that flushes and compactions are interrupted, too
  return options;
}

/// This program again: a copy made by fork() would lack RocksDB's threads.
pid_t start_child(const std::string& path, int to_parent) {
  auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::setenv(path_variable, path.c_str(), 1);
    ::setenv(pipe_variable, std::to_string(to_parent).c_str(), 1);
    ::execl("/proc/self/exe", "storage_test", "[.killed]", nullptr);
    ::_exit(127);
  }
  return pid;
}

} // namespace

TEST_CASE("the child that is killed", "[.killed]") {
  auto* path = std::getenv(path_variable);
  auto* pipe = std::getenv(pipe_variable);
  if (path == nullptr || pipe == nullptr)
    return;
  auto to_parent = std::atoi(pipe);
  auto db = store::open(tight_store(path)).value();
  auto head = db->load_room(room_number(0), 0, 0).value();
  for (uint64_t seq = head ? head->head + 1 : 1;; ++seq) {
    std::vector<batch> batches;
    std::vector<const batch*> all;
    for (int i = 0; i < rooms; ++i) {
      batches.push_back(a_send(room_number(i), seq, text_of(seq)));
      if (seq == 1)
        batches.back().put(room_number(i), a_room());
    }
    for (auto& x : batches)
      all.push_back(&x);
    if (!db->commit(all) || ::write(to_parent, &seq, sizeof seq) != sizeof seq)
      return;
  }
}

TEST_CASE("what was acknowledged before SIGKILL is there afterwards", "[store][kill]") {
  temporary_directory directory;
  auto path = directory / "store";
  auto seed = std::random_device{}();
  std::mt19937 random(seed);
  CAPTURE(seed);
  uint64_t acknowledged = 0;
  uint64_t checked = 0;
  for (int round = 0; round < kills; ++round) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0);
    auto child = start_child(path, ends[1]);
    ::close(ends[1]);
    // Some are killed while they open the store, most while they write.
    auto wanted = random() % 8 == 0 ? 0 : acknowledged + 1 + random() % 40;
    uint64_t seq = 0;
    while (acknowledged < wanted && ::read(ends[0], &seq, sizeof seq) == sizeof seq)
      acknowledged = seq;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 9'000)); // where in a commit is up to chance
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    while (::read(ends[0], &seq, sizeof seq) == sizeof seq)
      acknowledged = seq;
    ::close(ends[0]);

    CAPTURE(round, acknowledged);
    auto db = store::open(tight_store(path)).value();
    auto image = db->load_room(room_number(0), 0, 0).value();
    auto head = image ? image->head : 0;
    // One commit may have reached the disk whose acknowledgement was not told any more.
    CHECK(head >= acknowledged);
    CHECK(head <= acknowledged + 1);
    for (int i = 0; i < rooms; ++i) {
      auto page = db->events_after(room_number(i), checked, SIZE_MAX, SIZE_MAX).value();
      CHECK(page.events.size() == head - checked);
      for (auto& x : page.events) {
        CHECK(x.text == text_of(x.seq));
        auto key = hash_of(user("ada"), x.text);
        CHECK(db->find_key(room_number(i), key, read_tier::disk).value().second.seq == x.seq);
      }
    }
    checked = head > 100 ? head - 100 : 0; // and the older ones at the end
    acknowledged = head;
  }
  auto db = store::open(tight_store(path)).value();
  for (int i = 0; i < rooms; ++i)
    CHECK(db->events_after(room_number(i), 0, SIZE_MAX, SIZE_MAX).value().events.size() == acknowledged);
  CHECK(acknowledged > kills);
}
