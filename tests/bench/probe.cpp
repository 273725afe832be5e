#include "probe.hpp"

#include "loop.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace greenroom::bench {

int64_t cpu_ns(pid_t process) {
  // The process clock: exact to the nanosecond, where /proc/PID/stat counts ticks of 10 ms and /proc/PID/task/*
  // forgets threads that have ended.
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0)
    throw std::runtime_error("no process " + std::to_string(process) + " to take the CPU time of (--pid)");
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

memory memory_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/smaps_rollup");
  memory result;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Anonymous:"))
      result.anonymous = std::strtoull(line.c_str() + 10, nullptr, 10) * 1024;
    if (line.starts_with("Rss:"))
      result.resident = std::strtoull(line.c_str() + 4, nullptr, 10) * 1024;
  }
  if (result.resident == 0)
    throw std::runtime_error("cannot read the memory of process " + std::to_string(process));
  return result;
}

std::vector<int64_t> fdatasync_ns(const std::string& directory, unsigned times) {
  std::string path = directory + "/fdatasync.XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0)
    throw std::system_error(errno, std::generic_category(), path);
  ::unlink(path.c_str());
  const std::string bytes(300, 'x');
  std::vector<int64_t> samples;
  for (unsigned i = 0; i < times; ++i) {
    const int64_t begin = now_ns();
    if (::write(fd, bytes.data(), bytes.size()) != 300 || ::fdatasync(fd) != 0)
      throw std::system_error(errno, std::generic_category(), "write and fdatasync in " + directory);
    samples.push_back(now_ns() - begin);
  }
  ::close(fd);
  return samples;
}

int64_t percentile(std::vector<int64_t>& samples, double share) {
  if (samples.empty())
    return 0;
  const auto at = std::min(samples.size() - 1, static_cast<size_t>(share * static_cast<double>(samples.size())));
  const auto it = samples.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(samples.begin(), it, samples.end());
  return *it;
}

report::report(std::string_view scenario) { line_.append("{\"scenario\":\"").append(scenario).append("\""); }

report& report::add(std::string_view name, std::string_view text) {
  return add_raw(name, "\"" + std::string{text} + "\"");
}

report& report::add(std::string_view name, double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.2f", number);
  return add_raw(name, text);
}

report& report::add_raw(std::string_view name, std::string_view value) {
  line_.append(",\"").append(name).append("\":").append(value);
  return *this;
}

void report::print() {
  std::puts((line_ + "}").c_str());
  std::fflush(stdout);
}

cpu_meter::cpu_meter(std::vector<pid_t> servers)
    : servers_(std::move(servers)), server_ns_(of_servers()), own_ns_(cpu_ns(0)), wall_ns_(now_ns()) {}

int64_t cpu_meter::of_servers() const {
  int64_t sum = 0;
  for (const auto p : servers_)
    sum += cpu_ns(p);
  return sum;
}

void cpu_meter::finish() {
  server_ns_ = of_servers() - server_ns_;
  own_ns_ = cpu_ns(0) - own_ns_;
  wall_ns_ = now_ns() - wall_ns_;
}

void cpu_meter::add_shares(report& to) const {
  to.add("seconds", seconds());
  to.add("server_cpu", static_cast<double>(server_ns_) / static_cast<double>(wall_ns_));
  to.add("generator_cpu", static_cast<double>(own_ns_) / static_cast<double>(wall_ns_));
}

} // namespace greenroom::bench
