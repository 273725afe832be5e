// targets: holds the measured lines against what the project has set itself.
#include "scenarios.hpp"
#include "wire.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <vector>

namespace greenroom::bench {

namespace {

/// The mean of `field` over the lines that hold all of `parts`.
std::optional<double> mean(const std::vector<std::string>& lines, const std::vector<std::string>& parts,
                           const std::string& field) {
  double sum = 0;
  unsigned n = 0;
  for (const std::string& line : lines) {
    const size_t at = line.find("\"" + field + "\":");
    bool fits = at != std::string::npos;
    for (const std::string& part : parts)
      fits = fits && holds(line, part);
    if (!fits)
      continue;
    sum += std::strtod(line.c_str() + at + field.size() + 3, nullptr);
    ++n;
  }
  return n == 0 ? std::nullopt : std::optional{sum / n};
}

/// What a bare delivery to one of 1,000 receivers cost on the machine for which the targets were set.
constexpr double reference_delivery_us = 5.8;

void row(const char* what, std::optional<double> measured, double target, const char* unit) {
  if (!measured)
    std::printf("%-52s %10s %8.2f %-14s\n", what, "-", target, unit);
  else
    std::printf("%-52s %10.2f %8.2f %-14s %6.2f  %s\n", what, *measured, target, unit, *measured / target,
                *measured <= target ? "met" : "missed");
}

} // namespace

void targets(bench b) {
  const std::string path = b.opts.text("file", "");
  b.opts.all_used();
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error("cannot read " + path + " (--file)");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);

  auto delivery = [&](const char* server, const char* receivers) {
    return mean(lines, {R"("scenario":"fanout")", std::string{R"("server":")"} + server, receivers},
                "cpu_us_per_delivery");
  };
  auto ratio = [](std::optional<double> a, std::optional<double> c) {
    return a && c ? std::optional{*a / *c} : std::nullopt;
  };
  std::printf("%-52s %10s %8s %-14s %6s\n", "", "measured", "target", "", "ratio");
  for (const char* receivers : {R"("receivers":1000,)", R"("receivers":5000,)"})
    row(holds(receivers, "1000") ? "fan-out to 1,000, CPU per delivery" : "fan-out to 5,000, CPU per delivery",
        ratio(delivery("greenroom", receivers), delivery("bare", receivers)), 1.5, "x bare");
  // Microseconds mean something only at one speed: as measured, and as it would be where a bare delivery costs 5.8 us.
  const auto bare = delivery("bare", R"("receivers":1000,)");
  auto cpu_row = [&](const char* what, std::optional<double> us, double target) {
    row(what, us, target, "us");
    const auto scaled = us && bare ? std::optional{*us * reference_delivery_us / *bare} : std::nullopt;
    row("  at the reference's speed", scaled, target, "us");
  };
  row("bare delivery to 1,000, the machine's speed", bare, reference_delivery_us, "us");
  cpu_row("durable send, 1,000 senders, CPU per send",
          mean(lines, {R"("scenario":"send")", R"("senders":1000,)"}, "cpu_us_per_send"), 35);
  row("idle connection, user memory", mean(lines, {R"("scenario":"idle")"}, "bytes_per_connection"), 9 * 1024, "bytes");
  cpu_row("connect and hello, user without rooms",
          mean(lines, {R"("scenario":"storm")", R"("rooms":0,)"}, "cpu_us_per_connect"), 120);
  cpu_row("connect and hello, user with 3 rooms",
          mean(lines, {R"("scenario":"storm")", R"("rooms":3,)"}, "cpu_us_per_connect"), 120);
  row("lone durable send, p50", mean(lines, {R"("scenario":"send")", R"("senders":1,)"}, "fdatasync_times"), 3,
      "x fdatasync");
}

} // namespace greenroom::bench
