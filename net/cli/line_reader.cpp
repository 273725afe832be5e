#include "net/cli/line_reader.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace greenroom::cli {
namespace {

constexpr size_t chunk_bytes = 4 * 1024;
constexpr size_t line_bytes_max = 256 * 1024;

int make_wake() {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0)
    throw std::system_error(errno, std::generic_category(), "eventfd");
  return fd;
}

} // namespace

line_reader::line_reader(receiver to) : to_(std::move(to)), wake_(make_wake()), thread_([this] { run(); }) {}

line_reader::~line_reader() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
}

void line_reader::want() {
  {
    std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_one();
}

bool line_reader::wait() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return wanted_ || stopping_; });
    if (stopping_)
      return false;
    wanted_ = false;
  }
  pollfd both[] = {{wake_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (::poll(both, 2, -1) < 0 && errno == EINTR) {
  }
  return both[0].revents == 0;
}

void line_reader::run() {
  std::string rest;
  char chunk[chunk_bytes];
  while (wait()) {
    ssize_t got;
    do
      got = ::read(STDIN_FILENO, chunk, sizeof chunk);
    while (got < 0 && errno == EINTR);
    const bool end = got <= 0;
    if (!end)
      rest.append(chunk, static_cast<size_t>(got));

    std::vector<std::string> lines;
    size_t begin = 0;
    for (size_t newline; (newline = rest.find('\n', begin)) != std::string::npos; begin = newline + 1)
      lines.push_back(rest.substr(begin, newline - begin));
    rest.erase(0, begin);
    if (!rest.empty() && (end || rest.size() > line_bytes_max))
      lines.push_back(std::exchange(rest, {}));
    to_(std::move(lines), end);
    if (end)
      return;
  }
}

} // namespace greenroom::cli
