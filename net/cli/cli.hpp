// cli: the command line `greenroom`. One file per group of commands; each adds its subcommands to the program and
// leaves in `run` what the chosen one does.
//
// Exit codes: 0 done; 1 the answer is no (mistakes found, refused, not reachable); 2 used wrongly.
#pragma once

#include "config/load.hpp"

#include <functional>
#include <optional>

namespace CLI {
class App;
}

namespace greenroom::cli {

/// What all commands share. Settings of a node are read as the node reads them.
struct context {
  config::sources from;
  /// What the chosen subcommand does; answers the exit code.
  std::function<int()> run;
};

void add_config_commands(CLI::App& program, context& shared);

/// The node's settings. Prints the mistakes and answers nothing if there are some.
std::optional<config::load_result> load_or_complain(const config::sources& from);

} // namespace greenroom::cli
