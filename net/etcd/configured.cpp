#include "net/etcd/configured.hpp"

#include "actors/cluster/records.hpp"

#include <fstream>

namespace greenroom::net::etcd {

outcome<options> configured(const settings& config) {
  const auto& c = config.cluster;
  options o;
  o.endpoints = c.etcd;
  o.user = c.etcd_user;
  if (!c.etcd_password_file.empty()) {
    std::ifstream in(c.etcd_password_file);
    if (!std::getline(in, o.password) || o.password.empty())
      return fail(errc::bad_request,
                  "cluster.etcd_password_file: " + c.etcd_password_file + " can't be read, or its first line is empty");
  }
  o.ca_file = c.etcd_ca;
  o.certificate_file = c.etcd_certificate;
  o.key_file = c.etcd_key;
  o.pending_max = c.etcd_pending;
  o.connections_max = c.etcd_connections;
  o.body_bytes_max = o.watch_line_bytes_max = size_t{c.etcd_answer_kb} << 10;
  // Under the prefix that the user may read.
  o.probe_key = cluster::record_keys(c.name).cluster();
  if (auto good = validate(o); !good)
    return std::move(good).error();
  return o;
}

} // namespace greenroom::net::etcd
