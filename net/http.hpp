// http: requests and answers of the REST side as plain values, so that the handlers know no Beast and are tested
// without a socket.
#pragma once

#include "actors/lane.hpp"
#include "actors/requests.hpp"
#include "config/address.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::net {

/// The body of a request that is taken piece by piece, so that no more than a piece of it is in memory: what is not
/// taken yet waits in the socket, and then at the client. On the lane's thread.
class http_body {
public:
  virtual ~http_body() = default;
  /// Bytes that have not been taken.
  virtual uint64_t left() const = 0;
  /// The next `bytes` of it, or all that is left if that is less; nullopt: they won't come. One at a time, and not
  /// after the request was answered. Each has limits.keep_alive_ms.
  virtual void take(size_t bytes, std::function<void(std::optional<std::string>)> then) = 0;
};

struct http_request {
  std::string method;                                      // upper case
  std::string path;                                        // percent-encoded, as it came, without the query
  std::vector<std::pair<std::string, std::string>> query;  // decoded
  std::map<std::string, std::string, std::less<>> headers; // names in lower case; repeated ones joined by ", "
  std::string body;
  std::shared_ptr<http_body> stream = nullptr; // instead, where http_handler::streams()
  bool head = false;                           // a HEAD, whose method is GET here
  remote from;

  std::string_view header(std::string_view name) const {
    auto i = headers.find(name);
    return i == headers.end() ? std::string_view{} : std::string_view{i->second};
  }
};

struct http_piece {
  std::string bytes;
  bool last = false;
  bool broken =
      false; // there is no more, though there should be: the connection is cut off, so that the client notices
};

/// A body of any length, made while it is sent.
class http_source {
public:
  virtual ~http_source() = default;
  /// `take` is called exactly once, on the lane's thread, now or later. Not called again before that, nor after the
  /// last piece.
  virtual void next(std::function<void(http_piece)> take) = 0;
};

struct http_response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::shared_ptr<http_source> source = nullptr;            // instead of `body`
  std::vector<std::pair<std::string, std::string>> headers; // further ones, e.g. Retry-After
  std::optional<uint64_t> length = {}; // of what the source makes, or would for a HEAD; nullopt: in chunks
};

/// Answers everything that is not an upgrade to WebSocket.
class http_handler {
public:
  virtual ~http_handler() = default;
  /// Whether the request's body is to be handed over as a stream. `target` is as it came.
  virtual bool streams(std::string_view method, std::string_view target) const {
    (void)method;
    (void)target;
    return false;
  }
  /// Called on the thread of `on`. `done` is called exactly once, there, now or later.
  virtual void handle(lane& on, http_request request, std::function<void(http_response)> done) = 0;
};

} // namespace greenroom::net
