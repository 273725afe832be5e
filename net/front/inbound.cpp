// inbound: how another node comes in: its handshake, what its certificate says, and then the connection to CAF's port.
#include "net/front/core.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>

namespace greenroom::net::front {

namespace asio = boost::asio;
using boost::system::error_code;

asio::awaitable<void> core::let_in(passage_ptr p) {
  figures.pending.add();
  p->until(in(limits.handshake_ms));
  auto wrong = co_await admit(p);
  knocking_.remove_if([&p](const auto& k) { return k.expired() || k.lock() == p; });
  figures.pending.add(-1);
  if (p->crowded_out)
    wrong = trouble{refusal::crowded, "made way for others: too many were not through the handshake"};
  else if (p->late())
    wrong = trouble{refusal::late, std::string("nothing more came during ") + p->step};
  if (closed_)
    co_return;
  if (wrong) {
    refuse(*p, side::in, *wrong);
    if (!p->closed() && SSL_is_init_finished(p->far.native_handle()))
      co_await say(p, "no " + wrong->why + "\n"); // within what is left of the time
    co_return;
  }
  co_await carry(p, side::in);
}

asio::awaitable<core::verdict> core::admit(passage_ptr p) {
  send_at_once(p->far.next_layer());
  p->far.set_verify_callback(
      [p = p.get()](bool good, asio::ssl::verify_context& at) { return inspect(p->seen, good, at); });
  error_code wrong;
  co_await p->far.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, wrong));
  if (wrong)
    co_return why_failed(wrong, p->seen);
  const auto names = names_shown(p->far.native_handle());
  if (names.size() != 1)
    co_return trouble{refusal::wrong_name, "the certificate must have one DNS name, the node's; it has " +
                                               (names.empty() ? std::string("none") : list_of(names))};
  p->peer = printable(names.front());
  if (!nodes_.contains(names.front()))
    co_return trouble{refusal::unknown_node, "no node " + p->peer + " is listed in the cluster"};
  if (names.front() < limits.name)
    co_return trouble{refusal::wrong_side, "node " + p->peer + " should be dialled by " + limits.name};
  p->step = "connecting to the gateway";
  // First, so that CAF sees the end of the older one before it sees the newer: it has but one connection to a node.
  enter(p, side::in);
  co_await p->near.async_connect({asio::ip::address_v4::loopback(), gateway_},
                                 asio::redirect_error(asio::use_awaitable, wrong));
  if (wrong || p->closed())
    co_return trouble{refusal::no_gateway,
                      "the gateway's port of " + limits.name + " does not answer: " + wrong.message()};
  send_at_once(p->near);
  p->step = "the answer";
  co_await say(p, "ok\n");
  if (p->closed())
    co_return trouble{refusal::gone, "the other side broke off before it was answered"};
  co_return std::nullopt;
}

asio::awaitable<void> core::say(passage_ptr p, std::string answer) {
  if (answer.size() > limits.answer_bytes_max) {
    answer.resize(limits.answer_bytes_max);
    answer.back() = '\n';
  }
  error_code wrong;
  co_await asio::async_write(p->far, asio::buffer(answer), asio::redirect_error(asio::use_awaitable, wrong));
  if (wrong)
    p->close();
}

} // namespace greenroom::net::front
