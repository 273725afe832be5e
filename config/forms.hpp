// forms: of what form a text must be that keys of several sections have. Private to config/.
#pragma once

#include "config/ids.hpp"
#include "config/schema.hpp"

#include <arpa/inet.h>

#include <string>

namespace greenroom::config {

inline bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

inline bool is_name(const std::string& text) { return user_id::parse(text).has_value(); }

inline constexpr text_form address_form{is_address, "an IPv4 or IPv6 address"};
inline constexpr text_form name_form{is_name, "[a-z0-9][a-z0-9._-]{0,31}"};

} // namespace greenroom::config
