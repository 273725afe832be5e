// link_bench: what a letter between two nodes costs. Two gateways in one process, with CAF's sockets between them; one
// thread posts as fast as the queue lets it. Prints letters per second and CPU per letter, both ends together.
//
// link_bench [letters] [bytes of each] [letters at a time]    defaults: 2000000 200 1000
#include "actors/cluster/gateway.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <spdlog/spdlog.h>

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

using namespace greenroom;
using namespace greenroom::cluster;

namespace {

struct config : caf::actor_system_config {
  explicit config(const link_options& options) {
    set("scheduler.max-threads", size_t{2});
    set("work-stealing.moderate-poll-attempts", size_t{0});
    gateway::configure(*this, options);
  }
};

struct end {
  explicit end(const char* name)
      : options{.name = name, .cluster = "bench", .store = name}, settings(options), system(settings),
        running(gateway::start(system, {options,
                                        {[this](const peer_ptr& p) {
                                           peer = p;
                                           up = true;
                                         },
                                         [](const peer_ptr&) {},
                                         [this](const peer_ptr&, channel, std::vector<letter> letters) {
                                           got.fetch_add(letters.size(), std::memory_order_relaxed);
                                         }},
                                        {},
                                        living,
                                        figures})) {}
  ~end() {
    tell(running.actor, gateway::stop{});
    running.actor = gateway::handle{};
    system.await_all_actors_done();
  }
  known_peer entry() const { return {options.name, options.store, "127.0.0.1", running.port}; }

  const link_options options;
  directory living;
  link_metrics figures;
  peer_ptr peer; // once up
  std::atomic<bool> up{false};
  std::atomic<uint64_t> got{0};
  config settings;
  caf::actor_system system;
  gateway::started running;
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

} // namespace

int main(int count, char** arguments) {
  auto argument = [&](int i, uint64_t otherwise) {
    return count > i ? std::strtoull(arguments[i], nullptr, 10) : otherwise;
  };
  auto letters = argument(1, 2'000'000);
  auto bytes = argument(2, 200);
  auto burst = argument(3, 1000);
  spdlog::set_level(spdlog::level::err);
  end a{"a"}, b{"b"};
  tell(a.running.actor, gateway::know{{b.entry()}});
  tell(b.running.actor, gateway::know{{a.entry()}});
  while (!a.up || !b.up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto what = std::make_shared<const std::string>(bytes, 'x');
  auto cpu = cpu_seconds();
  auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < letters; ++i) {
    if (!a.peer->post(channel::bulk, {1, what})) {
      std::fprintf(stderr, "the link was lost\n");
      return EXIT_FAILURE;
    }
    // Never more than four bursts ahead, so that the sizes of the queues don't count.
    if (i % burst == burst - 1)
      while (i + 1 - b.got > 4 * burst)
        std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  while (b.got < letters)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  cpu = cpu_seconds() - cpu;
  auto frames = a.figures[channel::bulk].frames_out.get();
  std::printf("%llu letters of %llu bytes: %.0f per second, %.3f us of CPU each, %.1f letters per frame\n",
              static_cast<unsigned long long>(letters), static_cast<unsigned long long>(bytes),
              static_cast<double>(letters) / wall.count(), cpu * 1e6 / static_cast<double>(letters),
              static_cast<double>(letters) / static_cast<double>(frames));
}
