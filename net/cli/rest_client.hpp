// rest_client: the REST API of a node as the commands see it. Each call blocks until the answer is there, for at most
// connect_time.
#pragma once

#include "net/cli/endpoint.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::cli {

/// What came of one request.
struct http_reply {
  unsigned status = 0;             // 0: the node could not be reached, or did not answer as it should
  std::string body;                // or why there was no answer
  std::optional<failure> own = {}; // what went wrong on this side, before anybody was asked
  bool good() const noexcept { return status / 100 == 2; }
};
using header_list = std::vector<std::pair<std::string, std::string>>;
/// With `key` as Idempotency-Key where it is not empty, and further headers; the body is JSON where none of them says
/// otherwise. Throws as call() does.
http_reply exchange(const endpoint& to, std::string_view method, std::string_view path, const std::string& body,
                    const std::string& token, const std::string& key = {}, const header_list& headers = {});

/// The node's own error in an answer that is not good, or what can be said about one that holds none.
failure failure_of(const http_reply& reply);

/// Answers the body of a 2xx. Fails with the code and message of the node's error, or `unavailable` when the node
/// cannot be reached, or does not answer as it should, or with more than 16 MiB. Throws std::runtime_error when the
/// endpoint's CA file cannot be read.
outcome<std::string> call(const endpoint& to, std::string_view method, std::string_view path, const std::string& body,
                          const std::string& token);

/// Hands the body of a 2xx on as it comes, however long it is. Fails as call() does, and when the body is cut off; what
/// has come until then has been handed on.
outcome<void> download(const endpoint& to, const std::string& path, const std::string& token,
                       const std::function<void(std::string_view)>& take);

/// How the user signs in, and the token that came of it. Renews the token as long as the session lives.
class credentials {
public:
  credentials() = default;
  /// A token from elsewhere; it cannot be renewed.
  static credentials with_token(std::string token);
  // Each fails as call() does, and with unavailable when the answer holds no token.
  static outcome<credentials> log_in(const endpoint& to, const std::string& user, const std::string& password);
  static outcome<credentials> register_account(const endpoint& to, const std::string& user,
                                               const std::string& password);
  static outcome<credentials> guest(const endpoint& to);

  const std::string& token() const noexcept { return token_; }
  const std::string& refresh_token() const noexcept { return refresh_token_; }
  const std::string& session() const noexcept { return session_; }
  int64_t expires_in_s() const noexcept { return expires_in_s_; }

  bool renewable() const noexcept { return !refresh_token_.empty(); }
  /// Whether the token has, or may have, less than a minute to live.
  bool stale() const noexcept;
  /// Asks for the next token. REQUIRES: renewable().
  outcome<void> renew(const endpoint& to);

private:
  outcome<void> ask(const endpoint& to, std::string_view path, const std::string& body);

  std::string token_;
  std::string refresh_token_;
  std::string session_;
  int64_t expires_in_s_ = 0;
  int64_t expires_at_ms_ = INT64_MAX; // by our own clock: only the length of a token's life comes from the node
};

} // namespace greenroom::cli
