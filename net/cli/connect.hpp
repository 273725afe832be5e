// connect: from an endpoint to a connected byte stream, plain or TLS, for the HTTP client and the chat.
#pragma once

#include "net/byte_stream.hpp"
#include "net/cli/endpoint.hpp"

#include <chrono>
#include <string>

namespace greenroom::cli {

/// From the first packet to the end of the TLS handshake; also for a whole HTTP request.
inline constexpr std::chrono::seconds connect_time{10};

/// Trusts the endpoint's CA file, or the system's. Throws std::runtime_error if the file cannot be read.
boost::asio::ssl::context tls_context_of(const endpoint& to);

/// Throws boost::system::system_error, at the latest after connect_time, the resolver's time not counted. REQUIRES: the
/// stream has a context if the endpoint is TLS.
boost::asio::awaitable<void> connect(net::byte_stream& stream, const endpoint& to);

/// Why there was no answer from `to`, and what the person who gave the URL can do about it.
std::string explain(const boost::system::error_code& why, const endpoint& to);

} // namespace greenroom::cli
