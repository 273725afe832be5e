#include "net/etcd/caller.hpp"

#include "net/etcd/wire.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace greenroom::net::etcd {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Renewals that may be under way beside connections_max others.
constexpr size_t urgent_max = 2;

/// Of a request that may not be repeated.
failure unknown_outcome(counters& counts, const std::string& why) {
  ++counts.unknown;
  return fail(errc::unavailable, "it is not known whether this was committed: " + why);
}

} // namespace

void bell::ring() {
  for (auto* timer : waiting_)
    timer->cancel();
}

caller::caller(asio::io_context& io, const options& o, std::vector<address> at, std::shared_ptr<asio::ssl::context> tls,
               counters& counts)
    : io_(io), options_(o), tls_(std::move(tls)), counts_(counts) {
  for (auto& where : at) {
    members_.push_back(std::make_unique<member>());
    members_.back()->where = std::move(where);
  }
}
caller::~caller() = default;

// -- waiting and ending -----------------------------------------------------------------------------------------------

asio::awaitable<void> caller::wait(bell& at, steady::time_point until) {
  if (closed_)
    co_return;
  asio::steady_timer timer(io_, until);
  at.waiting_.insert(&timer);
  timers_.insert(&timer);
  error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  at.waiting_.erase(&timer);
  timers_.erase(&timer);
}

asio::awaitable<void> caller::pause(uint32_t ms) {
  bell nobody;
  co_await wait(nobody, steady::now() + std::chrono::milliseconds{ms});
}

failure caller::closing() const { return fail(errc::unavailable, "the etcd client is closing"); }

void caller::close() {
  closed_ = true;
  for (auto* timer : timers_)
    timer->cancel();
  for (auto& m : members_)
    m->idle.clear();
  for (auto* link : live_)
    link->close();
  for (auto* line : {&urgent_line_, &line_}) {
    auto waiting = std::move(*line);
    line->clear();
    for (auto& r : waiting)
      r.done(closing());
  }
}

// -- the line ---------------------------------------------------------------------------------------------------------

void caller::submit(request r) {
  if (closed_)
    return r.done(closing());
  (r.urgent ? urgent_line_ : line_).push_back(std::move(r));
  pump();
}

void caller::pump() {
  const auto start = [this](std::deque<request>& line, size_t& running, size_t most) {
    while (!line.empty() && running < most) {
      auto next = std::move(line.front());
      line.pop_front();
      ++running;
      asio::co_spawn(io_, run(std::move(next)), asio::detached);
    }
  };
  start(urgent_line_, urgent_running_, urgent_max);
  start(line_, running_, options_.connections_max);
}

asio::awaitable<void> caller::run(request r) {
  const bool urgent = r.urgent;
  const auto done = std::move(r.done);
  auto result = co_await ask(std::move(r));
  --(urgent ? urgent_running_ : running_);
  // Before the handler, which may take its time.
  pump();
  done(std::move(result));
}

// -- from endpoint to endpoint ----------------------------------------------------------------------------------------

void caller::step_past(size_t at) noexcept {
  if (preferred_ == at % members_.size())
    preferred_ = (at + 1) % members_.size();
}

asio::awaitable<outcome<void>> caller::ask(request r) {
  const auto n = members_.size();
  const auto first = preferred_;
  auto rest_ms = options_.pause_ms;
  std::string why, before; // the two latest reasons that differ: the last attempt's time is often cut short
  for (size_t i = 0;; ++i) {
    if (i > 0 && i % n == 0) {
      // None could help; perhaps they are electing a leader.
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(r.until - steady::now()).count();
      co_await pause(static_cast<uint32_t>(std::clamp<int64_t>(left, 0, rest_ms)));
      rest_ms = std::min(rest_ms * 2, options_.pause_ms_max);
    }
    if (closed_)
      co_return closing();
    const auto now = steady::now();
    if (now >= r.until)
      co_return fail(errc::unavailable, why.empty()      ? "etcd: no request could be sent in time"
                                        : before.empty() ? why
                                                         : why + "; before that: " + before);
    const auto at = (first + i) % n;
    auto ended = co_await attempt(at, r, now + (r.until - now) / static_cast<int64_t>(n - i % n));
    if (ended.how != ending::kind::settled) {
      ++counts_.attempts_failed;
      step_past(at);
    }
    if (ended.how != ending::kind::elsewhere)
      co_return std::move(ended.result);
    if (ended.result.error().message != why) {
      before = std::move(why);
      why = std::move(ended.result).error().message;
    }
  }
}

asio::awaitable<caller::ending> caller::attempt(size_t at, const request& r, steady::time_point soft) {
  using enum ending::kind;
  auto& m = *members_[at];
  auto link = idle_of(m);
  // A server of TLS 1.3 that misses our certificate says so after we have begun to speak, or its word is lost.
  const char* perhaps = "";
  if (!link) {
    if (m.where.tls && options_.certificate_file.empty())
      perhaps = "; it may want a certificate of ours (cluster.etcd_certificate)";
    link = fresh(m);
    if (auto open = co_await connect(m, *link, soft); !open)
      co_return ending{elsewhere, std::move(open).error()};
  }
  const auto next_step = r.begin();
  std::optional<step> next = r.first;
  bool asked_for_token = false;
  while (next) {
    if (auto known = co_await authenticate(m, *link, soft); known.how != settled || !known.result)
      co_return known;
    if (!link->reusable())
      co_return ending{elsewhere,
                       fail(errc::unavailable, "etcd " + m.where.authority() + ": it closed the connection" + perhaps)};
    const auto token = m.token;
    const auto got = co_await link->post(next->path, next->body, token, r.repeatable ? soft : r.until);
    if (got.broken) {
      auto why = *got.broken;
      if (!got.late)
        why.message += perhaps;
      if (!r.repeatable && got.begun)
        co_return ending{unknown, unknown_outcome(counts_, why.message)};
      co_return ending{elsewhere, std::move(why)};
    }
    if (got.status != 200) {
      auto refused = wire::read_refusal(got.status, got.body);
      if (refused.what == wire::refusal::kind::token) {
        m.open_to_all = false;
        drop_token(at, token);
        // Nothing was done. Twice in a row is no matter of an old token; another endpoint may know better.
        if (options_.user.empty() || asked_for_token || !link->reusable())
          co_return ending{elsewhere, fail(errc::unavailable, refused.why.message)};
        asked_for_token = true;
        continue;
      }
      if (link->reusable())
        keep(m, link);
      if (refused.what == wire::refusal::kind::definite)
        co_return ending{settled, std::move(refused.why)};
      if (!r.repeatable)
        co_return ending{unknown, unknown_outcome(counts_, refused.why.message)};
      co_return ending{elsewhere, std::move(refused.why)};
    }
    auto more = next_step(got.body);
    if (!more) {
      if (!r.repeatable)
        co_return ending{unknown, unknown_outcome(counts_, more.error().message)};
      co_return ending{elsewhere, std::move(more).error()};
    }
    next = std::move(*more);
    if (next && !link->reusable()) {
      // What it said last is only worth something with what it says next.
      link = fresh(m);
      if (auto open = co_await connect(m, *link, soft); !open)
        co_return ending{elsewhere, std::move(open).error()};
    }
  }
  keep(m, std::move(link));
  co_return ending{};
}

// -- connections ------------------------------------------------------------------------------------------------------

std::shared_ptr<connection> caller::fresh(member& m) {
  auto link = std::make_unique<connection>(io_, m.where, m.where.tls ? tls_.get() : nullptr, options_.body_bytes_max);
  live_.insert(link.get());
  return {link.release(), [this](connection* gone) {
            live_.erase(gone);
            delete gone;
          }};
}

std::shared_ptr<connection> caller::idle_of(member& m) {
  while (!m.idle.empty()) {
    auto link = std::move(m.idle.back());
    m.idle.pop_back();
    if (link->reusable())
      return link;
  }
  return nullptr;
}

void caller::keep(member& m, std::shared_ptr<connection> link) {
  if (!closed_ && link->reusable() && m.idle.size() < options_.connections_max)
    m.idle.push_back(std::move(link));
}

asio::awaitable<void> caller::resolve(member& m, steady::time_point until) {
  uint16_t port = 0;
  for (const char c : m.where.port)
    port = static_cast<uint16_t>(port * 10 + (c - '0'));
  error_code name;
  const auto literal = asio::ip::make_address(m.where.host, name);
  if (!name) {
    m.known = {{literal, port}};
    co_return;
  }
  // The system's resolver takes its time, and cannot be stopped. It may go on beyond the attempt, and tell the next
  // one.
  if (!m.resolving) {
    m.resolving = true;
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(io_);
    resolver->async_resolve(m.where.host, m.where.port, [resolver, &m](const error_code& wrong, const auto& found) {
      m.resolving = false;
      if (!wrong) {
        m.known.clear();
        for (const auto& one : found)
          m.known.push_back(one.endpoint());
      }
      m.resolved.ring();
    });
  }
  // While it is silent the addresses of the last time do.
  const auto patience = m.known.empty() ? until : steady::now() + (until - steady::now()) / 4;
  while (m.resolving && !closed_ && steady::now() < patience)
    co_await wait(m.resolved, patience);
}

asio::awaitable<outcome<void>> caller::connect(member& m, connection& link, steady::time_point until) {
  co_await resolve(m, until);
  if (closed_)
    co_return closing();
  if (m.known.empty())
    co_return fail(errc::unavailable, "etcd " + m.where.authority() + ": the name cannot be resolved");
  ++counts_.connections;
  co_return co_await link.open(m.known, until);
}

asio::awaitable<outcome<caller::line_out>> caller::open(size_t at, steady::time_point until) {
  auto& m = *members_[at % members_.size()];
  auto link = fresh(m);
  if (auto open = co_await connect(m, *link, until); !open)
    co_return std::move(open).error();
  if (auto known = co_await authenticate(m, *link, until); !known.result)
    co_return std::move(known.result).error();
  co_return line_out{std::move(link), m.token};
}

// -- tokens -----------------------------------------------------------------------------------------------------------

void caller::drop_token(size_t at, const std::string& token) {
  auto& m = *members_[at % members_.size()];
  // Somebody else may have got a new one meanwhile.
  if (m.token == token)
    m.token.clear();
}

/// Each endpoint gives a token of its own: one that another gave may not have come to it yet.
asio::awaitable<caller::ending> caller::authenticate(member& m, connection& link, steady::time_point until) {
  using enum ending::kind;
  if (options_.user.empty())
    co_return ending{};
  // To check a password costs etcd a tenth of a second: one asks, the others wait for it.
  while (m.authenticating && !closed_ && steady::now() < until)
    co_await wait(m.authenticated, until);
  if (!m.token.empty() || m.open_to_all)
    co_return ending{};
  if (closed_ || m.authenticating)
    co_return ending{elsewhere, fail(errc::unavailable, "etcd " + m.where.authority() + ": no token in time")};
  m.authenticating = true;
  const auto got =
      co_await link.post(wire::authenticate_path, wire::authenticate_body(options_.user, options_.password), "", until);
  m.authenticating = false;
  m.authenticated.ring();
  if (got.broken)
    co_return ending{elsewhere, *got.broken};
  if (got.status != 200) {
    auto refused = wire::read_refusal(got.status, got.body);
    if (refused.what != wire::refusal::kind::definite)
      co_return ending{elsewhere, std::move(refused.why)};
    // As etcd's own client does: users may be set up before authentication is enabled.
    if (refused.why.message.find("authentication is not enabled") != std::string::npos) {
      m.open_to_all = true;
      co_return ending{};
    }
    co_return ending{settled, std::move(refused.why)};
  }
  auto token = wire::read_token(got.body);
  if (!token)
    co_return ending{elsewhere, std::move(token).error()};
  ++counts_.authentications;
  m.token = std::move(*token);
  co_return ending{};
}

} // namespace greenroom::net::etcd
