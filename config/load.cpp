#include "config/load.hpp"

#include "config/gathering.hpp"
#include "config/ids.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

namespace greenroom::config {
namespace {

constexpr std::string_view variable_prefix = "GREENROOM_";
// What the command line reads for itself: no settings, and no mistake in a shell that starts a node, too.
constexpr std::string_view not_settings = "GREENROOM_CLI_";

void read_environment(const std::vector<std::string>& environment, gathering& into) {
  std::map<std::string, const field*, std::less<>> known;
  std::vector<std::string> names;
  for (const auto& f : fields()) {
    known.emplace(variable_of(f), &f);
    names.push_back(variable_of(f));
  }
  for (const std::string& entry : environment) {
    if (!entry.starts_with(variable_prefix))
      continue;
    const auto equals = std::min(entry.find('='), entry.size());
    const std::string name = entry.substr(0, equals);
    const std::string text = entry.substr(std::min(equals + 1, entry.size()));
    if (auto row = known.find(name); row != known.end()) {
      into.set_text(*row->second, text, {origin::environment, name});
    } else {
      const auto near = nearest_of(name, names);
      into.complain(name, "", "no such setting" + (near ? "; did you mean " + *near + "?" : ""));
    }
  }
}

void read_flags(const std::vector<std::string>& flags, gathering& into) {
  std::vector<std::string> seen;
  for (const std::string& flag : flags) {
    const auto equals = flag.find('=');
    const std::string where = flag.substr(0, equals);
    const std::string name = where.substr(2);
    const field* row = find(name);
    if (!row) {
      const auto hint = nearest(name);
      into.complain(where, "", "no such setting" + (hint.empty() ? "" : "; " + hint));
    } else if (equals == std::string::npos) {
      into.complain(where, name, "needs a value: " + where + "=VALUE");
    } else if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      into.complain(where, name, "is given more than once");
    } else {
      seen.push_back(name);
      into.set_text(*row, std::string_view(flag).substr(equals + 1), {origin::flag, where});
    }
  }
}

/// --section.key, with or without a value. No program of ours has another flag with a dot in its name.
bool is_setting(std::string_view argument) {
  return argument.starts_with("--") && argument.substr(0, argument.find('=')).find('.') != std::string_view::npos;
}

} // namespace

std::string to_string(const mistake& m) {
  std::string out;
  for (const auto* part : {&m.where, &m.key, &m.message})
    if (!part->empty())
      out += (out.empty() ? "" : ": ") + *part;
  return out;
}

gathering::gathering() {
  result_.came_from.resize(fields().size());
  spoilt_.resize(fields().size());
}

void gathering::complain(std::string where, std::string key, std::string message) {
  result_.mistakes.push_back({std::move(where), std::move(key), std::move(message)});
}

void gathering::set(const field& f, value v, source from) {
  note(f, std::move(from), write(f, result_.values, std::move(v)));
}

void gathering::set_text(const field& f, std::string_view text, source from) {
  note(f, std::move(from), write_text(f, result_.values, text));
}

void gathering::note(const field& f, source from, std::optional<std::string> complaint) {
  const auto i = index_of(f);
  // A later source that is right heals the key for the relations, though the earlier mistake stays in the list.
  spoilt_[i] = complaint.has_value();
  if (complaint)
    complain(from.where, f.name(), std::move(*complaint));
  result_.came_from[i] = std::move(from);
}

bool gathering::begin_named(const std::string& section, const std::string& name, const std::string& where) {
  if (!user_id::parse(name)) {
    complain(where, section + "." + name, "is not a name: [a-z0-9][a-z0-9._-]{0,31}");
    return false;
  }
  if (section == "tenant" && name == "other") { // two series of the metrics would have one label
    complain(where, "tenant.other",
             "is what all namespaces without a section are counted as; [tenant] has their limits");
    return false;
  }
  auto& all = named_[section];
  const auto most = section == "webhook" ? webhooks_max : tenants_max;
  if (!all.contains(name) && all.size() >= most) {
    complain(where, section + "." + name, "is one too many: at most " + std::to_string(most) + " of them");
    return false;
  }
  all.try_emplace(name, named_section{where, {}});
  return true;
}

void gathering::set_named(const std::string& section, const std::string& name, const field& f, std::optional<value> v,
                          std::string wrong, std::string where) {
  named_[section][name].keys.push_back({&f, std::move(v), std::move(wrong), std::move(where)});
}

void gathering::settle_named() {
  for (const auto& [section, all] : named_)
    for (const auto& [name, in] : all) {
      const auto prefix = section + "." + name + ".";
      settings own;
      own.webhook = result_.values.webhook;
      own.tenant = result_.values.tenant;
      for (const auto& k : in.keys) {
        const auto full = prefix + std::string(k.what->key);
        auto wrong = k.v ? write(*k.what, own, *k.v) : std::optional(k.wrong);
        if (wrong)
          complain(k.where, full, std::move(*wrong));
        result_.named_from[full] = {origin::file, k.where};
      }
      if (section == "tenant") {
        result_.values.tenants.push_back({name, own.tenant});
        continue;
      }
      const auto demand = [&](bool holds, std::string_view key, std::string why) {
        const bool spoilt =
            std::any_of(in.keys.begin(), in.keys.end(), [&](const auto& k) { return k.what->key == key; });
        if (!holds && !spoilt)
          complain(in.where, prefix + std::string(key), std::move(why));
      };
      demand(!own.webhook.url.empty(), "url", "is needed: where events are pushed to");
      demand(!own.webhook.secret_file.empty(), "secret_file", "is needed: with what deliveries are signed");
      result_.values.webhooks.push_back({name, std::move(own.webhook)});
    }
}

load_result gathering::finish(std::string file) && {
  result_.file = std::move(file);
  return std::move(result_);
}

load_result load(const sources& from) {
  gathering g;
  std::string file = from.file;
  // Whether the default file is there is asked without an exception: a directory that may not be read has none.
  if (std::error_code ignored; file.empty() && std::filesystem::exists(default_file, ignored))
    file = default_file;
  if (!file.empty())
    read_file(file, g);
  read_environment(from.environment, g);
  read_flags(from.flags, g);
  g.settle_named();
  check_relations(g);
  return std::move(g).finish(std::move(file));
}

std::vector<std::string> environment_of(const char* const* envp) {
  std::vector<std::string> out;
  for (; envp && *envp; ++envp)
    if (const std::string_view one(*envp); one.starts_with(variable_prefix) && !one.starts_with(not_settings))
      out.emplace_back(one);
  return out;
}

std::vector<std::string> take_flags(std::vector<std::string>& arguments) {
  std::vector<std::string> flags;
  std::vector<std::string> rest;
  bool over = false;
  for (auto& argument : arguments) {
    over = over || argument == "--";
    (!over && is_setting(argument) ? flags : rest).push_back(std::move(argument));
  }
  arguments = std::move(rest);
  return flags;
}

} // namespace greenroom::config
