// gathering: what the readers of this folder (file, environment, flags, relations) share while one load runs. Nothing
// outside of config/ needs it.
#pragma once

#include "config/load.hpp"
#include "config/schema.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::config {

class gathering {
public:
  gathering();

  /// Notes a mistake; `key` is empty when it is not about a key. See config::mistake.
  void complain(std::string where, std::string key, std::string message);

  /// Stores the value, or complains and marks the key as spoilt: relations say nothing about a key whose value is not
  /// what its owner meant.
  void set(const field& f, value v, source from);
  void set_text(const field& f, std::string_view text, source from);
  /// As set(), for what is no value at all.
  void refuse(const field& f, std::string complaint, source from) { note(f, std::move(from), std::move(complaint)); }

  /// A key in [webhook.NAME] or [tenant.NAME]. `v` is none, and `wrong` says why, where it can't be one.
  void set_named(const std::string& section, const std::string& name, const field& f, std::optional<value> v,
                 std::string wrong, std::string where);
  /// Such a section, though it may hold nothing. False: there are too many of them, or that is no name.
  bool begin_named(const std::string& section, const std::string& name, const std::string& where);
  /// When everything has been read: webhooks are what [webhook] says, and what their own sections say besides; likewise
  /// tenants.
  void settle_named();

  const settings& values() const noexcept { return result_.values; }
  const source& origin_of(const field& f) const { return result_.came_from[index_of(f)]; }
  bool spoilt(const field& f) const { return spoilt_[index_of(f)]; }

  /// The end: the result, with the name of the file that was read.
  load_result finish(std::string file) &&;

private:
  static size_t index_of(const field& f) { return static_cast<size_t>(&f - fields().data()); }
  void note(const field& f, source from, std::optional<std::string> complaint);

  struct named_value {
    const field* what;
    std::optional<value> v;
    std::string wrong;
    std::string where;
  };
  load_result result_;
  std::vector<bool> spoilt_;
  struct named_section {
    std::string where;
    std::vector<named_value> keys;
  };
  std::map<std::string, std::map<std::string, named_section>> named_; // by section and name
};

/// Reads the TOML file (v1.0.0) at `path`; that it cannot be read, or is longer than file_bytes_max, is a mistake.
void read_file(const std::string& path, gathering& into);

/// Checks what keys demand of each other.
void check_relations(gathering& g);

} // namespace greenroom::config
