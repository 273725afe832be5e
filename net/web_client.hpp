// web_client: posts JSON to web servers: webhooks, and the pre-send hook. HTTP/1.1, plain or TLS with certificates
// verified; connections are kept for the next request to the same server. No redirects, no proxies, no cookies.
//
// Owns one thread with one io_context; everything happens there, `done` included.
//
// - A request that finds its kept connection closed goes out once more over a new one. It may then arrive twice.
// - The destructor ends what is under way with a failure, and waits for it.
#pragma once

#include "actors/http_client.hpp"

#include <memory>
#include <thread>

namespace greenroom::net {

class web_client : public http_client {
public:
  web_client();
  ~web_client() override;
  web_client(const web_client&) = delete;
  web_client& operator=(const web_client&) = delete;

  void post(http_post what, std::function<void(outcome<http_answer>)> done) override;

private:
  struct core;
  std::shared_ptr<core> core_;
  std::thread thread_;
};

} // namespace greenroom::net
