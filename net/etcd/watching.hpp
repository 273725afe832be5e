// watching: one watch: what its watcher was told, and how it is kept true.
//
// It lists, then follows a stream from the next revision on. A stream that ends is begun anew at the next endpoint from
// the last revision that was told; etcd itself says when that is not kept any more (compaction), and then it lists
// again. A stream that is silent proves nothing: its endpoint may be cut off from the others, or gone without a word.
// So after each silence a request that can't be out of date asks whether keys have changed; if so, it lists again and
// leaves the endpoint.
//
// Threads: everything on the one of the io_context, but for stop().
// Invariants
// - Updates are told in order of revision, those of one revision together, none at or below the listing's.
// - The watcher is called under `gate_` only, and never once `stopped_` is set under it.
#pragma once

#include "net/etcd/caller.hpp"
#include "net/etcd/wire.hpp"

#include <map>
#include <memory>
#include <mutex>

namespace greenroom::net::etcd {

class watching : public std::enable_shared_from_this<watching> {
public:
  watching(std::string prefix, cluster::watcher to) : prefix_(std::move(prefix)), to_(std::move(to)) {}

  /// Until stop(), or the caller closes.
  static boost::asio::awaitable<void> run(std::shared_ptr<watching> self, caller& by);
  /// From any thread. When it returns the watcher is not called any more; one that runs on another thread is waited
  /// for.
  void stop();
  /// Ends the stream soon after stop(), which can't.
  void hang_up();

private:
  /// One connection that is followed. Lives on in the coroutine that looks after it.
  struct stream {
    std::shared_ptr<connection> link;
    steady::time_point heard; // something, or that there was nothing to hear
    bool over = false;
    bell end;
  };

  bool stopped();
  boost::asio::awaitable<void> rest(caller& by);
  boost::asio::awaitable<bool> list(caller& by);
  boost::asio::awaitable<void> follow(caller& by);
  /// Reads to the end of the stream.
  boost::asio::awaitable<void> read(stream& s, caller& by);
  static boost::asio::awaitable<void> look_after(std::shared_ptr<watching> self, std::shared_ptr<stream> s, caller& by);
  boost::asio::awaitable<void> look_after(stream& s, caller& by);
  /// False: the stream is of no use any more.
  bool take(wire::watch_message message);
  void tell(std::vector<cluster::update> updates);
  void lost(caller& by);

  const std::string prefix_;
  const cluster::watcher to_;
  std::recursive_mutex gate_; // recursive: a watcher may stop its own watch
  bool stopped_ = false;      // under gate_

  std::map<std::string, int64_t> known_; // the keys that the watcher knows, and their revisions
  int64_t told_ = 0;                     // up to this revision
  bool list_next_ = true;
  std::vector<cluster::update> held_back_; // of one revision, the rest of which is still to come
  size_t at_ = 0;                          // the endpoint
  uint32_t failures_ = 0;                  // in a row
  std::shared_ptr<stream> current_;
};

} // namespace greenroom::net::etcd
