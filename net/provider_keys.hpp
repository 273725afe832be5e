// provider_keys: the keys of the outside identity provider that are in force. Owns the set, how it is renewed and,
// where it comes from a URL, the thread that fetches it.
//
//   auth.public_key_file   one key, read at start
//   auth.jwks_file         a set, read at start and on SIGHUP
//   auth.jwks_url          a set, fetched at start, every auth.jwks_refresh_s, on SIGHUP, and soon after a token has
//                          named a key that is not in it
//
// Invariants
// - A set is replaced whole, and by a good one only. While there is none to be had, the last one stays in force,
//   however old it gets: a provider that is away must not lock out everybody.
// - Tokens cause at most one fetch in auth.jwks_unknown_s, whatever they name, and none that anybody waits for.
//
// Threads: find() and the figures, any; the rest, the one that opened it.
#pragma once

#include "config/settings.hpp"
#include "net/fetcher.hpp"
#include "net/key_set.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace greenroom::net {

/// What happened so far; read from any thread.
struct provider_figures {
  std::atomic<int64_t> keys{0};     // in force
  std::atomic<int64_t> read_at{0};  // seconds since 1970 UTC, when the set was last read, or fetched, and found good
  std::atomic<int64_t> fetches{0};  // from auth.jwks_url
  std::atomic<int64_t> failures{0}; // of these
  std::atomic<int64_t> unknown{0};  // tokens that named a key which is not there
};

class provider_keys {
public:
  /// A file must be good, else this fails with unavailable, and a message for the operator. A URL need not answer, so
  /// that a node can start while the provider is away; until it does, there are no keys. REQUIRES: auth.algorithm is
  /// not hs256.
  static outcome<std::unique_ptr<provider_keys>> open(const settings& config);
  ~provider_keys();
  provider_keys(const provider_keys&) = delete;
  provider_keys& operator=(const provider_keys&) = delete;

  /// The key that a token with this `kid` must be signed with. Fails with unauthenticated; the message says whether a
  /// later attempt may do better. Never waits.
  outcome<public_key> find(std::optional<std::string_view> kid);
  /// Whether there are keys at all.
  bool ready() const noexcept { return figures_.keys.load(std::memory_order_relaxed) > 0; }
  const provider_figures& figures() const noexcept { return figures_; }

  /// SIGHUP, in two steps, so that a bad file is known before anything else has changed: what auth.jwks_file holds now,
  /// null where it isn't set; fails as open() does.
  outcome<std::shared_ptr<const key_set>> read_file() const;
  /// A null set: fetches soon, if there is a URL.
  void renew(std::shared_ptr<const key_set> set);

private:
  using steady = std::chrono::steady_clock;
  explicit provider_keys(const settings& config);
  void use(std::shared_ptr<const key_set> set);
  bool fetch(std::stop_token stop);
  void keep_fetching(std::stop_token stop);
  steady::time_point due() const;

  const token_algorithm algorithm_;
  const std::string file_;
  const std::string url_;
  const std::chrono::seconds every_;
  const std::chrono::seconds apart_; // fetches that tokens cause
  const std::chrono::milliseconds patience_;
  std::optional<fetcher> from_;
  provider_figures figures_;

  mutable std::mutex mutex_; // for what follows
  std::condition_variable_any changed_;
  std::shared_ptr<const key_set> set_; // null: none yet
  bool wanted_ = false;                // a token names another key
  steady::time_point last_;            // when a fetch has begun
  steady::time_point next_;            // when one is due anyway

  std::string text_; // of the set in force, where it was fetched; the fetching thread's
  std::jthread thread_;
};

} // namespace greenroom::net
