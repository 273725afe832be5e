#include "config/schema.hpp"

#include "config/outcome.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <type_traits>

namespace greenroom::config {
namespace {

using list = std::vector<std::string>;

std::string_view name_of(field_type type) {
  switch (type) {
  case field_type::number:
    return "a whole number";
  case field_type::boolean:
    return "true or false";
  case field_type::text:
    return "text in quotes";
  case field_type::list:
    return "a list of texts";
  }
  return "";
}

field_type type_of(const value& v) { return static_cast<field_type>(v.index()); }

std::string plural(int64_t n, std::string_view unit) {
  return std::to_string(n) + (unit.empty() ? "" : " " + std::string(unit));
}

/// REQUIRES: v has the type of the field.
std::optional<std::string> complaint(const field& f, const value& v) {
  const auto out_of = [&f](int64_t n, std::string_view what) -> std::optional<std::string> {
    if (n >= f.lowest && n <= f.highest)
      return std::nullopt;
    return std::string(what) + std::to_string(n) + (n < f.lowest ? " is too low: " : " is too high: ") + "must be " +
           bounds_of(f);
  };
  const auto badly_formed = [&f](const std::string& text) -> std::optional<std::string> {
    if (!f.form || f.form->holds(text))
      return std::nullopt;
    return to_toml(text) + " is not " + std::string(f.form->description);
  };
  return std::visit(overloaded{
                        [&](int64_t n) { return out_of(n, ""); },
                        [&](bool) -> std::optional<std::string> { return std::nullopt; },
                        [&](const std::string& text) -> std::optional<std::string> {
                          if (!f.words.empty()) {
                            if (std::find(f.words.begin(), f.words.end(), text) != f.words.end())
                              return std::nullopt;
                            return to_toml(text) + " is unknown: must be " + bounds_of(f);
                          }
                          if (text.find('\0') != std::string::npos)
                            return "must not hold a zero byte";
                          if (auto bad = out_of(static_cast<int64_t>(text.size()), "a text of "))
                            return bad;
                          return badly_formed(text);
                        },
                        [&](const list& entries) -> std::optional<std::string> {
                          if (auto bad = out_of(static_cast<int64_t>(entries.size()), "a list of "))
                            return bad;
                          for (const auto& entry : entries)
                            if (auto bad = badly_formed(entry))
                              return bad;
                          return std::nullopt;
                        },
                    },
                    v);
}

std::string quoted(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Levenshtein's distance. Keys are short, so the quadratic table is fine; what comes from outside is cut by
/// nearest_of.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, changed});
    }
  }
  return row.back();
}

} // namespace

field_type field::type() const {
  settings probe;
  return std::visit(overloaded{
                        [](bool*) { return field_type::boolean; },
                        [](std::string*) { return field_type::text; },
                        [](list*) { return field_type::list; },
                        []<class T>(T*) { return std::is_enum_v<T> ? field_type::text : field_type::number; },
                    },
                    locate(probe));
}

const field* find(std::string_view name) {
  for (const auto& f : fields())
    if (f.name() == name)
      return &f;
  return nullptr;
}

std::string variable_of(const field& f) {
  std::string out = "GREENROOM_" + std::string(f.section) + "_" + std::string(f.key);
  for (char& c : out)
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
  return out;
}

value read(const field& f, const settings& from) {
  // locate() hands out pointers that may be written through; nothing is written here.
  return std::visit(overloaded{
                        [](const bool* p) { return value{*p}; },
                        [](const std::string* p) { return value{*p}; },
                        [](const list* p) { return value{*p}; },
                        [&f]<class T>(const T* p) {
                          if constexpr (std::is_enum_v<T>)
                            return value{std::string(f.words[static_cast<size_t>(*p)])};
                          else
                            return value{static_cast<int64_t>(*p)};
                        },
                    },
                    f.locate(const_cast<settings&>(from)));
}

std::optional<std::string> write(const field& f, settings& into, value v) {
  if (type_of(v) != f.type())
    return "must be " + std::string(name_of(f.type())) + ", is " + std::string(name_of(type_of(v)));
  if (auto bad = complaint(f, v))
    return bad;
  std::visit(overloaded{
                 [&v](bool* p) { *p = std::get<bool>(v); },
                 [&v](std::string* p) { *p = std::move(std::get<std::string>(v)); },
                 [&v](list* p) { *p = std::move(std::get<list>(v)); },
                 [&v, &f]<class T>(T* p) {
                   if constexpr (std::is_enum_v<T>)
                     *p = static_cast<T>(std::find(f.words.begin(), f.words.end(), std::get<std::string>(v)) -
                                         f.words.begin());
                   else
                     *p = static_cast<T>(std::get<int64_t>(v));
                 },
             },
             f.locate(into));
  return std::nullopt;
}

std::optional<std::string> write_text(const field& f, settings& into, std::string_view text) {
  switch (f.type()) {
  case field_type::number: {
    int64_t n = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || end != text.data() + text.size())
      return quoted(text) + " is no whole number: must be " + bounds_of(f);
    return write(f, into, n);
  }
  case field_type::boolean:
    if (text != "true" && text != "false")
      return quoted(text) + " is neither true nor false";
    return write(f, into, text == "true");
  case field_type::text:
    return write(f, into, std::string(text));
  case field_type::list: {
    list entries;
    while (!text.empty()) {
      auto comma = std::min(text.find(','), text.size());
      entries.emplace_back(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return write(f, into, std::move(entries));
  }
  }
  return "is of an unknown type";
}

std::string to_toml(const value& v) {
  return std::visit(overloaded{
                        [](int64_t n) { return std::to_string(n); },
                        [](bool yes) { return std::string(yes ? "true" : "false"); },
                        [](const std::string& text) { return quoted(text); },
                        [](const list& entries) {
                          std::string out = "[";
                          for (const auto& entry : entries)
                            out += (out.size() > 1 ? ", " : "") + quoted(entry);
                          return out + "]";
                        },
                    },
                    v);
}

std::string bounds_of(const field& f) {
  switch (f.type()) {
  case field_type::number:
    return std::to_string(f.lowest) + " to " + plural(f.highest, f.unit);
  case field_type::boolean:
    return "true or false";
  case field_type::text: {
    if (f.words.empty())
      return (f.lowest > 0 ? std::to_string(f.lowest) + " to " : "at most ") + plural(f.highest, "bytes");
    std::string out;
    for (size_t i = 0; i < f.words.size(); ++i)
      out += (i == 0 ? "" : i + 1 == f.words.size() ? " or " : ", ") + quoted(f.words[i]);
    return out;
  }
  case field_type::list:
    return "at most " + plural(f.highest, f.unit);
  }
  return "";
}

std::optional<std::string> nearest_of(std::string_view word, std::span<const std::string> candidates) {
  constexpr size_t word_bytes_max = 100;
  if (word.size() > word_bytes_max)
    return std::nullopt;
  // One slip in three letters still reads as the same word; more is guessing.
  size_t best = std::max<size_t>(word.size() / 3, 1) + 1;
  std::optional<std::string> found;
  for (const auto& candidate : candidates) {
    if (auto distance = edit_distance(word, candidate); distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string nearest(std::string_view name) {
  const auto hint = [](const std::string& found) { return "did you mean " + found + "?"; };
  const auto dot = name.find('.');
  std::vector<std::string> candidates;
  if (dot == std::string_view::npos) {
    for (const auto& f : fields())
      if (candidates.empty() || candidates.back() != f.section)
        candidates.emplace_back(f.section);
    // A key without its section, or a section's name with a slip.
    for (const auto& f : fields())
      if (f.key == name)
        return hint(f.name());
  } else {
    const auto section = name.substr(0, dot);
    const auto key = name.substr(dot + 1);
    // The right section is the likelier half of the name to be right; then the right key elsewhere; then anything.
    for (const auto& f : fields())
      if (f.section == section)
        candidates.emplace_back(f.name());
    if (auto found = nearest_of(name, candidates); found && edit_distance(name, *found) <= 2)
      return hint(*found);
    for (const auto& f : fields())
      if (f.key == key)
        return hint(f.name());
    candidates.clear();
    for (const auto& f : fields())
      candidates.emplace_back(f.name());
  }
  auto found = nearest_of(name, candidates);
  return found ? hint(*found) : "";
}

} // namespace greenroom::config
