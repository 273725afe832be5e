// node_flags: which node a command talks to, and as whom.
#include "net/cli/cli.hpp"

#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace greenroom::cli {
namespace {

/// The terminal of this process, whatever its input and output are.
class terminal {
public:
  terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {}
  ~terminal() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;

  bool there() const noexcept { return fd_ >= 0; }
  void print(const std::string& text) const {
    // A prompt that cannot be written shows by what follows.
    [[maybe_unused]] auto written = ::write(fd_, text.data(), text.size());
  }
  std::string read_line_unseen() const {
    termios before{};
    ::tcgetattr(fd_, &before);
    termios unseen = before;
    unseen.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(fd_, TCSAFLUSH, &unseen);
    std::string out;
    for (char c; ::read(fd_, &c, 1) == 1 && c != '\n';)
      out += c;
    ::tcsetattr(fd_, TCSAFLUSH, &before);
    print("\n");
    return out;
  }

private:
  int fd_;
};

/// The configured node, as seen from its own machine.
std::string local_url(const settings& s, bool wants_tls) {
  const bool tls = s.listen.port == 0 || (wants_tls && s.listen.tls_port != 0);
  std::string host = s.listen.address;
  if (host == "0.0.0.0" || host == "::")
    host = tls ? "localhost" : "127.0.0.1";
  if (host.find(':') != std::string::npos)
    host = "[" + host + "]";
  return (tls ? "https://" : "http://") + host + ":" + std::to_string(tls ? s.listen.tls_port : s.listen.port);
}

} // namespace

std::shared_ptr<node_flags> add_node_flags(CLI::App& command, identity_flags who) {
  auto flags = std::make_shared<node_flags>();
  flags->identity = who;
  command.add_option("--server,--url", flags->url,
                     "http(s):// or ws(s)://host:port (default: the configured node, here)");
  auto* ca = command.add_option("--ca", flags->ca_file, "PEM file with the certificates to trust");
  command.add_flag("--insecure", flags->insecure, "trust any certificate: for trying things out only")->excludes(ca);
  if (who == identity_flags::none)
    return flags;
  auto* user = command.add_option("--user", flags->user, "name of the account");
  command
      .add_option("--password", flags->password, "its password (others on this machine may see it; else it is asked)")
      ->needs(user);
  auto* token = command.add_option("--token", flags->token, "a token, in place of user and password")->excludes(user);
  if (who == identity_flags::any)
    command.add_flag("--guest", flags->guest, "come without an account")->excludes(user)->excludes(token);
  return flags;
}

outcome<endpoint> endpoint_of(const node_flags& flags, const config::sources& from) {
  const std::string about_tls = flags.insecure ? "--insecure" : flags.ca_file.empty() ? "" : "--ca";
  std::string url = flags.url;
  if (url.empty()) {
    auto loaded = load_or_complain(from);
    if (!loaded)
      return fail(errc::bad_request, "the configuration has mistakes; give --url, or mend it");
    url = local_url(loaded->values, !about_tls.empty());
  }
  auto to = parse_url(url);
  if (to && !to->tls && !about_tls.empty())
    return fail(errc::bad_request, about_tls + ": " + url + " is not encrypted: use wss:// or https://");
  if (to) {
    to->ca_file = flags.ca_file;
    to->insecure = flags.insecure;
  }
  return to;
}

outcome<credentials> sign_in(const node_flags& flags, const endpoint& to) {
  if (!flags.token.empty())
    return credentials::with_token(flags.token);
  if (flags.guest)
    return credentials::guest(to);
  if (flags.user.empty())
    return fail(errc::bad_request, flags.identity == identity_flags::any
                                       ? "who are you? Give --user, --token or --guest (see --help)"
                                       : "who are you? Give --user or --token (see --help)");
  std::string password = flags.password;
  if (password.empty()) {
    auto typed = ask_password(flags.user);
    if (!typed)
      return std::move(typed).error();
    password = std::move(*typed);
  }
  return credentials::log_in(to, flags.user, password);
}

outcome<std::string> ask_password(const std::string& user) {
  const terminal tty;
  if (!tty.there())
    return fail(errc::bad_request, "no terminal to ask for a password: give --password");
  tty.print("password of " + user + ": ");
  return tty.read_line_unseen();
}

} // namespace greenroom::cli
