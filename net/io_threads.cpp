#include "net/io_threads.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <csignal>
#include <future>
#include <utility>

namespace greenroom::net {

int64_t steady_ms() noexcept {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}
namespace asio = boost::asio;
using namespace std::chrono_literals;

session::session(io_thread& home) : home_(home) {
  home_.sessions_.push_back(*this);
  home_.live_sessions_.add();
}

void session::retire() noexcept {
  if (!is_linked())
    return;
  unlink();
  home_.live_sessions_.remove();
}

void session_count::add() {
  std::lock_guard guard{mutex_};
  ++count_;
}

void session_count::remove() noexcept {
  std::lock_guard guard{mutex_};
  if (--count_ == 0)
    none_.notify_all(); // under the lock: whoever waits may end us as soon as it is free
}

bool session_count::wait_for_none(std::chrono::milliseconds patience) {
  std::unique_lock lock{mutex_};
  return none_.wait_for(lock, patience, [this] { return count_ == 0; });
}

struct io_thread::clock {
  explicit clock(asio::io_context& c) : timer(c), work(c.get_executor()) {}
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      timer;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  bool stopped = false;
};

io_thread::io_thread(uint32_t index, greenroom::metrics& m, session_count& sessions)
    : metrics_(m), live_sessions_(sessions), context_(std::make_unique<asio::io_context>(1)),
      clock_(std::make_unique<clock>(*context_)),
      lane_(index, [this] { asio::post(*context_, [this] { lane_.run(); }); }), scratch_(new char[scratch_bytes]) {
  clock_->timer.expires_after(std::chrono::milliseconds{timer_wheel::tick_ms});
  tick();
  thread_ = std::thread{[this] { run(); }};
}

io_thread::~io_thread() = default;

void io_thread::post(std::function<void()> f) { asio::post(*context_, std::move(f)); }

void io_thread::call(const std::function<void()>& f) {
  std::promise<void> done;
  post([&] {
    f();
    done.set_value();
  });
  done.get_future().wait();
}

void io_thread::run() { context_->run(); }

void io_thread::tick() {
  clock_->timer.async_wait([this](const boost::system::error_code& ec) {
    if (ec || clock_->stopped)
      return;
    // From the last expiry, not from now: deadlines don't drift under load. A thread that was stopped for long does
    // not run after all the ticks that it missed.
    auto next = clock_->timer.expiry() + std::chrono::milliseconds{timer_wheel::tick_ms};
    const auto now = std::chrono::steady_clock::now();
    if (now - next > 1s)
      next = now;
    lane_.timers().tick();
    publish();
    clock_->timer.expires_at(next);
    tick();
  });
}

void io_thread::publish() noexcept {
  auto move_to = [](int64_t& from, counter& to) {
    if (from != 0)
      to.add(std::exchange(from, 0));
  };
  move_to(counts_.frames_in, metrics_.frames_in);
  move_to(counts_.bytes_in, metrics_.bytes_in);
  move_to(counts_.bytes_out, metrics_.bytes_out);
  move_to(counts_.writes, metrics_.writes);
  move_to(counts_.queue_bytes, metrics_.queue_bytes);
  move_to(counts_.ephemeral_dropped, metrics_.ephemeral_dropped);
}

io_threads::io_threads(uint32_t count, greenroom::metrics& m) {
  std::signal(SIGPIPE, SIG_IGN);
  if (count == 0)
    count = std::clamp(std::thread::hardware_concurrency(), 1u, 64u); // as many as listen.io_threads may be
  for (uint32_t i = 0; i < count; ++i)
    threads_.push_back(std::make_unique<io_thread>(i, m, live_sessions_));
}

io_threads::~io_threads() { join(); }

std::vector<lane*> io_threads::lanes() {
  std::vector<lane*> all;
  for (auto& t : threads_)
    all.push_back(&t->lane());
  return all;
}

void io_threads::on_each(const std::function<void(io_thread&)>& f) {
  for (auto& t : threads_)
    t->call([&] { f(*t); });
}

void io_threads::refuse_requests() {
  on_each([](io_thread& t) { t.closing_ = true; });
}

void io_threads::stop_sessions(close_code code, std::chrono::milliseconds patience) {
  on_each([code](io_thread& t) {
    // A session that ends unlinks itself, perhaps at once.
    for (auto i = t.sessions_.begin(); i != t.sessions_.end();)
      (i++)->shut_down(code);
  });
  if (live_sessions_.wait_for_none(patience))
    return;
  on_each([](io_thread& t) {
    for (auto i = t.sessions_.begin(); i != t.sessions_.end();)
      (i++)->abort();
  });
  live_sessions_.wait_for_none(1s);
}

void io_threads::join() {
  if (!running())
    return;
  on_each([](io_thread& t) {
    for (auto i = t.sessions_.begin(); i != t.sessions_.end();)
      (i++)->abort();
    t.clock_->stopped = true;
    t.clock_->timer.cancel();
    t.clock_->work.reset();
  });
  // run() returns once every aborted operation has been answered: only then does nothing hold a session any more.
  for (auto& t : threads_) {
    t->thread_.join();
    t->publish();
  }
}

} // namespace greenroom::net
