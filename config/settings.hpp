// settings: every value that an operator can set, typed, with its default. Names, units, bounds and texts of the keys
// stand in config/schema_table.cpp; this is what the rest of the house reads.
//
// A copy is handed to each part at start. What SIGHUP may change lives in `limits` and `log_level`; those are read
// through shared pointers to immutable copies, never changed in place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace greenroom {

/// Bounds that clients can feel. All of it may be changed by SIGHUP; a new value holds for what happens afterwards.
struct limits {
  // One client frame, one WebSocket message, one HTTP request.
  uint32_t frame_bytes = 65'536;
  uint32_t message_bytes = 262'144;
  uint32_t text_bytes = 16'384;
  uint32_t data_bytes = 16'384;
  uint32_t edits_per_message = 100;
  uint32_t reactions_per_message = 32; // different emojis
  uint32_t pins_per_room = 50;
  uint32_t bans_per_room = 10'000;
  uint32_t mentions_per_message = 50;
  uint32_t attachments_per_message = 10;
  uint32_t mentions_counted = 100;
  uint32_t scheduled_per_room = 100; // of one user
  uint32_t schedule_days = 365;
  uint32_t json_depth = 16;
  uint32_t header_bytes = 16'384;
  uint32_t body_bytes = 262'144;
  // One connection.
  uint32_t in_flight = 64;
  uint32_t sends_per_s = 20;
  uint32_t sends_burst = 40;
  uint32_t requests_per_s = 100; // other than sends; 0: no limit, as below
  uint32_t requests_burst = 500;
  uint32_t bad_frames = 10;
  uint32_t outbox_bytes = 1'048'576;
  uint32_t subscriptions = 1'000;
  uint32_t hello_rooms = 200;
  uint32_t resume_events = 10'000;
  uint32_t pull_events = 256;
  uint32_t closing_bytes = 4'194'304;
  uint32_t watched = 200;       // users
  uint32_t presence_per_s = 5;  // events
  uint32_t presence_held = 500; // users and rooms whose news wait to be told together
  uint32_t note_bytes = 256;
  // Pages.
  uint32_t history_page = 200;
  uint32_t page_bytes = 262'144;
  uint32_t members_page = 200;
  uint32_t rooms_page = 100;
  uint32_t sessions_page = 200;
  uint32_t batch_operations = 50;
  uint32_t batch_bytes = 4'194'304;
  // Time, in milliseconds.
  uint32_t handshake_ms = 10'000;
  uint32_t hello_ms = 10'000;
  uint32_t ping_ms = 25'000;
  uint32_t pong_ms = 20'000;
  uint32_t request_ms = 10'000;
  uint32_t slow_ms = 10'000;
  uint32_t keep_alive_ms = 60'000;
  // Counts per node.
  uint32_t connections = 15'000;
  uint32_t connections_per_address = 200;
  uint32_t connections_per_user = 50;
  uint32_t rooms_per_user = 1'000;
  uint32_t members_per_room = 100'000;
  uint32_t blocks = 1'000;         // of one user
  uint32_t rest_requests = 16'384; // per I/O thread
  uint32_t refusals = 256;
  uint32_t refusals_per_address = 32;
  // Accounts.
  uint32_t logins_per_minute = 10;
  uint32_t logins_per_minute_address = 60;
  // How often, of one user on this node, whatever the device.
  uint32_t sends_per_s_user = 40;
  uint32_t sends_burst_user = 80;
  uint32_t joins_per_minute_user = 120;
  uint32_t calls_per_s_user = 50;
  uint32_t calls_burst_user = 500;
  // Of all members of one room.
  uint32_t sends_per_s_room = 0;
  uint32_t sends_burst_room = 100;
  // From one address on this node.
  uint32_t connects_per_minute_address = 600;
  uint32_t calls_per_s_address = 200;
  uint32_t calls_burst_address = 2'000;
  // Those who go on regardless.
  uint32_t flood_refusals = 200;
  uint32_t flood_window_ms = 10'000;
  uint32_t ban_s = 60;    // 0: nobody is banned
  uint32_t bans = 10'000; // users, and as many addresses
  // Ranges (192.0.2.0/24). A proxy on this machine brings everybody from one address.
  std::vector<std::string> allow_addresses = {"127.0.0.0/8", "::1"};
  std::vector<std::string> deny_addresses;

  friend bool operator==(const limits&, const limits&) = default;
};

enum class token_algorithm : uint8_t { hs256, rs256, es256 };
enum class log_level : uint8_t { trace, debug, info, warn, error };
enum class log_format : uint8_t { text, json };

struct settings {
  struct {
    std::string name = "n1";
    std::string data_dir = "data";
  } node;

  struct {
    std::string address = "127.0.0.1";
    uint16_t port = 8080;    // plain; 0: no plain listener
    uint16_t tls_port = 0;   // 0: no TLS listener
    uint32_t io_threads = 0; // 0: one per core
    uint32_t backlog = 1'024;
    uint32_t unsent_bytes = 131'072;          // of one connection, in the kernel
    std::vector<std::string> allowed_origins; // empty: same host only; "*": every origin
  } listen;

  struct {
    std::string certificate; // PEM chain
    std::string key;         // PEM
    std::string min_version = "1.2";
  } tls;

  struct {
    token_algorithm algorithm = token_algorithm::hs256;
    std::string secret_file; // HS256; empty: <data_dir>/token.secret, made at first start
    // RS256, ES256: one of three ways to the keys of the outside identity provider.
    std::string public_key_file; // PEM
    std::string jwks_file;       // JWK Set
    std::string jwks_url;        // https://, to loopback also http://
    std::string jwks_ca_file;    // PEM; empty: whom the system trusts
    uint32_t jwks_refresh_s = 600;
    uint32_t jwks_unknown_s = 30; // between two fetches that tokens cause by naming unknown keys
    uint32_t jwks_timeout_ms = 5'000;
    std::string issuer = "greenroom";
    std::string audience;           // empty: not checked
    std::string user_claim = "sub"; // of outside tokens; a name, or a JSON Pointer where it begins with a slash
    std::string admin_claim;        // likewise; empty: nobody is an admin by an outside token
    std::string admin_value;
    std::string namespaces_claim; // a list of namespaces that a token opens; empty: all are open to everybody
    uint32_t leeway_s = 5;
    uint32_t token_s = 3'600;
    uint32_t session_days = 30;
    uint32_t fresh_s = 300;        // age of a token that stands for a password
    uint32_t refresh_grace_s = 30; // for which the refresh token before the last may be shown again
    uint32_t sessions_per_user = 100;
    bool registration = true;
    bool guests = true;
    uint32_t password_bytes_min = 8;
    uint32_t argon2_mem_mb = 64;
    uint32_t argon2_ops = 2;
    uint32_t hash_queue = 64; // logins waiting for the hashing thread
  } auth;

  struct {
    uint32_t cache_mb = 256;
    uint32_t write_buffer_mb = 64;
    uint32_t min_free_mb = 64;        // below it writes are refused
    uint32_t commit_requests = 4'096; // joined into one synced write
    uint32_t commit_bytes = 4'194'304;
    uint32_t queue = 65'536; // commits waiting for the storage actor
    uint32_t readers = 2;
    uint32_t reopen_ms = 500;       // between attempts after a failed write
    uint32_t scrub_minutes = 360;   // between the times when what was revoked leaves the disk
    uint32_t scrub_ranges = 10'000; // at a time
  } storage;

  struct {
    uint32_t active = 10'000; // room actors per node
    uint32_t idle_s = 60;
    uint32_t ring_events = 64; // recent events kept per active room
    uint32_t ring_bytes = 65'536;
    uint32_t ring_loaded = 16; // of them, read when the room is activated
    uint32_t pending = 4'096;  // commands waiting per room
    uint32_t hold = 1'024;     // commands waiting per shard for an activation
    uint32_t effects = 10'000; // changes of membership per shard that are not on the users' lists yet
    uint32_t due = 1'024;      // per shard, of what is to be done later
    uint32_t retention_minutes = 60;
    uint32_t gather_ms = 5; // a hot room's events are sent together at most this late; 0: never wait
    uint32_t typing_users = 50;
    uint32_t typing_s = 10;
    uint32_t receipts_members = 256; // read receipts are shown in rooms up to this size
    uint32_t presence_members = 100; // who comes and goes is told in rooms up to this size; in larger ones how many
    uint32_t activity_members = 256; // inboxes that a busy room tells so in activity_s
    uint32_t activity_s = 5;
  } rooms;

  struct {
    uint32_t active = 50'000; // user actors per node
    uint32_t idle_s = 60;
    uint32_t activity_held = 131'072; // what rooms have told of themselves, per node, until it is written
    uint32_t pending = 4'096;         // commands waiting per user
    uint32_t inbox_pages = 256;       // under way per user
    uint32_t grace_s = 5;             // for which a user without connections still appears online
  } users;

  struct {
    uint32_t max_mb = 100;          // 0: nothing can be uploaded
    uint32_t quota_mb = 2'048;      // of one user, in all rooms
    std::vector<std::string> types; // "image/*", "application/pdf"; empty: any
    uint32_t chunk_kb = 128;
    uint32_t unused_minutes = 1'440; // until what belongs to no message goes
    uint32_t transfers = 64;         // uploads and downloads at the same time, per node
    uint32_t queue = 256;            // chunks that wait for the disk, per node
    uint32_t uploads_per_room = 64;  // that an active room knows by heart
  } attachments;

  struct {
    uint32_t threads = 0;      // 0: one per core
    uint32_t throughput = 100; // messages that an actor handles in one go
    uint32_t connection_mailbox = 16'384;
    uint32_t lane_mailbox = 1'048'576; // of each I/O thread
    bool batch = true;
  } scheduler;

  struct {
    std::vector<std::string> etcd; // empty: no cluster, this node is by itself
    std::string name = "greenroom";
    std::string listen_address = "127.0.0.1"; // of the links to other nodes
    uint16_t listen_port = 7400;
    std::string advertise_address;    // what stands in etcd; empty: listen_address
    std::string tls_certificate_file; // PEM; empty, as all three then: no TLS
    std::string tls_key_file;         // PEM
    std::string tls_ca_file;          // PEM
    uint32_t tls_handshake_ms = 2'000;
    std::string zone; // empty: a zone of its own
    uint32_t lease_ms = 3'000;
    uint32_t replicas = 3;    // as the cluster is founded with
    uint32_t min_in_sync = 2; // as the cluster is founded with
    uint32_t replace_s = 600; // until what a lost node held is made anew elsewhere
    uint32_t log_kb = 4'096;  // of each shard, kept for replicas that are behind
    uint32_t log_minutes = 720;
    uint32_t unconfirmed_ms = 30'000;
    uint32_t pending = 65'536;   // of each shard, requests of this node under way
    uint32_t guests = 262'144;   // of each shard, requests of other nodes under way here
    uint32_t snapshots = 8;      // sent at the same time
    uint32_t surveys = 1'024;    // lists of sessions being gathered from all nodes
    uint32_t surveys_of_all = 2; // of those, with the sessions of all users
    uint32_t moves = 4;          // of shards, at the same time
    uint32_t drain_moves = 32;   // besides, away from nodes that drain
    uint32_t proposals = 32;     // of this node to etcd, under way
    uint32_t commits = 64;       // of the controller, likewise
    uint32_t append_kb = 256;    // of entries in one message, about
    uint32_t window_kb = 4'096;  // of entries under way to one replica
    uint32_t recent_kb = 64;     // of entries of each shard, in memory
    uint32_t snapshot_kb = 256;  // a piece of one
    uint32_t frame_kb = 256;     // on a link
    uint32_t credit_kb = 1'024;  // of each channel of a link
    uint32_t letter_kb = 16'384;
    uint32_t link_queue_kb = 65'536; // waiting for one other node
    uint32_t handshakes = 64;        // connections of strangers to listen_port
    uint32_t tunnel_kb = 64;         // read ahead, in each direction
    uint32_t etcd_pending = 4'096;
    uint32_t etcd_connections = 16;
    uint32_t etcd_answer_kb = 16'384;
    uint32_t drain_spread_ms = 10'000;
    uint32_t drain_grace_ms = 5'000;
    uint32_t drain_ms = 120'000;
    std::string etcd_user;
    std::string etcd_password_file;
    std::string etcd_ca;          // PEM
    std::string etcd_certificate; // PEM
    std::string etcd_key;         // PEM
  } cluster;

  /// One webhook; what [webhook.NAME] leaves out is as in [webhook].
  struct webhook_settings {
    std::string url;
    std::string secret_file; // one secret, or two of which either is good, a line each
    std::string ca_file;     // PEM; empty: whom the system trusts
    std::vector<std::string> events;
    std::vector<std::string> rooms = {"*"};
    std::string start = "head"; // where it begins in a room that it has not seen yet
    uint32_t timeout_ms = 10'000;
    uint32_t batch_events = 100;
    uint32_t batch_bytes = 262'144;
    uint32_t in_flight = 8;
    uint32_t retry_min_ms = 1'000;
    uint32_t retry_max_s = 600;
    uint32_t pending_rooms = 100'000;
    uint32_t deleted_s = 600;
    friend bool operator==(const webhook_settings&, const webhook_settings&) = default;
  } webhook;
  struct named_webhook {
    std::string name;
    webhook_settings what;
    friend bool operator==(const named_webhook&, const named_webhook&) = default;
  };
  std::vector<named_webhook> webhooks; // by name

  /// What the rooms of a namespace may, where it is less than `limits`; what [tenant.NAME] leaves out is as in
  /// [tenant].
  struct tenant_limits {
    uint32_t members_per_room = 0; // 0: as limits, and so on
    uint32_t text_bytes = 0;
    uint32_t sends_per_s_room = 0;
    uint32_t sends_per_s = 0; // of all its rooms that this node serves
    friend bool operator==(const tenant_limits&, const tenant_limits&) = default;
  } tenant;
  struct named_tenant {
    std::string name;
    tenant_limits what;
    friend bool operator==(const named_tenant&, const named_tenant&) = default;
  };
  std::vector<named_tenant> tenants; // by name

  struct presend_settings {
    std::string url; // empty: nobody is asked
    std::string secret_file;
    std::string ca_file;
    std::vector<std::string> rooms = {"*"};
    std::string on_failure = "closed";
    uint32_t deadline_ms = 1'000;
    uint32_t waiting = 1'024;
    friend bool operator==(const presend_settings&, const presend_settings&) = default;
  } presend;

  struct {
    log_level level = log_level::info;
    log_format format = log_format::text;
  } log;

  greenroom::limits limits;
};

} // namespace greenroom
