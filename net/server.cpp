#include "net/server.hpp"

#include <stdexcept>
#include <utility>

namespace greenroom::net {

server::server(io_threads& threads, server_options options, server_hooks hooks)
    : threads_(threads), options_(std::move(options)), hooks_(std::move(hooks)),
      listener_(threads, hooks_, {options_.backlog, options_.unsent_bytes}) {
  if (options_.tls)
    if (auto loaded = reload_tls(); !loaded)
      throw std::runtime_error(loaded.error().message);
  for (const auto& where : options_.listen) {
    if (where.encrypted && !options_.tls)
      throw std::runtime_error("listen.tls_port needs tls.certificate and tls.key");
    ports_.push_back(listener_.open(where));
  }
  listener_.start(); // nobody comes in before everything is there: a failure leaves no session behind
}

server::~server() = default;

outcome<void> server::reload_tls() {
  if (!options_.tls)
    return boost::system::in_place_value;
  auto loaded = tls_context::load(*options_.tls);
  if (!loaded)
    return loaded.error();
  listener_.use(std::move(loaded.value()));
  return boost::system::in_place_value;
}

void server::stop_accepting() {
  listener_.stop();
  threads_.refuse_requests();
}

void server::close_all(close_code code, std::chrono::milliseconds patience) { threads_.stop_sessions(code, patience); }

} // namespace greenroom::net
