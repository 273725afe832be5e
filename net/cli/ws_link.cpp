#include "net/cli/ws_link.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>

namespace greenroom::cli {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

namespace {

// A page of history is the longest message; a node's limits.page_bytes may not be higher.
constexpr size_t message_bytes_max = 65 * 1024 * 1024;
// Without a byte from the node we ask for one after half of this, and take it for dead after all of it.
constexpr std::chrono::seconds silence_max{40};

} // namespace

bool link_end::worth_another_try() const noexcept {
  if (http_status != 0)
    return http_status == 429 || http_status >= 500;
  if (code >= 3400 && code < 3600)
    return false;
  switch (code) {
  case 1000:
  case 1002:
  case 1003:
  case 1007:
  case 1008:
  case 1009:
    return false; // The node is content, or we did something that we would do again.
  default:
    return true;
  }
}

std::string to_string(const link_end& end) {
  std::string out;
  if (end.http_status != 0)
    out = "HTTP status " + std::to_string(end.http_status);
  else if (end.opened)
    out = "close code " + std::to_string(end.code);
  if (!end.reason.empty())
    out += (out.empty() ? "" : ", ") + end.reason;
  return out;
}

ws_link::ws_link(asio::any_io_executor executor, const endpoint& to, listener l)
    : to_(to), listener_(std::move(l)), tls_(to.tls ? std::optional(tls_context_of(to)) : std::nullopt),
      socket_(std::move(executor), tls_ ? &*tls_ : nullptr) {}

asio::awaitable<void> ws_link::converse(link_end& end) {
  co_await connect(socket_.next_layer(), to_);
  // From here on the WebSocket layer keeps the time.
  socket_.next_layer().socket().expires_never();
  socket_.set_option(websocket::stream_base::timeout{connect_time, silence_max, true});
  socket_.set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
    request.set(beast::http::field::sec_websocket_protocol, "greenroom.v1");
    request.set(beast::http::field::user_agent, "greenroom/" GREENROOM_VERSION);
  }));
  socket_.read_message_max(message_bytes_max);

  websocket::response_type response;
  beast::error_code failed;
  co_await socket_.async_handshake(response, to_.authority(), "/ws", asio::redirect_error(asio::use_awaitable, failed));
  if (failed == websocket::error::upgrade_declined)
    end.http_status = response.result_int();
  if (failed)
    throw beast::system_error(failed);
  end.opened = open_ = true;
  listener_.opened();

  for (beast::flat_buffer buffer;;) {
    co_await socket_.async_read(buffer, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      if (failed == websocket::error::closed) {
        end.code = socket_.reason().code;
        end.reason = std::string(socket_.reason().reason.data(), socket_.reason().reason.size());
        co_return;
      }
      throw beast::system_error(failed);
    }
    const auto bytes = buffer.cdata();
    listener_.received({static_cast<const char*>(bytes.data()), bytes.size()});
    buffer.consume(buffer.size());
  }
}

asio::awaitable<link_end> ws_link::run() {
  const auto self = shared_from_this();
  link_end end;
  try {
    co_await converse(end);
  } catch (const boost::system::system_error& e) {
    end.reason = end.opened ? e.code().message() : explain(e.code(), to_);
  }
  open_ = false;
  drop(); // A write that is still waiting ends, too.
  co_return end;
}

void ws_link::send(std::string text) {
  if (!open_)
    return;
  outgoing_.push_back(std::move(text));
  if (!writing_)
    write_next();
}

void ws_link::write_next() {
  if (outgoing_.empty() || !open_)
    return;
  writing_ = true;
  socket_.text(true);
  socket_.async_write(asio::buffer(outgoing_.front()), [self = shared_from_this()](beast::error_code failed, size_t) {
    self->writing_ = false;
    self->outgoing_.pop_front();
    // The reader hears of a failure by itself.
    if (!failed)
      self->write_next();
  });
}

void ws_link::close() {
  if (!open_)
    return drop();
  open_ = false;
  socket_.async_close(websocket::close_code::normal, [self = shared_from_this()](beast::error_code) {});
}

void ws_link::drop() {
  open_ = false;
  socket_.next_layer().socket().close();
}

} // namespace greenroom::cli
