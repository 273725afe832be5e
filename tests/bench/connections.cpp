// connections: what users cost who are there and say nothing: memory when idle, CPU when they all come at once.
#include "probe.hpp"
#include "scenarios.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace greenroom::bench {

namespace {

constexpr unsigned rooms_each = 3;
constexpr unsigned users_per_room = 100;

/// User i sits in rooms 3i, 3i + 1 and 3i + 2, counted round: with N users and N * 3 / 100 rooms, each room has a
/// hundred.
std::string member(unsigned i) { return "member" + std::to_string(i); }
std::string room(unsigned i) { return "bench-idle-" + std::to_string(i); }
unsigned rooms_for(unsigned users) { return std::max(rooms_each, users * rooms_each / users_per_room); }

/// Until the server used less than 20 ms of CPU in each of two seconds: heartbeats of thousands of idle connections go
/// on, everything else has come to rest. Answers the CPU milliseconds of the last second.
double wait_until_quiet(bench& b) {
  unsigned quiet = 0;
  for (unsigned second = 0; second < 120; ++second) {
    cpu_meter meter(b.server.pids);
    b.on.pass(std::chrono::seconds(1));
    meter.finish();
    quiet = meter.server_us() < 20'000 ? quiet + 1 : 0;
    if (quiet == 2)
      return meter.server_us() / 1e3;
  }
  throw std::runtime_error("the server does not come to rest");
}

double per_connection(uint64_t before, uint64_t after, unsigned connections) {
  return (static_cast<double>(after) - static_cast<double>(before)) / connections;
}

} // namespace

void populate(bench b) {
  const unsigned users = b.opts.number("connections", 10'000);
  b.opts.all_used();
  const unsigned rooms = rooms_for(users);
  std::vector<std::string> creations;
  for (unsigned i = 0; i < rooms; ++i)
    creations.push_back(R"("op":"create","kind":"public","room":")" + room(i) + "\"");
  crowd founder(b.on, b.server);
  founder.add("founder", R"("subscribe":"none")", std::move(creations));
  founder.enter(1);
  crowd all(b.on, b.server);
  all.leave_when_ready = true; // else every join would be shown to those who joined before
  for (unsigned i = 0; i < users; ++i) {
    std::vector<std::string> joins;
    for (unsigned j = 0; j < rooms_each; ++j)
      joins.push_back(R"("op":"join","room":")" + room((i * rooms_each + j) % rooms) + "\"");
    all.add(member(i), R"("subscribe":"none")", std::move(joins));
  }
  all.enter(128);
  report("populate").add("users", users).add("rooms", rooms).print();
}

void idle(bench b) {
  const unsigned connections = b.opts.number("connections", 10'000);
  const std::chrono::seconds hold{b.opts.number("hold-s", 0)};
  b.opts.all_used();
  crowd all(b.on, b.server);
  wait_until_quiet(b);
  const memory before = memory_of(b.server.pids.front());
  for (unsigned i = 0; i < connections / 2; ++i)
    all.add(member(i), "");
  all.enter(64);
  wait_until_quiet(b);
  const memory half = memory_of(b.server.pids.front());
  for (unsigned i = connections / 2; i < connections; ++i)
    all.add(member(i), "");
  all.enter(64);
  const double cpu_ms = wait_until_quiet(b);
  const memory full = memory_of(b.server.pids.front());

  report r("idle");
  r.add("server", b.server.name).add("connections", connections).add("rooms", rooms_for(connections));
  r.add("bytes_per_connection", per_connection(before.anonymous, full.anonymous, connections));
  // The second half alone: without what the first connection costs (arenas, tables, caches that fill once).
  r.add("marginal_bytes", per_connection(half.anonymous, full.anonymous, connections - connections / 2));
  r.add("resident_bytes", per_connection(before.resident, full.resident, connections));
  r.add("server_mb_before", static_cast<double>(before.anonymous) / 1'048'576);
  r.add("idle_cpu_ms_per_s", cpu_ms);
  r.print();
  if (hold.count() > 0) {
    std::fprintf(stderr, "holding the connections for %lld s\n", static_cast<long long>(hold.count()));
    b.on.pass(hold);
  }
}

void storm(bench b) {
  const unsigned connections = b.opts.number("connections", 5'000);
  const unsigned parallel = b.opts.number("parallel", 64);
  const unsigned rooms = b.opts.number("rooms", 0);
  b.opts.all_used();
  if (rooms != 0 && rooms != rooms_each)
    throw std::runtime_error("--rooms is 0 or 3");
  crowd all(b.on, b.server);
  for (unsigned i = 0; i < connections; ++i)
    all.add(rooms == 0 ? "passer" + b.run + std::to_string(i) : member(i), "");
  cpu_meter meter(b.server.pids);
  all.enter(parallel);
  meter.finish();

  std::vector<int64_t> latencies;
  for (const peer& p : all.peers())
    latencies.push_back(p.entered_ns);
  report r("storm");
  r.add("server", b.server.name).add("connections", connections).add("parallel", parallel).add("rooms", rooms);
  r.add("cpu_us_per_connect", meter.server_us() / connections);
  r.add("connects_per_s", connections / meter.seconds());
  r.add("p50_ms", static_cast<double>(percentile(latencies, 0.5)) / 1e6);
  r.add("p99_ms", static_cast<double>(percentile(latencies, 0.99)) / 1e6);
  meter.add_shares(r);
  r.print();
}

} // namespace greenroom::bench
