// http_client: how actors speak to web servers without knowing HTTP. Implemented in net/, handed in by main.
#pragma once

#include "config/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace greenroom {

/// One POST of a JSON text.
struct http_post {
  std::string url;
  std::string ca_file; // PEM: whom an https server must have its certificate from; empty: whom the system trusts
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  uint32_t timeout_ms = 10'000; // for all of it
  size_t answer_bytes = 65'536; // a longer answer is a failure
};
struct http_answer {
  unsigned status = 0;
  std::string body;
  int64_t retry_after_ms = 0; // as the server asked for; 0: it did not
};

class http_client {
public:
  virtual ~http_client() = default;
  /// `done` is called once, on any thread, perhaps before this returns, at the latest after the time that was given:
  /// with the answer, whatever its status, or unavailable and why there is none. It must not block.
  virtual void post(http_post what, std::function<void(outcome<http_answer>)> done) = 0;
};

} // namespace greenroom
