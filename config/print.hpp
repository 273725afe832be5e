// print: the configuration as text for people: a file to start from, what is in force and why, and the reference.
#pragma once

#include "config/load.hpp"

#include <string>

namespace greenroom::config {

/// A complete TOML file with every key at its default and everything about it in comments. It loads without a mistake.
std::string default_file_text();

/// Every value in force, as TOML, with where it came from in a comment. REQUIRES: loaded.ok().
std::string effective_text(const load_result& loaded);

/// The reference of all keys in Markdown, as it stands in config/README.md.
std::string reference_text();

} // namespace greenroom::config
