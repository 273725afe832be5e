// returns: many connections of one room are cut and come back; two others talk in a room of their own meanwhile. What
// the crowd is told of itself must not be in their way.
#include "probe.hpp"
#include "scenarios.hpp"
#include "wire.hpp"

#include <optional>
#include <utility>

namespace greenroom::bench {
namespace {

constexpr int64_t pace_ns = 20'000'000; // between one answer and the next message

/// Somebody who sends, the next message a while after the last was answered, whenever the loop has a moment.
class talker {
public:
  talker(bench& b, std::string room) : all_(b.on, b.server), room_(std::move(room)), run_(b.run) {
    peer_ = &all_.add("talker", R"("subscribe":"none")", {R"("op":"create","kind":"public",)" + room_});
    all_.enter(1);
    all_.on_frame = [this](peer& from, std::string_view frame) {
      if (!holds(frame, "\"re\":"))
        return;
      if (!holds(frame, "\"ok\":"))
        throw_error(from, frame);
      answered_ns_ = now_ns();
      took_.push_back(answered_ns_ - from.sent_ns);
    };
  }
  void go_on() {
    if (answered_ns_ < peer_->sent_ns || now_ns() - answered_ns_ < pace_ns)
      return;
    peer_->request(R"("op":"send",)" + room_ + R"(,"key":")" + run_ + std::to_string(++sent_) + R"(","text":"hello")");
  }
  std::vector<int64_t> take() { return std::exchange(took_, {}); }

private:
  crowd all_;
  const std::string room_;
  const std::string run_;
  peer* peer_ = nullptr;
  uint64_t sent_ = 0;
  int64_t answered_ns_ = 0;
  std::vector<int64_t> took_;
};

} // namespace

void returns(bench b) {
  const unsigned connected = b.opts.number("connected", 5'000);
  const unsigned parallel = b.opts.number("parallel", 8);
  const std::chrono::seconds time{b.opts.number("seconds", 5)};
  b.opts.all_used();
  const std::string room = R"("room":"bench-returns-)" + b.run + "\"";
  talker t(b, R"("room":"bench-aside-)" + b.run + "\"");
  uint64_t news = 0;
  std::optional<crowd> many;
  auto enter = [&] {
    many.emplace(b.on, b.server);
    many->on_frame = [&](peer&, std::string_view frame) {
      news += holds(frame, "\"ev\":\"presence\"") ? 1 : 0;
      t.go_on();
    };
    for (unsigned i = 0; i < connected; ++i)
      many->add("crowd" + std::to_string(i), R"("subscribe":"none")",
                {i == 0 ? R"("op":"create","kind":"public",)" + room : R"("op":"join",)" + room});
    many->enter(parallel);
  };
  auto talk = [&](std::chrono::nanoseconds span) {
    for (const auto end = now_ns() + span.count(); now_ns() < end; t.go_on())
      b.on.turn(std::chrono::milliseconds(5));
    return t.take();
  };
  enter();
  b.on.pass(std::chrono::seconds(2)); // the last news
  t.take();
  auto quiet = talk(time);
  news = 0;
  const auto cut_ns = now_ns();
  many.reset();
  enter();
  const auto back_ns = now_ns();
  auto took = talk(time); // the news of it, too
  report r("returns");
  r.add("server", b.server.name).add("connected", connected).add("back_s", static_cast<double>(back_ns - cut_ns) / 1e9);
  r.add("quiet_p50_ms", static_cast<double>(percentile(quiet, 0.5)) / 1e6);
  r.add("quiet_p99_ms", static_cast<double>(percentile(quiet, 0.99)) / 1e6);
  r.add("p50_ms", static_cast<double>(percentile(took, 0.5)) / 1e6);
  r.add("p99_ms", static_cast<double>(percentile(took, 0.99)) / 1e6);
  r.add("presence_per_connection", static_cast<double>(news) / connected);
  r.print();
}

} // namespace greenroom::bench
