#include "config/print.hpp"

#include "config/schema.hpp"

namespace greenroom::config {
namespace {

constexpr size_t comment_columns = 118;

std::string_view when(change takes_effect) {
  switch (takes_effect) {
  case change::restart:
    return "restart";
  case change::reload:
    return "SIGHUP";
  case change::reload_content:
    return "restart; content of the file: SIGHUP";
  }
  return "";
}

/// `text` as comment lines of at most comment_columns, broken at blanks.
std::string comment(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto end = text.size();
    if (end > comment_columns) {
      end = text.rfind(' ', comment_columns);
      if (end == std::string_view::npos)
        end = text.size();
    }
    out += "# " + std::string(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// Starts a section when `f` is the first of it.
std::string heading(const field& f, std::string_view& section, std::string_view mark_before,
                    std::string_view mark_after) {
  if (f.section == section)
    return "";
  const std::string gap = section.empty() ? "" : "\n";
  section = f.section;
  return gap + std::string(mark_before) + std::string(section) + std::string(mark_after) + "\n";
}

std::string escaped_for_table(std::string_view text) {
  std::string out;
  for (char c : text)
    out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

} // namespace

std::string default_file_text() {
  const settings defaults;
  std::string out =
      "# Every setting of Greenroom " GREENROOM_VERSION " with its default. What is left out keeps its default.\n"
      "# A variable (GREENROOM_LISTEN_PORT=9000) goes before this file, a flag (--listen.port=9000) before both.\n"
      "# `greenroom config check` finds mistakes; a change takes effect at the next start or on SIGHUP, as said.\n\n";
  std::string_view section;
  for (const auto& f : fields()) {
    const auto head = heading(f, section, "[", "]");
    const auto line = to_toml(read(f, defaults));
    out += head.empty() ? "\n" : head;
    out += comment(f.doc);
    out += comment(f.wrong);
    out += comment("Default " + line + ", " + bounds_of(f) + "; takes effect by " + std::string(when(f.takes_effect)) +
                   ".");
    out += std::string(f.key) + " = " + line + "\n";
  }
  return out;
}

std::string effective_text(const load_result& loaded) {
  std::string out;
  std::string_view section;
  size_t i = 0;
  for (const auto& f : fields()) {
    const source& from = loaded.came_from[i++];
    out += heading(f, section, "[", "]");
    out += std::string(f.key) + " = " + to_toml(read(f, loaded.values)) + " # " +
           (from.kind == origin::fallback ? "default" : from.where) + "\n";
  }
  const auto print_named = [&](const std::string& kind, const std::string& name, const settings& own) {
    out += "\n[" + kind + "." + name + "]\n";
    for (const auto& f : fields()) {
      if (f.section != kind)
        continue;
      const auto from = loaded.named_from.find(kind + "." + name + "." + std::string(f.key));
      out += std::string(f.key) + " = " + to_toml(read(f, own)) + " # " +
             (from == loaded.named_from.end() ? "as in [" + kind + "]" : from->second.where) + "\n";
    }
  };
  settings own;
  for (const auto& t : loaded.values.tenants) {
    own.tenant = t.what;
    print_named("tenant", t.name, own);
  }
  for (const auto& w : loaded.values.webhooks) {
    own.webhook = w.what;
    print_named("webhook", w.name, own);
  }
  return out;
}

std::string reference_text() {
  const settings defaults;
  std::string out;
  std::string_view section;
  for (const auto& f : fields()) {
    if (auto head = heading(f, section, "### `[", "]`"); !head.empty())
      out += head +
             "\n| key | default | bounds | takes effect by | what it does | a bad value |\n|---|---|---|---|---|---|\n";
    out += "| `" + std::string(f.key) + "` | `" + to_toml(read(f, defaults)) + "` | " +
           escaped_for_table(bounds_of(f)) + " | " + std::string(when(f.takes_effect)) + " | " +
           escaped_for_table(f.doc) + " | " + escaped_for_table(f.wrong) + " |\n";
  }
  return out;
}

} // namespace greenroom::config
