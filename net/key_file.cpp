#include "net/key_file.hpp"

#include "net/key_set.hpp"

#include <sodium.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

namespace greenroom::net {
namespace {

constexpr size_t secret_bytes_min = 32;
constexpr size_t file_bytes_max = 4096 + 2; // with a line end

class descriptor {
public:
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  operator int() const noexcept { return fd_; }

private:
  int fd_;
};

failure trouble(const char* setting, const std::string& path, const std::string& why) {
  return fail(errc::unavailable, std::string(setting) + ": " + path + ": " + why);
}

// nullopt, with errno: it can't be read. More than bytes_max means too long.
std::optional<std::string> read_file(const std::string& path, size_t bytes_max = file_bytes_max) {
  descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd < 0)
    return std::nullopt;
  std::string content(bytes_max + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    auto n = ::read(fd, content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return std::nullopt;
    if (n == 0)
      break;
    size += static_cast<size_t>(n);
  }
  content.resize(size);
  return content;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

std::string random_hex(size_t bytes) {
  std::string raw(bytes, '\0');
  randombytes_buf(raw.data(), raw.size());
  std::string hex(2 * bytes + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), reinterpret_cast<const unsigned char*>(raw.data()), raw.size());
  hex.pop_back();
  return hex;
}

// Written aside and then linked under its name: link(2) does not replace, so whoever comes second uses what is there.
bool make_secret(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  std::error_code ignored; // a directory that can't be made shows when the file is opened
  if (!parent.empty())
    std::filesystem::create_directories(parent, ignored);
  const auto aside = path + "." + random_hex(8);
  {
    descriptor fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0)
      return false;
    if (!write_all(fd, random_hex(32) + "\n") || ::fsync(fd) != 0) {
      ::unlink(aside.c_str());
      return false;
    }
  }
  const bool linked = ::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int why = errno;
  ::unlink(aside.c_str());
  // A secret that a power cut could take back would void every token made until then.
  descriptor directory(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory >= 0)
    ::fsync(directory);
  errno = why;
  return linked;
}

} // namespace

std::string secret_file_of(const settings& config) {
  return config.auth.secret_file.empty() ? config.node.data_dir + "/token.secret" : config.auth.secret_file;
}

outcome<std::string> load_or_make_secret(const std::string& path) {
  constexpr auto setting = "auth.secret_file";
  auto content = read_file(path);
  if (!content && errno == ENOENT) {
    if (!make_secret(path))
      return trouble(setting, path, std::string("can't be made: ") + std::strerror(errno));
    content = read_file(path);
  }
  if (!content)
    return trouble(setting, path, std::string("can't be read: ") + std::strerror(errno));
  if (content->size() > file_bytes_max)
    return trouble(setting, path, "longer than 4096 bytes");
  while (!content->empty() && (content->back() == '\n' || content->back() == '\r'))
    content->pop_back();
  if (content->size() < secret_bytes_min)
    return trouble(setting, path, "a secret of at least 32 bytes is needed");
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    spdlog::warn("what=secret_readable_by_others file={} mode={:o}", path, static_cast<unsigned>(info.st_mode) & 0777u);
  return std::move(*content);
}

outcome<public_key> load_public_key(const std::string& path, token_algorithm algorithm) {
  constexpr auto setting = "auth.public_key_file";
  if (path.empty())
    return fail(errc::unavailable, "auth.public_key_file: required with auth.algorithm RS256 and ES256, or else "
                                   "auth.jwks_file or auth.jwks_url");
  auto content = read_file(path);
  if (!content)
    return trouble(setting, path, std::string("can't be read: ") + std::strerror(errno));
  if (content->size() > file_bytes_max)
    return trouble(setting, path, "longer than 4096 bytes");
  auto key = public_key::of_pem(*content, algorithm);
  if (!key)
    return trouble(setting, path, key.error().message);
  return key;
}

outcome<std::string> load_key_set(const std::string& path) {
  constexpr auto setting = "auth.jwks_file";
  auto content = read_file(path, key_set::text_bytes_max);
  if (!content)
    return trouble(setting, path, std::string("can't be read: ") + std::strerror(errno));
  if (content->size() > key_set::text_bytes_max)
    return trouble(setting, path, "longer than " + std::to_string(key_set::text_bytes_max) + " bytes");
  return std::move(*content);
}

} // namespace greenroom::net
