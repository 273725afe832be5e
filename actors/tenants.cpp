#include "actors/tenants.hpp"

#include <algorithm>

namespace greenroom {

tenants::tenants(const settings& config) {
  for (const auto& t : config.tenants)
    all_.push_back(std::make_unique<tenant>(t.name, t.what));
  all_.push_back(std::make_unique<tenant>("other", config.tenant));
}

tenants::tenant* tenants::find(std::string_view name_space) const {
  if (name_space.empty())
    return nullptr;
  const auto end = all_.end() - 1;
  auto i =
      std::lower_bound(all_.begin(), end, name_space, [](const auto& t, std::string_view n) { return t->name < n; });
  return i != end && (*i)->name == name_space ? i->get() : all_.back().get();
}

std::optional<uint32_t> tenants::tenant::wait(int64_t now_ms, bool take) {
  if (limits.sends_per_s == 0)
    return std::nullopt;
  const rate r{limits.sends_per_s, 1'000, limits.sends_per_s};
  std::lock_guard guard{mutex_};
  const auto ms = take ? sends_.take(r, now_ms) : sends_.wait(r, now_ms);
  return ms == 0 ? std::nullopt : std::optional(ms);
}

} // namespace greenroom
