// file: the TOML file, read by toml++, which stays in here.
#include "config/gathering.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <fstream>

namespace greenroom::config {
namespace {

std::string at(const std::string& path, const toml::source_region& where) {
  return path + ":" + std::to_string(where.begin.line);
}

std::string_view name_of(toml::node_type type) {
  switch (type) {
  case toml::node_type::table:
    return "a section";
  case toml::node_type::floating_point:
    return "a number with a fraction";
  case toml::node_type::date:
  case toml::node_type::time:
  case toml::node_type::date_time:
    return "a date or time";
  default:
    return "something else";
  }
}

/// The value, or nothing and a complaint in `wrong`.
std::optional<value> value_of(const toml::node& node, std::string& wrong) {
  if (const auto* n = node.as_integer())
    return value{n->get()};
  if (const auto* yes = node.as_boolean())
    return value{yes->get()};
  if (const auto* text = node.as_string())
    return value{text->get()};
  if (const auto* entries = node.as_array()) {
    std::vector<std::string> texts;
    for (const auto& entry : *entries) {
      const auto* text = entry.as_string();
      if (!text) {
        wrong = "must be a list of texts: entry " + std::to_string(texts.size() + 1) + " is not a text in quotes";
        return std::nullopt;
      }
      texts.push_back(text->get());
    }
    return value{std::move(texts)};
  }
  wrong = "must not be " + std::string(name_of(node.type()));
  return std::nullopt;
}

/// The entries of a table as they stand in the file: toml++ keeps them by name, people look for mistakes by line.
std::vector<std::pair<const toml::key*, const toml::node*>> in_file_order(const toml::table& table) {
  std::vector<std::pair<const toml::key*, const toml::node*>> out;
  for (const auto& [key, node] : table)
    out.emplace_back(&key, &node);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    const auto x = a.first->source().begin;
    const auto y = b.first->source().begin;
    return x.line != y.line ? x.line < y.line : x.column < y.column;
  });
  return out;
}

/// [webhook.NAME]: keys of [webhook], for this one alone; likewise tenants.
void read_named(const std::string& path, const std::string& section, const std::string& name, const toml::table& keys,
                const std::string& at_name, gathering& into) {
  if (!into.begin_named(section, name, at_name))
    return;
  for (const auto& [key, node] : in_file_order(keys)) {
    const std::string full = section + "." + std::string(key->str());
    const std::string where = at(path, key->source());
    const field* row = find(full);
    if (!row) {
      const auto hint = nearest(full);
      into.complain(where, section + "." + name + "." + std::string(key->str()),
                    "no such key" + (hint.empty() ? "" : "; " + hint));
      continue;
    }
    std::string wrong;
    auto v = value_of(*node, wrong);
    into.set_named(section, name, *row, std::move(v), std::move(wrong), where);
  }
}

void read_section(const std::string& path, const std::string& section, const toml::table& keys, gathering& into) {
  for (const auto& [key, node] : in_file_order(keys)) {
    const std::string name = section + "." + std::string(key->str());
    const std::string where = at(path, key->source());
    if (const auto* named = section == "webhook" || section == "tenant" ? node->as_table() : nullptr) {
      read_named(path, section, std::string(key->str()), *named, where, into);
      continue;
    }
    const field* row = find(name);
    if (!row) {
      const auto hint = nearest(name);
      into.complain(where, name, "no such key" + (hint.empty() ? "" : "; " + hint));
      continue;
    }
    std::string wrong;
    if (auto v = value_of(*node, wrong))
      into.set(*row, std::move(*v), {origin::file, where});
    else
      into.refuse(*row, std::move(wrong), {origin::file, where});
  }
}

bool is_section(std::string_view name) {
  for (const auto& f : fields())
    if (f.section == name)
      return true;
  return false;
}

void read_table(const std::string& path, const toml::table& all, gathering& into) {
  for (const auto& [key, node] : in_file_order(all)) {
    const std::string section(key->str());
    const std::string where = at(path, key->source());
    if (!is_section(section)) {
      const auto hint = nearest(section);
      into.complain(where, section,
                    std::string(node->is_table() ? "no such section" : "no such key outside of a section") +
                        (hint.empty() ? "" : "; " + hint));
    } else if (const auto* keys = node->as_table()) {
      read_section(path, section, *keys, into);
    } else {
      into.complain(where, section, "must be a section: [" + section + "]");
    }
  }
}

} // namespace

void read_file(const std::string& path, gathering& into) {
  std::ifstream in(path, std::ios::binary);
  std::string text(file_bytes_max + 1, '\0');
  // A directory opens, but cannot be read.
  if (!in || in.read(text.data(), static_cast<std::streamsize>(text.size())).bad()) {
    into.complain(path, "", "cannot be read");
    return;
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > file_bytes_max) {
    into.complain(path, "", "is longer than " + std::to_string(file_bytes_max) + " bytes");
    return;
  }
  try {
    read_table(path, toml::parse(text, path), into);
  } catch (const toml::parse_error& e) {
    into.complain(at(path, e.source()) + ":" + std::to_string(e.source().begin.column), "",
                  std::string(e.description()));
  }
}

} // namespace greenroom::config
