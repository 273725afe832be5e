// schema_cluster: the rows of [cluster].
#include "config/forms.hpp"
#include "config/schema.hpp"

#include <iterator>

namespace greenroom::config {
namespace {

constexpr auto restart = change::restart;
constexpr auto reload_content = change::reload_content;

constexpr int64_t path_bytes = 4096;

// As net/etcd takes apart, but for the port's number; it has no need of a path, and nor has etcd.
bool is_etcd_url(const std::string& text) {
  const auto scheme = text.starts_with("https://") ? 8u : text.starts_with("http://") ? 7u : 0u;
  return scheme > 0 && text.size() > scheme && text.find_first_of("/?#@, \t", scheme) == std::string::npos;
}

// RFC 1123 section 2.1, with the underscores that names in private networks have; or an address.
bool is_host(const std::string& text) {
  return is_address(text) ||
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string::npos;
}

// Stands in etcd, in logs and in tables.
bool is_zone(const std::string& text) {
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
         std::string::npos;
}

constexpr text_form etcd_form{is_etcd_url, "http://host[:port] or https://host[:port]"};
constexpr text_form host_form{is_host, "an IPv4 or IPv6 address, or the name of a host"};
constexpr text_form zone_form{is_zone, "made of letters, digits and \"._-\""};

// The name of a key is the name of its member, so the two cannot drift apart.
#define AT(section, key) #section, #key, [](settings & s) -> slot { return &s.section.key; }

const field table[] = {
    {AT(cluster, etcd),
     restart,
     "entries",
     0,
     16,
     "Members of the etcd that decides for the cluster, as http(s)://host[:port]. Empty: no cluster, this node is by "
     "itself.",
     "Another etcd is another cluster. Too few members listed: when those are gone, so is this node.",
     {},
     &etcd_form},
    {AT(cluster, name),
     restart,
     "",
     1,
     32,
     "Name of the cluster: its keys stand under /greenroom/NAME/ in etcd.",
     "Not the name that the others have: the node waits for a cluster that nobody has founded.",
     {},
     &name_form},
    {AT(cluster, listen_address),
     restart,
     "",
     1,
     64,
     "Address where links from other nodes are taken. Any but 127.0.0.1 needs the three files of cluster.tls_*.",
     "An address that the machine does not have: the node does not start.",
     {},
     &address_form},
    {AT(cluster, listen_port), restart, "", 1, 65'535, "Port where links from other nodes are taken.",
     "A port in use: the node does not start."},
    {AT(cluster, advertise_address),
     restart,
     "",
     0,
     248,
     "Address or name of the host where other nodes reach this one. Empty: cluster.listen_address. Needed where that "
     "is 0.0.0.0 or `::`.",
     "Not this machine's, as others see it: they do not reach the node.",
     {},
     &host_form},
    {AT(cluster, tls_certificate_file), reload_content, "", 0, path_bytes,
     "PEM file: the certificate of this node for links; its one DNS name is node.name. `greenroom cluster certs` makes "
     "it. Empty, as the other two then: links are not encrypted, and only 127.0.0.1 is listened on.",
     "Expired, another node's or another issuer's: the node does not start; a reload is refused."},
    {AT(cluster, tls_key_file), reload_content, "", 0, path_bytes,
     "PEM file: the private key of cluster.tls_certificate_file.",
     "Not the key of the certificate: the node does not start; a reload is refused."},
    {AT(cluster, tls_ca_file), reload_content, "", 0, path_bytes,
     "PEM file: whom all nodes of the cluster must have their certificates from.",
     "Somebody who issues to others, too: those are let in if they call themselves like a node."},
    {AT(cluster, tls_handshake_ms), restart, "ms", 100, 60'000,
     "Time for a connection from or to another node until both sides have accepted it, looking up the name included.",
     "Too low: distant nodes are never linked. Too high: a node that swallows packets is given up on late."},
    {AT(cluster, zone),
     restart,
     "",
     0,
     64,
     "Nodes of one zone may fail together: copies of a shard are kept in different ones. Empty: a zone of its own.",
     "One zone for all: every copy may be lost at once.",
     {},
     &zone_form},
    {AT(cluster, lease_ms), restart, "ms", 1'000, 60'000,
     "A node that etcd has not heard of for this time counts as gone, and others take over. etcd counts whole seconds.",
     "Too low: a pause of the machine or of etcd moves everything. Too high: rooms stand still for as long when a node "
     "dies."},
    {AT(cluster, replicas), restart, "copies", 1, 32,
     "Copies of each shard, this many if there are so many nodes. Read by `greenroom cluster init` only.",
     "1: what a lost disk held is lost. Too high: every message is written so many times."},
    {AT(cluster, min_in_sync), restart, "copies", 1, 32,
     "Copies that must have a message before it is acknowledged, once there were so many. Read by `greenroom cluster "
     "init` only.",
     "1: a message may be lost with one node. As high as cluster.replicas: one node that is gone stops all sends."},
    {AT(cluster, replace_s), restart, "s", 0, 604'800,
     "When a node has been gone for this time, what it held is copied to others. 0: at once.",
     "Too low: a restart copies whole shards. Too high: for as long there is a copy less."},
    {AT(cluster, log_kb), restart, "KiB", 64, 1'048'576,
     "Log of each shard that is kept for copies that are behind; over it they start from a snapshot.",
     "Too low: a short absence costs a snapshot of the whole shard. Too high: disk, 128 times."},
    {AT(cluster, log_minutes), restart, "minutes", 1, 10'080, "Likewise, by age; a quarter of it later at most.",
     "Too low: a node that was away for longer needs snapshots. Too high: what was revoked stays on the disk, see "
     "storage.scrub_minutes."},
    {AT(cluster, unconfirmed_ms), restart, "ms", 1'000, 86'400'000,
     "A node that has had no lease for this time closes its connections with 3001: it can't know any more which "
     "sessions were revoked. So are those of users whose shard it could not reach for as long.",
     "Too low: a short outage of etcd ends every connection. Too high: whoever was signed out goes on listening for as "
     "long on a node that is cut off."},
    {AT(cluster, pending), restart, "requests", 64, 16'777'216,
     "Requests of this node to one shard that wait for its primary, here or on another node; further ones are answered "
     "unavailable.",
     "Too low: requests are refused while a shard changes its primary. Too high: memory, 128 times."},
    {AT(cluster, guests), restart, "requests", 64, 16'777'216,
     "Requests of other nodes that one shard is carrying out here; further ones are answered unavailable.",
     "Less than the other nodes' cluster.pending together: their clients are refused. Too high: memory, 128 times."},
    {AT(cluster, snapshots), restart, "snapshots", 1, 128,
     "Snapshots of shards that are sent to other nodes at the same time; further ones wait.",
     "Too low: a new node takes long to fill. Too high: memory, disk for what is erased meanwhile, and a busy link."},
    {AT(cluster, surveys), restart, "lists", 1, 65'536,
     "Lists of sessions that are being gathered from all nodes for this one, and as many for others; further ones are "
     "answered unavailable.",
     "Too low: people can't see their sessions. Too high: memory."},
    {AT(cluster, surveys_of_all), restart, "lists", 1, 1'024,
     "Of those, lists for this node of the sessions of all users; further ones are answered unavailable.",
     "Too high: each is some megabytes from each node, all at once."},
    {AT(cluster, moves), restart, "shards", 1, 128,
     "Changes of a shard's replicas that are under way at the same time, each a copy of what it holds.",
     "Too low: a new node takes long to get its share. Too high: copies slow down what people send."},
    {AT(cluster, drain_moves), restart, "shards", 1, 128,
     "Shards that nodes which drain hand over at the same time, besides.",
     "Too low: draining takes long. Too high: so many stand still for a moment together."},
    {AT(cluster, proposals), restart, "requests", 1, 128,
     "Changes to records of shards that this node asks of etcd at the same time; further ones wait.",
     "Too low: when a node dies, its shards return one after another. Too high: etcd gets them all at once."},
    {AT(cluster, commits), restart, "requests", 1, 1'024,
     "Likewise of the node that is the controller, for the whole cluster.",
     "Too low: failovers take longer. Too high: etcd gets them all at once."},
    {AT(cluster, append_kb), restart, "KiB", 4, 8'192,
     "Entries of a shard's log in one message to another replica, about; a larger entry goes alone.",
     "Too low: more messages. Too high: others wait behind them on the link."},
    {AT(cluster, window_kb), restart, "KiB", 64, 1'048'576,
     "Entries of one shard that are under way to one other replica; further ones wait in the log.",
     "Too low: a replica that is far away can't keep up. Too high: memory."},
    {AT(cluster, recent_kb), restart, "KiB", 0, 65'536,
     "Entries of each shard that stay in memory for replicas which are a little behind.",
     "Too low: those are read from the disk. Too high: memory, 128 times."},
    {AT(cluster, snapshot_kb), restart, "KiB", 16, 8'192,
     "Size of the pieces in which snapshots are sent, about; four are under way for each.",
     "Too low: a new node takes long to fill. Too high: memory, and a busy link."},
    {AT(cluster, frame_kb), restart, "KiB", 16, 900, "What is sent over a link in one go, at most.",
     "Too low: more CPU for each message. Too high: what is urgent waits behind it."},
    {AT(cluster, credit_kb), restart, "KiB", 16, 65'536,
     "What another node may have sent that this one has not taken, for each of the two channels of a link.",
     "Too low: a link over a long way stands idle. Too high: memory, and what is urgent waits behind it."},
    {AT(cluster, letter_kb), restart, "KiB", 8'192, 1'048'576,
     "The longest single message that is taken from another node; a longer one ends the link.",
     "Too low: links end and come again, and nothing gets through. Too high: memory."},
    {AT(cluster, link_queue_kb), restart, "KiB", 16'384, 16'777'216,
     "What waits to be sent to one other node; over it the link ends, and its replicas catch up from the log.",
     "Too low: a short stall of the network takes replicas out. Too high: memory for each node that is slow."},
    {AT(cluster, handshakes), restart, "connections", 1, 4'096,
     "Connections to cluster.listen_port that have not shown yet that they come from a node; one more ends one of the "
     "address that has most.",
     "Too low: strangers can keep nodes out. Too high: memory and file descriptors for strangers."},
    {AT(cluster, tunnel_kb), restart, "KiB", 4, 16'384, "What is read ahead of an encrypted link, in each direction.",
     "Too low: more CPU for each message. Too high: memory."},
    {AT(cluster, etcd_pending), restart, "requests", 256, 1'048'576,
     "Requests to etcd that wait or are under way; further ones fail at once.",
     "Less than two for each shard: failovers are tried again and again. Too high: memory while etcd is gone."},
    {AT(cluster, etcd_connections), restart, "connections", 1, 1'024,
     "Connections to etcd for requests at the same time; renewals of the lease have two, and watches one each, "
     "besides.",
     "Too low: failovers take longer. Too high: etcd serves them all."},
    {AT(cluster, etcd_answer_kb), restart, "KiB", 1'024, 1'048'576, "The longest answer that is taken from etcd.",
     "Too low: the records of the cluster can't be listed, and the node stays unready. Too high: memory."},
    {AT(cluster, drain_spread_ms), restart, "ms", 0, 3'600'000,
     "When the node drains, its clients are asked to connect anew at times spread over this span; it stays at least as "
     "long, so that load balancers see it on /readyz.",
     "Too low: they all come to the other nodes at once. Too high: draining takes as long."},
    {AT(cluster, drain_grace_ms), restart, "ms", 0, 3'600'000,
     "What a client may take beyond its time to connect anew before it is closed with 3001.",
     "Too low: clients are closed in the middle of a request. Too high: draining takes as long."},
    {AT(cluster, drain_ms), restart, "ms", 1'000, 86'400'000,
     "A node that drains stops after this time, whatever it still leads and whoever is still connected.",
     "Below drain_spread_ms and drain_grace_ms together: clients are cut off before their time. Too low: shards "
     "without another copy in sync, and clients, are cut off. Too high: a drain that gets nowhere "
     "lasts."},
    {AT(cluster, etcd_user), restart, "", 0, 256, "User of etcd. Empty: none.",
     "Without the right to read and write the cluster's keys: the node stays unready."},
    {AT(cluster, etcd_password_file), restart, "", 0, path_bytes, "File whose first line is that user's password.",
     "Another password: etcd refuses the node, which stays unready."},
    {AT(cluster, etcd_ca), restart, "", 0, path_bytes,
     "PEM file: whom https members of etcd must have their certificate from. Empty: whom the system trusts.",
     "Not the issuer: no member of etcd is believed, and the node stays unready."},
    {AT(cluster, etcd_certificate), restart, "", 0, path_bytes,
     "PEM file: the certificate that this node shows to etcd. Empty: none.",
     "Not one that etcd trusts: it refuses the node, which stays unready."},
    {AT(cluster, etcd_key), restart, "", 0, path_bytes, "PEM file: the private key of cluster.etcd_certificate.",
     "Not the key of the certificate: the node does not start."},
};
#undef AT

} // namespace

std::span<const field> cluster_fields() { return table; }

} // namespace greenroom::config
