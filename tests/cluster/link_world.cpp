#include "link_world.hpp"

#include <catch2/catch.hpp>

#include <caf/scoped_actor.hpp>

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace greenroom::cluster::test {

// -- witness ----------------------------------------------------------------------------------------------------------

link_events witness::events() {
  using k = event::kind;
  return {[this](const peer_ptr& p) {
            {
              std::lock_guard guard{mutex_};
              live_[p->name] = p;
            }
            note({k::up, p->name, p->incarnation, {}, 0, {}});
          },
          [this](const peer_ptr& p) {
            {
              std::lock_guard guard{mutex_};
              live_.erase(p->name);
            }
            note({k::down, p->name, p->incarnation, {}, 0, {}});
          },
          [this](const peer_ptr& p, channel by, std::vector<letter> letters) {
            if (on_letters)
              on_letters(p, by, letters);
            for (const auto& x : letters)
              note({k::letter, p->name, p->incarnation, by, x.to, *x.what});
          }};
}

void witness::note(event x) {
  std::lock_guard guard{mutex_};
  seen_.push_back(std::move(x));
  changed_.notify_all();
}

std::vector<witness::event> witness::all() const {
  std::lock_guard guard{mutex_};
  return seen_;
}

bool witness::wait(const std::function<bool(const std::vector<event>&)>& enough) const {
  std::unique_lock guard{mutex_};
  return changed_.wait_for(guard, patience, [&] { return enough(seen_); });
}

peer_ptr witness::link(const std::string& name, uint64_t but) const {
  std::unique_lock guard{mutex_};
  auto there = [&] {
    auto found = live_.find(name);
    return found != live_.end() && found->second->incarnation != but;
  };
  return changed_.wait_for(guard, patience, there) ? live_.at(name) : nullptr;
}

peer_ptr witness::live(const std::string& name) const {
  std::lock_guard guard{mutex_};
  auto found = live_.find(name);
  return found == live_.end() ? nullptr : found->second;
}

bool witness::wait_down(uint64_t incarnation) const {
  return wait([&](const auto& all) {
    return std::any_of(all.begin(), all.end(),
                       [&](const event& x) { return x.what == event::kind::down && x.incarnation == incarnation; });
  });
}

bool witness::wait_letters(const std::string& name, size_t count) const {
  return wait([&](const auto& all) {
    return count <= static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const event& x) {
             return x.what == event::kind::letter && x.name == name;
           }));
  });
}

std::vector<std::string> witness::texts(const std::string& name, channel by) const {
  std::vector<std::string> found;
  for (const auto& x : all())
    if (x.what == event::kind::letter && x.name == name && x.by == by)
      found.push_back(x.text);
  return found;
}

std::string witness::disorder() const {
  std::map<std::string, uint64_t> live;
  std::set<uint64_t> used;
  for (const auto& x : all()) {
    auto at = live.find(x.name);
    switch (x.what) {
    case event::kind::up:
      if (at != live.end())
        return x.name + " came up twice";
      if (!used.insert(x.incarnation).second)
        return x.name + " came up with an old incarnation";
      live[x.name] = x.incarnation;
      break;
    case event::kind::down:
      if (at == live.end() || at->second != x.incarnation)
        return x.name + " went down without being up";
      live.erase(at);
      break;
    case event::kind::letter:
      if (at == live.end() || at->second != x.incarnation)
        return x.name + " sent a letter without being up";
      break;
    }
  }
  return {};
}

// -- node -------------------------------------------------------------------------------------------------------------

link_options quick(const std::string& name) {
  link_options o;
  o.name = name;
  o.cluster = "test";
  o.store = "store-" + name;
  o.heartbeat_ms = 200;
  o.connection_timeout_ms = 60'000;
  o.pulse_ms = 200;
  o.silence_ms = 60'000;
  o.dial_retry_ms = 20;
  o.refused_retry_ms = 50;
  o.hello_timeout_ms = 10'000;
  o.tick_ms = 5;
  return o;
}

node::config::config(const link_options& options) {
  set("scheduler.max-threads", size_t{2});
  set("work-stealing.moderate-poll-attempts", size_t{0});
  gateway::configure(*this, options);
}

node::node(link_options o, find_way way)
    : options(std::move(o)), config_(options), system_(std::make_unique<caf::actor_system>(config_)),
      gateway_(gateway::start(*system_, {options, seen.events(), std::move(way), living, figures})) {}

node::~node() { stop(); }

void node::stop() {
  if (!system_)
    return;
  {
    caf::scoped_actor self{*system_};
    self->monitor(gateway_.actor);
    tell(gateway_.actor, gateway::stop{});
    self->receive([](const caf::down_msg&) {});
  }
  gateway_.actor = gateway::handle{};
  system_->await_all_actors_done();
  system_.reset();
}

void node::know(std::vector<known_peer> others) { tell(gateway_.actor, gateway::know{std::move(others)}); }

// -- process ----------------------------------------------------------------------------------------------------------

process::process(const plan& p) : name_(p.name) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  auto set = [](const char* key, const std::string& value) { setenv(key, value.c_str(), 1); };
  set("LINK_NAME", p.name);
  set("LINK_PORT", std::to_string(p.port));
  set("LINK_PEER", p.knows.name);
  set("LINK_PEER_PORT", std::to_string(p.knows.port));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], 3);
  posix_spawn_file_actions_addclose(&files, ends[0]);
  std::string program = "/proc/self/exe", which = "a node in a process of its own";
  char* arguments[] = {program.data(), which.data(), nullptr};
  REQUIRE(posix_spawn(&pid_, "/proc/self/exe", &files, nullptr, arguments, environ) == 0);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  output_ = ends[0];
  auto line = next_line();
  REQUIRE(line);
  REQUIRE(line->rfind("port ", 0) == 0);
  port_ = static_cast<uint16_t>(std::stoi(line->substr(5)));
}

process::~process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    reap();
  }
  close(output_);
}

std::optional<std::string> process::next_line() {
  for (;;) {
    if (auto end = buffer_.find('\n'); end != std::string::npos) {
      auto line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    char more[256];
    auto n = read(output_, more, sizeof more);
    if (n <= 0)
      return std::nullopt;
    buffer_.append(more, static_cast<size_t>(n));
  }
}

bool process::wait_line(const std::string& line) {
  while (auto x = next_line())
    if (*x == line)
      return true;
  return false;
}

void process::signal(int number) { REQUIRE(kill(pid_, number) == 0); }

int process::reap() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

// Not a test: what process starts. Ends with the one who started it.
TEST_CASE("a node in a process of its own", "[.]") {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto say = [](const std::string& line) {
    auto text = line + "\n";
    if (write(3, text.data(), text.size()) < 0)
      _exit(1);
  };
  const char* name = getenv("LINK_NAME");
  if (!name)
    return; // run by hand
  auto options = quick(name);
  options.port = static_cast<uint16_t>(atoi(getenv("LINK_PORT")));
  node self{options};
  self.seen.on_letters = [](const peer_ptr& p, channel by, const std::vector<letter>& letters) {
    for (const auto& x : letters)
      p->post(by, x);
  };
  say("port " + std::to_string(self.port()));
  std::string peer = getenv("LINK_PEER");
  self.know({{peer, "store-" + peer, "127.0.0.1", static_cast<uint16_t>(atoi(getenv("LINK_PEER_PORT")))}});
  for (size_t told = 0;;) {
    self.seen.wait([&](const auto& all) { return all.size() > told; });
    auto all = self.seen.all();
    for (; told < all.size(); ++told) {
      if (all[told].what == witness::event::kind::up)
        say("up " + std::to_string(all[told].incarnation));
      else if (all[told].what == witness::event::kind::down)
        say("down " + std::to_string(all[told].incarnation));
    }
    if (auto wrong = self.seen.disorder(); !wrong.empty())
      say("disorder " + wrong);
  }
}

} // namespace greenroom::cluster::test
