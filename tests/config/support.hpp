// support for the tests of config/: a directory of its own for each test case, and loads in one line.
#pragma once

#include "config/load.hpp"

#include <catch2/catch.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace greenroom::config {

/// Works in a fresh directory, so that greenroom.toml is what the test wrote, and goes back at the end.
class load_fixture {
public:
  load_fixture() : before_(std::filesystem::current_path()) {
    std::string pattern = std::filesystem::temp_directory_path() / "greenroom-config-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
    std::filesystem::current_path(directory_);
  }
  ~load_fixture() {
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
    std::filesystem::remove_all(directory_, ignored);
  }
  load_fixture(const load_fixture&) = delete;
  load_fixture& operator=(const load_fixture&) = delete;

protected:
  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  /// Loads greenroom.toml holding `text`, and nothing else.
  static load_result load_text(const std::string& text) {
    write("greenroom.toml", text);
    return load({});
  }

  /// The mistakes of a file as lines.
  static std::vector<std::string> mistakes_in(const std::string& text) { return lines(load_text(text)); }
  static std::vector<std::string> lines(const load_result& result) {
    std::vector<std::string> out;
    for (const auto& m : result.mistakes)
      out.push_back(to_string(m));
    return out;
  }

private:
  std::filesystem::path before_;
  std::filesystem::path directory_;
};

using strings = std::vector<std::string>;

} // namespace greenroom::config
