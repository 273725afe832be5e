#include "net/http_session.hpp"

#include "net/http_text.hpp"
#include "net/stream.hpp"
#include "net/ws_session.hpp"

// GCC 12 with the address sanitizer takes an empty boost::optional of the parser for an uninitialised one.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cctype>
#include <utility>

namespace greenroom::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using error_code = boost::system::error_code;

namespace {

// How long a refused connection may take over its request, and any connection over its goodbye.
constexpr uint32_t refusal_ms = 2'000;
constexpr uint32_t goodbye_ms = 2'000;
// Read from the socket at once. A common header fits. The parser refuses a header over its limit as soon as it sees
// more bytes than that, so what waits here is bounded by limits.header_bytes and one read.
constexpr size_t header_read_bytes = 2'048;
constexpr size_t body_read_bytes = 16'384;

using take_piece = std::function<void(std::optional<std::string>)>;

class http_session final : public session, public stream::owner, public std::enable_shared_from_this<http_session> {
public:
  http_session(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, remote from,
               std::optional<http_response> refusal);
  ~http_session() { disown(); }
  void start();

  void shut_down(close_code code) override;
  void abort() noexcept override { end(); }
  void wrote() override;
  void broken() override { end(); }

private:
  // receiving: a piece of a body that is streamed; pulling: the handler makes a piece of its answer.
  enum class phase : uint8_t { tls, idle, header, body, handling, receiving, writing, pulling, goodbye, ended };

  /// The rest of a request's body, for the handler.
  class body_stream : public http_body {
  public:
    explicit body_stream(std::shared_ptr<http_session> of) : of_(std::move(of)) {}
    uint64_t left() const override { return of_->body_left_; }
    void take(size_t bytes, take_piece then) override { of_->take(bytes, std::move(then)); }

  private:
    const std::shared_ptr<http_session> of_;
  };

  void enter(phase p, uint32_t deadline_ms);
  void expect_request(uint32_t idle_ms);
  void read();
  void on_read(error_code ec, size_t bytes);
  void parse();
  bool on_header();
  bool begin_stream();
  void take(size_t bytes, take_piece then);
  void collect();
  void on_request();
  void hand_over(http_request r);
  void upgrade(const http_request& r);
  http_request take_request();
  void refuse(unsigned status, errc code, std::string_view message);
  void refuse_parse(error_code ec);
  void respond(const http_response& r);
  void pull();
  void answered();
  void goodbye();
  void on_timer();
  void disown() noexcept;
  void end();

  const server_hooks& hooks_;
  std::shared_ptr<http_session> self_; // until the end: while an answer waits for room, nothing else would hold it
  std::shared_ptr<stream> stream_;     // null after an upgrade
  const remote from_;
  const std::optional<http_response> refusal_;
  std::shared_ptr<const greenroom::limits> limits_; // looked up again for each request
  timer_wheel::entry timer_;
  beast::flat_buffer input_; // what was read and not parsed
  std::optional<http::request_parser<http::string_body>> parser_;
  phase phase_ = phase::tls;
  bool keep_alive_ = true;
  bool head_ = false;              // the request was a HEAD
  uint64_t body_left_ = 0;         // of one that is streamed: not taken yet
  bool waits_to_continue_ = false; // the client, for a 100
  std::string piece_;              // of it, as far as it has come
  size_t piece_bytes_ = 0;
  take_piece then_;
  decltype(http_response::more) more_; // an answer that is made piece by piece
  uint64_t answer_left_ = 0;
};

http_session::http_session(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, remote from,
                           std::optional<http_response> refusal)
    : session(home), hooks_(hooks), stream_(std::move(on)), from_(std::move(from)), refusal_(std::move(refusal)),
      limits_(hooks.limits()), timer_([this] { on_timer(); }) {
  stream_->own(*this);
}

void http_session::start() {
  self_ = shared_from_this();
  // One deadline for the TLS handshake and the first header together.
  enter(phase::tls, refusal_ ? std::min(refusal_ms, limits_->handshake_ms) : limits_->handshake_ms);
  if (!stream_->encrypted()) {
    phase_ = phase::header;
    return read();
  }
  stream_->async_handshake([self = shared_from_this()](error_code ec) {
    if (ec) {
      if (self->phase_ != phase::ended)
        self->hooks_.metrics->handshakes_refused.add();
      return self->end();
    }
    self->phase_ = phase::header;
    self->read();
  });
}

void http_session::enter(phase p, uint32_t deadline_ms) {
  phase_ = p;
  home_.lane().timers().arm(timer_, deadline_ms);
}

// -- reading ---------------------------------------------------------------------------------------------------------

void http_session::read() {
  const auto into =
      input_.prepare(phase_ == phase::body || phase_ == phase::receiving ? body_read_bytes : header_read_bytes);
  stream_->async_read_some(into,
                           [self = shared_from_this()](error_code ec, size_t bytes) { self->on_read(ec, bytes); });
}

void http_session::on_read(error_code ec, size_t bytes) {
  if (ec)
    return end();
  if (phase_ == phase::goodbye) // too late: it was answered 408
    return stream_->finish(limits_->closing_bytes, [self = shared_from_this()] { self->end(); });
  input_.commit(bytes);
  if (phase_ == phase::receiving)
    return collect();
  if (phase_ == phase::idle)
    enter(phase::header, limits_->handshake_ms);
  parse();
}

void http_session::parse() {
  if (!parser_) {
    limits_ = hooks_.limits();
    parser_.emplace();
    head_ = false;
    parser_->header_limit(limits_->header_bytes);
    parser_->body_limit(boost::none); // seen to in on_header: it does not hold for all
  }
  while (input_.size() > 0 && !parser_->is_done()) {
    error_code ec;
    const bool in_header = !parser_->is_header_done();
    input_.consume(parser_->put(input_.data(), ec));
    if (ec == http::error::need_more)
      break;
    if (ec)
      return refuse_parse(ec);
    if (in_header && parser_->is_header_done() && !on_header())
      return;
  }
  if (parser_->is_done())
    on_request();
  else
    read();
}

/// Whether to go on with the body.
bool http_session::on_header() {
  const auto& r = parser_->get();
  hooks_.metrics->http_requests.add();
  keep_alive_ = r.keep_alive() && r.version() == 11;
  head_ = r.method() == http::verb::head;
  if (refusal_) {
    hooks_.metrics->handshakes_refused.add();
    keep_alive_ = false;
    respond(*refusal_);
    return false;
  }
  // RFC 9112 section 3.2: a request without a Host, or with several, is answered 400.
  if (const auto hosts = r.count(http::field::host); hosts > 1 || (hosts == 0 && r.version() == 11)) {
    refuse(400, errc::bad_request, "Host: must be there exactly once");
    return false;
  }
  const auto target = r.target();
  const std::string method{r.method_string()};
  if (!home_.closing() && hooks_.http->streams(method, {target.data(), target.size()}))
    return begin_stream();
  if (parser_->content_length().value_or(0) > limits_->body_bytes) {
    refuse_parse(http::error::body_limit);
    return false;
  }
  parser_->body_limit(limits_->body_bytes);
  if (parser_->is_done())
    return true;
  enter(phase::body, limits_->request_ms);
  if (beast::iequals(r[http::field::expect], "100-continue") && input_.size() == 0) {
    stream_->push(std::make_shared<const std::string>("HTTP/1.1 100 Continue\r\n\r\n"), false);
    stream_->flush();
  }
  return true;
}

/// Always false: it does not go on with Beast. What has been read of the body waits in input_.
bool http_session::begin_stream() {
  if (parser_->chunked() || !parser_->content_length()) {
    refuse(411, errc::bad_request, "Content-Length: required here");
    return false;
  }
  timer_.cancel();
  body_left_ = *parser_->content_length();
  waits_to_continue_ = beast::iequals(parser_->get()[http::field::expect], "100-continue") && input_.size() == 0;
  auto r = take_request();
  r.stream = std::make_shared<body_stream>(shared_from_this());
  hand_over(std::move(r));
  return false;
}

void http_session::take(size_t bytes, take_piece then) {
  if (phase_ != phase::handling || home_.closing())
    return then(std::nullopt);
  if (std::exchange(waits_to_continue_, false)) {
    stream_->push(std::make_shared<const std::string>("HTTP/1.1 100 Continue\r\n\r\n"), false);
    stream_->flush();
  }
  piece_bytes_ = static_cast<size_t>(std::min<uint64_t>(bytes, body_left_));
  piece_.reserve(piece_bytes_);
  then_ = std::move(then);
  enter(phase::receiving, limits_->keep_alive_ms);
  collect();
}

void http_session::collect() {
  const auto bytes = std::min(input_.size(), piece_bytes_ - piece_.size());
  piece_.append(static_cast<const char*>(input_.data().data()), bytes);
  input_.consume(bytes);
  if (piece_.size() < piece_bytes_)
    return read();
  timer_.cancel();
  phase_ = phase::handling;
  body_left_ -= piece_bytes_;
  std::exchange(then_, nullptr)(std::exchange(piece_, {}));
}

http_request http_session::take_request() {
  auto message = parser_->release();
  parser_.reset();
  http_request r;
  r.method = message.method_string();
  r.from = from_;
  for (const auto& field : message) {
    std::string name{field.name_string()};
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::string_view value{field.value().data(), field.value().size()};
    auto [i, added] = r.headers.try_emplace(std::move(name), value);
    if (!added)
      i->second.append(", ").append(value);
  }
  const std::string target{message.target()};
  if (!split_target(target, r))
    r.path.clear();
  r.body = std::move(message.body());
  return r;
}

void http_session::on_request() {
  timer_.cancel();
  auto r = take_request();
  if (!r.path.empty() && home_.closing())
    return refuse(503, errc::unavailable, "the server is shutting down");
  if (!r.path.empty() && (asks_for_websocket(r) || r.path == "/ws"))
    return upgrade(r);
  hand_over(std::move(r));
}

void http_session::hand_over(http_request r) {
  if (r.path.empty())
    return refuse(400, errc::bad_request, "the request target must be a path");
  r.head = head_;
  if (head_)
    r.method = "GET"; // the answer is the same, only its body stays here
  phase_ = phase::handling;
  hooks_.http->handle(home_.lane(), std::move(r), [self = shared_from_this()](http_response answer) {
    if (self->phase_ == phase::handling)
      self->respond(answer);
  });
}

void http_session::upgrade(const http_request& r) {
  auto refused = [this](http_response answer) {
    hooks_.metrics->handshakes_refused.add();
    keep_alive_ = false;
    respond(answer);
  };
  if (r.path != "/ws")
    return refused(error_response(404, errc::not_found, "WebSockets are at /ws"));
  if (!asks_for_websocket(r)) {
    auto answer = error_response(426, errc::bad_request, "/ws takes an upgrade to WebSocket only");
    answer.headers.emplace_back("Upgrade", "websocket");
    return refused(answer);
  }
  if (hooks_.turns_away && hooks_.turns_away()) {
    auto answer = error_response(503, errc::unavailable, "the node drains: connect to another one");
    answer.headers.emplace_back("Retry-After", "5");
    return refused(answer);
  }
  if (auto why = hooks_.floods->banned(from_.network, steady_ms()))
    return refused(error_response(*why));
  websocket_start start;
  if (auto answer = refuse_upgrade(r, hooks_.allowed_origins, start.with_subprotocol))
    return refused(*answer);
  // RFC 6455 section 4.1: the client waits for the answer before it sends anything. Beast would never see these bytes.
  if (!r.body.empty() || input_.size() > 0)
    return refused(error_response(400, errc::bad_request, "nothing may follow an upgrade request"));
  if (r.headers.contains("authorization")) {
    const auto token = bearer_token(r.header("authorization"));
    auto who = token ? hooks_.tokens->verify(*token)
                     : outcome<identity>{fail(errc::unauthenticated, "Authorization: must be Bearer with a token")};
    if (!who) {
      auto answer = error_response(401, errc::unauthenticated, who.error().message);
      answer.headers.emplace_back("WWW-Authenticate", "Bearer error=\"invalid_token\"");
      return refused(answer);
    }
    if (auto why = hooks_.floods->banned(who->user, steady_ms()))
      return refused(error_response(*why));
    start.who = std::move(who.value());
  }
  start.key = r.header("sec-websocket-key");
  start.from = from_;
  phase_ = phase::ended;
  const auto self = std::move(self_);
  disown();
  start_websocket(home_, hooks_, std::exchange(stream_, nullptr), std::move(start));
  retire();
}

// -- answering -------------------------------------------------------------------------------------------------------

void http_session::refuse_parse(error_code ec) {
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow)
    return refuse(431, errc::too_large,
                  "the request header is over limits.header_bytes (" + std::to_string(limits_->header_bytes) + ")");
  if (ec == http::error::body_limit)
    return refuse(413, errc::too_large,
                  "the request body is over limits.body_bytes (" + std::to_string(limits_->body_bytes) + ")");
  if (ec == http::error::bad_version)
    return refuse(505, errc::unsupported, "this server speaks HTTP/1.1");
  refuse(400, errc::bad_request, "not a valid HTTP request: " + ec.message());
}

void http_session::refuse(unsigned status, errc code, std::string_view message) {
  keep_alive_ = false;
  respond(error_response(status, code, message));
}

void http_session::respond(const http_response& r) {
  if (std::exchange(body_left_, 0) > 0)
    keep_alive_ = false; // what is left of the body is not worth reading
  more_ = head_ ? nullptr : r.more;
  answer_left_ = more_ ? r.length : 0;
  enter(phase::writing, limits_->keep_alive_ms);
  stream_->push(std::make_shared<const std::string>(format_response(r, keep_alive_, !head_)), false);
  stream_->flush();
  wrote();
}

void http_session::wrote() {
  if (phase_ == phase::writing && stream_->queued_bytes() == 0)
    answered();
}

/// All that was to be written has left, and there is more to come.
void http_session::pull() {
  if (home_.closing())
    return end();
  timer_.cancel(); // the handler has its own
  phase_ = phase::pulling;
  auto take = [self = shared_from_this()](std::optional<std::string> piece) {
    if (self->phase_ != phase::pulling)
      return;
    if (!piece || piece->empty() || piece->size() > self->answer_left_)
      return self->end(); // in the middle: the client sees that it is not whole
    self->answer_left_ -= piece->size();
    self->enter(phase::writing, self->limits_->keep_alive_ms);
    self->stream_->push(std::make_shared<const std::string>(std::move(*piece)), false);
    self->stream_->flush();
    self->wrote();
  };
  // Not by a call from here: a client that reads fast would nest a call for each piece.
  asio::post(stream_->get_executor(), [self = shared_from_this(), take] {
    if (self->phase_ == phase::pulling)
      self->more_(take);
  });
}

void http_session::answered() {
  if (answer_left_ > 0)
    return pull();
  parser_.reset();
  more_ = nullptr;
  if (!keep_alive_)
    return goodbye();
  if (input_.size() == 0) {
    input_.shrink_to_fit();
    enter(phase::idle, limits_->keep_alive_ms);
    return read();
  }
  // The next request is here already. Not by a call from here: a pipeline of small ones would nest as deep as it is
  // long.
  enter(phase::header, limits_->handshake_ms);
  asio::post(stream_->get_executor(), [self = shared_from_this()] {
    if (self->phase_ == phase::header)
      self->parse();
  });
}

// -- the end ---------------------------------------------------------------------------------------------------------

void http_session::goodbye() {
  enter(phase::goodbye, goodbye_ms);
  stream_->finish(limits_->closing_bytes, [self = shared_from_this()] { self->end(); });
}

void http_session::on_timer() {
  const auto self = shared_from_this();
  auto late = [](std::string_view what, std::string_view key, uint32_t ms) {
    return std::string(what).append(" within limits.").append(key) + " (" + std::to_string(ms) + ")";
  };
  std::string why;
  if (phase_ == phase::header && parser_)
    why = late("the request header was not complete", "handshake_ms", limits_->handshake_ms);
  else if (phase_ == phase::body)
    why = late("the request body was not complete", "request_ms", limits_->request_ms);
  else if (phase_ == phase::receiving)
    why = late("the next part of the request body did not come", "keep_alive_ms", limits_->keep_alive_ms);
  if (!why.empty()) {
    // A read is under way and goes on as the drain that keeps a reset from destroying the answer.
    const auto answer = error_response(408, errc::bad_request, why);
    stream_->push(std::make_shared<const std::string>(format_response(answer, false, true)), false);
    enter(phase::goodbye, goodbye_ms);
    stream_->flush();
    if (auto then = std::exchange(then_, nullptr))
      then(std::nullopt);
    return;
  }
  if (phase_ == phase::tls)
    hooks_.metrics->handshakes_refused.add();
  end();
}

void http_session::shut_down(close_code) {
  keep_alive_ = false; // what is being handled is still answered
  if (phase_ == phase::idle || phase_ == phase::tls || phase_ == phase::header || phase_ == phase::receiving)
    end();
}

void http_session::disown() noexcept {
  timer_.cancel();
  if (stream_)
    stream_->disown();
}

void http_session::end() {
  if (std::exchange(phase_, phase::ended) == phase::ended)
    return;
  const auto self = std::move(self_);
  disown();
  stream_->abort();
  retire();
  more_ = nullptr;
  if (auto then = std::exchange(then_, nullptr))
    then(std::nullopt);
}

} // namespace

void start_http(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, remote from,
                std::optional<http_response> refusal) {
  std::make_shared<http_session>(home, hooks, std::move(on), std::move(from), std::move(refusal))->start();
}

} // namespace greenroom::net
