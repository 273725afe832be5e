// history: pages of a long room, from what is in memory down to the oldest events.
#include "probe.hpp"
#include "scenarios.hpp"
#include "wire.hpp"

#include <algorithm>
#include <stdexcept>

namespace greenroom::bench {

namespace {

constexpr unsigned page = 50;
constexpr unsigned sends_in_flight = 32; // below limits.in_flight

/// Sends until the room's head is at least `events`.
void fill(bench& b, const std::string& named, unsigned events, const std::string& text) {
  crowd one(b.on, b.server);
  peer& writer = one.add(
      "history-writer", R"("subscribe":"none")",
      {R"("op":"create","kind":"public",)" + named, R"("op":"join",)" + named, R"("op":"unsubscribe",)" + named});
  unsigned sent = 0;
  uint64_t head = 0;
  auto say = [&] {
    if (sent < events) {
      const std::string key = b.run + std::to_string(++sent);
      writer.request(R"("op":"send",)" + named + R"(,"key":")" + key + R"(","text":")" + text + "\"");
    }
  };
  one.on_frame = [&](peer& p, std::string_view frame) {
    if (holds(frame, "\"ev\":"))
      return;
    if (!holds(frame, "\"ok\":"))
      throw_error(p, frame);
    head = std::max(head, number_in(frame, "\"seq\":").value_or(0));
    say();
  };
  one.enter(1);
  for (unsigned i = 0; i < sends_in_flight; ++i)
    say();
  b.on.until([&] { return head >= events; }, std::chrono::seconds(300), "filling the room");
}

size_t count(std::string_view frame, std::string_view part) {
  size_t n = 0;
  for (size_t at = frame.find(part); at != std::string_view::npos; at = frame.find(part, at + part.size()))
    ++n;
  return n;
}

} // namespace

void history(bench b) {
  const unsigned events = b.opts.number("events", 10'000);
  const unsigned readers = b.opts.number("readers", 8);
  const std::chrono::seconds time{b.opts.number("seconds", 2)};
  const std::string text = filler(b.opts.number("text-bytes", 64));
  // By default percents of the room.
  auto depths = b.opts.numbers("depths", "0");
  if (depths == std::vector<unsigned>{0})
    depths = {0, events / 100 * 25, events / 100 * 50, events / 100 * 75, events / 100 * 99};
  b.opts.all_used();
  const std::string named = R"("room":"bench-history-)" + b.run + "\"";
  fill(b, named, events, text);

  std::string request;
  uint64_t pages = 0;
  uint64_t bytes = 0;
  bool running = true;
  crowd all(b.on, b.server);
  all.on_frame = [&](peer& p, std::string_view frame) {
    if (holds(frame, "\"ev\":") && !holds(frame, "\"re\":"))
      return;
    if (number_in(frame, "\"re\":") != p.last_id || !holds(frame, "\"events\":"))
      throw_error(p, frame);
    if (p.cursor++ == 0 && count(frame, "\"ev\":") != page)
      throw std::runtime_error("a page has " + std::to_string(count(frame, "\"ev\":")) + " events");
    ++pages;
    bytes += frame.size();
    if (running)
      p.request(request);
  };
  for (unsigned i = 0; i < readers; ++i)
    all.add("reader" + std::to_string(i), R"("subscribe":"none")");
  all.enter(8);

  for (unsigned depth : depths) {
    const unsigned before = std::max(page + 1, events - std::min(events, depth) + 1);
    request = R"("op":"history",)" + named + R"(,"limit":50,"before":)" + std::to_string(before);
    running = true;
    for (peer& p : all.peers()) {
      p.cursor = 0;
      p.request(request);
    }
    b.on.pass(std::chrono::milliseconds(300)); // warm-up
    const uint64_t pages_before = pages;
    const uint64_t bytes_before = bytes;
    cpu_meter meter(b.server.pids);
    b.on.pass(time);
    meter.finish();
    const auto done = static_cast<double>(pages - pages_before);
    const uint64_t read = bytes - bytes_before;
    running = false;
    b.on.pass(std::chrono::milliseconds(300)); // what is in flight still arrives

    report r("history");
    r.add("server", b.server.name).add("events", events).add("readers", readers).add("before", before);
    r.add("depth", depth);
    r.add("pages_per_s", done / meter.seconds()).add("cpu_us_per_page", meter.server_us() / done);
    r.add("bytes_per_page", static_cast<double>(read) / done);
    meter.add_shares(r);
    r.print();
  }
}

} // namespace greenroom::bench
