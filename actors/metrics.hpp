// metrics: the node's counters, as plain atomics that any thread may add to. net/ renders them for Prometheus.
#pragma once

#include "config/errc.hpp"
#include "config/flood.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace greenroom {

/// Only grows, or (used as a gauge) goes up and down. Relaxed: figures, not synchronisation.
class counter {
public:
  void add(int64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<int64_t> value_{0};
};

/// Counts of values up to 2^0, 2^1, ... 2^(buckets-1), and above.
template <size_t Buckets>
class histogram {
public:
  static constexpr size_t buckets = Buckets;
  void record(uint64_t value) noexcept {
    size_t i = 0;
    while (i < Buckets && value > (uint64_t{1} << i))
      ++i;
    counts_[i].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  /// Count of values in bucket i: (2^(i-1), 2^i]; i == buckets: above the last.
  uint64_t count(size_t i) const noexcept { return counts_[i].load(std::memory_order_relaxed); }
  uint64_t sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

private:
  std::array<std::atomic<uint64_t>, Buckets + 1> counts_{};
  std::atomic<uint64_t> sum_{0};
};

struct metrics {
  counter connections; // gauge: open WebSocket connections
  counter connections_total;
  counter handshakes_refused;
  counter http_requests;
  counter frames_in;
  counter bytes_in;
  counter bytes_out;
  counter writes;      // system calls that wrote to a client
  counter queue_bytes; // gauge: waiting in outboxes
  counter deliveries;  // durable events handed to a connection
  counter ephemeral_dropped;
  counter sends;   // send requests admitted
  counter changes; // edits, revocations and reactions admitted
  counter acks;    // sends answered ok
  counter duplicates;
  counter commits; // synced writes
  counter commit_failures;
  counter reopens;
  counter scrubbed;         // ranges of keys that were written anew without what was revoked or deleted
  counter attachment_bytes; // of chunks that were stored
  counter attachments_removed;
  counter presence_dropped; // news of presence for which a connection's backlog had no place
  counter losses;           // times that connections or relay lanes found that their full mailbox had lost deliveries
  counter pulls;            // pages read because a connection was behind
  counter rooms_active;     // gauge
  counter rooms_activated;
  counter users_active; // gauge
  counter users_activated;
  counter relays_active; // gauge
  counter presend_asked; // messages about which the pre-send hook was asked
  counter presend_rejected;
  counter presend_replaced;
  counter presend_failed;  // no good answer in time
  counter presend_refused; // over presend.waiting
  counter logins;
  counter logins_refused;
  counter sessions_revoked;
  counter refresh_reuses;
  counter erasures;                              // of accounts, begun
  counter denied;                                // connections from limits.deny_addresses
  std::array<counter, flood_count> rate_limited; // refusals by a limit that somebody ran into, by kind
  std::array<counter, flood_count> abuses;       // times that somebody went on regardless, by kind
  histogram<24> commit_us;                       // time of one synced write, microseconds
  histogram<13> commit_batches;                  // batches in it
  std::array<counter, errc_count + 1> errors;    // by code
  static constexpr size_t close_codes = 15;
  std::array<counter, close_codes + 1> closes; // by code, see close_index

  /// Position of a close code in `closes`; the last one is "other".
  static constexpr std::array<close_code, close_codes> known_closes{
      close_code::normal,           close_code::shutdown,      close_code::protocol_error,
      close_code::unsupported_data, close_code::invalid_text,  close_code::too_big,
      close_code::draining,         close_code::slow_consumer, close_code::no_pong,
      close_code::bad_frames,       close_code::flooding,      close_code::token_invalid,
      close_code::revoked,          close_code::no_hello,      close_code::too_many_connections};
  void refused(flood kind) noexcept { rate_limited[static_cast<size_t>(kind)].add(); }
  void abused(flood kind) noexcept { abuses[static_cast<size_t>(kind)].add(); }
  void error(errc code) noexcept { errors[static_cast<size_t>(code)].add(); }
  void closed(close_code code) noexcept {
    size_t i = 0;
    while (i < close_codes && known_closes[i] != code)
      ++i;
    closes[i].add();
  }
};

} // namespace greenroom
