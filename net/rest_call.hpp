// rest_call: one HTTP request on its way through REST: what was asked, and its one answer.
//
// Invariants
// - Answered exactly once, on the lane's thread.
// - Every refusal has the body {"error":{"code","message",...}} and is counted by its code, once: by the node or here.
// - The log line holds method, path, status, time, user and trace id; never a query, a header or a body, where tokens,
//   passwords and messages are.
#pragma once

#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "net/http.hpp"
#include "net/json_document.hpp"

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net {

/// A parameter of the query that a route reads, and whether it is a number.
struct query_field {
  std::string_view name;
  bool number = false;
};

/// The path's segments that `pattern` marks with `*`, still percent-encoded; nullopt: another path.
std::optional<std::vector<std::string_view>> match_path(std::string_view pattern, std::string_view path);

class rest_call {
public:
  rest_call(lane& on, http_request request, std::function<void(http_response)> done, metrics& figures,
            std::shared_ptr<const limits> bounds);

  lane& on;
  const http_request request;
  const std::shared_ptr<const limits> bounds;
  identity who;                                                  // set before a route that needs a token runs
  std::vector<std::string> parts;                                // what the route's `*` stand for, decoded
  std::vector<std::pair<std::string, std::string>> more_headers; // on every answer: CORS

  /// Sets `parts`. Fails with bad_request where an escape is broken.
  outcome<void> decode_parts(const std::vector<std::string_view>& encoded);

  enum class presence : uint8_t { required, optional };
  /// The JSON object in the body; an optional body may be missing. Fails with unsupported (the status is 415) where the
  /// content type is another, else with bad_request or too_large.
  outcome<json::document> body(presence needed) const;
  /// Those parameters that were given, as a JSON object; a number is a JSON number where it is one. Fails with
  /// bad_request where one is given twice.
  outcome<json::document> query(std::initializer_list<query_field> fields) const;

  void respond(unsigned status, std::string json = {});
  void respond(http_response response);
  /// What the node refused; it has counted that itself.
  void pass_on(const failure& why, unsigned status = 0) {
    respond_failure(why, status != 0 ? status : http_status(why.code), {});
  }
  /// What was refused before the node was asked. `status` 0: that of the code.
  void refuse(const failure& why, unsigned status = 0, std::pair<std::string, std::string> header = {});

private:
  void respond_failure(const failure& why, unsigned status, std::pair<std::string, std::string> header);
  void log(unsigned status) const;

  std::function<void(http_response)> done_;
  metrics& figures_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};
using call_ptr = std::shared_ptr<rest_call>;

} // namespace greenroom::net
