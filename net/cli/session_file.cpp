#include "net/cli/session_file.hpp"

#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr mode_t owner_only = 0600;
constexpr mode_t group_and_others = 077;
constexpr size_t bytes_max = 65'536;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : std::string(value);
}

failure trouble(const std::string& path) { return fail(errc::internal, path + ": " + std::strerror(errno)); }

/// Closes what is not handed on.
struct descriptor {
  int fd;
  ~descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

bool write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string folder_of(const std::string& path) {
  auto folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

} // namespace

std::string session_file::usual_path() {
  if (auto path = variable("GREENROOM_CLI_SESSION"); !path.empty())
    return path;
  auto base = variable("XDG_CONFIG_HOME");
  if (base.empty())
    base = variable("HOME") + "/.config";
  return base + "/greenroom/session.json";
}

outcome<std::optional<saved_session>> session_file::load() const {
  const descriptor file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return std::optional<saved_session>{};
    return trouble(path_);
  }
  struct stat about {};
  if (::fstat(file.fd, &about) != 0)
    return trouble(path_);
  if ((about.st_mode & group_and_others) != 0)
    return fail(errc::forbidden, path_ + ": others may read it, and it holds a refresh token: chmod 600 it, or log in "
                                         "anew if they may have");
  std::string text(bytes_max, '\0');
  const auto size = ::read(file.fd, text.data(), text.size());
  if (size < 0)
    return trouble(path_);
  text.resize(static_cast<size_t>(size));
  const auto x = json::parse(text, nullptr, false);
  saved_session out;
  out.server = text_of(x, "server");
  out.ca_file = text_of(x, "ca_file");
  out.insecure = x.is_object() && x.value("insecure", json()) == true;
  out.user = text_of(x, "user");
  out.session = text_of(x, "session");
  out.token = text_of(x, "token");
  out.refresh_token = text_of(x, "refresh_token");
  out.expires_at_ms = static_cast<int64_t>(number_of(x, "expires_at"));
  if (out.server.empty() || out.token.empty())
    return fail(errc::internal, path_ + ": holds no session; log in anew");
  return std::optional(std::move(out));
}

outcome<void> session_file::save(const saved_session& x) const {
  const auto folder = folder_of(path_);
  if (!std::filesystem::exists(folder)) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed)
      return fail(errc::internal, folder + ": " + failed.message());
    ::chmod(folder.c_str(), 0700);
  }
  const auto text = json{{"server", x.server},
                         {"ca_file", x.ca_file},
                         {"insecure", x.insecure},
                         {"user", x.user},
                         {"session", x.session},
                         {"token", x.token},
                         {"refresh_token", x.refresh_token},
                         {"expires_at", x.expires_at_ms}}
                        .dump(2) +
                    "\n";
  // A new file under another name: its mode is right from the start, and a reader sees the old one or the new one.
  auto draft = path_ + ".XXXXXX";
  const descriptor file{::mkostemp(draft.data(), O_CLOEXEC)};
  if (file.fd < 0)
    return trouble(draft);
  if (::fchmod(file.fd, owner_only) != 0 || !write_all(file.fd, text) || ::fsync(file.fd) != 0 ||
      ::rename(draft.c_str(), path_.c_str()) != 0) {
    auto why = trouble(path_);
    ::unlink(draft.c_str());
    return why;
  }
  const descriptor inside{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (inside.fd < 0 || ::fsync(inside.fd) != 0)
    return trouble(folder);
  return {};
}

outcome<void> session_file::remove() const {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT)
    return trouble(path_);
  return {};
}

session_file::lock::~lock() {
  if (fd_ >= 0)
    ::close(fd_); // and so it is free
}

outcome<session_file::lock> session_file::hold() const {
  // Beside the file, which is replaced: a lock on what is replaced guards nothing.
  const auto path = path_ + ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, owner_only);
  if (fd < 0)
    return trouble(path);
  lock out(fd);
  while (::flock(fd, LOCK_EX) != 0)
    if (errno != EINTR)
      return trouble(path);
  return out;
}

} // namespace greenroom::cli
