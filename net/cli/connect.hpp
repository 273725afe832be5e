// connect: from an endpoint to a connected byte stream, plain or TLS, for the HTTP client and the chat.
#pragma once

#include "net/cli/endpoint.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include <chrono>
#include <string>

namespace greenroom::cli {

using plain_stream = boost::beast::tcp_stream;
using tls_stream = boost::beast::ssl_stream<plain_stream>;

/// From the first packet to the end of the TLS handshake; also for a whole HTTP request.
inline constexpr std::chrono::seconds connect_time{10};

/// Trusts the endpoint's CA file, or the system's. Throws std::runtime_error if the file cannot be read.
boost::asio::ssl::context tls_context_of(const endpoint& to);

/// Both throw boost::system::system_error.
boost::asio::awaitable<void> connect(plain_stream& stream, const endpoint& to);
boost::asio::awaitable<void> connect(tls_stream& stream, const endpoint& to);

/// Why there was no answer from `to`, and what the person who gave the URL can do about it.
std::string explain(const boost::system::error_code& why, const endpoint& to);

} // namespace greenroom::cli
