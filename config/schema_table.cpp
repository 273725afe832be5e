// schema_table: the rows; those of [limits] are in schema_limits.cpp, of [cluster] in schema_cluster.cpp, of
// [attachments] in schema_attachments.cpp, of [webhook] and [presend] in schema_hooks.cpp. To add a key: a member in
// settings.hpp, a row here or there, then `greenroom config reference` into README.md; everything else follows.
#include "config/forms.hpp"
#include "config/schema.hpp"

#include <algorithm>

namespace greenroom::config {
namespace {

constexpr auto restart = change::restart;
constexpr auto reload = change::reload;
constexpr auto reload_content = change::reload_content;

constexpr int64_t kib = 1024;
constexpr int64_t mib = 1024 * kib;
constexpr int64_t path_bytes = 4096;

// In the order of the enumerations, which take their value from the position.
constexpr std::string_view algorithm_words[] = {"HS256", "RS256", "ES256"};
constexpr std::string_view level_words[] = {"trace", "debug", "info", "warn", "error"};
constexpr std::string_view format_words[] = {"text", "json"};
constexpr std::string_view tls_words[] = {"1.2", "1.3"};

// Browsers send scheme://host[:port] and nothing after it; a pattern with a path or a slash at the end would never
// match and lock everybody out without a word.
bool is_origin(const std::string& text) {
  if (text == "*")
    return true;
  auto scheme = text.find("://");
  return scheme != std::string::npos && scheme > 0 && scheme + 3 < text.size() &&
         text.find_first_of("/*?# ", scheme + 3) == std::string::npos;
}

// As net/fetcher takes apart, but for the host and the port's number; empty: there is none.
bool is_jwks_url(const std::string& text) {
  const auto scheme = text.starts_with("https://") ? 8u : text.starts_with("http://") ? 7u : 0u;
  if (scheme == 0)
    return text.empty();
  const auto host = text.substr(scheme, text.find_first_of("/?", scheme) - scheme);
  const bool here =
      host == "localhost" || host.starts_with("localhost:") || host.starts_with("127.") || host.starts_with("[::1]");
  return !host.empty() && host.find('@') == std::string::npos && (scheme == 8 || here) &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

constexpr text_form origin_form{is_origin, "scheme://host[:port] without a slash at the end, or \"*\""};
constexpr text_form jwks_form{is_jwks_url, "https://host[:port]/path, or http:// to this machine"};

// The name of a key is the name of its member, so the two cannot drift apart.
#define AT(section, key) #section, #key, [](settings & s) -> slot { return &s.section.key; }

const field table[] = {
    {AT(node, name),
     restart,
     "",
     1,
     32,
     "Name of this node, seen by clients, in logs and in metrics.",
     "Two nodes with one name cannot be told apart.",
     {},
     &name_form},
    {AT(node, data_dir), restart, "", 1, path_bytes,
     "Directory of everything that is kept: messages, accounts, the token secret. Relative to the working directory.",
     "Another directory is another, empty chat."},

    {AT(listen, address),
     restart,
     "",
     1,
     64,
     "Address to listen on. 127.0.0.1: this machine only; 0.0.0.0 and `::` are all of its addresses.",
     "An address that the machine does not have: the node does not start.",
     {},
     &address_form},
    {AT(listen, port), restart, "", 0, 65'535, "Port for plain HTTP and WebSocket. 0: none.",
     "A port in use: the node does not start."},
    {AT(listen, tls_port), restart, "", 0, 65'535,
     "Port for HTTPS and wss. 0: none; else tls.certificate and tls.key are needed.",
     "A port in use: the node does not start."},
    {AT(listen, io_threads), restart, "threads", 0, 64, "Threads that read and write sockets. 0: one per core.",
     "More than cores: they take turns, and each delivery costs more."},
    {AT(listen, backlog), restart, "connections", 1, 65'535,
     "Connections that the kernel holds until they are accepted; the kernel's own limit (somaxconn) holds, too.",
     "Too low: connects time out when many clients come back at once."},
    {AT(listen, unsent_bytes), restart, "bytes", 4 * kib, 64 * mib,
     "Bytes for one connection that the kernel takes before they can leave; the rest waits in limits.outbox_bytes.",
     "Too low: more, smaller writes. Too high: a slow reader is noticed late, and what the kernel holds can't be "
     "dropped."},
    {AT(listen, allowed_origins),
     restart,
     "entries",
     0,
     64,
     "Origins of web pages that may connect. Empty: pages from the same host only; \"*\": every page.",
     "Too wide: any page may use a visitor's session. Too narrow: browsers get 403.",
     {},
     &origin_form},

    {AT(tls, certificate), reload_content, "", 0, path_bytes,
     "PEM file: the certificate and those that lead to its issuer.",
     "Missing or expired: the node does not start, or clients refuse it."},
    {AT(tls, key), reload_content, "", 0, path_bytes, "PEM file: the private key of tls.certificate.",
     "Not the key of the certificate: the node does not start; a reload is refused."},
    {AT(tls, min_version), restart, "", 1, 8, "Oldest version of TLS that is spoken.",
     "1.3 shuts out clients older than about 2019.", tls_words},

    {AT(auth, algorithm), restart, "", 1, 8,
     "The one algorithm that tokens may be signed with. HS256: by this node; RS256, ES256: by an outside identity "
     "provider whose keys are in auth.jwks_url, auth.jwks_file or auth.public_key_file.",
     "Not what the issuer uses: every token is refused.", algorithm_words},
    {AT(auth, secret_file), restart, "", 0, path_bytes,
     "File with the secret of HS256. Empty: token.secret in node.data_dir, made at the first start.",
     "Another secret: all tokens that are out become void."},
    {AT(auth, public_key_file), restart, "", 0, path_bytes,
     "PEM file with the public key of the identity provider; for RS256 and ES256.",
     "Another key: every token is refused."},
    {AT(auth, jwks_file), reload_content, "", 0, path_bytes,
     "File with the keys of the identity provider, a JWK Set; for RS256 and ES256, instead of auth.public_key_file.",
     "No set, or none of its keys is for auth.algorithm: the node does not start; a reload is refused."},
    {AT(auth, jwks_url),
     restart,
     "",
     0,
     2'048,
     "Where the identity provider shows its keys, a JWK Set; for RS256 and ES256, instead of a file. Also fetched anew "
     "on SIGHUP.",
     "Not the provider's: whoever answers there decides who everybody is.",
     {},
     &jwks_form},
    {AT(auth, jwks_ca_file), restart, "", 0, path_bytes,
     "PEM file: whom auth.jwks_url must have its certificate from. Empty: whom the system trusts.",
     "Not the issuer's: no keys are fetched."},
    {AT(auth, jwks_refresh_s), restart, "s", 10, 86'400,
     "Time between two fetches of auth.jwks_url. When one fails, what the last good one brought stays in force, and "
     "attempts are made in 2 s, 4 s and so on up to 60 s.",
     "Too high: a key that the provider has taken back is good for as long."},
    {AT(auth, jwks_unknown_s), restart, "s", 1, 3'600,
     "Shortest time between two fetches that tokens cause by naming a key that is not known.",
     "Too low: strangers can make the node ask the provider often. Too high: after the provider has begun to use a new "
     "key, its tokens are refused for as long."},
    {AT(auth, jwks_timeout_ms), restart, "ms", 100, 60'000,
     "Time that a fetch may take, from the look-up of the name to the last byte. The start waits for one, too.",
     "Too low: no fetch succeeds over a slow line."},
    {AT(auth, issuer), restart, "", 1, 256, "`iss` that tokens must carry, and that ours do.",
     "Not what the provider writes: every token is refused."},
    {AT(auth, audience), restart, "", 0, 256,
     "`aud` that tokens must carry. Empty: not checked. Needed with auth.jwks_file and auth.jwks_url.",
     "Not what the provider writes: every token is refused. Empty: tokens that it makes for other services are good "
     "here."},
    {AT(auth, user_claim), restart, "", 1, 256,
     "The claim of an outside token that is the user id. One that begins with a slash is a JSON Pointer (RFC 6901): "
     "/profile/nick.",
     "One that people can change themselves: they can be anybody. One that holds no user ids: every token is refused."},
    {AT(auth, admin_claim), restart, "", 0, 256,
     "The claim of an outside token, a text or a list of texts, that makes an admin of its user if it is, or holds, "
     "auth.admin_value; a name or a JSON Pointer. Empty: no outside token does.",
     "One that people can change themselves: anybody is an admin."},
    {AT(auth, admin_value), restart, "", 0, 256, "The value of auth.admin_claim that makes an admin; of a flag: true.",
     "One that others have, too: they are admins."},
    {AT(auth, namespaces_claim), restart, "", 0, 256,
     "The claim of a token, a text or a list of texts, that holds the namespaces whose rooms it opens: \"\" for rooms "
     "without one, \"*\" for all. A token without it opens only rooms without a namespace; that of an admin all, and "
     "direct rooms are open to their two. A name; of outside tokens also a JSON Pointer. Empty: all rooms are open to "
     "all "
     "tokens, as far as namespaces go.",
     "Empty where namespaces are tenants: each may look into the rooms of the others. One that people can change "
     "themselves: likewise."},
    {AT(auth, leeway_s), restart, "s", 0, 300, "How far the clock of an issuer may be off.",
     "Too low: fresh tokens are refused when clocks differ. Too high: expired ones live on."},
    {AT(auth, token_s), restart, "s", 10, 86'400, "Life of a token; clients refresh it in time.",
     "Too high: a stolen token is good for as long, unless its session is revoked."},
    {AT(auth, session_days), restart, "days", 1, 3'650, "Life of a session after its last refresh.",
     "Too low: people must sign in again and again."},
    {AT(auth, fresh_s), restart, "s", 0, 86'400,
     "Age up to which a token stands for the password where somebody erases the own account. 0: never.",
     "Too low: who has no password can't erase the own account. Too high: a stolen token can do it."},
    {AT(auth, refresh_grace_s), restart, "s", 0, 300,
     "Time in which a refresh token that has just been used may be shown again, by a client that got no answer. Later "
     "that ends its session.",
     "Too low: people on bad lines must sign in again. Too high: a stolen token is noticed later."},
    {AT(auth, sessions_per_user), restart, "sessions", 1, 10'000,
     "Sessions that an account may have; one more pushes out the oldest.", "Too low: devices sign each other out."},
    {AT(auth, registration), restart, "", 0, 0, "Whether anybody may make an account.",
     "true on the open internet: so may robots, as fast as limits.logins_per_minute_address allows."},
    {AT(auth, guests), restart, "", 0, 0, "Whether anybody may come in without an account.",
     "true on the open internet: nobody is kept out of public rooms."},
    {AT(auth, password_bytes_min), restart, "bytes", 1, 128, "Shortest password that a new account may have.",
     "Too low: passwords can be guessed."},
    {AT(auth, argon2_mem_mb), restart, "MiB", 8, 4'096, "Memory of one password hash (Argon2id).",
     "Too low: stolen hashes are cheaper to guess. Too high: logins are slow, and memory runs out."},
    {AT(auth, argon2_ops), restart, "passes", 1, 64, "Passes over that memory.",
     "Too low: stolen hashes are cheaper to guess. Too high: logins are slow."},
    {AT(auth, hash_queue), restart, "logins", 1, 65'536,
     "Logins that wait for the hashing thread; further ones are answered unavailable.",
     "Too high: when many sign in at once, they wait until their clients have given up."},

    {AT(storage, cache_mb), restart, "MiB", 8, 1'048'576, "Cache for blocks read from disk.",
     "Too low: history pages wait for the disk. Too high: the machine runs out of memory."},
    {AT(storage, write_buffer_mb), restart, "MiB", 4, 4'096, "Writes gathered in memory before they become a file.",
     "Too low: much rewriting on disk. Too high: memory, and a slower start after a crash."},
    {AT(storage, min_free_mb), restart, "MiB", 1, 1'048'576,
     "Free disk space below which writes are answered unavailable, so that the store can still tidy up.",
     "Too low: the disk fills up. Higher than what is free: nothing can be sent."},
    {AT(storage, commit_requests), restart, "requests", 1, 65'536, "Most requests that share one synced write.",
     "Too low: under load each send waits for more syncs."},
    {AT(storage, commit_bytes), restart, "bytes", 64 * kib, 256 * mib, "Most bytes of one synced write.",
     "Too low: more syncs. Too high: one write takes long, and all in it wait."},
    {AT(storage, queue), restart, "requests", 64, 1'048'576,
     "Requests that wait for the disk; further ones are answered unavailable.",
     "Too low: short bursts are refused. Too high: memory, and long waits on a slow disk."},
    {AT(storage, readers), restart, "threads", 1, 64, "Threads that read history.",
     "Too low: pages wait for each other on a slow disk."},
    {AT(storage, reopen_ms), restart, "ms", 50, 60'000, "Time between attempts to write again after a failed write.",
     "Too high: service returns later than the disk does."},

    {AT(storage, scrub_minutes), restart, "minutes", 1, 1'440,
     "How often what was revoked or deleted is removed from the disk for good; until then its bytes stay in log files "
     "and tables, where nobody reads them.",
     "Too low: tables are written anew again and again. Too high: the promise of a day is broken; keep this and "
     "cluster.log_minutes and a quarter of it below 1440 together."},
    {AT(storage, scrub_ranges), restart, "ranges", 1, 1'048'576,
     "Ranges of keys that are seen to at a time; then the next ones.", "Too high: memory."},

    // The lower bound is the number of shards: the allowance is divided among them, and none may be left with nothing.
    {AT(rooms, active), restart, "rooms", shard_count, 10'000'000,
     "Rooms kept in memory; the one idle for longest makes way.",
     "Too low: rooms come and go, each time read from disk. Too high: memory."},
    {AT(rooms, idle_s), restart, "s", 1, 86'400, "A room that nothing happens in leaves memory after this time.",
     "Too low: quiet rooms are read from disk again and again."},
    {AT(rooms, ring_events), restart, "events", 1, 65'536, "Latest events that an active room keeps in memory.",
     "Too low: clients that reconnect read from disk."},
    {AT(rooms, ring_bytes), restart, "bytes", 1 * kib, 64 * mib, "Bytes of those events, whichever bound is met first.",
     "Too low: clients that reconnect read from disk. Too high: memory, times rooms.active."},
    {AT(rooms, ring_loaded), restart, "events", 1, 65'536,
     "Events that a room reads when it wakes, at most rooms.ring_events; the others it keeps as they happen.",
     "Too low: clients that reconnect after a restart or a failover read from disk. Too high: memory for rooms in "
     "which "
     "nothing happens."},
    {AT(rooms, pending), restart, "requests", 1, 1'048'576,
     "Requests that wait in one room for the disk; further ones are answered unavailable.",
     "Too low: a busy room refuses. Too high: memory."},
    {AT(rooms, hold), restart, "requests", 1, 1'048'576,
     "Requests of one shard that wait while a room or user is read from disk; further ones are answered unavailable.",
     "Too low: requests are refused after a start, when all rooms are cold."},
    {AT(rooms, effects), restart, "changes", 1, 1'048'576,
     "Changes of membership of one shard's rooms that are kept in memory until they stand on the users' own lists. "
     "Further ones are stored, tried once, and tried again from the disk when there is room.",
     "Too low: rooms come onto lists late after an outage. Too high: memory, 128 times."},
    {AT(rooms, due), restart, "entries", 1, 1'048'576,
     "Of what a shard has to do later (scheduled messages, retention), so much is kept in memory; what is later still "
     "is "
     "read from disk in time.",
     "Too low: more reads. Too high: memory, 128 times."},
    {AT(rooms, retention_minutes), restart, "minutes", 1, 1'440,
     "How often a room with `history_days` or `history_events` drops what is older.",
     "Too low: more writes. Too high: history is there for longer than it should be."},
    {AT(rooms, gather_ms), restart, "ms", 0, 1'000,
     "A busy room sends its events together, each at most this late; a quiet one at once. 0: never wait.",
     "Too low: each event costs a write per listener. Too high: people notice."},
    {AT(rooms, typing_users), restart, "users", 1, 10'000, "Users of one room who are shown typing at the same time.",
     "Too high: a large room tells everybody about everybody."},
    {AT(rooms, typing_s), restart, "s", 1, 300, "After this time without a word from the client nobody types any more.",
     "Too low: the sign flickers."},
    {AT(rooms, receipts_members), restart, "members", 0, 100'000,
     "Rooms with more members show no read receipts. 0: no room does.",
     "Too high: in a room of n members, each message brings n events to n listeners."},
    {AT(rooms, presence_members), restart, "members", 0, 255,
     "Rooms up to this size tell who comes and goes; larger ones only how many are there. 0: no room tells who.",
     "Too high: in a room of n members a restart of all clients is news of n users to n listeners."},
    {AT(rooms, activity_members), restart, "members", 0, 100'000,
     "A room in which something happened tells the inboxes of so many members in rooms.activity_s, of a larger one "
     "later. "
     "0: none; then hello chooses among many rooms without knowing which are active.",
     "Too high: busy rooms cost a small write for each member. Too low: in large rooms it takes long to come round."},
    {AT(rooms, activity_s), restart, "s", 1, 3'600,
     "How often a room tells its activity, and a shard writes what inboxes were told, together.",
     "Too low: more writes. Too high: the choice among many rooms lags behind."},

    {AT(users, active), restart, "users", shard_count, 10'000'000,
     "Users kept in memory without a connection or with one; idle ones make way.",
     "Too low: users come and go, each time read from disk. Too high: memory."},
    {AT(users, idle_s), restart, "s", 1, 86'400, "A user without a connection leaves memory after this time.",
     "Too low: users who come back at once are read from disk."},
    {AT(users, activity_held), restart, "entries", shard_count, 16'777'216,
     "Activity of rooms that waits in memory to be written to inboxes, over all shards; a shard's share that is "
     "full is written at once.",
     "Too low: more writes. Too high: memory."},
    {AT(users, pending), restart, "requests", 1, 1'048'576,
     "Requests that wait in one user for the disk or for a password; further ones are answered unavailable.",
     "Too low: a user with many connections is refused. Too high: memory."},
    {AT(users, inbox_pages), restart, "pages", 1, 65'536,
     "Pages of one user's inbox whose rooms are being asked; further ones are answered unavailable.",
     "Too low: a user with many connections is refused. Too high: one user keeps all rooms busy."},

    {AT(users, grace_s), restart, "s", 0, 300,
     "A user whose last connection ended appears online for so long: who comes back meanwhile was never gone.",
     "Too low: phones that change networks flicker. Too high: who has gone is still shown."},

    {AT(scheduler, threads), restart, "threads", 0, 256,
     "Threads that run the actors of rooms and users. 0: one per core.", "More than cores: they take turns."},
    {AT(scheduler, throughput), restart, "messages", 1, 1'000'000,
     "Messages that one actor handles before the next has its turn.",
     "Too low: more switching. Too high: quiet rooms wait for busy ones."},
    {AT(scheduler, connection_mailbox), restart, "messages", 16, 1'048'576,
     "Messages that wait in one connection; over it what was said in rooms is dropped, and read again from there.",
     "Too low: bursts are read from rooms once more. Too high: memory while a thread is busy."},
    {AT(scheduler, lane_mailbox), restart, "messages", 16, 16'777'216,
     "Messages from rooms that wait for one I/O thread; over it they are dropped, and each connection of the thread "
     "reads again what it may have missed.",
     "Too low: bursts make all connections of a thread read again. Too high: memory while a thread is stuck."},
    {AT(scheduler, batch), restart, "", 0, 0,
     "Whether threads let each other finish (Linux's SCHED_BATCH) instead of taking the core at each message. Where "
     "all "
     "cores are busy a send then costs a quarter less CPU, because more of them share one write to the disk.",
     "true where other programs keep the cores busy: the node waits longer for its turn. false: more switching."},

    {AT(log, level), reload, "", 1, 8, "Least important messages that are written to the log.",
     "trace and debug write much; error hides warnings of trouble to come.", level_words},
    {AT(log, format), restart, "", 1, 8, "Lines for people, or one JSON object per line.",
     "Not what the collector of logs expects: lines are not understood.", format_words},
};
#undef AT

} // namespace

std::span<const field> fields() {
  static const auto all = [] {
    std::vector<field> rows(std::begin(table), std::end(table));
    rows.insert(rows.end(), cluster_fields().begin(), cluster_fields().end());
    rows.insert(rows.end(), attachment_fields().begin(), attachment_fields().end());
    rows.insert(rows.end(), hook_fields().begin(), hook_fields().end());
    rows.insert(rows.end(), limit_fields().begin(), limit_fields().end());
    return rows;
  }();
  return all;
}

} // namespace greenroom::config
