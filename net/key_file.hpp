// key_file: the keys with which tokens are signed and checked, as files. Used at start only. Failures are `unavailable`
// with a message for the operator that names the setting and the file.
#pragma once

#include "config/outcome.hpp"
#include "config/settings.hpp"

#include <string>

namespace greenroom::net {

/// Where the secret of HS256 is: auth.secret_file, or token.secret in node.data_dir.
std::string secret_file_of(const settings& config);

/// The secret in `path`: its content without the line end, 32 to 4096 bytes. When the file is missing it is made: 256
/// random bits in hexadecimal, mode 0600, complete or not there at all, also when two processes start at once.
outcome<std::string> load_or_make_secret(const std::string& path);

/// The PEM text of a public key, checked to be one for `algorithm`: RSA of at least 2048 bits (RFC 7518 section 3.3),
/// or EC on P-256. REQUIRES: algorithm is rs256 or es256.
outcome<std::string> load_public_key(const std::string& path, token_algorithm algorithm);

} // namespace greenroom::net
