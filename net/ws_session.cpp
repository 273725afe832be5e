#include "net/ws_session.hpp"

#include "net/http_text.hpp"
#include "net/stream.hpp"
#include "net/ws_frame.hpp"

#include <boost/asio/buffers_iterator.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace greenroom::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using error_code = boost::system::error_code;

namespace {

class ws_session;

// How long an end may take: the rest of a frame, the close frame, the peer's answer, its FIN.
constexpr uint32_t close_ms = 3'000;
// Pongs may overshoot the outbox's bound by this much; who makes us queue more sends pings and reads nothing.
constexpr size_t control_bytes_max = 4'096;
// Most frames of a client fit in here; longer messages get a buffer of their own until they are handled.
constexpr size_t short_message_bytes = 256;

/// What Beast takes for its socket. Control frames that Beast writes join the outbox like all others.
struct lower_layer {
  using executor_type = stream::executor_type;
  ws_session* session;

  executor_type get_executor() const noexcept;
  template <class Buffers, class Handler>
  void async_read_some(const Buffers& into, Handler&& done);
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& from, Handler&& done);
};

class ws_session final : public transport,
                         public flushable,
                         public session,
                         public stream::owner,
                         public std::enable_shared_from_this<ws_session> {
public:
  ws_session(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on);
  ~ws_session();
  void start(websocket_start s);

  // transport
  bool write(const frame& bytes, delivery how) override;
  void hold(bool on) override;
  void close(close_code code, std::string_view reason) override;
  size_t queued_bytes() const noexcept override { return stream_->queued_bytes(); }
  // flushable
  void flush() override;
  // session
  void shut_down(close_code code) override;
  void abort() noexcept override;
  // stream::owner
  void wrote() override { check_drained(); }
  void broken() override;

private:
  friend struct lower_layer;
  friend void beast_close_socket(lower_layer&);
  template <class Handler>
  friend void async_teardown(beast::role_type, lower_layer&, Handler&&);
  enum class state : uint8_t { accepting, open, closing, ended };

  void accepted(error_code ec, websocket_start s);
  error_code write_control(std::string bytes);
  void read();
  void on_read(error_code ec, size_t bytes);
  void deliver();
  std::string_view text() const noexcept;
  void make_room();
  void forget_message() noexcept;
  void on_timer();
  void start_closing();
  void check_drained();
  void conclude();
  void end();

  const server_hooks& hooks_;
  std::shared_ptr<ws_session> self_; // until the end: a held connection waits for nothing that would keep it alive
  const std::shared_ptr<stream> stream_;
  websocket::stream<lower_layer, false> beast_;
  std::unique_ptr<client> client_;
  std::shared_ptr<const greenroom::limits> limits_; // looked up again at each heartbeat
  timer_wheel::entry timer_;                        // heartbeat, then the deadline of the end
  std::string long_message_;                        // empty unless the message outgrew short_message_
  std::array<char, short_message_bytes> short_message_;
  uint32_t message_bytes_ = 0;
  size_t closing_bytes_ = 0; // from the peer since our close frame
  uint16_t end_code_ = 1006; // of the close frame that was sent, by us or by Beast
  state state_ = state::accepting;
  bool reading_ = false;
  bool held_ = false;
  bool parked_ = false; // a whole message waits for hold(false)
  bool dirty_ = false;
  bool above_half_ = false;
  bool ping_sent_ = false;
};

// -- the layer below Beast -------------------------------------------------------------------------------------------

lower_layer::executor_type lower_layer::get_executor() const noexcept { return session->stream_->get_executor(); }

template <class Buffers, class Handler>
void lower_layer::async_read_some(const Buffers& into, Handler&& done) {
  for (auto i = asio::buffer_sequence_begin(into); i != asio::buffer_sequence_end(into); ++i)
    if (asio::mutable_buffer b = *i; b.size() > 0)
      return session->stream_->async_read_some(b, std::forward<Handler>(done));
  asio::post(get_executor(), beast::bind_front_handler(std::forward<Handler>(done), error_code{}, size_t{0}));
}

template <class Buffers, class Handler>
void lower_layer::async_write_some(const Buffers& from, Handler&& done) {
  std::string bytes{asio::buffers_begin(from), asio::buffers_end(from)};
  const auto size = bytes.size();
  const auto ec = session->write_control(std::move(bytes));
  asio::post(get_executor(), beast::bind_front_handler(std::forward<Handler>(done), ec, ec ? size_t{0} : size));
}

// Found by Beast through argument-dependent look-up.
void beast_close_socket(lower_layer& l) { l.session->stream_->abort(); }

template <class Handler>
void async_teardown(beast::role_type, lower_layer& l, Handler&& done) {
  // A std::function must be copyable, Beast's handlers are not.
  auto shared = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(done));
  l.session->conclude();
  l.session->stream_->finish(l.session->limits_->closing_bytes, [shared] { (*shared)(error_code{}); });
}

// -- start and end ---------------------------------------------------------------------------------------------------

ws_session::ws_session(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on)
    : session(home), hooks_(hooks), stream_(std::move(on)), beast_(lower_layer{this}), limits_(hooks.limits()),
      timer_([this] { on_timer(); }) {
  stream_->own(*this);
}

ws_session::~ws_session() { stream_->disown(); }

void ws_session::start(websocket_start s) {
  self_ = shared_from_this();
  beast_.set_option(websocket::stream_base::decorator([named = s.with_subprotocol](websocket::response_type& r) {
    r.set(http::field::server, "greenroom");
    if (named)
      r.set(http::field::sec_websocket_protocol, beast::string_view{subprotocol.data(), subprotocol.size()});
  }));
  beast_.read_message_max(limits_->message_bytes);
  // The real request was checked by the HTTP session; Beast is shown what it needs to compute the answer.
  http::request<http::empty_body> upgrade{http::verb::get, "/", 11};
  upgrade.set(http::field::host, "-");
  upgrade.set(http::field::connection, "upgrade");
  upgrade.set(http::field::upgrade, "websocket");
  upgrade.set(http::field::sec_websocket_version, "13");
  upgrade.set(http::field::sec_websocket_key, s.key);
  beast_.async_accept(upgrade, [self = shared_from_this(), s = std::move(s)](error_code ec) mutable {
    self->accepted(ec, std::move(s));
  });
}

void ws_session::accepted(error_code ec, websocket_start s) {
  if (ec || state_ != state::accepting)
    return end();
  state_ = state::open;
  hooks_.metrics->connections.add();
  hooks_.metrics->connections_total.add();
  home_.lane().timers().arm(timer_, limits_->ping_ms);
  client_ = hooks_.connect(home_.lane(), shared_from_this(), std::move(s.who), s.from);
  read();
}

void ws_session::close(close_code code, std::string_view reason) {
  if (state_ != state::open)
    return;
  end_code_ = static_cast<uint16_t>(code);
  if (code == close_code::slow_consumer)
    stream_->drop_all();
  // RFC 6455 section 5.5: a control frame carries at most 125 bytes, and its text must be valid UTF-8.
  reason = reason.substr(0, 123);
  while (ends_within_code_point(reason))
    reason.remove_suffix(1);
  std::string payload{static_cast<char>(end_code_ >> 8), static_cast<char>(end_code_ & 0xff)};
  payload.append(reason);
  stream_->push(std::make_shared<const std::string>(ws_bytes(ws_opcode::close, payload)), false);
  start_closing();
  stream_->flush();
  forget_message();
  read(); // to see the peer's close frame, also where reading was held
}

void ws_session::start_closing() {
  if (state_ != state::open)
    return;
  state_ = state::closing;
  home_.lane().timers().arm(timer_, close_ms);
}

void ws_session::shut_down(close_code code) {
  if (state_ == state::accepting)
    abort();
  else
    close(code, {});
}

void ws_session::abort() noexcept {
  stream_->abort();
  // A pending read or accept ends by itself.
  if (!reading_ && state_ != state::accepting)
    asio::post(stream_->get_executor(), [self = shared_from_this()] { self->end(); });
}

void ws_session::broken() {
  if (!reading_ && state_ != state::accepting)
    end();
}

/// The conversation is over; the socket may linger a moment so that the close frame arrives.
void ws_session::conclude() {
  auto c = std::move(client_);
  if (!c)
    return;
  hooks_.metrics->connections.add(-1);
  hooks_.metrics->closed(static_cast<close_code>(end_code_));
  c->closed();
}

void ws_session::end() {
  if (std::exchange(state_, state::ended) == state::ended)
    return;
  const auto self = std::move(self_);
  timer_.cancel();
  if (std::exchange(dirty_, false))
    home_.lane().forget(*this);
  stream_->abort();
  forget_message();
  conclude();
  retire();
}

// -- writing ---------------------------------------------------------------------------------------------------------

bool ws_session::write(const frame& bytes, delivery how) {
  if (state_ != state::open)
    return true;
  const auto bound = limits_->outbox_bytes;
  const auto after = [&] { return stream_->queued_bytes() + bytes->size(); };
  if (after() > bound) {
    if (how == delivery::ephemeral) {
      ++home_.counts().ephemeral_dropped;
      return true;
    }
    stream_->drop_ephemeral();
    if (after() > bound)
      stream_->flush(); // a burst of one turn says nothing about the client: what the socket takes is what counts
    if (state_ != state::open)
      return true;
    if (after() > bound)
      return false;
  }
  stream_->push(bytes, how == delivery::ephemeral);
  above_half_ = above_half_ || stream_->queued_bytes() > bound / 2;
  if (!std::exchange(dirty_, true))
    home_.lane().flush_later(*this);
  return true;
}

void ws_session::flush() {
  dirty_ = false;
  stream_->flush();
  check_drained();
}

void ws_session::check_drained() {
  if (!above_half_ || stream_->queued_bytes() >= limits_->outbox_bytes / 2)
    return;
  above_half_ = false;
  if (state_ == state::open && client_)
    client_->drained();
}

/// What Beast sends: the 101, pongs, and close frames, be it as an answer to one or because of a broken frame.
error_code ws_session::write_control(std::string bytes) {
  if (state_ == state::ended)
    return asio::error::operation_aborted;
  if (state_ == state::closing)
    return {}; // our close frame is on its way, nothing may follow it; Beast does not know of it
  if (state_ == state::open && (bytes[0] & 0x0f) == static_cast<char>(ws_opcode::close)) {
    end_code_ = 1000; // an empty close frame is a good end
    if (bytes.size() >= 4)
      end_code_ =
          static_cast<uint16_t>(static_cast<unsigned char>(bytes[2]) << 8 | static_cast<unsigned char>(bytes[3]));
    // RFC 6455 section 7.4.2: there are no codes from 5000 up. Beast would send them back.
    if (end_code_ >= 5000) {
      end_code_ = 1002;
      bytes = ws_bytes(ws_opcode::close, std::string_view{"\x03\xea", 2});
    }
    start_closing();
  } else if (state_ == state::open && stream_->queued_bytes() > limits_->outbox_bytes + control_bytes_max) {
    end_code_ = static_cast<uint16_t>(close_code::slow_consumer); // which it is never told: it does not read
    return asio::error::no_buffer_space;
  }
  stream_->push(std::make_shared<const std::string>(std::move(bytes)), false);
  stream_->flush();
  return {};
}

// -- reading ---------------------------------------------------------------------------------------------------------

void ws_session::hold(bool on) {
  held_ = on;
  if (on || state_ != state::open)
    return;
  if (std::exchange(parked_, false))
    deliver();
  read();
}

std::string_view ws_session::text() const noexcept {
  return {long_message_.empty() ? short_message_.data() : long_message_.data(), message_bytes_};
}

/// While a read is under way, it goes into these bytes: then on_read() forgets them.
void ws_session::forget_message() noexcept {
  if (reading_)
    return;
  message_bytes_ = 0;
  parked_ = false;
  std::string{}.swap(long_message_);
}

void ws_session::make_room() {
  if (long_message_.empty()) {
    if (message_bytes_ < short_message_.size())
      return;
    long_message_.assign(short_message_.data(), message_bytes_);
  }
  if (message_bytes_ == long_message_.size())
    long_message_.resize(long_message_.size() * 4);
}

void ws_session::read() {
  if (reading_ || state_ == state::ended || (held_ && state_ == state::open) || parked_)
    return;
  reading_ = true;
  make_room();
  auto* begin = long_message_.empty() ? short_message_.data() : long_message_.data();
  const auto size = long_message_.empty() ? short_message_.size() : long_message_.size();
  beast_.async_read_some(asio::mutable_buffer{begin + message_bytes_, size - message_bytes_},
                         [self = shared_from_this()](error_code ec, size_t bytes) { self->on_read(ec, bytes); });
}

void ws_session::on_read(error_code ec, size_t bytes) {
  reading_ = false;
  if (ec)
    return end();
  if (state_ != state::open) {
    closing_bytes_ += bytes;
    if (closing_bytes_ > limits_->closing_bytes)
      return end();
    forget_message();
    return read();
  }
  if (beast_.got_binary())
    return close(close_code::unsupported_data, "messages are text");
  message_bytes_ += static_cast<uint32_t>(bytes);
  if (beast_.is_message_done()) {
    // Beast checks the end of the text only where the last fragment holds something.
    if (bytes == 0 && ends_within_code_point(text()))
      return close(close_code::invalid_text, "the text ends within a code point");
    if (held_)
      parked_ = true;
    else
      deliver();
  }
  read();
}

void ws_session::deliver() {
  // The buffers are free before the first line is handed over: what it sets off may start the next read.
  const auto long_message = std::move(long_message_);
  const auto short_message = short_message_;
  auto rest = std::string_view{long_message.empty() ? short_message.data() : long_message.data(), message_bytes_};
  forget_message();
  while (!rest.empty() && state_ == state::open) {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (end > 0) {
      ++home_.counts().frames_in;
      hooks_.decode(rest.substr(0, end), *client_);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// -- time ------------------------------------------------------------------------------------------------------------

void ws_session::on_timer() {
  // An entry's owner may end while it fires.
  const auto self = shared_from_this();
  if (state_ != state::open)
    return abort();
  auto& timers = home_.lane().timers();
  limits_ = hooks_.limits();
  beast_.read_message_max(limits_->message_bytes);
  if (held_ && !reading_) {
    ping_sent_ = false;
    return timers.arm(timer_, limits_->ping_ms);
  }
  if (std::exchange(ping_sent_, false)) {
    if (!stream_->heard())
      return close(close_code::no_pong, "no pong");
    if (limits_->ping_ms > limits_->pong_ms)
      return timers.arm(timer_, limits_->ping_ms - limits_->pong_ms);
  }
  static const frame ping = std::make_shared<const std::string>(ws_bytes(ws_opcode::ping, {}));
  stream_->heard(); // from now on
  ping_sent_ = true;
  stream_->push(ping, false);
  timers.arm(timer_, limits_->pong_ms);
  stream_->flush();
}

} // namespace

void start_websocket(io_thread& home, const server_hooks& hooks, std::shared_ptr<stream> on, websocket_start start) {
  std::make_shared<ws_session>(home, hooks, std::move(on))->start(std::move(start));
}

} // namespace greenroom::net
