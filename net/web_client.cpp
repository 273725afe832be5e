#include "net/web_client.hpp"

#include "net/byte_stream.hpp"
#include "net/fetcher.hpp"
#include "net/lookups.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <deque>
#include <exception>
#include <map>
#include <set>

namespace greenroom::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr auto kept_for = 30s;    // connections that nobody uses; many servers close them after a minute
constexpr auto trusted_for = 60s; // then the file with the certificates is read anew
constexpr auto sweep_every = 10s;
constexpr int64_t retry_after_max_s = 604'800;

failure unavailable(const std::string& step, const error_code& why) {
  return fail(errc::unavailable, step + ": " + (why == beast::error::timeout ? "no answer in time" : why.message()));
}

/// Seconds, or a date (RFC 9110 section 10.2.3). In milliseconds; 0: neither.
int64_t retry_after(std::string_view text) {
  int64_t seconds = 0;
  const auto* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, seconds) != std::from_chars_result{end, std::errc{}}) {
    std::tm date{};
    const std::string copy(text);
    if (::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr)
      return 0;
    seconds = static_cast<int64_t>(::timegm(&date)) - static_cast<int64_t>(std::time(nullptr));
  }
  return std::clamp<int64_t>(seconds, 0, retry_after_max_s) * 1'000;
}

std::string request_text(const web_address& to, const http_post& p) {
  std::string out = "POST " + to.target + " HTTP/1.1\r\nHost: " + to.authority() +
                    "\r\nUser-Agent: greenroom/" GREENROOM_VERSION
                    "\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: " +
                    std::to_string(p.body.size()) + "\r\n";
  for (const auto& [name, value] : p.headers)
    out.append(name).append(": ").append(value).append("\r\n");
  return out.append("\r\n").append(p.body);
}

} // namespace

struct web_client::core : std::enable_shared_from_this<core> {
  struct connection {
    connection(asio::io_context& io, std::shared_ptr<asio::ssl::context> trust)
        : tls(std::move(trust)), stream(io.get_executor(), tls.get()) {}
    std::shared_ptr<asio::ssl::context> tls; // null: plain
    byte_stream stream;
    steady::time_point used;
  };
  using connection_ptr = std::unique_ptr<connection>;
  struct trust {
    std::shared_ptr<asio::ssl::context> what;
    steady::time_point read;
  };

  // Shared with a resolver that hangs.
  std::shared_ptr<asio::io_context> io = std::make_shared<asio::io_context>(1);
  asio::executor_work_guard<asio::io_context::executor_type> work{io->get_executor()};
  lookups names{io};
  asio::steady_timer sweep{*io};
  std::map<std::string, std::deque<connection_ptr>> kept; // by server, the one used last at the end
  std::map<std::string, trust> trusts;                    // by file
  std::set<connection*> open;                             // in use
  bool stopping = false;

  void stop() {
    stopping = true;
    names.close();
    kept.clear();
    sweep.cancel();
    for (auto* c : open)
      c->stream.socket().close();
    work.reset();
  }

  /// While anything is kept.
  void sweep_later() {
    sweep.expires_after(sweep_every);
    sweep.async_wait([self = shared_from_this()](error_code why) {
      if (why || self->stopping)
        return;
      const auto oldest = steady::now() - kept_for;
      for (auto& [server, all] : self->kept)
        while (!all.empty() && all.front()->used < oldest)
          all.pop_front();
      std::erase_if(self->kept, [](const auto& k) { return k.second.empty(); });
      if (!self->kept.empty())
        self->sweep_later();
    });
  }

  connection_ptr take(const std::string& server) {
    auto i = kept.find(server);
    if (i == kept.end())
      return nullptr;
    auto c = std::move(i->second.back());
    i->second.pop_back();
    if (i->second.empty())
      kept.erase(i);
    return steady::now() - c->used < kept_for ? std::move(c) : nullptr;
  }

  void keep(const std::string& server, connection_ptr c) {
    if (stopping)
      return;
    c->stream.socket().expires_never();
    c->used = steady::now();
    if (kept.empty())
      sweep_later();
    kept[server].push_back(std::move(c));
  }

  outcome<std::shared_ptr<asio::ssl::context>> trusted(const std::string& ca_file) {
    auto& t = trusts[ca_file];
    if (t.what && steady::now() - t.read < trusted_for)
      return t.what;
    error_code why;
    auto fresh = trusting(ca_file, why);
    if (!fresh)
      return fail(errc::unavailable,
                  (ca_file.empty() ? std::string("the system's certificates") : ca_file) + ": " + why.message());
    t = {std::shared_ptr<asio::ssl::context>(std::move(fresh)), steady::now()};
    return t.what;
  }

  asio::awaitable<outcome<connection_ptr>> connect(const web_address& to, const std::string& ca_file,
                                                   steady::time_point until) {
    std::string why;
    const auto found = co_await names.find(to.host, until, why);
    if (stopping)
      co_return fail(errc::unavailable, "the node stops");
    if (found.empty())
      co_return fail(errc::unavailable, "no address: " + why);
    std::vector<asio::ip::tcp::endpoint> at;
    for (const auto& address : found)
      at.emplace_back(address, static_cast<uint16_t>(std::stoul(to.port)));
    std::shared_ptr<asio::ssl::context> tls;
    if (to.tls) {
      auto found_trust = trusted(ca_file);
      if (!found_trust)
        co_return found_trust.error();
      tls = std::move(*found_trust);
    }
    auto c = std::make_unique<connection>(*io, std::move(tls));
    in_use marked{*this, *c};
    c->stream.socket().expires_at(until);
    bool tcp_failed = false;
    if (auto wrong = co_await c->stream.open(std::move(at), to.host, &tcp_failed))
      co_return unavailable(tcp_failed ? "connect" : "TLS", wrong);
    co_return std::move(c);
  }

  struct in_use {
    in_use(core& c, connection& x) : all(c.open), which(&x) { all.insert(which); }
    ~in_use() { all.erase(which); }
    std::set<connection*>& all;
    connection* which;
  };

  asio::awaitable<outcome<http_answer>> ask(http_post p) {
    const auto until = steady::now() + std::chrono::milliseconds(p.timeout_ms);
    auto to = parse_web_address(p.url, true);
    if (!to)
      co_return fail(errc::unavailable, to.error().message);
    const auto server = (to->tls ? "https://" : "http://") + to->authority() + " " + p.ca_file;
    const auto text = request_text(*to, p);
    for (;;) {
      auto c = take(server);
      const bool is_kept = c != nullptr;
      if (!c) {
        auto fresh = co_await connect(*to, p.ca_file, until);
        if (!fresh)
          co_return fresh.error();
        c = std::move(*fresh);
      }
      in_use marked{*this, *c};
      c->stream.socket().expires_at(until);
      error_code wrong;
      std::string step = "write";
      beast::flat_buffer buffer;
      http::response_parser<http::string_body> parser;
      parser.body_limit(p.answer_bytes);
      co_await asio::async_write(c->stream, asio::buffer(text), asio::redirect_error(asio::use_awaitable, wrong));
      if (!wrong) {
        step = "read";
        co_await http::async_read_header(c->stream, buffer, parser, asio::redirect_error(asio::use_awaitable, wrong));
        if (!wrong)
          co_await http::async_read(c->stream, buffer, parser, asio::redirect_error(asio::use_awaitable, wrong));
      }
      if (stopping)
        co_return fail(errc::unavailable, "the node stops");
      if (wrong && is_kept && !parser.got_some() && wrong != beast::error::timeout)
        continue; // the server had closed it: each try takes one of those that are kept
      if (wrong == http::error::body_limit)
        co_return http_answer{parser.get().result_int(), {}, 0}; // what it says is known, and the rest too long
      if (wrong)
        co_return unavailable(step, wrong);
      const auto& got = parser.get();
      http_answer answer{got.result_int(), {}, retry_after(got[http::field::retry_after])};
      const bool stays = parser.keep_alive() && buffer.size() == 0;
      answer.body = std::move(parser.get().body());
      if (stays)
        keep(server, std::move(c));
      co_return answer;
    }
  }
};

web_client::web_client() : core_(std::make_shared<core>()) {
  thread_ = std::thread([c = core_] {
    ::pthread_setname_np(::pthread_self(), "web");
    c->io->run();
  });
}

web_client::~web_client() {
  asio::post(*core_->io, [c = core_] { c->stop(); });
  thread_.join();
}

void web_client::post(http_post what, std::function<void(outcome<http_answer>)> done) {
  asio::post(*core_->io, [c = core_, what = std::move(what), done = std::move(done)]() mutable {
    if (c->stopping)
      return done(fail(errc::unavailable, "the node stops"));
    asio::co_spawn(*c->io, c->ask(std::move(what)),
                   [c, done = std::move(done)](std::exception_ptr thrown, outcome<http_answer> got) {
                     done(thrown ? fail(errc::unavailable, "the request can't be made") : std::move(got));
                   });
  });
}

} // namespace greenroom::net
