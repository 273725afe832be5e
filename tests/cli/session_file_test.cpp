#include "net/cli/session_file.hpp"
#include "tests/support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <vector>

namespace greenroom::cli {
namespace {

namespace fs = std::filesystem;

saved_session some() { return {"http://h:1", "ca.pem", false, "ann", "s_1", "token", "refresh", 1'764'000'000'000}; }

mode_t mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_mode & 0777;
}

} // namespace

TEST_CASE("a session is kept for its owner alone", "[session]") {
  const test::temporary_directory here;
  const session_file file((here.path() / "a" / "b" / "session.json").string());
  REQUIRE(file.load().has_value());
  CHECK_FALSE(file.load()->has_value());
  REQUIRE(file.save(some()).has_value());
  CHECK(mode_of(file.path()) == 0600);
  CHECK(mode_of(fs::path(file.path()).parent_path().string()) == 0700);
  REQUIRE(file.load().has_value());
  CHECK(**file.load() == some());
  auto next = some();
  next.refresh_token = "the next";
  REQUIRE(file.save(next).has_value());
  CHECK((*file.load())->refresh_token == "the next");
  CHECK(std::distance(fs::directory_iterator(fs::path(file.path()).parent_path()), {}) == 1); // no draft is left
  REQUIRE(file.remove().has_value());
  REQUIRE(file.remove().has_value());
  CHECK_FALSE(file.load()->has_value());
}

TEST_CASE("a session that others may read, or that is none, is refused", "[session]") {
  const test::temporary_directory here;
  const session_file file((here.path() / "session.json").string());
  REQUIRE(file.save(some()).has_value());
  ::chmod(file.path().c_str(), 0640);
  REQUIRE(file.load().has_error());
  CHECK(file.load().error().code == errc::forbidden);
  CHECK(file.load().error().message.find("chmod 600") != std::string::npos);
  ::chmod(file.path().c_str(), 0600);
  for (const auto* text : {"", "{", "[]", R"({"server":"http://h:1"})", R"({"token":"x"})"}) {
    std::ofstream(file.path()) << text;
    CAPTURE(text);
    CHECK(file.load().has_error());
  }
}

TEST_CASE("a session that can't be written leaves the one that was there", "[session]") {
  const test::temporary_directory here;
  const session_file file((here.path() / "session.json").string());
  REQUIRE(file.save(some()).has_value());
  const session_file nowhere((here.path() / "session.json" / "below").string());
  CHECK(nowhere.save(some()).has_error());
  CHECK(**file.load() == some());
}

TEST_CASE("one renews at a time", "[session]") {
  const test::temporary_directory here;
  const session_file file((here.path() / "session.json").string());
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        auto held = file.hold();
        if (!held)
          continue;
        const int now = ++inside;
        most = std::max(most.load(), now);
        --inside;
      }
    });
  for (auto& t : threads)
    t.join();
  CHECK(most == 1);
}

} // namespace greenroom::cli
