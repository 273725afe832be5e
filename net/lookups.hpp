// lookups: the addresses of hosts. The system's resolver takes its time and can't be stopped, so each host is asked
// for on a thread of its own, one at a time, and nobody waits for one that hangs: then the addresses that were found
// the last time will do. Threads that hang stay behind when this object goes.
//
// Threads: one io_context with one thread; everything here happens there.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace greenroom::net {

class lookups {
public:
  using addresses = std::vector<boost::asio::ip::address>;
  /// Blocks; throws nothing. `why` if there are none.
  using resolver = std::function<addresses(const std::string& host, std::string& why)>;

  explicit lookups(std::shared_ptr<boost::asio::io_context> io, resolver ask = by_system);
  /// Nothing and `why`, if none is known at the end of the time.
  boost::asio::awaitable<addresses> find(std::string host, std::chrono::steady_clock::time_point until,
                                         std::string& why);
  /// Whoever waits is told that it is over.
  void close();

  static addresses by_system(const std::string& host, std::string& why);

private:
  struct entry {
    bool under_way = false;
    addresses known;
    std::string why; // if there were none the last time
    std::set<boost::asio::steady_timer*> waiting;
  };
  void begin(const std::string& host, const std::shared_ptr<entry>& into);

  std::shared_ptr<boost::asio::io_context> io_; // a thread that hangs posts to it yet, perhaps when nobody runs it
  resolver ask_;
  std::map<std::string, std::shared_ptr<entry>> hosts_;
  bool closed_ = false;
};

} // namespace greenroom::net
