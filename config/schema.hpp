// schema: one table that says everything about every key: name, type, unit, bounds, text, and when a change takes
// effect. The loader, the printer, the reference in README.md and SIGHUP all walk this table; the defaults are those of
// a default-constructed `settings` and stand nowhere else.
//
// Invariants
// - Every member of `settings` has exactly one row (tests/config/schema_test.cpp reads settings.hpp to make sure).
// - The table never changes while the program runs, so all threads may read it.
#pragma once

#include "config/settings.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace greenroom::config {

/// What a key holds, whatever the width of its member in `settings`. A word (log.level = "info") is text.
using value = std::variant<int64_t, bool, std::string, std::vector<std::string>>;

/// Where a key's value lives. An enumeration is chosen by the position of its word in field::words.
using slot = std::variant<uint16_t*, uint32_t*, bool*, std::string*, std::vector<std::string>*, token_algorithm*,
                          log_level*, log_format*>;

enum class field_type : uint8_t { number, boolean, text, list };

/// When a changed value takes effect.
enum class change : uint8_t {
  /// At the next start.
  restart,
  /// On SIGHUP.
  reload,
  /// The path at the next start; what is in the file on SIGHUP.
  reload_content,
};

/// What text must look like, and how to say so.
struct text_form {
  bool (*holds)(const std::string& text);
  std::string_view description;
};

struct field {
  std::string_view section;
  std::string_view key;
  slot (*locate)(settings& in);
  change takes_effect;
  /// Of a number; empty for plain text.
  std::string_view unit;
  /// Both inclusive. A number's value, a text's bytes, a list's entries; not used for booleans.
  int64_t lowest, highest;
  /// What it does, and what zero or empty means.
  std::string_view doc;
  /// What a bad choice costs.
  std::string_view wrong;
  /// The only values that a text may have; empty: any.
  std::span<const std::string_view> words = {};
  /// What a text, or each entry of a list, must look like; null: anything.
  const text_form* form = nullptr;

  std::string name() const { return std::string(section) + "." + std::string(key); }
  field_type type() const;
};

/// All keys, grouped by section, in the order in which they are printed.
std::span<const field> fields();
/// Of these, the ones of [webhook] and [presend].
std::span<const field> hook_fields();
/// Of these, the ones of [limits].
std::span<const field> limit_fields();
/// And those of [attachments].
std::span<const field> attachment_fields();
std::span<const field> cluster_fields();

/// The row of `section.key`, or null.
const field* find(std::string_view name);

/// The environment variable that sets a key: GREENROOM_LISTEN_PORT.
std::string variable_of(const field& f);

/// What the key holds now; an enumeration as its word.
value read(const field& f, const settings& from);

/// Stores `v` after a check of type, bounds, words and form. Answers the complaint and leaves `into` alone if it fails.
std::optional<std::string> write(const field& f, settings& into, value v);

/// Stores a value given as text (environment, flag); lists are separated by commas, an empty text is an empty list.
std::optional<std::string> write_text(const field& f, settings& into, std::string_view text);

/// As TOML (v1.0.0): 8080, true, "text", ["a", "b"]; texts are escaped where they need it.
std::string to_toml(const value& v);

/// For people: "1024 to 65536 bytes", `"text" or "json"`, "at most 64 entries".
std::string bounds_of(const field& f);

/// "did you mean X?" for a key that does not exist, as `section.key`, or the name of the nearest section if
/// `name` has no dot; empty if nothing is near.
std::string nearest(std::string_view name);

/// The candidate with the smallest edit distance to `word`, if that is small enough to be a slip of the finger: one
/// letter in three. nullopt also for a word of more than 100 bytes.
std::optional<std::string> nearest_of(std::string_view word, std::span<const std::string> candidates);

} // namespace greenroom::config
