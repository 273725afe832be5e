// fanout: one message to many, one at a time. The same program measures Greenroom and bare-fanout, which speaks just
// enough of the protocol for it, so the two differ in the server alone.
#include "probe.hpp"
#include "scenarios.hpp"
#include "wire.hpp"

#include <stdexcept>

namespace greenroom::bench {

void fanout(bench b) {
  const unsigned receivers = b.opts.number("receivers", 1000);
  const unsigned messages = b.opts.number("messages", 300);
  const std::string text = filler(b.opts.number("text-bytes", 64));
  const std::string room = b.opts.text("room", "bench-fanout-" + b.run);
  target of_sender = b.server;
  if (const unsigned port = b.opts.number("sender-port", 0))
    of_sender.ports = {static_cast<uint16_t>(port)};
  b.opts.all_used();
  const unsigned warm_up = messages / 10 + 1;
  const std::string named = R"("room":")" + room + "\"";

  crowd stage(b.on, of_sender); // the sender creates the room, and does not listen: N receivers are N deliveries
  peer& sender = stage.add(
      "fanout-sender", R"("subscribe":"none")",
      {R"("op":"create","kind":"public",)" + named, R"("op":"join",)" + named, R"("op":"unsubscribe",)" + named});
  stage.enter(1);
  crowd audience(b.on, b.server);
  for (unsigned i = 0; i < receivers; ++i)
    audience.add("receiver" + std::to_string(i), R"("subscribe":"none")", {R"("op":"subscribe",)" + named});

  uint64_t sent = 0;
  unsigned arrived = 0;
  bool acknowledged = false;
  audience.on_frame = [&](peer& p, std::string_view frame) {
    if (!holds(frame, R"("ev":"message")"))
      return;
    const auto seq = number_in(frame, "\"seq\":");
    if (!seq || (p.cursor != 0 && *seq != p.cursor + 1))
      throw std::runtime_error("out of order for " + p.user + ": " + std::string{frame});
    p.cursor = *seq;
    ++arrived;
  };
  stage.on_frame = [&](peer& p, std::string_view frame) {
    if (!holds(frame, "\"re\":"))
      return;
    if (!holds(frame, "\"ok\":"))
      throw_error(p, frame);
    acknowledged = true;
  };
  audience.enter(128);

  std::vector<int64_t> latencies;
  auto say = [&] {
    arrived = 0;
    acknowledged = false;
    sender.request(R"("op":"send",)" + named + R"(,"key":")" + b.run + std::to_string(++sent) + R"(","text":")" + text +
                   "\"");
    b.on.until([&] { return arrived >= receivers; }, std::chrono::seconds(30), "one message to all receivers");
    latencies.push_back(now_ns() - sender.sent_ns);
    b.on.until([&] { return acknowledged; }, std::chrono::seconds(30), "the acknowledgement");
    if (arrived != receivers)
      throw std::runtime_error("a message came twice");
  };
  for (unsigned i = 0; i < warm_up; ++i)
    say();
  latencies.clear();
  cpu_meter meter(b.server.pids);
  for (unsigned i = 0; i < messages; ++i)
    say();
  meter.finish();

  report r("fanout");
  r.add("server", b.server.name).add("receivers", receivers).add("messages", messages).add("text_bytes", text.size());
  r.add("cpu_us_per_delivery", meter.server_us() / messages / receivers);
  r.add("p50_ms_to_last", static_cast<double>(percentile(latencies, 0.5)) / 1e6);
  r.add("p99_ms_to_last", static_cast<double>(percentile(latencies, 0.99)) / 1e6);
  meter.add_shares(r);
  r.print();
}

} // namespace greenroom::bench
