// outbound: how another node is reached: its address, the handshake, its answer; then a port on 127.0.0.1 that takes
// one connection of CAF. CAF is let near only when all the rest is done: its connecting blocks the one actor that does
// it.
#include "net/front/core.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace greenroom::net::front {

namespace asio = boost::asio;
using boost::system::error_code;

void core::dial(const cluster::known_peer& to, cluster::found_way found) {
  figures.dials.add();
  if (closed_) {
    found(nullptr);
    return;
  }
  auto p = make(tcp::socket{*io});
  p->peer = to.name;
  p->host = to.host;
  p->address = (to.host.find(':') == std::string::npos ? to.host : "[" + to.host + "]") + ":" + std::to_string(to.port);
  p->seen.expected = to.name;
  // The gateway asks when it has no link, so that nobody needs an older way.
  enter(p, side::out);
  spawn(reach(to, p, std::move(found)), p);
}

asio::awaitable<void> core::reach(cluster::known_peer to, passage_ptr p, cluster::found_way found) {
  error_code failed;
  auto wrong = co_await approach(to, p);
  if (!wrong && !p->closed()) {
    // Not to be shared with another socket, so without SO_REUSEADDR.
    const tcp::endpoint any{asio::ip::address_v4::loopback(), 0};
    p->door.open(any.protocol(), failed);
    if (!failed)
      p->door.bind(any, failed);
    if (!failed)
      p->door.listen(1, failed);
    if (failed)
      wrong = trouble{refusal::no_gateway, "no port on 127.0.0.1 for the gateway: " + failed.message()};
  }
  if (wrong || p->closed()) {
    // One that was replaced, or whose node is no longer listed, is nothing to tell of.
    if (wrong && !closed_ && (!p->closed() || p->late()))
      refuse(*p, side::out, *wrong);
    found(nullptr);
    co_return;
  }
  p->until(in(limits.claim_ms));
  const cluster::endpoint here{"127.0.0.1", p->door.local_endpoint().port()};
  found(&here);
  co_await p->door.async_accept(p->near, asio::redirect_error(asio::use_awaitable, failed));
  if (failed || p->closed()) {
    if (p->late())
      refuse(*p, side::out, {refusal::no_gateway, "the gateway did not come to the way that it asked for"});
    co_return;
  }
  p->door.close(failed);
  send_at_once(p->near);
  co_await carry(p, side::out);
}

core::verdict core::overdue(const passage& p) const {
  return trouble{refusal::late, "no answer within " + std::to_string(limits.handshake_ms) + " ms, during " + p.step};
}

asio::awaitable<core::verdict> core::approach(cluster::known_peer to, passage_ptr p) {
  const auto deadline = in(limits.handshake_ms);
  if (auto wrong = co_await connect(to, p, deadline); wrong || p->closed())
    co_return wrong;
  p->until(deadline);
  p->step = "the handshake";
  p->far.set_verify_callback(
      [p = p.get()](bool good, asio::ssl::verify_context& at) { return inspect(p->seen, good, at); });
  error_code failed;
  co_await p->far.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, failed));
  if (p->late())
    co_return overdue(*p);
  if (failed)
    co_return why_failed(failed, p->seen);
  p->step = "its answer";
  co_return co_await hear(p);
}

asio::awaitable<core::verdict> core::connect(cluster::known_peer to, passage_ptr p, steady::time_point deadline) {
  std::string why;
  const auto addresses = co_await hosts_.find(to.host, std::min(deadline, in(limits.lookup_ms)), why);
  if (addresses.empty())
    co_return trouble{refusal::unreachable, "no address of " + to.host + ": " + why};
  error_code failed;
  for (const auto& address : addresses) {
    if (p->closed() || steady::now() >= deadline)
      break;
    p->attempt_until(std::min(deadline, in(limits.connect_ms)));
    auto& socket = p->far.next_layer();
    co_await socket.async_connect({address, to.port}, asio::redirect_error(asio::use_awaitable, failed));
    if (p->closed())
      co_return trouble{refusal::gone, "given up"};
    if (!failed && !p->late()) {
      send_at_once(socket);
      co_return std::nullopt;
    }
    why = address.to_string() + ": " +
          (p->late() ? "no answer within " + std::to_string(limits.connect_ms) + " ms" : failed.message());
    socket.close(failed);
  }
  co_return trouble{refusal::unreachable, "can't connect: " + why};
}

asio::awaitable<core::verdict> core::hear(passage_ptr p) {
  std::string line;
  error_code failed;
  // Byte by byte: what comes behind the line is CAF's. The bytes lie decrypted in memory, and are few.
  for (char c = 0; line.size() < limits.answer_bytes_max;) {
    co_await asio::async_read(p->far, asio::buffer(&c, 1), asio::redirect_error(asio::use_awaitable, failed));
    if (p->late())
      co_return overdue(*p);
    if (failed)
      co_return why_failed(failed, p->seen);
    if (c == '\n')
      break;
    line += c;
  }
  if (line == "ok")
    co_return std::nullopt;
  if (line.starts_with("no "))
    co_return trouble{refusal::refused_there, "the other side says: " + printable(line.substr(3))};
  co_return trouble{refusal::not_tls, "what answers there is no front of a node"};
}

} // namespace greenroom::net::front
