// core: the inside of the front; see front.hpp for what it does. front.cpp has the door, the tables and the log,
// inbound.cpp how others come in, outbound.cpp how others are reached.
//
// Lives on the front's thread, but for options and figures.
#pragma once

#include "net/front/front.hpp"
#include "net/front/passage.hpp"
#include "net/lookups.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace greenroom::net::front {

class core {
public:
  using tcp = boost::asio::ip::tcp;
  using passage_ptr = std::shared_ptr<passage>;
  /// Nothing: all is well.
  using verdict = std::optional<trouble>;

  core(options o, std::shared_ptr<const credentials> own);

  uint16_t listen(); // before the thread runs
  void open(uint16_t gateway);
  void know(const std::vector<cluster::known_peer>& nodes);
  void dial(const cluster::known_peer& to, cluster::found_way found);
  void use(std::shared_ptr<const credentials> own) { own_ = std::move(own); }
  /// Ends everything; the context runs out of work once all of it has seen that.
  void close();

  const options limits;
  front_metrics figures;
  const std::shared_ptr<boost::asio::io_context> io = std::make_shared<boost::asio::io_context>(1);

private:
  enum class side : uint8_t { in, out };
  using steady = std::chrono::steady_clock;

  // front.cpp
  boost::asio::awaitable<void> take_in();
  passage_ptr make(tcp::socket to);
  void spawn(boost::asio::awaitable<void> work, passage_ptr on);
  /// Carries bytes until the end. REQUIRES: enter() was called.
  boost::asio::awaitable<void> carry(passage_ptr p, side at);
  /// Ends an older one of the same peer, and stands in its place until it has ended itself.
  void enter(const passage_ptr& p, side at);
  void leave(const passage_ptr& p);
  void refuse(const passage& p, side at, const trouble& why);
  steady::time_point in(uint32_t ms) const { return steady::now() + std::chrono::milliseconds{ms}; }
  std::map<std::string, passage_ptr>& table(side at) { return at == side::in ? inward_ : outward_; }

  void crowd_out();

  // inbound.cpp
  boost::asio::awaitable<void> let_in(passage_ptr p);
  boost::asio::awaitable<verdict> admit(passage_ptr p);
  boost::asio::awaitable<void> say(passage_ptr p, std::string answer);

  // outbound.cpp
  boost::asio::awaitable<void> reach(cluster::known_peer to, passage_ptr p, cluster::found_way found);
  boost::asio::awaitable<verdict> approach(cluster::known_peer to, passage_ptr p);
  boost::asio::awaitable<verdict> connect(cluster::known_peer to, passage_ptr p, steady::time_point deadline);
  boost::asio::awaitable<verdict> hear(passage_ptr p);
  verdict overdue(const passage& p) const;

  std::shared_ptr<const credentials> own_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> stay_;
  tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  lookups hosts_;
  uint16_t gateway_ = 0; // 0: not open yet
  bool closed_ = false;
  std::set<std::string> nodes_;                // listed, without this one
  std::list<std::weak_ptr<passage>> knocking_; // not yet let in, the oldest first
  std::set<passage_ptr> all_;
  std::map<std::string, passage_ptr> inward_;  // by peer, from when it was let in
  std::map<std::string, passage_ptr> outward_; // by peer, from when it was asked for
  // What the log was told last, so that each reason is told once.
  std::map<std::pair<side, std::string>, std::string> told_peers_;
  std::set<std::string> told_strangers_;
  steady::time_point forget_strangers_;
};

} // namespace greenroom::net::front
