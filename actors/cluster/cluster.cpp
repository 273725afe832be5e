#include "actors/cluster/cluster.hpp"

#include <ctime>

namespace greenroom::cluster {

bool cluster_house::lease_holds() const noexcept {
  auto until = lease_until_ns.load(std::memory_order_acquire);
  if (until == 0)
    return false;
  timespec now{};
  if (::clock_gettime(CLOCK_BOOTTIME, &now) != 0)
    return false;
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec < until;
}

} // namespace greenroom::cluster
