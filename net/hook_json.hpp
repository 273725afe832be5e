// hook_json: the JSON of webhooks and of the pre-send hook, see net/WEBHOOKS.md. Pure; any thread.
#pragma once

#include "actors/hooks.hpp"
#include "actors/requests.hpp"

#include <string>
#include <string_view>

namespace greenroom::net {

class hook_json : public hooks::hook_wire {
public:
  std::string delivery(const hooks::delivery& x) const override;
  std::string question(const hooks::question& x) const override;
  hooks::verdict read_verdict(unsigned status, std::string_view body, const hooks::question& to,
                              const limits& bounds) const override;
};

// For operators, what stands behind "ok".
void append_webhooks(std::string& out, const ok::webhooks& x);
void append_replay(std::string& out, const ok::replay& x);

/// The webhooks of the configuration with the secrets in their files. Fails with unavailable, and a message for the
/// operator that names the key and the file.
outcome<hooks::hook_set> load_hooks(const settings& config);

} // namespace greenroom::net
