// The figures in Prometheus' text format, and the throttle by address.
#include "net/metrics.hpp"

#include <catch2/catch.hpp>

#include <regex>
#include <set>
#include <sstream>

using namespace greenroom;

TEST_CASE("figures are shown under their names and units", "[metrics]") {
  metrics m;
  m.connections.add(3);
  m.connections.add(-1);
  m.deliveries.add(1'234'567'890);
  m.error(errc::rate_limited);
  m.closed(close_code::slow_consumer);
  m.closed(static_cast<close_code>(4000));
  m.commit_us.record(1);
  m.commit_us.record(3000);
  m.commit_us.record(uint64_t{1} << 40);
  m.commit_batches.record(7);
  const auto text =
      net::render_metrics({m, {{"rocksdb.estimate-num-keys", 42}, {"odd name!", 1}}, nullptr, nullptr, nullptr});
  auto has = [&](const std::string& line) {
    INFO(text);
    CHECK(("\n" + text).find("\n" + line + "\n") != std::string::npos);
  };
  has("# TYPE greenroom_connections gauge");
  has("greenroom_connections 2");
  has("# TYPE greenroom_deliveries_total counter");
  has("greenroom_deliveries_total 1234567890");
  has(R"(greenroom_errors_total{code="rate_limited"} 1)");
  has(R"(greenroom_errors_total{code="internal"} 0)");
  has(R"(greenroom_closes_total{code="3008"} 1)");
  has(R"(greenroom_closes_total{code="other"} 1)");
  has("# TYPE greenroom_commit_seconds histogram");
  has(R"(greenroom_commit_seconds_bucket{le="1e-06"} 1)");
  has(R"(greenroom_commit_seconds_bucket{le="+Inf"} 3)");
  has("greenroom_commit_seconds_count 3");
  has(R"(greenroom_commit_batches_bucket{le="4"} 0)");
  has(R"(greenroom_commit_batches_bucket{le="8"} 1)");
  has("greenroom_commit_batches_sum 7");
  has("greenroom_store_estimate_num_keys 42");
  has("greenroom_store_odd_name_ 1");
  has("greenroom_build_info{version=\"" GREENROOM_VERSION "\"} 1");
  for (auto name : {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"})
    CHECK_THAT(text, Catch::Contains(std::string("\n") + name + " "));
}

TEST_CASE("every line is valid exposition text and every family stands there once", "[metrics]") {
  const metrics node;
  const cluster::figures cluster;
  const net::front::front_metrics front;
  const net::provider_figures provider;
  std::istringstream lines(net::render_metrics({node, {}, &cluster, &front, &provider}));
  const std::regex sample(R"(([a-z_]+)(\{[a-z_]+="[^"]*"\})? [-+0-9.e]+)");
  std::set<std::string> families;
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    if (line.starts_with("# TYPE "))
      CHECK(families.insert(line.substr(7, line.find(' ', 7) - 7)).second);
    else if (!line.starts_with("# HELP "))
      CHECK(std::regex_match(line, sample));
  }
  CHECK(families.size() > 30);
}
