// front_metrics: what the front counts. Any thread reads; the front's thread writes.
#pragma once

#include "actors/metrics.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace greenroom::net::front {

/// Why a connection did not become a way between two nodes.
enum class refusal : uint8_t {
  late,            // nothing, or not enough, before the deadline
  not_tls,         // what came is no TLS that we speak
  no_certificate,  // none was shown
  unknown_ca,      // not from the cluster's CA
  expired,         // or not valid yet
  bad_certificate, // anything else that is wrong with it
  wrong_name,      // another node's, or not one name
  unknown_node,    // not listed in etcd
  wrong_side,      // a node that should be dialled, and dials
  refused_there,   // the other side does not want us
  unreachable,     // no address, or nobody takes connections there
  gone,            // broke off
  crowded,         // made way for others: too many were not through the handshake
  no_gateway,      // CAF's port did not answer, or CAF did not come
};
inline constexpr size_t refusals = 14;

constexpr const char* to_string(refusal x) noexcept {
  switch (x) {
  case refusal::late:
    return "late";
  case refusal::not_tls:
    return "not_tls";
  case refusal::no_certificate:
    return "no_certificate";
  case refusal::unknown_ca:
    return "unknown_ca";
  case refusal::expired:
    return "expired";
  case refusal::bad_certificate:
    return "bad_certificate";
  case refusal::wrong_name:
    return "wrong_name";
  case refusal::unknown_node:
    return "unknown_node";
  case refusal::wrong_side:
    return "wrong_side";
  case refusal::refused_there:
    return "refused_there";
  case refusal::unreachable:
    return "unreachable";
  case refusal::gone:
    return "gone";
  case refusal::crowded:
    return "crowded";
  case refusal::no_gateway:
    return "no_gateway";
  }
  return "unknown";
}

struct front_metrics {
  counter accepted;    // connections from others
  counter pending;     // gauge: of these, not yet let in
  counter dials;       // ways that the gateway asked for
  counter connections; // gauge: that carry bytes, in and out
  counter connections_total;
  counter replaced;  // ended because a newer one of the same peer came
  counter bytes_in;  // from other nodes
  counter bytes_out; // to other nodes
  std::array<counter, refusals> refused_in;
  std::array<counter, refusals> refused_out;
};

} // namespace greenroom::net::front
