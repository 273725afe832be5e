// session file: who is logged in, kept between commands. It holds a refresh token, which is as good as a password until
// it is spent, so the file is its owner's alone (0600, in a folder of 0700) and is refused when it is not.
//
// A refresh token is good once: whoever shows a spent one ends the session, because it may be a thief. So of several
// commands at the same time only one may renew: it holds the lock meanwhile, and the others then read what it has
// written. The new tokens are on the disk, under the file's name as a whole or not at all, before they are used.
#pragma once

#include "config/outcome.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace greenroom::cli {

struct saved_session {
  std::string server; // as it was given: its URL
  std::string ca_file;
  bool insecure = false;
  std::string user;
  std::string session;
  std::string token;
  std::string refresh_token; // empty: the token is from elsewhere and can't be renewed
  int64_t expires_at_ms = 0; // by the clock of this machine; 0: not known
  friend bool operator==(const saved_session&, const saved_session&) = default;
};

class session_file {
public:
  explicit session_file(std::string path) : path_(std::move(path)) {}
  /// GREENROOM_CLI_SESSION, else greenroom/session.json in XDG_CONFIG_HOME or ~/.config.
  static std::string usual_path();

  const std::string& path() const noexcept { return path_; }

  /// nullopt: nobody is logged in. Fails with forbidden when others may read it, with internal when it can't be read.
  outcome<std::optional<saved_session>> load() const;
  /// Makes the folder if need be. Fails with internal, and leaves what was there.
  outcome<void> save(const saved_session& what) const;
  outcome<void> remove() const;

  /// Nobody else renews while one of these lives.
  class lock {
  public:
    lock(lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    lock& operator=(lock&&) = delete;
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    ~lock();

  private:
    friend class session_file;
    explicit lock(int fd) : fd_(fd) {}
    int fd_;
  };
  /// Waits for it. Fails with internal.
  outcome<lock> hold() const;

private:
  std::string path_;
};

} // namespace greenroom::cli
