#include "actors/cluster/cluster.hpp"

#include "actors/cluster/member.hpp"

namespace greenroom::cluster {

bool cluster_house::lease_holds() const noexcept {
  return member::boottime_ns() < lease_until_ns.load(std::memory_order_acquire);
}

} // namespace greenroom::cluster
