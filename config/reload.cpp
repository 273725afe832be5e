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
  const auto find = [](const settings& in, const std::string& name) -> const settings::webhook_settings* {
    for (const auto& w : in.webhooks)
      if (w.name == name)
        return &w.what;
    return nullptr;
  };
  for (const auto& w : wanted.webhooks)
    if (const auto* was = find(running, w.name); !was || *was != w.what)
      plan.applied.push_back("webhook." + w.name);
  for (const auto& w : running.webhooks)
    if (!find(wanted, w.name))
      plan.applied.push_back("webhook." + w.name);
  plan.effective.webhooks = wanted.webhooks;
  if (wanted.tenants != running.tenants)
    plan.needs_restart.push_back("tenant");
  return plan;
}

} // namespace greenroom::config
