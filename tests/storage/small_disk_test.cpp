// The store on a real file system that is really full. Hidden, because it needs one: README.md in storage/ has the
// commands.
#include "fixture.hpp"

#include <fcntl.h>
#include <unistd.h>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

/// Takes all the space that is left, and gives it back.
class ballast {
public:
  explicit ballast(std::string path) : path_(std::move(path)) {}
  ~ballast() { drop(); }
  void fill(size_t but_bytes) {
    int fd = ::open(path_.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    auto free_bytes = std::filesystem::space(path_).available;
    if (free_bytes > but_bytes)
      static_cast<void>(::posix_fallocate(fd, 0, static_cast<off_t>(free_bytes - but_bytes)));
    std::string some(4'096, 'x');
    ::lseek(fd, 0, SEEK_END);
    while (but_bytes == 0 && ::write(fd, some.data(), some.size()) > 0) {
    }
    ::close(fd);
  }
  void drop() { std::filesystem::remove(path_); }

private:
  std::string path_;
};

} // namespace

TEST_CASE("a disk that is really full refuses, loses nothing, and serves again", "[.small_disk]") {
  auto* where = std::getenv("GREENROOM_SMALL_DISK");
  REQUIRE(where != nullptr);
  auto path = std::string(where) + "/store";
  std::filesystem::remove_all(path);
  auto options = small_store(path);
  options.min_free_bytes = GENERATE(0u, 4u << 20);
  options.write_buffer_bytes = 1u << 20;
  CAPTURE(options.min_free_bytes);
  auto db = store::open(options).value();
  ballast other(std::string(where) + "/ballast");
  std::vector<uint64_t> acknowledged;
  uint64_t seq = 0;
  // Each text is new and can't be compressed: the disk must fill up.
  auto send = [&] {
    std::string text;
    for (uint64_t x = ++seq; text.size() < 20'000; x = x * 6364136223846793005ULL + 1442695040888963407ULL)
      text.append(reinterpret_cast<const char*>(&x), sizeof x);
    auto x = a_send(room("r" + std::to_string(seq)), 1, text);
    auto done = commit(*db, {&x});
    if (done)
      acknowledged.push_back(seq);
    return done.has_value();
  };
  for (int turn = 0; turn < 5; ++turn) {
    for (int i = 0; i < 20; ++i)
      REQUIRE(send());
    other.fill(0);
    int before_refusal = 0;
    while (send())
      ++before_refusal;
    // Opening and compacting free some space, so that it may succeed now and then.
    int opened = 0;
    int sent = 0;
    for (int i = 0; i < 200; ++i) {
      opened += db->reopen().has_value();
      sent += send();
    }
    auto files = std::distance(std::filesystem::directory_iterator(path), {});
    WARN("full after " << before_refusal << ", then reopened " << opened << " and sent " << sent << " times of 200; "
                       << files << " files");
    CHECK(files < 100);
    other.drop();
    if (!db->healthy())
      REQUIRE(db->reopen());
    REQUIRE(send());
  }
  db.reset();
  db = store::open(options).value();
  for (auto x : acknowledged)
    CHECK(db->events_after(room("r" + std::to_string(x)), 0, 1, 1).value().events.size() == 1);
}
