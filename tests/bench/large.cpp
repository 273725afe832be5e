// inbox and members: what must not grow with what there is: a page of the inbox with the user's rooms, an
// acknowledgement with the members of the room.
#include "probe.hpp"
#include "scenarios.hpp"
#include "wire.hpp"

#include <stdexcept>

namespace greenroom::bench {
namespace {

constexpr unsigned in_flight = 32; // below limits.in_flight

/// Has one connection make `count` requests, `in_flight` at a time; each has to succeed, or to find it done.
void pipeline(bench& b, const std::string& user, unsigned count, const std::function<std::string(unsigned)>& request) {
  crowd one(b.on, b.server);
  peer& p = one.add(user, R"("subscribe":"none")");
  unsigned asked = 0;
  unsigned done = 0;
  auto next = [&] {
    if (asked < count)
      p.request(request(asked++));
  };
  one.on_frame = [&](peer& from, std::string_view frame) {
    if (!holds(frame, "\"re\":"))
      return;
    if (!holds(frame, "\"ok\":") && !holds(frame, "\"exists\""))
      throw_error(from, frame);
    ++done;
    next();
  };
  one.enter(1);
  for (unsigned i = 0; i < in_flight; ++i)
    next();
  b.on.until([&] { return done == count; }, std::chrono::seconds(600), "preparing");
}

/// One request after the other for `time`; what each costs the server and how long it takes.
void measure(bench& b, peer& p, crowd& all, const std::function<std::string()>& request, std::chrono::seconds time,
             report& r) {
  bool running = true;
  uint64_t done = 0;
  std::vector<int64_t> took;
  all.on_frame = [&](peer& from, std::string_view frame) {
    if (&from != &p || !holds(frame, "\"re\":"))
      return;
    if (!holds(frame, "\"ok\":"))
      throw_error(from, frame);
    ++done;
    took.push_back(now_ns() - p.sent_ns);
    if (running)
      p.request(request());
  };
  p.request(request());
  b.on.pass(std::chrono::milliseconds(500)); // warm-up
  const auto before = done;
  took.clear();
  cpu_meter meter(b.server.pids);
  b.on.pass(time);
  meter.finish();
  const auto count = static_cast<double>(done - before);
  running = false;
  b.on.pass(std::chrono::milliseconds(500));
  r.add("per_s", count / meter.seconds()).add("cpu_us", meter.server_us() / count);
  r.add("p50_ms", static_cast<double>(percentile(took, 0.5)) / 1e6);
  r.add("p99_ms", static_cast<double>(percentile(took, 0.99)) / 1e6);
  meter.add_shares(r);
  r.print();
}

} // namespace

void inbox(bench b) {
  const unsigned rooms = b.opts.number("rooms", 10);
  const std::chrono::seconds time{b.opts.number("seconds", 3)};
  b.opts.all_used();
  const std::string user = "inbox-" + std::to_string(rooms);
  pipeline(b, user, rooms, [&](unsigned i) {
    return R"("op":"create","kind":"public","room":"bench-)" + user + "-" + std::to_string(i) + "\"";
  });
  crowd all(b.on, b.server);
  peer& p = all.add(user, R"("subscribe":"none")");
  all.enter(1);
  report r("inbox");
  r.add("server", b.server.name).add("rooms", rooms);
  unsigned at = 0;
  measure(
      b, p, all,
      [&] { // pages from everywhere, ten rooms each
        at = (at + 997) % rooms;
        const auto after = rooms <= 10 ? std::string{} : R"(,"after":"bench-)" + user + "-" + std::to_string(at) + "\"";
        return R"("op":"rooms","limit":10)" + after;
      },
      time, r);
}

void members(bench b) {
  const unsigned members = b.opts.number("members", 10);
  const unsigned connected = b.opts.number("connected", 10);
  const unsigned sends = b.opts.number("sends", 50);
  b.opts.all_used();
  if (connected > members)
    throw std::runtime_error("--connected: more than --members");
  const std::string room = R"("room":"bench-members-)" + b.run + std::to_string(members) + "\"";
  pipeline(b, "member0", 1, [&](unsigned) { return R"("op":"create","kind":"public",)" + room; });
  pipeline(b, "member0", members - 1, [&](unsigned i) {
    return R"("op":"invite",)" + room + R"(,"user":"member)" + std::to_string(i + 1) + "\"";
  });
  crowd all(b.on, b.server);
  for (unsigned i = 0; i < connected; ++i)
    all.add("member" + std::to_string(i), R"("subscribe":"none")", {R"("op":"subscribe",)" + room});
  all.enter(64);
  // At a pace at which everybody has the last message before the next one: how long an answer takes is asked here, not
  // how many messages so many listeners can be sent.
  peer& sender = all.peers().front();
  std::vector<int64_t> took;
  bool answered = false;
  all.on_frame = [&](peer& from, std::string_view frame) {
    if (&from != &sender || !holds(frame, "\"re\":"))
      return;
    if (!holds(frame, "\"ok\":"))
      throw_error(from, frame);
    took.push_back(now_ns() - sender.sent_ns);
    answered = true;
  };
  for (unsigned i = 0; i < sends; ++i) {
    answered = false;
    sender.request(R"("op":"send",)" + room + R"(,"key":")" + b.run + std::to_string(i) + R"(","text":"hello")");
    b.on.until([&] { return answered; }, std::chrono::seconds(30), "an answer");
    b.on.pass(std::chrono::milliseconds(200));
  }
  report r("members");
  r.add("server", b.server.name).add("members", members).add("connected", connected).add("sends", sends);
  r.add("p50_ms", static_cast<double>(percentile(took, 0.5)) / 1e6);
  r.add("p99_ms", static_cast<double>(percentile(took, 0.99)) / 1e6);
  r.print();
}

} // namespace greenroom::bench
