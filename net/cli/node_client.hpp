// node client: REST of one node, as the user that a command speaks for. Keeps the token fresh, and what was saved of a
// session up to date.
//
// Who it is, the first of these: --token, --user, GREENROOM_CLI_TOKEN, the session that `login` has saved. Which node:
// --server, GREENROOM_CLI_SERVER, that of the saved session, the configured node on this machine. A saved session is
// for the server that gave it, and is shown to no other.
#pragma once

#include "net/cli/cli.hpp"
#include "net/cli/session_file.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::cli {

/// The flags of commands that ask a node in the name of somebody.
struct client_flags {
  std::shared_ptr<node_flags> node;
  std::string session_path; // empty: the usual one
  bool json = false;
};
/// Adds --server, --ca, --insecure, --user, --password, --token, --session and --json.
std::shared_ptr<client_flags> add_client_flags(CLI::App& command);

/// The last two of them.
void add_session_flags(CLI::App& command, client_flags& into);

/// Where --server, the environment or the saved session say; else the configured node.
outcome<endpoint> server_of(const client_flags& flags, const config::sources& from,
                            const std::optional<saved_session>& saved, std::string& url);

class node_client {
public:
  /// Fails with bad_request where the flags are wrong, with unauthenticated where they say nobody; what the node says
  /// to a password, and that it can't be reached, is in `refused`.
  static outcome<node_client> open(const client_flags& flags, const config::sources& from, http_reply& refused);

  http_reply ask(std::string_view method, std::string_view path, const std::string& body = {},
                 const std::string& key = {}, const header_list& headers = {});

  const std::optional<saved_session>& saved() const noexcept { return saved_; }
  const std::string& server() const noexcept { return url_; }
  const endpoint& to() const noexcept { return to_; }
  const std::string& token() const noexcept { return token_; }

private:
  node_client(endpoint to, std::string url, session_file file)
      : to_(std::move(to)), url_(std::move(url)), file_(std::move(file)) {}
  /// Gets the next token, or takes the one that another command has got meanwhile. The reply is good, or says why not.
  http_reply renew();

  endpoint to_;
  std::string url_;
  session_file file_;
  std::optional<saved_session> saved_; // whose token it is
  std::string token_;
};

/// Does something with a node, or says why that can't be. Answers the exit code.
int with_node(const client_flags& flags, const config::sources& from, const std::function<int(node_client&)>& what);

/// Out of the answer to a login. Fails with unavailable where it holds no token.
outcome<saved_session> session_in(const http_reply& reply);

/// Says on the error output why not, as JSON where `json` is set: {"error":{"code","message",...}}. Answers the exit
/// code.
int tell_failure(const http_reply& reply, bool json, std::string_view key = {});
/// Likewise, of what no node was asked for.
int tell_failure(const failure& why, bool json);

} // namespace greenroom::cli
