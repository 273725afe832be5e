// reload: what SIGHUP may change in a running node.
#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace greenroom::config {

struct reload_plan {
  /// The running settings with every change that can be made now.
  settings effective;
  /// Keys (section.key) that changed and hold from now on. The files named by tls.certificate and tls.key are read
  /// again on every SIGHUP, whether or not a key changed.
  std::vector<std::string> applied;
  /// Keys that changed and keep their old value until the next start.
  std::vector<std::string> needs_restart;
};

/// Compares what runs with what was read anew. A load with mistakes is refused as a whole before this is asked.
reload_plan reload(const settings& running, const settings& wanted);

} // namespace greenroom::config
