// key_file: the keys with which tokens are signed and checked, as files. Used at start and on SIGHUP only. Failures are
// `unavailable` with a message for the operator that names the setting and the file.
#pragma once

#include "config/outcome.hpp"
#include "config/settings.hpp"
#include "net/public_key.hpp"

#include <string>

namespace greenroom::net {

/// Where the secret of HS256 is: auth.secret_file, or token.secret in node.data_dir.
std::string secret_file_of(const settings& config);

/// The secret in `path`: its content without the line end, 32 to 4096 bytes. When the file is missing it is made: 256
/// random bits in hexadecimal, mode 0600, complete or not there at all, also when two processes start at once.
outcome<std::string> load_or_make_secret(const std::string& path);

/// auth.public_key_file: a public key in PEM form, of at most 4096 bytes. REQUIRES: algorithm is rs256 or es256.
outcome<public_key> load_public_key(const std::string& path, token_algorithm algorithm);

/// auth.jwks_file: its text, of at most key_set::text_bytes_max.
outcome<std::string> load_key_set(const std::string& path);

} // namespace greenroom::net
