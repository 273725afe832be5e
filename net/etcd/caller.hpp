// caller: brings a request to an endpoint that answers it. Owns the endpoints: their addresses, their idle connections,
// their tokens, and which of them is asked first.
//
// An attempt that fails goes on at the next endpoint, which from then on is asked first by all. A request that may be
// repeated has for each endpoint its share of the time that is left, so that one that hangs leaves time for the others.
// One that may not is given the whole time once it may have been sent, and fails then: whether it happened is not
// known.
//
// Threads: one io_context with one thread; everything here happens there.
#pragma once

#include "net/etcd/http.hpp"

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace greenroom::net::etcd {

/// What happened so far; read from any thread.
struct counters {
  std::atomic<uint64_t> requests{0};        // asked for, without those of watches
  std::atomic<uint64_t> failures{0};        // of these
  std::atomic<uint64_t> unknown{0};         // of these failures: a commit that may have happened
  std::atomic<uint64_t> attempts_failed{0}; // an endpoint did not help
  std::atomic<uint64_t> connections{0};     // opened
  std::atomic<uint64_t> authentications{0}; // tokens that were given
  std::atomic<uint64_t> watch_listings{0};  // given to watchers
  std::atomic<uint64_t> watch_streams{0};   // begun
  std::atomic<uint64_t> watch_checks{0};    // after a silence
  std::atomic<uint64_t> watches_behind{0};  // checks that found a stream to have missed something
};

/// What coroutines wait at until one of them, or the end of the time, wakes them.
class bell {
public:
  void ring();

private:
  friend class caller;
  std::set<boost::asio::steady_timer*> waiting_;
};

/// One POST of a request.
struct step {
  std::string path;
  std::string body;
};
/// Reads an answer; answers what to ask next of the same endpoint, nullopt: nothing. A failure: the next endpoint may
/// know better.
using script = std::function<outcome<std::optional<step>>(const std::string& answer)>;

struct request {
  step first;
  std::function<script()> begin; // a new one for each attempt
  bool repeatable = true;
  bool urgent = false;
  steady::time_point until;
  std::function<void(outcome<void>)> done;
};

class caller {
public:
  caller(boost::asio::io_context& io, const options& o, std::vector<address> at,
         std::shared_ptr<boost::asio::ssl::context> tls, counters& counts);
  ~caller();

  /// Puts it in line.
  void submit(request r);
  /// Does it at once, beside the line.
  boost::asio::awaitable<outcome<void>> ask(request r);
  /// A connection of one's own to an endpoint, and a token for it if needed. `at` counts round and round.
  struct line_out {
    std::shared_ptr<connection> link;
    std::string token;
  };
  boost::asio::awaitable<outcome<line_out>> open(size_t at, steady::time_point until);
  /// The endpoint does not take this token any more.
  void drop_token(size_t at, const std::string& token);
  /// Which endpoint is asked first at present.
  size_t preferred() const noexcept { return preferred_; }
  /// That one does not help: if it was asked first, the next one is.
  void step_past(size_t at) noexcept;

  boost::asio::awaitable<void> wait(bell& at, steady::time_point until);
  boost::asio::awaitable<void> pause(uint32_t ms);
  /// Fails everything that is under way or waits, and what comes later.
  void close();
  bool closed() const noexcept { return closed_; }
  const options& limits() const noexcept { return options_; }
  counters& counts() noexcept { return counts_; }
  boost::asio::io_context& io() noexcept { return io_; }

private:
  struct member {
    address where;
    std::vector<boost::asio::ip::tcp::endpoint> known; // addresses, from when they could be resolved last
    bool resolving = false;
    bell resolved;
    std::vector<std::shared_ptr<connection>> idle;
    std::string token;
    bool open_to_all = false; // it says that authentication is not enabled
    bool authenticating = false;
    bell authenticated;
  };
  /// How an attempt ended.
  struct ending {
    enum class kind : uint8_t {
      settled,   // with the endpoint's answer
      unknown,   // without one, and it must not be repeated
      elsewhere, // without one; the next endpoint may be asked
    };
    kind how = kind::settled;
    outcome<void> result = boost::system::in_place_value;
  };
  void pump();
  boost::asio::awaitable<void> run(request r);
  boost::asio::awaitable<ending> attempt(size_t at, const request& r, steady::time_point soft);
  boost::asio::awaitable<void> resolve(member& m, steady::time_point until);
  boost::asio::awaitable<outcome<void>> connect(member& m, connection& link, steady::time_point until);
  boost::asio::awaitable<ending> authenticate(member& m, connection& link, steady::time_point until);
  std::shared_ptr<connection> fresh(member& m);
  std::shared_ptr<connection> idle_of(member& m);
  void keep(member& m, std::shared_ptr<connection> link);
  failure closing() const;

  boost::asio::io_context& io_;
  options options_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  counters& counts_;
  std::vector<std::unique_ptr<member>> members_;
  size_t preferred_ = 0;
  std::deque<request> line_;
  std::deque<request> urgent_line_;
  size_t running_ = 0;
  size_t urgent_running_ = 0;
  std::set<connection*> live_; // idle or in use, for close()
  std::set<boost::asio::steady_timer*> timers_;
  bool closed_ = false;
};

} // namespace greenroom::net::etcd
