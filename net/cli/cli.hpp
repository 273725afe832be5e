// cli: the command line `greenroom`. One file per group of commands; each adds its subcommands to the program and
// leaves in `run` what the chosen one does.
//
// Exit codes stand below. `chat` and the commands that are older than them answer 1 also when no node is reached.
#pragma once

#include "config/load.hpp"
#include "net/cli/endpoint.hpp"
#include "net/cli/rest_client.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace greenroom::cli {

inline constexpr int exit_done = 0;
inline constexpr int exit_refused = 1;     // the answer is no
inline constexpr int exit_usage = 2;       // used wrongly; nobody was asked
inline constexpr int exit_unreachable = 3; // whether it was done is not known

/// What all commands share. Settings of a node are read as the node reads them.
struct context {
  config::sources from;
  /// What the chosen subcommand does; answers the exit code.
  std::function<int()> run;
};

// Each takes the program and a context that lives as long as it.
void add_config_commands(CLI::App& program, context& shared);
void add_token_command(CLI::App& program, context& shared);
void add_user_commands(CLI::App& program, context& shared);
void add_user_data_commands(CLI::App& user, context& shared);
void add_chat_command(CLI::App& program, context& shared);
void add_login_commands(CLI::App& program, context& shared);
void add_api_commands(CLI::App& program, context& shared);
void add_history_command(CLI::App& message, context& shared);
void add_batch_commands(CLI::App& program, context& shared);
/// REQUIRES: add_api_commands() has made their group.
void add_file_commands(CLI::App& program, context& shared);
void add_cluster_commands(CLI::App& program, context& shared);
void add_certs_command(CLI::App& cluster, context& shared);
void add_drain_command(CLI::App& cluster, context& shared);
void add_remove_command(CLI::App& cluster, context& shared);

/// The node's settings. Prints the mistakes and answers nothing if there are some.
std::optional<config::load_result> load_or_complain(const config::sources& from);

/// By what a command lets the person say who they are: nothing; an account or a token; those, or as a guest.
enum class identity_flags : uint8_t { none, account, any };

/// The flags of a command that talks to a node: which node, and as whom.
struct node_flags {
  identity_flags identity = identity_flags::none;
  std::string url; // empty: the node of the configuration, on this machine
  std::string ca_file;
  bool insecure = false;
  std::string user;
  std::string password;
  std::string token;
  bool guest = false;
};
/// Adds --url, --ca, --insecure and those that say who: none, --user with --password or --token, or those and --guest.
std::shared_ptr<node_flags> add_node_flags(CLI::App& command, identity_flags who);

/// Fails with bad_request if the URL cannot be read, if it is plain though --ca or --insecure are given or, without a
/// URL, if the configuration has mistakes.
outcome<endpoint> endpoint_of(const node_flags& flags, const config::sources& from);

/// Signs in as the flags say, asking for a password that is not there. Fails with bad_request if they say nobody, and
/// as call() does.
outcome<credentials> sign_in(const node_flags& flags, const endpoint& to);

/// Asks on the terminal, without an echo. Fails with bad_request if there is no terminal.
outcome<std::string> ask_password(const std::string& user);

/// 128 random bits, in hexadecimal: never the same twice.
std::string random_id();

/// Prints "greenroom: message" on the error output and answers 1.
int complain(const failure& why);

} // namespace greenroom::cli
