#include "net/fetcher.hpp"

#include "net/byte_stream.hpp"
#include "net/lookups.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>
#include <vector>

namespace greenroom::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using steady = std::chrono::steady_clock;

namespace {

failure unavailable(const std::string& step, const error_code& why) {
  return fail(errc::unavailable, step + ": " + (why == beast::error::timeout ? "no answer in time" : why.message()));
}

bool is_port(std::string_view text) {
  uint16_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  return wrong == std::errc{} && end == text.data() + text.size() && number != 0;
}

uint16_t number_of(const std::string& port) { return static_cast<uint16_t>(std::stoul(port)); }

bool is_this_machine(const std::string& host) {
  error_code name;
  const auto literal = asio::ip::make_address(host, name);
  return name ? host == "localhost" : literal.is_loopback();
}

} // namespace

// -- addresses --------------------------------------------------------------------------------------------------------

std::string web_address::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  const bool usual = port == (tls ? "443" : "80");
  return (v6 ? "[" + host + "]" : host) + (usual ? "" : ":" + port);
}

outcome<web_address> parse_web_address(std::string_view url, bool plain_anywhere) {
  const auto refuse = [url](std::string_view why) {
    return fail(errc::bad_request, "\"" + std::string(url) + "\" " + std::string(why));
  };
  // Also keeps line ends out of the request.
  if (std::any_of(url.begin(), url.end(), [](char c) { return c <= 0x20 || c >= 0x7f; }))
    return refuse("must be in visible ASCII characters");
  web_address out;
  auto rest = url;
  if (rest.starts_with("https://"))
    out.tls = true;
  else if (!rest.starts_with("http://"))
    return refuse("must begin with https://");
  rest.remove_prefix(out.tls ? 8 : 7);
  const auto slash = std::min(rest.find_first_of("/?"), rest.size());
  auto authority = rest.substr(0, slash);
  out.target = rest.substr(slash);
  if (!out.target.starts_with('/'))
    out.target.insert(0, 1, '/');
  if (url.find('#') != std::string_view::npos || authority.find('@') != std::string_view::npos)
    return refuse("must have neither a user nor a fragment");
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto bracket = authority.find(']');
    if (bracket == std::string_view::npos)
      return refuse("has a [ without ]");
    out.host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
  } else {
    const auto colon = std::min(authority.find(':'), authority.size());
    out.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (out.host.empty())
    return refuse("has no host");
  if (port.empty())
    out.port = out.tls ? "443" : "80";
  else if (port.front() != ':' || !is_port(port.substr(1)))
    return refuse("must have a port from 1 to 65535, if any");
  else
    out.port = port.substr(1);
  if (!out.tls && !plain_anywhere && !is_this_machine(out.host))
    return refuse("must begin with https://: on the way over a network anybody could change what comes");
  return out;
}

std::unique_ptr<asio::ssl::context> trusting(const std::string& ca_file, error_code& why) {
  auto out = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(out->native_handle(), TLS1_2_VERSION);
  out->set_verify_mode(asio::ssl::verify_peer);
  if (ca_file.empty() ? out->set_default_verify_paths(why) : out->load_verify_file(ca_file, why))
    return nullptr;
  return out;
}

// -- fetching ---------------------------------------------------------------------------------------------------------

struct fetcher::parts {
  // Shared with a resolver that hangs.
  std::shared_ptr<asio::io_context> io = std::make_shared<asio::io_context>(1);
  lookups names{io};
  byte_stream* open = nullptr;
  bool stopping = false;

  void stop() {
    stopping = true;
    names.close();
    if (open)
      open->socket().close();
  }

  asio::awaitable<outcome<std::string>> ask(const web_address& from, asio::ssl::context* tls, size_t bytes_max,
                                            steady::time_point until) {
    std::string why;
    auto found = co_await names.find(from.host, until, why);
    // "localhost" may be anything that a hosts file says.
    if (!tls)
      std::erase_if(found, [](const asio::ip::address& a) { return !a.is_loopback(); });
    std::vector<asio::ip::tcp::endpoint> at;
    for (const auto& address : found)
      at.emplace_back(address, number_of(from.port));
    if (stopping)
      co_return fail(errc::unavailable, "the node stops");
    if (at.empty())
      co_return fail(errc::unavailable, "no address: " + why);

    byte_stream stream(io->get_executor(), tls);
    open = &stream;
    struct closed {
      byte_stream*& which;
      ~closed() { which = nullptr; }
    } at_the_end{open};
    stream.socket().expires_at(until);
    bool tcp_failed = false;
    if (auto wrong = co_await stream.open(std::move(at), from.host, &tcp_failed))
      co_return unavailable(tcp_failed ? "connect" : "TLS", wrong);
    const auto request = "GET " + from.target + " HTTP/1.1\r\nHost: " + from.authority() +
                         "\r\nUser-Agent: greenroom/" GREENROOM_VERSION
                         "\r\nAccept: application/jwk-set+json, application/json\r\nConnection: close\r\n\r\n";
    error_code wrong;
    co_await asio::async_write(stream, asio::buffer(request), asio::redirect_error(asio::use_awaitable, wrong));
    if (wrong)
      co_return unavailable("write", wrong);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(bytes_max);
    co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, wrong));
    if (!wrong && parser.get().result_int() != 200)
      co_return fail(errc::unavailable, "the answer has status " + std::to_string(parser.get().result_int()));
    if (!wrong)
      co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, wrong));
    if (wrong == http::error::body_limit)
      co_return fail(errc::unavailable, "the answer has more than " + std::to_string(bytes_max) + " bytes");
    if (wrong)
      co_return unavailable("read", wrong);
    co_return std::move(parser.get().body());
  }
};

fetcher::fetcher(web_address from, std::string ca_file)
    : from_(std::move(from)), ca_file_(std::move(ca_file)), parts_(std::make_unique<parts>()) {}
fetcher::~fetcher() = default;

outcome<std::string> fetcher::fetch(std::chrono::milliseconds time, size_t bytes_max, std::stop_token stop) {
  std::unique_ptr<asio::ssl::context> tls;
  if (error_code why; from_.tls && !(tls = trusting(ca_file_, why)))
    return fail(errc::unavailable,
                (ca_file_.empty() ? std::string("the system's certificates") : ca_file_) + ": " + why.message());
  auto& p = *parts_;
  bool done = false;
  outcome<std::string> result = fail(errc::unavailable, "nothing was fetched");
  asio::co_spawn(*p.io, p.ask(from_, tls.get(), bytes_max, steady::now() + time),
                 [&](std::exception_ptr thrown, outcome<std::string> got) {
                   done = true;
                   if (!thrown)
                     result = std::move(got);
                 });
  std::stop_callback when_stopped(stop, [&p] { asio::post(*p.io, [&p] { p.stop(); }); });
  // Until the coroutine is through, not until nothing is left: a resolver that hangs would be waited for.
  p.io->restart();
  while (!done)
    p.io->run_one();
  return result;
}

} // namespace greenroom::net
