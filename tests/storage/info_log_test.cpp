// RocksDB's log file: bounded, and harmless when it can't be written.
#include "fixture.hpp"
#include "storage/info_log.hpp"

#include <rocksdb/env.h>

using namespace greenroom::storage;
using namespace greenroom::storage::testing;

TEST_CASE("the log is kept in two files of bounded size", "[info_log]") {
  temporary_directory directory;
  std::filesystem::create_directory(directory / "x");
  auto path = directory / "x/LOG";
  auto log = open_info_log(path);
  std::string line(1'000, 'x');
  for (size_t i = 0; i < 3 * log_bytes_max / line.size(); ++i)
    rocksdb::Warn(log, "%s", line.c_str());
  CHECK(std::filesystem::file_size(path) <= log_bytes_max);
  CHECK(std::filesystem::file_size(path + ".old") <= log_bytes_max);
  CHECK(std::filesystem::file_size(path + ".old") > log_bytes_max / 2);
  rocksdb::Warn(log, "%s", std::string(10'000, 'y').c_str()); // cut, not overrun
}

TEST_CASE("a log on a full disk is lost, and nothing else", "[info_log]") {
  auto log = open_info_log("/dev/full");
  for (int i = 0; i < 3; ++i)
    rocksdb::Error(log, "%s", "no space");
}
