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

struct http_request {
  std::string method;                                      // upper case
  std::string path;                                        // percent-encoded, as it came, without the query
  std::vector<std::pair<std::string, std::string>> query;  // decoded
  std::map<std::string, std::string, std::less<>> headers; // names in lower case; repeated ones joined by ", "
  std::string body;
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
};

/// Answers everything that is not an upgrade to WebSocket.
class http_handler {
public:
  virtual ~http_handler() = default;
  /// Called on the thread of `on`. `done` is called exactly once, there, now or later.
  virtual void handle(lane& on, http_request request, std::function<void(http_response)> done) = 0;
};

} // namespace greenroom::net
