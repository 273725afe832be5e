#include "config/print.hpp"
#include "config/schema.hpp"
#include "tests/config/support.hpp"

#include <regex>
#include <set>
#include <sstream>

namespace greenroom::config {
namespace {

std::string content_of(const std::string& path) {
  std::ifstream in(std::filesystem::path(GREENROOM_SOURCE_DIR) / path);
  CAPTURE(path);
  REQUIRE(in);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Another value that is within the bounds of the key.
value another(const field& f, const settings& s) {
  switch (f.type()) {
  case field_type::number: {
    auto n = std::get<int64_t>(read(f, s));
    return n < f.highest ? n + 1 : n - 1;
  }
  case field_type::boolean:
    return !std::get<bool>(read(f, s));
  case field_type::text: {
    auto text = std::get<std::string>(read(f, s));
    for (auto word : f.words)
      if (word != text)
        return std::string(word);
    if (f.form && f.section == "listen")
      return "::1";
    if (f.key == "url")
      return "https://hook.example/x";
    if (f.key == "jwks_url")
      return "https://id.example/keys";
    return f.key == "listen_address" ? "127.0.0.2" : text + "x";
  }
  case field_type::list:
    if (f.key == "types")
      return strings{"image/*"};
    if (f.key == "events" || f.key == "rooms")
      return strings{f.key == "events" ? "message" : "shop/*"};
    return strings{f.section == "limits" ? "192.0.2.0/24" : "https://chat.example"};
  }
  return {};
}

} // namespace

TEST_CASE("every member of settings has a row, and only those", "[schema]") {
  // C++20 cannot list members, so the test reads the header as text: `type name = ...;` or `type name;`.
  std::set<std::string> members;
  const std::regex member(R"(^\s+(?:uint16_t|uint32_t|bool|std::string|std::vector<std::string>|token_algorithm|)"
                          R"(log_level|log_format) (\w+)(?: = [^;]+)?;)");
  const std::regex section_end(R"(^  \} (\w+);)");
  std::istringstream header(content_of("config/settings.hpp"));
  std::vector<std::string> pending;
  const auto close = [&](const std::string& section) {
    for (const auto& key : pending)
      members.insert(section + "." + key);
    pending.clear();
  };
  for (std::string line; std::getline(header, line);) {
    std::smatch found;
    if (line.starts_with("  struct named_")) { // has a section of its own, whose keys stand in another struct
      while (std::getline(header, line) && line != "  };") {
      }
      continue;
    }
    if (std::regex_search(line, found, member))
      pending.push_back(found[1]);
    else if (std::regex_search(line, found, section_end))
      close(found[1]);
    else if (line == "  };") // has a name: no section, but what a list holds
      pending.clear();
    else if (line == "  friend bool operator==(const limits&, const limits&) = default;")
      close("limits");
  }
  std::set<std::string> rows;
  for (const auto& f : fields())
    CHECK(rows.insert(f.name()).second);
  CHECK(rows.size() > 80);
  CHECK(rows == members);
}

TEST_CASE("every default is within its bounds, and each key can be changed", "[schema]") {
  const settings defaults;
  for (const auto& f : fields()) {
    CAPTURE(f.name());
    settings s;
    CHECK(config::write(f, s, read(f, defaults)) == std::nullopt);
    CHECK(f.lowest <= f.highest);
    CHECK_FALSE(f.doc.empty());
    CHECK_FALSE(f.wrong.empty());
    const auto v = another(f, s);
    REQUIRE(config::write(f, s, v) == std::nullopt);
    CHECK(read(f, s) == v);
    // Nothing else has moved: no two rows share a member.
    for (const auto& other : fields())
      if (&other != &f)
        CHECK(read(other, s) == read(other, defaults));
  }
}

TEST_CASE("a number is refused one step beyond each bound", "[schema]") {
  for (const auto& f : fields()) {
    if (f.type() != field_type::number)
      continue;
    CAPTURE(f.name());
    settings s;
    CHECK(config::write(f, s, f.lowest) == std::nullopt);
    CHECK(config::write(f, s, f.highest) == std::nullopt);
    CHECK(read(f, s) == value{f.highest}); // The member is wide enough for the bound.
    CHECK(config::write(f, s, f.lowest - 1) != std::nullopt);
    CHECK(config::write(f, s, f.highest + 1) != std::nullopt);
    CHECK(read(f, s) == value{f.highest});
  }
}

TEST_CASE("no two keys share a variable", "[schema]") {
  std::set<std::string> variables;
  for (const auto& f : fields())
    CHECK(variables.insert(variable_of(f)).second);
}

TEST_CASE("suggestions find slips of the finger and say nothing about guesses", "[schema]") {
  CHECK(nearest("listen.prot") == "did you mean listen.port?");
  CHECK(nearest("limit.frame_bytes") == "did you mean limits.frame_bytes?");
  CHECK(nearest("auth.frame_bytes") == "did you mean limits.frame_bytes?");
  CHECK(nearest("stroage") == "did you mean storage?");
  CHECK(nearest("cache_mb") == "did you mean storage.cache_mb?");
  CHECK(nearest("completely.different").empty());
  CHECK(nearest("qqqqq").empty());
  CHECK(nearest(std::string(100'000, 'x')).empty());
}

TEST_CASE_METHOD(load_fixture, "the default file loads without a mistake, names every key and changes nothing",
                 "[print]") {
  auto result = load_text(default_file_text());
  CHECK(lines(result) == strings{});
  const settings defaults;
  size_t i = 0;
  for (const auto& f : fields()) {
    CAPTURE(f.name());
    CHECK(read(f, result.values) == read(f, defaults));
    CHECK(result.came_from[i++].kind == origin::file);
  }
  std::istringstream text(default_file_text());
  for (std::string line; std::getline(text, line);)
    CHECK(line.size() <= 120);
}

TEST_CASE_METHOD(load_fixture, "what config print prints is loaded as the same settings", "[print]") {
  settings odd;
  for (const auto& f : fields())
    if (f.type() == field_type::list || f.type() == field_type::boolean || f.name() == "log.format")
      REQUIRE(config::write(f, odd, another(f, odd)) == std::nullopt);
  odd.auth.issuer = "quote \" backslash \\ line\nbell \x07 ü";
  load_result loaded;
  loaded.values = odd;
  loaded.came_from.resize(fields().size());
  loaded.came_from[0] = {origin::environment, "GREENROOM_NODE_NAME"};
  const auto text = effective_text(loaded);
  CHECK(text.starts_with("[node]\nname = \"n1\" # GREENROOM_NODE_NAME\ndata_dir = \"data\" # default\n"));
  auto result = load_text(text);
  CHECK(lines(result) == strings{});
  for (const auto& f : fields())
    CHECK(read(f, result.values) == read(f, odd));
}

TEST_CASE("the reference in the README is what the schema says", "[print]") {
  // Red after a change of the schema: put the output of `greenroom config reference` between the two marks.
  const auto readme = content_of("config/README.md");
  const std::string begin = "<!-- reference: printed by `greenroom config reference` -->\n";
  const std::string end = "<!-- end of reference -->\n";
  const auto from = readme.find(begin);
  const auto to = readme.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK(readme.substr(from + begin.size(), to - from - begin.size()) == reference_text());
}

} // namespace greenroom::config
