// agreement: what the cluster needs of a service that decides. Implemented over etcd's v3 gateway in net/etcd; tests
// have one in memory. Nothing here is about shards or nodes: keys and values are texts.
//
// Threads: every function may be called from any thread and returns at once. Handlers are called one at a time on the
// implementation's own thread, exactly once each unless said otherwise, and must not block. They may be called before
// the function returns only by implementations in tests.
//
// Every handler is called within a time that the implementation bounds (etcd: options::request_ms).
//
// Failures: errc::unavailable. A `commit` that failed so may have happened all the same: read back what it did. Any
// other code is a refusal for good, and nothing was done: bad_request (a key twice, too many changes), forbidden (the
// user), not_found (renew: the lease has ended; commit: so has the lease of a change).
#pragma once

#include "config/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace greenroom::cluster {

/// A key with its value as it stands, or stood, at a revision of the whole store.
struct entry {
  std::string key;
  std::string value;
  int64_t revision = 0; // at which it was written last
  int64_t lease = 0;    // 0: lives for ever
};
struct listing {
  std::vector<entry> entries; // ascending by key
  int64_t revision = 0;       // of the whole store
};

/// Holds if the key was written last at this revision; 0: if there is no such key.
struct condition {
  std::string key;
  int64_t revision = 0;
};
struct change {
  std::string key;
  std::optional<std::string> value; // nullopt: erase
  int64_t lease = 0;
};
struct committed {
  bool done = false;          // all conditions held, all changes were made
  int64_t revision = 0;       // of the whole store: if done, the one of the changes
  std::vector<entry> present; // if not done: what the conditions' keys hold, those that exist
};

/// What became of a key after the listing.
struct update {
  entry what;
  bool erased = false; // then value is empty
};
struct watcher {
  /// Everything under the prefix. Called first, and again whenever changes may have been missed: after compaction, a
  /// lost connection, or silence. Replaces what was known.
  std::function<void(const listing&)> listed;
  /// In order of revision, each once after the listing.
  std::function<void(const std::vector<update>&)> updated;
};

class agreement {
public:
  template <class T>
  using handler = std::function<void(outcome<T>)>;

  virtual ~agreement() = default;

  /// A lease of `ttl`, at least a second. Answers its id.
  virtual void grant(std::chrono::milliseconds ttl, handler<int64_t> done) = 0;
  /// Renews once. Answers how long it lives from when the service renewed it; errc::not_found: it has ended.
  virtual void renew(int64_t lease, handler<std::chrono::milliseconds> done) = 0;
  /// Ends the lease and erases its keys. That it had ended before is no failure.
  virtual void revoke(int64_t lease, handler<void> done) = 0;
  /// All keys that begin with `prefix`; never out of date (linearizable).
  virtual void list(std::string prefix, handler<listing> done) = 0;
  /// All changes, if all conditions hold; else none. etcd takes 128 of each, and 1.5 MiB in all.
  virtual void commit(std::vector<condition> conditions, std::vector<change> changes, handler<committed> done) = 0;
  /// Until the returned object is destroyed. After that has returned the watcher is not called any more.
  virtual std::shared_ptr<void> watch(std::string prefix, watcher to) = 0;
};

} // namespace greenroom::cluster
