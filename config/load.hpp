// load: reads the configuration from everywhere and finds every mistake in it at once.
//
// defaults < TOML file < environment (GREENROOM_SECTION_KEY) < flags (--section.key=value)
//
// Nothing here writes to the terminal or ends the program; nothing throws for what a file, a variable or a flag may
// hold. A later source wins, but a mistake in an earlier one is still a mistake.
#pragma once

#include "config/settings.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::config {

struct mistake {
  /// file:line, file:line:column for a syntax error, the name of a variable, or a flag.
  std::string where;
  /// section.key; empty when it is not about a key.
  std::string key;
  std::string message;

  friend bool operator==(const mistake&, const mistake&) = default;
};
/// `where: key: message`.
std::string to_string(const mistake& m);

enum class origin : uint8_t { fallback, file, environment, flag };

/// Where a value came from: greenroom.toml:12, GREENROOM_LISTEN_PORT, --listen.port, or nowhere (the default).
struct source {
  origin kind = origin::fallback;
  std::string where;
};

/// What a load reads; kept, so that SIGHUP reads the same places again.
struct sources {
  /// Path of the TOML file. Empty: greenroom.toml in the working directory, if it is there.
  std::string file;
  /// NAME=VALUE of the whole environment; what does not begin with GREENROOM_ is ignored.
  std::vector<std::string> environment;
  /// Arguments of the form --section.key=value.
  std::vector<std::string> flags;
};

struct load_result {
  /// Good for use only if ok().
  settings values;
  /// One for each of fields(), in that order.
  std::vector<source> came_from;
  /// Keys that stand in the section of one webhook or tenant: `webhook.NAME.key` and where.
  std::map<std::string, source> named_from;
  /// The file that was read; empty if none.
  std::string file;
  std::vector<mistake> mistakes;

  bool ok() const noexcept { return mistakes.empty(); }
};

/// [webhook.NAME], [tenant.NAME].
inline constexpr size_t webhooks_max = 32;
inline constexpr size_t tenants_max = 1'000;
inline constexpr std::string_view default_file = "greenroom.toml";
/// A larger file is refused: it is not a configuration.
inline constexpr size_t file_bytes_max = 1'048'576;

/// Reads everything, and goes on after each mistake, so that all of them are named. Blocks while it reads the file.
load_result load(const sources& from);

/// The environment of a process (the third argument of main), as `sources` wants it.
std::vector<std::string> environment_of(const char* const* envp);

/// Takes the arguments of the form --section.key... out of `arguments`, the rest stays in order. What stands after
/// "--" stays, too.
std::vector<std::string> take_flags(std::vector<std::string>& arguments);

/// What the command line of the node asks for.
struct command_line {
  sources from;
  /// Not empty: the answer to --help or --version; print it and leave with 0.
  std::string answer;
  /// Not empty: do not start.
  std::vector<mistake> mistakes;
};
/// [-c FILE | --config FILE] [--section.key=value ...] [--help] [--version]
command_line read_command_line(int argc, const char* const* argv, const char* const* envp);

} // namespace greenroom::config
