// wire: etcd's v3 JSON gateway in texts: bodies of requests, and what its answers say. Pure functions.
//
// The source is etcd's v3 API (api/etcdserverpb/rpc.proto) as its gateway writes it in JSON: keys and values in base64
// (RFC 4648 section 4), 64 bit integers as strings; what is zero, false or empty is left out. Answers come from
// outside: what is not understood is a failure (unavailable), never a default. Whoever read them has bounded their
// length (options::body_bytes_max, watch_line_bytes_max).
#pragma once

#include "actors/cluster/agreement.hpp"

#include <string_view>

namespace greenroom::net::etcd::wire {

// -- requests ---------------------------------------------------------------------------------------------------------

inline constexpr const char* range_path = "/v3/kv/range";
inline constexpr const char* txn_path = "/v3/kv/txn";
inline constexpr const char* grant_path = "/v3/lease/grant";
inline constexpr const char* renew_path = "/v3/lease/keepalive";
inline constexpr const char* revoke_path = "/v3/lease/revoke";
inline constexpr const char* watch_path = "/v3/watch";
inline constexpr const char* authenticate_path = "/v3/auth/authenticate";

/// Everything under the prefix (empty: all keys). Linearizable, like all reads here: that is etcd's default.
std::string list_body(std::string_view prefix);
/// How many keys are under the prefix, and which of them were written after `revision`.
std::string changed_body(std::string_view prefix, int64_t revision);
/// Whether one key exists.
std::string probe_body(std::string_view key);
/// A transaction. Not checked here: etcd takes 128 conditions, 128 changes and 1.5 MiB, and each key once.
std::string commit_body(const std::vector<cluster::condition>& conditions, const std::vector<cluster::change>& changes);
/// etcd counts leases in seconds: rounded up, one at least. It may grant more than was asked for.
std::string grant_body(std::chrono::milliseconds ttl);
/// Of a renewal or a revocation.
std::string lease_body(int64_t lease);
/// Changes at `first_revision` and later; with progress notices, and long messages in fragments.
std::string watch_body(std::string_view prefix, int64_t first_revision);
/// REQUIRES: UTF-8.
std::string authenticate_body(std::string_view user, std::string_view password);

// -- answers ----------------------------------------------------------------------------------------------------------

/// All of it, or a failure: were some left out, keys would seem to be gone.
outcome<cluster::listing> read_listing(std::string_view body);
outcome<cluster::committed> read_committed(std::string_view body);
/// The lease's id, never 0.
outcome<int64_t> read_granted(std::string_view body);
/// Visible ASCII: it goes into a header as it is.
outcome<std::string> read_token(std::string_view body);

/// Of a range without its entries.
struct summary {
  uint64_t keys = 0;    // under the prefix
  uint64_t changed = 0; // of them: the ones that were asked for
  int64_t revision = 0;
  uint64_t term = 0;
};
outcome<summary> read_summary(std::string_view body);

struct renewal {
  std::chrono::seconds ttl{0}; // from when it renewed; 0: there is no such lease
  uint64_t term = 0;           // of the member, read before it renewed
};
/// One line of a stream; fails also with what a stream may say instead of a result.
outcome<renewal> read_renewal(std::string_view body);

/// One message of a watch.
struct watch_message {
  bool created = false;
  bool canceled = false;
  bool fragment = false; // the events of its last revision may go on in the next message
  int64_t compact_revision = 0;
  std::string reason; // of the cancellation
  std::vector<cluster::update> updates;
};
/// The same, of a watch.
outcome<watch_message> read_watch_message(std::string_view line);

/// An answer with another status than 200.
struct refusal {
  enum class kind : uint8_t {
    definite, // so would every endpoint answer; nothing was done
    token,    // the token is not, or no longer, good; nothing was done
    passing,  // this endpoint, now; whether anything was done is not known
  };
  kind what = kind::passing;
  failure why;
};
/// By gRPC's status code in the body, where it is etcd that speaks; what can't be read is `passing`.
refusal read_refusal(unsigned status, std::string_view body);

} // namespace greenroom::net::etcd::wire
