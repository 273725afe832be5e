// greenroom-bench: the project's load generator. One scenario per call, against a running server; tests/bench/run plays
// them all.
#include "scenarios.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace greenroom::bench {

namespace {

const std::map<std::string_view, void (*)(bench)> scenarios = {
    {"send", send},   {"fanout", fanout},   {"populate", populate},   {"idle", idle},
    {"storm", storm}, {"history", history}, {"fdatasync", fdatasync}, {"targets", targets},
    {"inbox", inbox}, {"members", members}, {"returns", returns},
};

constexpr const char* usage = R"(usage: greenroom-bench SCENARIO [--NAME VALUE]...

  send       --senders 1 --seconds 5 --text-bytes 64 --probe-dir DIR
  fanout     --receivers 1000 --messages 300 --text-bytes 64 --sender-port PORT --room NAME
  populate   --connections 10000
  idle       --connections 10000 --hold-s 0
  storm      --connections 5000 --parallel 64 --rooms 0
  history    --events 10000 --readers 8 --seconds 2 --text-bytes 64
             --depths EVENTS[,EVENTS...]
  inbox      --rooms 10 --seconds 3
  members    --members 10 --connected 10 --sends 50
  returns    --connected 5000 --parallel 8 --seconds 5
  fdatasync  --dir . --times 500
  targets    --file FILE

All but the last two:  --port 8080[,PORT...] --pid PID[,PID...] --secret FILE --server greenroom
  With several ports connections take them in turn; the CPU time of all PIDs is added up.
)";

std::string read_secret(const std::string& path) {
  if (path.empty())
    return "none"; // bare-fanout looks at no token
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot read " + path + " (--secret)");
  std::string secret{std::istreambuf_iterator<char>(file), {}};
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r'))
    secret.pop_back();
  return secret;
}

/// Ten thousand connections need as many descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void run(const std::string& name, int argc, char** argv) {
  const auto scenario = scenarios.find(name);
  if (scenario == scenarios.end())
    throw std::runtime_error("there is no scenario " + name);
  raise_descriptor_limit();
  options opts(argc, argv);
  target server;
  for (const auto port : opts.numbers("port", "8080"))
    server.ports.push_back(static_cast<uint16_t>(port));
  for (const auto pid : opts.numbers("pid", "0"))
    server.pids.push_back(static_cast<pid_t>(pid));
  server.secret = read_secret(opts.text("secret", ""));
  server.name = opts.text("server", "greenroom");
  loop on;
  std::fprintf(stderr, "%s ...\n", name.c_str());
  scenario->second(bench{on, server, opts, std::to_string(now_ns() / 1'000'000) + "-"});
}

} // namespace

options::options(int argc, char** argv) {
  for (int i = 0; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (!name.starts_with("--") || i + 1 == argc)
      throw std::runtime_error("expected --name value instead of " + std::string{name});
    given_[std::string{name.substr(2)}] = argv[i + 1];
  }
}

std::string options::text(const std::string& name, const std::string& otherwise) {
  known_.insert(name);
  const auto it = given_.find(name);
  return it == given_.end() ? otherwise : it->second;
}

std::vector<unsigned> options::numbers(const std::string& name, const std::string& otherwise) {
  std::vector<unsigned> all;
  std::istringstream list(text(name, otherwise));
  for (std::string one; std::getline(list, one, ',');)
    all.push_back(number_of(name, one));
  if (all.empty())
    throw std::runtime_error("--" + name + " takes numbers with commas between them");
  return all;
}

unsigned options::number(const std::string& name, unsigned otherwise) {
  return number_of(name, text(name, std::to_string(otherwise)));
}

unsigned options::number_of(const std::string& name, const std::string& value) {
  if (value.empty() || value.size() > 9 || value.find_first_not_of("0123456789") != std::string::npos)
    throw std::runtime_error("--" + name + " takes a number, not " + value);
  return static_cast<unsigned>(std::stoul(value));
}

void options::all_used() const {
  for (const auto& [name, value] : given_)
    if (!known_.contains(name))
      throw std::runtime_error("this scenario has no option --" + name);
}

} // namespace greenroom::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs(greenroom::bench::usage, stderr);
    return 2;
  }
  try {
    greenroom::bench::run(argv[1], argc - 2, argv + 2);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "greenroom-bench %s: %s\n", argv[1], e.what());
    return 1;
  }
  return 0;
}
