// cluster certs: a CA in a directory, and from it a certificate for each node. Needs neither etcd nor a configuration.
//
// Each file is written whole under another name and then renamed: a node that reloads meanwhile never reads half of
// one.
#include "config/ids.hpp"
#include "net/cli/certificates.hpp"
#include "net/cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

namespace greenroom::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t authority_days = 3'650;
constexpr int64_t node_days = 825;

struct certs_flags {
  std::string directory;
  std::vector<std::string> nodes;
  int64_t days = node_days;
  bool force = false;
  bool as_json = false;
};

outcome<std::string> read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  if (!in || !(text << in.rdbuf()))
    return fail(errc::not_found, file.string() + ": " + std::strerror(errno));
  return std::move(text).str();
}

/// Readable for its owner only, certificates too: nobody has to think about which is which.
outcome<void> write(const fs::path& file, const std::string& text) {
  const auto made = file.string() + ".new";
  const auto broken = [&](int fd) {
    const int why = errno;
    if (fd >= 0)
      ::close(fd);
    ::unlink(made.c_str());
    return fail(errc::unavailable, file.string() + ": " + std::strerror(why));
  };
  ::unlink(made.c_str()); // of an attempt that was broken off, perhaps with another mode
  const int fd = ::open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return broken(fd);
  for (size_t done = 0; done < text.size();) {
    const auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0)
      return broken(fd);
    done += static_cast<size_t>(n);
  }
  if (::fsync(fd) != 0)
    return broken(fd);
  ::close(fd);
  if (::rename(made.c_str(), file.c_str()) != 0)
    return broken(-1);
  return boost::system::in_place_value;
}

outcome<void> write(const fs::path& certificate, const fs::path& key, const certified& what) {
  if (auto done = write(key, what.key); !done)
    return done;
  return write(certificate, what.certificate);
}

outcome<void> check(const certs_flags& f) {
  std::set<std::string> seen;
  for (const auto& n : f.nodes) {
    if (!user_id::parse(n))
      return fail(errc::bad_request, "\"" + n + "\" is not the name of a node: must be [a-z0-9][a-z0-9._-]{0,31}");
    if (n == "ca")
      return fail(errc::bad_request, "ca.pem and ca.key are the CA's: a node can't be named \"ca\" here");
    if (!seen.insert(n).second)
      return fail(errc::bad_request, "the node " + n + " is named twice");
    for (const auto* end : {".pem", ".key"})
      if (const auto file = fs::path(f.directory) / (n + end); !f.force && fs::exists(file))
        return fail(errc::exists, file.string() + " is there already: --force replaces it");
  }
  return boost::system::in_place_value;
}

/// The CA of the directory; a new one, if it has none.
outcome<certified> authority_in(const fs::path& directory, int64_t days, bool& made) {
  const auto certificate = directory / "ca.pem";
  const auto key = directory / "ca.key";
  made = !fs::exists(certificate) && !fs::exists(key);
  if (made) {
    auto ca = make_authority({std::max(authority_days, days) * day_s});
    if (!ca)
      return ca;
    if (auto done = write(certificate, key, *ca); !done)
      return done.error();
    return ca;
  }
  if (!fs::exists(certificate) || !fs::exists(key))
    return fail(errc::not_found, directory.string() + " has only one of ca.pem and ca.key: certificates are made where "
                                                      "both are");
  auto c = read(certificate);
  if (!c)
    return c.error();
  auto k = read(key);
  if (!k)
    return k.error();
  return certified{std::move(*c), std::move(*k)};
}

int make_certificates(const certs_flags& f) {
  std::error_code wrong;
  const auto directory = fs::absolute(f.directory);
  if (auto done = check(f); !done)
    return complain(done.error());
  if (fs::create_directories(directory, wrong))
    fs::permissions(directory, fs::perms::owner_all, wrong);
  if (wrong)
    return complain(fail(errc::unavailable, directory.string() + ": " + wrong.message()));
  bool made = false;
  auto ca = authority_in(directory, f.days, made);
  if (!ca)
    return complain(ca.error());
  nlohmann::ordered_json out = {{"ca",
                                 {{"certificate", (directory / "ca.pem").string()},
                                  {"key", (directory / "ca.key").string()},
                                  {"made", made},
                                  {"until", end_of(ca->certificate)}}},
                                {"nodes", nlohmann::ordered_json::array()}};
  std::ostringstream text;
  text << (made ? "made a CA: " : "used the CA ") << out["ca"]["certificate"].get<std::string>() << ", until "
       << out["ca"]["until"].get<std::string>() << "\n";
  if (made)
    text << "Keep " << out["ca"]["key"].get<std::string>()
         << " away from the nodes: whoever has it can make certificates of nodes.\n";
  for (const auto& node : f.nodes) {
    auto one = issue(*ca, node, {f.days * day_s});
    if (!one)
      return complain(
          fail(one.error().code, node + ": " + one.error().message + " (--days is " + std::to_string(f.days) + ")"));
    const auto certificate = directory / (node + ".pem");
    const auto key = directory / (node + ".key");
    if (auto done = write(certificate, key, *one); !done)
      return complain(done.error());
    out["nodes"].push_back({{"name", node},
                            {"certificate", certificate.string()},
                            {"key", key.string()},
                            {"until", end_of(one->certificate)}});
    const auto quoted = [](const fs::path& x) { return nlohmann::json(x.string()).dump(); };
    text << "\nmade the certificate of " << node << ", until " << end_of(one->certificate)
         << ". In its configuration:\n\n[cluster]\ntls_certificate_file = " << quoted(certificate)
         << "\ntls_key_file = " << quoted(key) << "\ntls_ca_file = " << quoted(directory / "ca.pem") << "\n";
  }
  std::cout << (f.as_json ? out.dump(2) + "\n" : text.str());
  return 0;
}

} // namespace

void add_certs_command(CLI::App& cluster, context& shared) {
  auto flags = std::make_shared<certs_flags>();
  auto* command = cluster.add_subcommand("certs", "make a private CA and the certificates of nodes, for their links");
  command->add_option("directory", flags->directory, "where they are kept; made if it is not there")->required();
  command->add_option("--node", flags->nodes, "name of a node (node.name); may be several")->required();
  command->add_option("--days", flags->days, "how long the nodes' certificates are good")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{36'500}));
  command->add_flag("--force", flags->force, "replace what the nodes have; the CA stays");
  command->add_flag("--json", flags->as_json, "for programs");
  command->callback([&shared, flags] { shared.run = [flags] { return make_certificates(*flags); }; });
}

} // namespace greenroom::cli
