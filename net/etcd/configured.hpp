// configured: the options of the client, out of the node's settings. Reads the password's file.
#pragma once

#include "config/settings.hpp"
#include "net/etcd/options.hpp"

namespace greenroom::net::etcd {

/// Fails with bad_request; the message names the key. REQUIRES: cluster.etcd is not empty.
outcome<options> configured(const settings& config);

} // namespace greenroom::net::etcd
