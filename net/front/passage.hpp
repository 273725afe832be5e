// passage: one connection between two nodes, as one of them has it: the TLS connection, the one to CAF, and the bytes
// between them. It is passed from coroutine to coroutine and table to table; whoever closes it ends it for all.
//
// Invariant: once closed nothing is opened on it again. Lives on the front's thread.
#pragma once

#include "net/front/options.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace greenroom::net::front {

class passage : public std::enable_shared_from_this<passage> {
public:
  using tcp = boost::asio::ip::tcp;
  passage(tcp::socket to, boost::asio::io_context& io, const credentials& own, const options& limits,
          front_metrics& figures);

  boost::asio::ssl::stream<tcp::socket> far; // the other node
  tcp::socket near;                          // CAF, here
  tcp::acceptor door;                        // where CAF comes, if it dials
  inspection seen;
  std::string peer;    // its node; empty: not known yet
  std::string address; // of the other end, with its port
  std::string host;    // the same without
  const char* step = "the handshake";
  bool crowded_out = false; // closed for another's sake

  /// Closes everything when this time is over; replaces what was said before.
  void until(std::chrono::steady_clock::time_point deadline);
  /// Closes only the socket to the other node: it may be opened anew, to another address.
  void attempt_until(std::chrono::steady_clock::time_point deadline);
  bool late() const noexcept { return late_; }
  bool closed() const noexcept { return closed_; }
  void close() noexcept;
  /// Waits until both directions have ended; when the first has, the second has options::linger_ms yet.
  boost::asio::awaitable<void> carry();

private:
  template <class From, class To>
  boost::asio::awaitable<void> one_way(From& from, To& to, counter& bytes);
  void wait(std::chrono::steady_clock::time_point deadline, bool whole);

  boost::asio::io_context& io_;
  const options& limits_;
  front_metrics& figures_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer done_;
  int flowing_ = 0; // directions
  bool late_ = false;
  bool closed_ = false;
};

/// A small write is a message that somebody waits for.
inline void send_at_once(boost::asio::ip::tcp::socket& on) {
  boost::system::error_code gone; // the next read or write says it
  on.set_option(boost::asio::ip::tcp::no_delay(true), gone);
}

} // namespace greenroom::net::front
