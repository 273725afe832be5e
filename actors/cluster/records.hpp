// records: what stands in etcd about a cluster: the keys, and their values as plain structs and as JSON text.
//
// Pure functions, no state, any thread. The table of keys and what each means is in README.md.
//
// Invariants
// - What a reader accepts, a writer produced whole: a text with a missing, wrong or contradictory field is refused, and
//   the failure (errc::bad_request) names the field. A node that acted on half a record could promote a store that
//   lacks entries.
// - Fields that a reader does not know are passed over, so that a newer node may add some while older ones run.
#pragma once

#include "config/outcome.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cluster {

/// Of a data directory, random, never of two; empty: none.
using store_id = std::string;

/// Of a store id, a node name and a zone, in bytes.
inline constexpr size_t record_name_bytes_max = 64;
/// Of members in one list of a shard's record.
inline constexpr size_t record_members_max = 32;

/// What the whole cluster is, as `greenroom cluster init` wrote it.
struct cluster_record {
  std::string id;
  uint32_t shards = 0;
  /// Of each shard, as wished for.
  uint32_t replicas = 0;
  /// A set of in_sync that had this many members never gets fewer. At most `replicas`.
  uint32_t min_in_sync = 0;

  friend bool operator==(const cluster_record&, const cluster_record&) = default;
};

/// A store and where it was seen last.
struct store_record {
  std::string node;
  std::string zone; // empty: none

  friend bool operator==(const store_record&, const store_record&) = default;
};

/// A running process.
struct node_record {
  store_id store;
  std::string zone;    // empty: none
  std::string address; // of the link
  std::string version;

  friend bool operator==(const node_record&, const node_record&) = default;
};

/// Who may do what in one shard.
struct shard_record {
  uint64_t epoch = 0;
  store_id primary;               // one of in_sync; empty: nobody
  std::vector<store_id> in_sync;  // all among replicas, each once
  std::vector<store_id> replicas; // each once

  friend bool operator==(const shard_record&, const shard_record&) = default;
};

/// An operator's order to a running process: give up all that you lead, send your clients away, and stop. Written
/// under the lease of the node's key, so that it goes with the process; one that stands under another lease was for
/// another process.
struct drain_record {
  store_id store; // of the node that is meant: no other one of that name
  /// Connections of clients that are still open, as the node says it once a second; nullopt: it has not noticed yet.
  std::optional<uint64_t> connections = {};

  friend bool operator==(const drain_record&, const drain_record&) = default;
};

/// What the controller asks of a shard's primary; one of the two.
struct request_record {
  store_id to = {};  // stop, and name this store
  store_id out = {}; // take this store out of in_sync and replicas

  friend bool operator==(const request_record&, const request_record&) = default;
};

// Compact JSON (RFC 8259), the fields in the order of the structs. Bytes that are no UTF-8 are replaced: names come
// from the configuration, and a bad one must not end the process. Nothing else is checked: what is encoded is what was
// parsed, or what this node was configured with.
std::string encode(const cluster_record&);
std::string encode(const store_record&);
std::string encode(const node_record&);
std::string encode(const shard_record&);
std::string encode(const drain_record&);
std::string encode(const request_record&);

// Each fails with errc::bad_request, "field: why", if a field is missing, of another type or out of its bounds: names
// of 1 to record_name_bytes_max bytes (zones may be empty), addresses of 1 to 255 bytes (RFC 1035 section 2.3.4),
// numbers from 0 to 2^63 - 1, 1 to 1000 shards, 1 to record_members_max replicas; or if two of them contradict each
// other: more min_in_sync than replicas, a primary that is not in in_sync, a member that is not in replicas or is named
// twice.
outcome<cluster_record> parse_cluster_record(std::string_view json);
outcome<store_record> parse_store_record(std::string_view json);
outcome<node_record> parse_node_record(std::string_view json);
outcome<shard_record> parse_shard_record(std::string_view json);
outcome<drain_record> parse_drain_record(std::string_view json);
outcome<request_record> parse_request_record(std::string_view json);

/// The keys of one cluster, all under one prefix.
class record_keys {
public:
  /// REQUIRES: `cluster_name` holds no '/'.
  explicit record_keys(std::string_view cluster_name);

  const std::string& prefix() const noexcept { return prefix_; }
  // What stands under each is in README.md.
  std::string cluster() const { return prefix_ + "cluster"; }
  std::string controller() const { return prefix_ + "controller"; }
  std::string stores() const { return prefix_ + "stores/"; }
  std::string store(std::string_view id) const { return stores().append(id); }
  std::string nodes() const { return prefix_ + "nodes/"; }
  std::string node(std::string_view name) const { return nodes().append(name); }
  std::string shards() const { return prefix_ + "shards/"; }
  /// Three digits, so that a listing is in the order of the numbers. REQUIRES: number < 1000
  std::string shard(uint32_t number) const;
  std::string drains() const { return prefix_ + "drains/"; }
  std::string drain(std::string_view node) const { return drains().append(node); }
  std::string requests() const { return prefix_ + "requests/"; }
  /// As for shard().
  std::string request(uint32_t number) const;

  /// The other way round; nullopt: the key is none of these.
  std::optional<std::string> store_of(std::string_view key) const;
  std::optional<std::string> node_of(std::string_view key) const;
  std::optional<uint32_t> shard_of(std::string_view key) const;
  std::optional<std::string> drain_of(std::string_view key) const;
  std::optional<uint32_t> request_of(std::string_view key) const;

private:
  std::string prefix_;
};

} // namespace greenroom::cluster
