// main: the front door of `greenroom`. It lists the groups of commands and runs the one that was chosen.
#include "net/cli/cli.hpp"
#include "net/cli/node_client.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <exception>
#include <iostream>

int main(int argc, char** argv, char** envp) {
  using namespace greenroom;
  cli::context shared;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  shared.from.environment = config::environment_of(envp);
  shared.from.flags = config::take_flags(arguments);

  CLI::App program("greenroom: the command line of the Greenroom chat server", "greenroom");
  program.require_subcommand(1);
  program.fallthrough(); // --config may stand behind the subcommand, too.
  program.add_option("-c,--config", shared.from.file,
                     "TOML file of the node (default: greenroom.toml, if it is there)");
  program.footer("Settings of the node can also be given as --section.key=value, for all commands that read them.");
  program.add_subcommand("version", "print the version")->callback([&shared] {
    shared.run = [] {
      std::cout << "greenroom " GREENROOM_VERSION "\n";
      return 0;
    };
  });
  cli::add_config_commands(program, shared);
  cli::add_token_command(program, shared);
  cli::add_user_commands(program, shared);
  cli::add_login_commands(program, shared);
  cli::add_api_commands(program, shared);
  cli::add_batch_commands(program, shared);
  cli::add_file_commands(program, shared);
  cli::add_chat_command(program, shared);
  cli::add_cluster_commands(program, shared);

  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend()); // CLI11 takes them from the back.
  try {
    program.parse(reversed);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0 && std::find(arguments.begin(), arguments.end(), "--json") != arguments.end())
      return cli::tell_failure(fail(errc::bad_request, e.what()), true);
    return program.exit(e) == 0 ? cli::exit_done : cli::exit_usage;
  }
  try {
    return shared.run();
  } catch (const std::exception& e) {
    std::cerr << "greenroom: " << e.what() << "\n";
    return 1;
  }
}
