#include "net/front/front.hpp"

#include "net/front/core.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <thread>

namespace greenroom::net::front {

namespace asio = boost::asio;
using boost::system::error_code;

// -- the outside ------------------------------------------------------------------------------------------------------

struct mtls_front::handle {
  handle(options o, std::shared_ptr<const credentials> own) : inside(std::move(o), std::move(own)) {}
  core inside;
  uint16_t port = 0;
  std::thread thread;
};

mtls_front::mtls_front(options o, std::shared_ptr<const credentials> own)
    : handle_(std::make_unique<handle>(std::move(o), std::move(own))) {
  handle_->port = handle_->inside.listen();
  handle_->thread = std::thread([io = handle_->inside.io] {
    ::pthread_setname_np(::pthread_self(), "front");
    io->run();
  });
}

mtls_front::~mtls_front() {
  asio::post(*handle_->inside.io, [&c = handle_->inside] { c.close(); });
  handle_->thread.join();
}

void mtls_front::open(uint16_t port) {
  asio::post(*handle_->inside.io, [&c = handle_->inside, port] { c.open(port); });
}

void mtls_front::know(std::vector<cluster::known_peer> nodes) {
  asio::post(*handle_->inside.io, [&c = handle_->inside, nodes = std::move(nodes)] { c.know(nodes); });
}

void mtls_front::dial(const cluster::known_peer& to, cluster::found_way found) {
  asio::post(*handle_->inside.io,
             [&c = handle_->inside, to, found = std::move(found)]() mutable { c.dial(to, std::move(found)); });
}

void mtls_front::use(std::shared_ptr<const credentials> own) {
  asio::post(*handle_->inside.io, [&c = handle_->inside, own = std::move(own)]() mutable { c.use(std::move(own)); });
}

uint16_t mtls_front::port() const noexcept { return handle_->port; }
const front_metrics& mtls_front::figures() const noexcept { return handle_->inside.figures; }

// -- the door ---------------------------------------------------------------------------------------------------------

core::core(options o, std::shared_ptr<const credentials> own)
    : limits(std::move(o)), own_(std::move(own)), stay_(io->get_executor()), acceptor_(*io), pause_(*io), hosts_(io),
      forget_strangers_(in(limits.tell_again_ms)) {}

uint16_t core::listen() {
  error_code wrong;
  const auto fail_on_wrong = [&] {
    if (wrong)
      throw std::runtime_error("can't take links on " + limits.address + " port " + std::to_string(limits.port) +
                               " (cluster.listen_address, cluster.listen_port): " + wrong.message());
  };
  const tcp::endpoint here{asio::ip::make_address(limits.address, wrong), limits.port};
  fail_on_wrong();
  acceptor_.open(here.protocol(), wrong);
  fail_on_wrong();
  acceptor_.set_option(asio::socket_base::reuse_address{true}, wrong); // of a process that has just ended
  acceptor_.bind(here, wrong);
  fail_on_wrong();
  acceptor_.listen(static_cast<int>(limits.backlog), wrong);
  fail_on_wrong();
  return acceptor_.local_endpoint().port();
}

void core::open(uint16_t gateway) {
  if (closed_)
    return;
  const bool first = gateway_ == 0;
  gateway_ = gateway;
  if (first)
    spawn(take_in(), nullptr);
}

asio::awaitable<void> core::take_in() {
  bool troubled = false;
  while (!closed_) {
    tcp::socket socket{*io};
    error_code wrong;
    co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, wrong));
    if (closed_)
      break;
    if (wrong == asio::error::no_descriptors || wrong.value() == ENFILE || wrong == asio::error::no_buffer_space ||
        wrong == asio::error::no_memory) {
      // Whoever waits stays in the backlog, so that accept() would fail again at once.
      if (!std::exchange(troubled, true))
        spdlog::error("what=front_accept_failed why=\"{}\" the next attempts are {} ms apart", wrong.message(),
                      limits.pause_ms);
      pause_.expires_after(std::chrono::milliseconds{limits.pause_ms});
      co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, wrong));
      continue;
    }
    if (wrong)
      continue; // the other side's trouble
    troubled = false;
    figures.accepted.add();
    const auto from = socket.remote_endpoint(wrong);
    if (wrong)
      continue;                       // gone already
    auto p = make(std::move(socket)); // not before: a reload may have come while nobody did
    p->host = from.address().to_string();
    p->address = from.address().is_v6() ? "[" + p->host + "]" : p->host;
    p->address += ":" + std::to_string(from.port());
    while (knocking_.size() >= limits.pending_max)
      crowd_out();
    knocking_.push_back(p);
    spawn(let_in(p), p);
  }
}

/// Ends the oldest of the address that has the most. Not the newest: a stranger who opens many and says nothing would
/// keep out those who do; and not whoever is the oldest: one that goes on opening them would end those of others.
void core::crowd_out() {
  std::map<std::string, size_t> by_host;
  for (const auto& k : knocking_)
    if (auto p = k.lock())
      ++by_host[p->host];
  size_t most = 0;
  for (const auto& [host, count] : by_host)
    most = std::max(most, count);
  auto victim = std::find_if(knocking_.begin(), knocking_.end(), [&](const auto& k) {
    auto p = k.lock();
    return !p || by_host[p->host] == most;
  });
  if (auto p = victim->lock()) {
    p->crowded_out = true;
    p->close();
  }
  knocking_.erase(victim);
}

core::passage_ptr core::make(tcp::socket to) {
  return std::make_shared<passage>(std::move(to), *io, *own_, limits, figures);
}

void core::spawn(asio::awaitable<void> work, passage_ptr on) {
  if (on)
    all_.insert(on);
  asio::co_spawn(*io, std::move(work), [this, on](const std::exception_ptr& wrong) {
    if (on) {
      on->close();
      leave(on);
      all_.erase(on);
    }
    try {
      if (wrong)
        std::rethrow_exception(wrong);
    } catch (const std::exception& e) {
      spdlog::error("what=front_failed peer={} why=\"{}\"", on ? on->peer : "", e.what());
    }
  });
}

void core::close() {
  closed_ = true;
  error_code none;
  acceptor_.close(none);
  pause_.cancel();
  hosts_.close();
  for (const auto& p : all_)
    p->close();
  stay_.reset();
}

// -- who is connected -------------------------------------------------------------------------------------------------

void core::know(const std::vector<cluster::known_peer>& nodes) {
  nodes_.clear();
  for (const auto& n : nodes)
    if (n.name != limits.name)
      nodes_.insert(n.name);
  for (const auto at : {side::in, side::out})
    for (const auto& [name, p] : table(at))
      if (!nodes_.contains(name))
        p->close(); // leaves the table when its coroutine has seen it
  std::erase_if(told_peers_, [this](const auto& t) { return !nodes_.contains(t.first.second); });
}

void core::enter(const passage_ptr& p, side at) {
  auto& place = table(at)[p->peer];
  if (place) {
    figures.replaced.add();
    place->close();
  }
  place = p;
}

void core::leave(const passage_ptr& p) {
  for (const auto at : {side::in, side::out})
    if (const auto found = table(at).find(p->peer); found != table(at).end() && found->second == p)
      table(at).erase(found);
}

asio::awaitable<void> core::carry(passage_ptr p, side at) {
  told_peers_.erase({at, p->peer});
  figures.connections.add();
  figures.connections_total.add();
  spdlog::info("what=front_open peer={} address={} side={}", p->peer, p->address, at == side::in ? "in" : "out");
  co_await p->carry();
  figures.connections.add(-1);
  spdlog::info("what=front_closed peer={} address={} side={}", p->peer, p->address, at == side::in ? "in" : "out");
}

// -- what went wrong --------------------------------------------------------------------------------------------------

void core::refuse(const passage& p, side at, const trouble& why) {
  (at == side::in ? figures.refused_in : figures.refused_out)[static_cast<size_t>(why.what)].add();
  const auto text = std::string(to_string(why.what)) + " " + why.why;
  if (nodes_.contains(p.peer)) {
    if (text == std::exchange(told_peers_[{at, p.peer}], text))
      return;
  } else {
    if (steady::now() >= forget_strangers_) {
      told_strangers_.clear();
      forget_strangers_ = in(limits.tell_again_ms);
    }
    // Strangers must fill neither the table nor the log.
    if (told_strangers_.size() >= limits.strangers_told_max ||
        !told_strangers_.insert(p.host + " " + p.peer + " " + text).second)
      return;
  }
  spdlog::warn("what={} peer={} address={} reason={} why=\"{}\"", at == side::in ? "front_refused" : "front_failed",
               p.peer.empty() ? "unknown" : p.peer, p.address, to_string(why.what), printable(why.why));
}

} // namespace greenroom::net::front
