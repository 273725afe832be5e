// http: one HTTP/1.1 connection to an endpoint of etcd, plain or TLS, for one request after another, or for one answer
// that goes on and on, line by line.
//
// Threads: one io_context with one thread; everything here happens there.
// Invariant: a connection on which anything went wrong or out of time is closed; nobody uses it again.
#pragma once

#include "net/etcd/options.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace boost::asio::ssl {
class context;
}

namespace greenroom::net::etcd {

using steady = std::chrono::steady_clock;

/// Trusts and shows what the options say. Fails with bad_request; the message names the file.
outcome<std::shared_ptr<boost::asio::ssl::context>> tls_of(const options& o);

/// What became of a request.
struct reply {
  std::optional<failure> broken; // no answer came: nothing below counts, but for `begun` and `late`
  bool late = false;             // there was no time left
  bool begun = false;            // some of the request may have reached the endpoint
  unsigned status = 0;
  std::string body;
};

class connection {
public:
  /// `tls` is null for a plain one.
  connection(boost::asio::io_context& io, const address& to, boost::asio::ssl::context* tls, size_t body_bytes_max);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Connects to the first of `at` that answers, and checks its certificate.
  boost::asio::awaitable<outcome<void>> open(std::vector<boost::asio::ip::tcp::endpoint> at, steady::time_point until);
  /// Sends a POST and reads the whole answer. `token` may be empty.
  boost::asio::awaitable<reply> post(std::string path, std::string body, std::string token, steady::time_point until);
  /// The same up to the header of the answer, if its status is 200; else the whole answer.
  boost::asio::awaitable<reply> begin(std::string path, std::string body, std::string token, steady::time_point until);
  /// The next line of what begin() began; fails with too_large when it is longer than `bytes_max`.
  boost::asio::awaitable<outcome<std::string>> line(size_t bytes_max, steady::time_point until);

  /// Whether the last answer was read to its end and the endpoint waits for the next request.
  bool reusable();
  /// Ends what is under way, too.
  void close();

private:
  struct parts;
  boost::asio::awaitable<reply> exchange(std::string path, std::string body, std::string token,
                                         steady::time_point until, bool stream);
  failure broken_by(const char* step, const boost::system::error_code& why);

  address to_;
  size_t body_bytes_max_;
  std::unique_ptr<parts> parts_;
};

} // namespace greenroom::net::etcd
