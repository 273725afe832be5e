// send: durable, acknowledged sends in a closed loop.
#include "probe.hpp"
#include "scenarios.hpp"
#include "wire.hpp"

namespace greenroom::bench {

void fdatasync(bench b) {
  auto samples = fdatasync_ns(b.opts.text("dir", "."), b.opts.number("times", 500));
  b.opts.all_used();
  report r("fdatasync");
  r.add("times", samples.size());
  r.add("p50_us", static_cast<double>(percentile(samples, 0.5)) / 1e3);
  r.add("p99_us", static_cast<double>(percentile(samples, 0.99)) / 1e3);
  r.print();
}

void send(bench b) {
  const unsigned senders = b.opts.number("senders", 1);
  const std::chrono::seconds time{b.opts.number("seconds", 5)};
  const std::string text = filler(b.opts.number("text-bytes", 64));
  const std::string probe_dir = b.opts.text("probe-dir", "");
  b.opts.all_used();

  crowd all(b.on, b.server);
  for (unsigned i = 0; i < senders; ++i) {
    const std::string room = "bench-send-" + std::to_string(i);
    all.add("sender" + std::to_string(i), R"("subscribe":"none")",
            {R"("op":"create","kind":"public","room":")" + room + "\"", R"("op":"join","room":")" + room + "\""});
  }

  uint64_t keys = 0;
  uint64_t acks = 0;
  std::vector<int64_t> latencies;
  std::string fields;
  auto send_next = [&](peer& p) {
    fields.assign(R"("op":"send","room":"bench-send-)").append(p.user, 6).append(R"(","key":")").append(b.run);
    fields.append(std::to_string(++keys)).append(R"(","text":")").append(text).append("\"");
    p.request(fields);
  };
  all.on_frame = [&](peer& p, std::string_view frame) {
    if (holds(frame, "\"ev\":"))
      return; // the sender is a member, and sees its own messages
    if (number_in(frame, "\"re\":") != p.last_id || !holds(frame, "\"ok\":"))
      throw_error(p, frame);
    ++acks;
    latencies.push_back(now_ns() - p.sent_ns);
    send_next(p);
  };
  all.enter(64);

  std::vector<int64_t> syncs;
  if (!probe_dir.empty())
    syncs = fdatasync_ns(probe_dir, 200);
  for (peer& p : all.peers())
    send_next(p);
  b.on.pass(std::chrono::seconds(1)); // warm-up

  latencies.clear();
  const uint64_t acks_before = acks;
  cpu_meter meter(b.server.pids);
  b.on.pass(time);
  meter.finish();
  const auto done = static_cast<double>(acks - acks_before);
  auto answered = latencies;

  all.on_frame = [](peer&, std::string_view) {}; // no further sends
  b.on.pass(std::chrono::milliseconds(300));
  report r("send");
  r.add("server", b.server.name).add("senders", senders).add("text_bytes", text.size());
  r.add("acks_per_s", done / meter.seconds());
  r.add("p50_ms", static_cast<double>(percentile(answered, 0.5)) / 1e6);
  r.add("p99_ms", static_cast<double>(percentile(answered, 0.99)) / 1e6);
  r.add("cpu_us_per_send", meter.server_us() / done);
  if (!probe_dir.empty()) {
    const auto after = fdatasync_ns(probe_dir, 200);
    syncs.insert(syncs.end(), after.begin(), after.end());
    const auto sync = static_cast<double>(percentile(syncs, 0.5));
    r.add("fdatasync_p50_us", sync / 1e3);
    r.add("fdatasync_times", static_cast<double>(percentile(answered, 0.5)) / sync);
  }
  meter.add_shares(r);
  r.print();
}

} // namespace greenroom::bench
