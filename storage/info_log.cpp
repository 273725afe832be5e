#include "storage/info_log.hpp"

#include <rocksdb/env.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <mutex>

namespace greenroom::storage {
namespace {

class info_log : public rocksdb::Logger {
public:
  explicit info_log(std::string path) : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), path_(std::move(path)) {}
  ~info_log() override { close_file(); }

  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    std::array<char, 2'048> line;
    auto now = std::time(nullptr);
    std::tm utc;
    ::gmtime_r(&now, &utc);
    auto used = std::strftime(line.data(), line.size(), "%Y-%m-%dT%H:%M:%SZ ", &utc);
    auto room = line.size() - used - 1;
    auto wanted = std::vsnprintf(line.data() + used, room, format, arguments);
    used += std::min(static_cast<size_t>(std::max(wanted, 0)), room - 1);
    line[used++] = '\n';
    std::lock_guard lock(mutex_);
    write(line.data(), used);
  }

private:
  void write(const char* data, size_t size) {
    if (fd_ >= 0 && bytes_ + size > log_bytes_max) {
      close_file();
      ::rename(path_.c_str(), (path_ + ".old").c_str());
    }
    if (fd_ < 0) {
      fd_ = ::open(path_.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
      struct stat found {};
      bytes_ = fd_ >= 0 && ::fstat(fd_, &found) == 0 ? static_cast<size_t>(found.st_size) : 0;
    }
    if (fd_ >= 0 && ::write(fd_, data, size) == static_cast<ssize_t>(size))
      bytes_ += size;
  }
  void close_file() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

  const std::string path_;
  std::mutex mutex_;
  int fd_ = -1;
  size_t bytes_ = 0;
};

} // namespace

std::shared_ptr<rocksdb::Logger> open_info_log(std::string path) { return std::make_shared<info_log>(std::move(path)); }

} // namespace greenroom::storage
