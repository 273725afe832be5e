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

/// What a bare delivery to one of 1,000 receivers cost on the machine for which the targets were set.
constexpr double reference_delivery_us = 5.8;

/// The number behind `field`, if the line holds all of `parts`.
std::optional<double> figure(const std::string& line, const std::vector<std::string>& parts, const std::string& field) {
  const size_t at = line.find("\"" + field + "\":");
  bool fits = at != std::string::npos;
  for (const std::string& part : parts)
    fits = fits && holds(line, part);
  return fits ? std::optional{std::strtod(line.c_str() + at + field.size() + 3, nullptr)} : std::nullopt;
}

/// The mean over all lines that have it. `scaled`: each to the speed of the reference, by what a bare delivery cost
/// when it was measured last before.
std::optional<double> mean(const std::vector<std::string>& lines, const std::vector<std::string>& parts,
                           const std::string& field, bool scaled = false) {
  double sum = 0;
  unsigned n = 0;
  std::optional<double> bare;
  for (const std::string& line : lines) {
    if (auto x = figure(line, {R"("server":"bare")", R"("receivers":1000,)"}, "cpu_us_per_delivery"))
      bare = x;
    const auto x = figure(line, parts, field);
    if (!x || (scaled && !bare))
      continue;
    sum += scaled ? *x * reference_delivery_us / *bare : *x;
    ++n;
  }
  return n == 0 ? std::nullopt : std::optional{sum / n};
}

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
  // Microseconds mean something only at one speed: as measured, and at the speed for which the target was set.
  auto cpu_row = [&](const char* what, const std::vector<std::string>& parts, const std::string& field, double target) {
    row(what, mean(lines, parts, field), target, "us");
    row("  at the reference's speed", mean(lines, parts, field, true), target, "us");
  };
  row("bare delivery to 1,000, the machine's speed", delivery("bare", R"("receivers":1000,)"), reference_delivery_us,
      "us");
  cpu_row("durable send, 1,000 senders, CPU per send", {R"("scenario":"send")", R"("senders":1000,)"},
          "cpu_us_per_send", 35);
  row("idle connection, user memory", mean(lines, {R"("scenario":"idle")"}, "bytes_per_connection"), 9 * 1024, "bytes");
  cpu_row("connect and hello, user without rooms", {R"("scenario":"storm")", R"("rooms":0,)"}, "cpu_us_per_connect",
          120);
  cpu_row("connect and hello, user with 3 rooms", {R"("scenario":"storm")", R"("rooms":3,)"}, "cpu_us_per_connect",
          120);
  row("lone durable send, p50", mean(lines, {R"("scenario":"send")", R"("senders":1,)"}, "fdatasync_times"), 3,
      "x fdatasync");
}

} // namespace greenroom::bench
