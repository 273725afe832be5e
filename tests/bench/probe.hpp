// probe: what a scenario measures besides its own clock (CPU time and memory of the server process, fdatasync of a
// file system) and the line of JSON in which it says so.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace greenroom::bench {

/// CPU time that all threads of a process have used, ended ones included, user and kernel, in nanoseconds. 0 is this
/// process. What the kernel does for a packet on loopback counts for the sender of that packet.
int64_t cpu_ns(pid_t process);

struct memory {
  uint64_t anonymous = 0; // bytes of heap, stacks and the like: what the process itself asked for
  uint64_t resident = 0;  // bytes, with mapped files
};
memory memory_of(pid_t process);

/// Appends 300 bytes (about one stored send) to a file in `directory` and waits for fdatasync, `times` times; answers
/// how long each took, in nanoseconds.
std::vector<int64_t> fdatasync_ns(const std::string& directory, unsigned times);

/// The value below which `share` of the samples lie, 0 when there are none. Reorders them.
int64_t percentile(std::vector<int64_t>& samples, double share);

/// One line of JSON on stdout.
class report {
public:
  explicit report(std::string_view scenario);
  report& add(std::string_view name, std::string_view text);
  report& add(std::string_view name, std::unsigned_integral auto number) {
    return add_raw(name, std::to_string(number));
  }
  /// Rounded to two places after the point.
  report& add(std::string_view name, double number);
  void print();

private:
  report& add_raw(std::string_view name, std::string_view value);
  std::string line_;
};

/// CPU time of the server and of this program between its construction and `finish`.
class cpu_meter {
public:
  /// The server, or the nodes of a cluster: their time is added up.
  explicit cpu_meter(std::vector<pid_t> servers);
  void finish();
  double server_us() const { return static_cast<double>(server_ns_) / 1e3; }
  double seconds() const { return static_cast<double>(wall_ns_) / 1e9; }
  /// Shares of one core. A generator near 1 limits the rates, though not the costs per operation.
  void add_shares(report& to) const;

private:
  int64_t of_servers() const;

  std::vector<pid_t> servers_;
  int64_t server_ns_;
  int64_t own_ns_;
  int64_t wall_ns_;
};

} // namespace greenroom::bench
