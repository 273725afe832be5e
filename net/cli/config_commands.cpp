// config check | print | default | reference: what config/ knows, on the terminal.
#include "config/print.hpp"
#include "net/cli/cli.hpp"

#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>

namespace greenroom::cli {
namespace {

int check(const config::sources& from) {
  auto loaded = config::load(from);
  for (const auto& m : loaded.mistakes)
    std::cout << config::to_string(m) << "\n";
  if (!loaded.ok())
    return 1;
  std::cout << "ok" << (loaded.file.empty() ? "" : ": " + loaded.file) << "\n";
  return 0;
}

} // namespace

void add_config_commands(CLI::App& program, context& shared) {
  auto* config = program.add_subcommand("config", "look at the configuration of a node");
  config->require_subcommand(1);

  auto* checking = config->add_subcommand("check", "list every mistake; exit code 1 if there is one");
  auto file = std::make_shared<std::string>();
  checking->add_option("FILE", *file, "instead of --config");
  checking->callback([&shared, file] {
    shared.run = [&shared, file] {
      if (!file->empty())
        shared.from.file = *file;
      return check(shared.from);
    };
  });

  config->add_subcommand("print", "print what is in force, and where each value came from")->callback([&shared] {
    shared.run = [&shared] {
      auto loaded = load_or_complain(shared.from);
      if (!loaded)
        return 1;
      std::cout << config::effective_text(*loaded);
      return 0;
    };
  });

  config->add_subcommand("default", "print a file with every setting, commented")->callback([&shared] {
    shared.run = [] {
      std::cout << config::default_file_text();
      return 0;
    };
  });

  config->add_subcommand("reference", "print the reference of all settings in Markdown")->callback([&shared] {
    shared.run = [] {
      std::cout << config::reference_text();
      return 0;
    };
  });
}

} // namespace greenroom::cli
