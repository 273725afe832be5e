// client: the agreement of a cluster, by etcd 3.4 or later over its JSON gateway.
//
// Owns one thread with one io_context; all sockets, handlers and watchers run there. Beyond what agreement.hpp says:
//
// - The destructor fails everything that is not answered yet with `unavailable`, on that thread, and joins it. It must
//   not be called by a handler, and nothing may be asked while it runs, by handlers neither. Watches end with it; what
//   watch() returned may be destroyed later.
// - A host name that the system resolves slowly holds the destructor up until the resolver gives in. Addresses never
//   do.
// - What was captured by a handler or a watcher is destroyed on the thread, a watcher's some time after its watch.
// - Refused with another error than unavailable, and surely not done: bad_request (etcd's limits: 1.5 MiB, 128
//   operations; a key twice), not_found (a change under a lease that has ended), forbidden (user, password or
//   permissions).
#pragma once

#include "actors/cluster/agreement.hpp"
#include "net/etcd/options.hpp"

#include <memory>

namespace greenroom::net::etcd {

struct counters;

class client final : public cluster::agreement {
public:
  /// Reads the certificates and starts the thread; connects when it is asked for something. Fails with bad_request; the
  /// message names the option or the file.
  static outcome<std::unique_ptr<client>> open(options o);
  ~client() override;
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  void grant(std::chrono::milliseconds ttl, handler<int64_t> done) override;
  void renew(int64_t lease, handler<std::chrono::milliseconds> done) override;
  void revoke(int64_t lease, handler<void> done) override;
  void list(std::string prefix, handler<cluster::listing> done) override;
  void commit(std::vector<cluster::condition> conditions, std::vector<cluster::change> changes,
              handler<cluster::committed> done) override;
  std::shared_ptr<void> watch(std::string prefix, cluster::watcher to) override;

  /// Any thread, as long as the client lives. Declared in caller.hpp.
  const counters& counts() const noexcept;

private:
  struct core;
  explicit client(std::shared_ptr<core> c) : core_(std::move(c)) {}
  std::shared_ptr<core> core_; // shared, because watches may be destroyed later
};

} // namespace greenroom::net::etcd
