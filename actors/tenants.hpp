// tenants: what the rooms of one namespace may together, and what they do, as figures. Rooms without a namespace are
// nobody's. Namespaces that have a section in the configuration, [tenant.NAME], have figures of their own; all others
// share one line, so that nobody makes labels by making rooms.
//
// Threads: any.
#pragma once

#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "config/token_bucket.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom {

class tenants {
public:
  struct figures {
    counter sends;
    counter refused; // by a limit of the tenant's
    counter rooms;   // gauge: awake
  };
  /// One namespace, or all that have no section.
  class tenant {
  public:
    tenant(std::string n, const settings::tenant_limits& l) : name(std::move(n)), limits(l) {}

    /// Of sends_per_s: nullopt: one more may be sent now; else milliseconds until then. Without `take` it is only
    /// looked at.
    std::optional<uint32_t> wait(int64_t now_ms, bool take);

    const std::string name; // "other": all that have no section
    const settings::tenant_limits limits;
    figures counts;

  private:
    std::mutex mutex_;
    token_bucket sends_;
  };

  explicit tenants(const settings& config);

  /// Null: there is no namespace. For as long as this lives.
  tenant* find(std::string_view name_space) const;
  const std::vector<std::unique_ptr<tenant>>& all() const noexcept { return all_; }

private:
  std::vector<std::unique_ptr<tenant>> all_; // by name, then "other"
};

} // namespace greenroom
