// ws_link: one WebSocket connection to a node, plain or TLS, from the resolver to its end. One thread: the one that
// runs the io_context.
#pragma once

#include "net/cli/connect.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::cli {

/// How a connection ended.
struct link_end {
  /// Whether there ever was a WebSocket connection.
  bool opened = false;
  /// The status of the node's refusal to open one; 0: none.
  unsigned http_status = 0;
  /// RFC 6455 section 7.4; 1006 when it broke.
  uint16_t code = 1006;
  /// What the node or the system said about it.
  std::string reason;

  /// Whether the same, tried again, may go well.
  bool worth_another_try() const noexcept;
};
std::string to_string(const link_end& end);

class ws_link : public std::enable_shared_from_this<ws_link> {
public:
  struct listener {
    std::function<void()> opened;
    std::function<void(std::string_view message)> received;
  };

  ws_link(boost::asio::any_io_executor executor, const endpoint& to, listener l);

  /// Connects and reads until the end; never throws for what the network does. Called once. REQUIRES: owned by a
  /// shared_ptr that lives until it is done.
  boost::asio::awaitable<link_end> run();

  /// Queues a text message (UTF-8). The caller bounds how many it sends without an answer.
  void send(std::string text);
  /// Says 1000 and waits for the answer, for at most connect_time.
  void close();
  /// Ends the connection at once.
  void drop();

private:
  boost::asio::awaitable<void> converse(link_end& end);
  void write_next();

  const endpoint to_;
  const listener listener_;
  std::optional<boost::asio::ssl::context> tls_;                    // of the socket
  boost::beast::websocket::stream<net::byte_stream, false> socket_; // false: no permessage-deflate, which the node
                                                                    // does not offer
  std::deque<std::string> outgoing_;
  bool writing_ = false;
  bool open_ = false;
};

} // namespace greenroom::cli
