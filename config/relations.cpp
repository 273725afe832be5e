// relations: what keys demand of each other, each said with both names. A relation is only checked if the values of
// both keys are good by themselves.
#include "config/gathering.hpp"
#include "config/ids.hpp"

#include <algorithm>

namespace greenroom::config {
namespace {

/// `smaller` must not be larger than `larger`, else ...
struct order {
  std::string_view smaller;
  std::string_view larger;
  std::string_view else_what;
};

constexpr order orders[] = {
    {"limits.frame_bytes", "limits.message_bytes", "no message could hold the longest frame"},
    {"limits.text_bytes", "limits.frame_bytes", "no frame could hold the longest text"},
    {"limits.data_bytes", "limits.frame_bytes", "no frame could hold the longest data"},
    {"limits.frame_bytes", "limits.page_bytes", "one event could be too long for any page"},
    {"limits.message_bytes", "limits.outbox_bytes", "one message could close the connection"},
    {"limits.page_bytes", "limits.outbox_bytes", "one page of history could close the connection"},
    {"limits.hello_rooms", "limits.subscriptions", "rooms would be listed that cannot be listened to"},
    {"limits.sends_per_s", "limits.sends_burst", "the average could never be reached"},
    {"cluster.min_in_sync", "cluster.replicas", "there would never be so many copies"},
    {"cluster.append_kb", "cluster.window_kb", "no message could ever be full"},
    {"cluster.snapshot_kb", "cluster.letter_kb", "no piece of a snapshot would be taken"},
    {"cluster.drain_spread_ms", "cluster.drain_ms", "the node would stop before its clients have gone"},
    {"presend.deadline_ms", "limits.request_ms", "the sender would be told to try again before there is an answer"},
    {"storage.commit_requests", "storage.queue", "no write could ever be that large"},
};

std::string with_unit(const field& f, const settings& values) {
  return to_toml(read(f, values)) + (f.unit.empty() ? "" : " " + std::string(f.unit));
}

class checker {
public:
  explicit checker(gathering& g) : g_(g) {}

  void check(const order& x) {
    const field& smaller = *find(x.smaller);
    const field& larger = *find(x.larger);
    if (g_.spoilt(smaller) || g_.spoilt(larger) ||
        std::get<int64_t>(read(smaller, g_.values())) <= std::get<int64_t>(read(larger, g_.values())))
      return;
    // Blame the key that somebody has set; if both were, the first.
    const bool blame_larger = g_.origin_of(smaller).kind == origin::fallback;
    const std::string text = with_unit(smaller, g_.values()) + " is more than " + larger.name() + " (" +
                             with_unit(larger, g_.values()) + "): ";
    const std::string other = with_unit(larger, g_.values()) + " is less than " + smaller.name() + " (" +
                              with_unit(smaller, g_.values()) + "): ";
    const field& blamed = blame_larger ? larger : smaller;
    g_.complain(g_.origin_of(blamed).where, blamed.name(), (blame_larger ? other : text) + std::string(x.else_what));
  }

  /// Complains about `key` unless `holds`; says nothing if one of the keys is spoilt.
  void demand(bool holds, std::string_view key, std::string_view other, std::string message) {
    const field& f = *find(key);
    const field& o = *find(other);
    if (holds || g_.spoilt(f) || g_.spoilt(o))
      return;
    g_.complain(g_.origin_of(f).kind == origin::fallback ? g_.origin_of(o).where : g_.origin_of(f).where, f.name(),
                std::move(message));
  }

  /// Whether the key was given a value that is none.
  bool spoilt(std::string_view key) const { return g_.spoilt(*find(key)); }

  /// Neither makes sense without the other.
  void both(const std::string& a, std::string_view a_name, const std::string& b, std::string_view b_name) {
    demand(!a.empty() || b.empty(), a_name, b_name, "is needed because " + std::string(b_name) + " is set");
    demand(!b.empty() || a.empty(), b_name, a_name, "is needed because " + std::string(a_name) + " is set");
  }

private:
  gathering& g_;
};

/// Whose tokens are good. What is set here without an effect would be believed in.
void check_provider(checker& c, const decltype(settings::auth)& s) {
  const bool outside = s.algorithm != token_algorithm::hs256;
  const std::pair<std::string_view, const std::string&> ways[] = {
      {"auth.public_key_file", s.public_key_file}, {"auth.jwks_file", s.jwks_file}, {"auth.jwks_url", s.jwks_url}};
  std::string_view taken;
  for (const auto& [name, way] : ways) {
    if (way.empty())
      continue;
    c.demand(outside, name, "auth.algorithm", "is set, but auth.algorithm is HS256, which uses no public key");
    c.demand(taken.empty(), name, taken.empty() ? name : taken,
             "is set, and so is " + std::string(taken) + ": there is one way to the provider's keys");
    if (taken.empty())
      taken = name;
  }
  if (!c.spoilt("auth.jwks_url")) // which is a way that was meant
    c.demand(!outside || !taken.empty(), "auth.public_key_file", "auth.algorithm",
             "is needed because auth.algorithm is RS256 or ES256, unless there is auth.jwks_file or auth.jwks_url");
  c.demand(s.jwks_ca_file.empty() || s.jwks_url.starts_with("https://"), "auth.jwks_ca_file", "auth.jwks_url",
           "is set, but auth.jwks_url is not https://");
  // RFC 8725 section 3.9. A provider with a set of keys serves many.
  const bool from_set = outside && !taken.empty() && taken != "auth.public_key_file";
  c.demand(!from_set || !s.audience.empty(), "auth.audience", from_set ? taken : "auth.jwks_url",
           "is needed because " + std::string(taken) +
               " is set: else tokens that the provider makes for other services would be good here");
  c.demand(outside || s.user_claim == "sub", "auth.user_claim", "auth.algorithm",
           "is set, but auth.algorithm is HS256: tokens of this node have the user in sub");
  c.demand(outside || s.admin_claim.empty(), "auth.admin_claim", "auth.algorithm",
           "is set, but auth.algorithm is HS256: tokens of this node have their own claim for that");
  c.both(s.admin_claim, "auth.admin_claim", s.admin_value, "auth.admin_value");
  c.demand(outside || !s.namespaces_claim.starts_with('/'), "auth.namespaces_claim", "auth.algorithm",
           "is a JSON Pointer, but auth.algorithm is HS256: claims of this node's tokens have names");
}

/// CAF's port, where links end, obeys anybody who reaches it.
void check_links(checker& c, const decltype(settings::cluster)& s) {
  const std::pair<std::string_view, const std::string&> files[] = {
      {"cluster.tls_certificate_file", s.tls_certificate_file},
      {"cluster.tls_key_file", s.tls_key_file},
      {"cluster.tls_ca_file", s.tls_ca_file}};
  const auto given = std::find_if(std::begin(files), std::end(files), [](const auto& f) { return !f.second.empty(); });
  const bool encrypted = given != std::end(files);
  for (const auto& [name, file] : files)
    if (encrypted)
      c.demand(!file.empty(), name, given->first, "is needed because " + std::string(given->first) + " is set");
  c.demand(encrypted || s.listen_address == "127.0.0.1", "cluster.listen_address", "cluster.tls_certificate_file",
           "is not 127.0.0.1, which needs cluster.tls_certificate_file, cluster.tls_key_file and cluster.tls_ca_file: "
           "`greenroom cluster certs` makes them");
  c.demand(encrypted || s.advertise_address.empty() || s.advertise_address == "127.0.0.1", "cluster.advertise_address",
           "cluster.tls_certificate_file",
           "is set, but without cluster.tls_certificate_file only 127.0.0.1 is listened on");
  const bool everywhere = s.listen_address == "0.0.0.0" || s.listen_address == "::";
  c.demand(!everywhere || !s.advertise_address.empty(), "cluster.advertise_address", "cluster.listen_address",
           "is needed because cluster.listen_address is " + s.listen_address + ": nobody can dial that");
  // Each shard may have one message waiting, besides what crowds a link (assembly.cpp).
  c.demand(uint64_t{s.link_queue_kb} * 7 / 8 >= uint64_t{shard_count} * s.append_kb, "cluster.link_queue_kb",
           "cluster.append_kb",
           "is less than a message of cluster.append_kb for each of " + std::to_string(shard_count) +
               " shards and an eighth: links would end whenever a node is busy");
  c.demand(s.letter_kb < s.link_queue_kb, "cluster.letter_kb", "cluster.link_queue_kb",
           "is not below cluster.link_queue_kb: a letter that may be taken could never be sent");
  c.demand(s.advertise_address != "0.0.0.0" && s.advertise_address != "::", "cluster.advertise_address",
           "cluster.listen_address", "is " + s.advertise_address + ": nobody can dial that");
}

} // namespace

void check_relations(gathering& g) {
  checker c(g);
  for (const auto& x : orders)
    c.check(x);
  const settings& s = g.values();
  c.demand(s.listen.port != 0 || s.listen.tls_port != 0, "listen.port", "listen.tls_port",
           "is 0, and so is listen.tls_port: nobody could connect");
  c.demand(s.listen.port != s.listen.tls_port || s.listen.port == 0, "listen.tls_port", "listen.port",
           "is the same as listen.port");
  c.demand(s.listen.tls_port == 0 || !s.tls.certificate.empty(), "tls.certificate", "listen.tls_port",
           "is needed because listen.tls_port is set");
  c.demand(s.listen.tls_port == 0 || !s.tls.key.empty(), "tls.key", "listen.tls_port",
           "is needed because listen.tls_port is set");
  check_provider(c, s.auth);
  c.both(s.cluster.etcd_user, "cluster.etcd_user", s.cluster.etcd_password_file, "cluster.etcd_password_file");
  c.both(s.cluster.etcd_certificate, "cluster.etcd_certificate", s.cluster.etcd_key, "cluster.etcd_key");
  check_links(c, s.cluster);
  c.demand(s.webhook.url.empty(), "webhook.url", "webhook.url", "needs a name: [webhook.NAME]");
  c.demand(s.presend.url.empty() || !s.presend.secret_file.empty(), "presend.secret_file", "presend.url",
           "is needed because presend.url is set");
  // Somebody who names an issuer believes that etcd is spoken to in secret.
  const bool encrypted = std::any_of(s.cluster.etcd.begin(), s.cluster.etcd.end(),
                                     [](const std::string& url) { return url.starts_with("https://"); });
  c.demand(encrypted || s.cluster.etcd_ca.empty(), "cluster.etcd_ca", "cluster.etcd",
           "is set, but no entry of cluster.etcd is https://");
  c.demand(encrypted || s.cluster.etcd_certificate.empty(), "cluster.etcd_certificate", "cluster.etcd",
           "is set, but no entry of cluster.etcd is https://");
}

} // namespace greenroom::config
