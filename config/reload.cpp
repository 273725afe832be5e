#include "config/reload.hpp"

#include "config/schema.hpp"

namespace greenroom::config {

reload_plan reload(const settings& running, const settings& wanted) {
  reload_plan plan{running, {}, {}};
  for (const auto& f : fields()) {
    auto v = read(f, wanted);
    if (v == read(f, running))
      continue;
    if (f.takes_effect == change::reload) {
      // Loaded values are within their bounds, so this cannot be refused.
      write(f, plan.effective, std::move(v));
      plan.applied.push_back(f.name());
    } else {
      plan.needs_restart.push_back(f.name());
    }
  }
  return plan;
}

} // namespace greenroom::config
