// token: a development token, made offline with the secret of the configured node. Whoever can read that secret can be
// anybody; so this is no way around a password that somebody else could take.
#include "config/ids.hpp"
#include "net/cli/cli.hpp"
#include "net/jwt.hpp"
#include "net/key_file.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <iostream>
#include <random>
#include <vector>

namespace greenroom::cli {
namespace {

struct token_flags {
  std::string user;
  bool admin = false;
  std::vector<std::string> namespaces;
  uint32_t ttl_s = 0; // 0: auth.token_s
};

/// A session of its own for each token, so that one can be revoked without the others.
std::string new_session() {
  static constexpr char hex[] = "0123456789abcdef";
  std::random_device random;
  std::string out = "s_";
  for (int i = 0; i < 32; ++i)
    out += hex[random() & 15U];
  return out;
}

int make_token(const token_flags& flags, const config::sources& from) {
  auto user = user_id::parse(flags.user, "--user");
  if (!user)
    return complain(user.error());
  auto loaded = load_or_complain(from);
  if (!loaded)
    return 1;
  const settings& s = loaded->values;
  if (s.auth.algorithm != token_algorithm::hs256)
    return complain(fail(errc::unsupported, "auth.algorithm is not HS256: tokens come from the identity provider"));
  // Not made here: in a folder that is not the node's it would make tokens that no node takes.
  const auto secret = net::secret_file_of(s);
  if (std::error_code ignored; !std::filesystem::exists(secret, ignored))
    return complain(fail(errc::unavailable,
                         secret + " is not there, the secret of a node that has run. Go to the folder of the node, or "
                                  "name it by --config FILE, --node.data_dir=FOLDER or --auth.secret_file=FILE; the "
                                  "node makes the file at its first start"));
  auto tokens = net::jwt_tokens::open(s);
  if (!tokens)
    return complain(tokens.error());
  identity who;
  who.user = *user;
  who.session = new_session();
  who.admin = flags.admin;
  if (!flags.namespaces.empty()) {
    if (s.auth.namespaces_claim.empty())
      return complain(fail(errc::bad_request, "--namespace: auth.namespaces_claim is not set, so all are open"));
    who.namespaces = std::make_shared<const std::vector<std::string>>(flags.namespaces);
  }
  auto token = (*tokens)->issue(who, std::chrono::seconds(flags.ttl_s == 0 ? s.auth.token_s : flags.ttl_s));
  if (!token)
    return complain(token.error());
  std::cout << *token << "\n";
  return 0;
}

} // namespace

void add_token_command(CLI::App& program, context& shared) {
  auto* command = program.add_subcommand("token", "make a development token, offline, with the secret of the node");
  auto flags = std::make_shared<token_flags>();
  command->add_option("--user", flags->user, "whom it stands for")->required();
  command->add_flag("--admin", flags->admin, "with the rights of an operator");
  command->add_option("--namespace", flags->namespaces,
                      "a namespace whose rooms it opens, \"*\" for all; may be repeated (needs auth.namespaces_claim)");
  command->add_option("--ttl", flags->ttl_s, "its life in seconds (default: auth.token_s)")
      ->check(CLI::Range(1, 315'360'000));
  command->callback([&shared, flags] { shared.run = [&shared, flags] { return make_token(*flags, shared.from); }; });
}

} // namespace greenroom::cli
