#include "net/cli/endpoint.hpp"

#include <algorithm>

namespace greenroom::cli {

std::string endpoint::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

outcome<endpoint> parse_url(std::string_view url) {
  const auto refuse = [url](std::string_view why) {
    return fail(errc::bad_request, "--url: " + std::string(url) + ": " + std::string(why));
  };
  endpoint out;
  const auto colon = url.find("://");
  if (colon == std::string_view::npos)
    return refuse("must begin with http://, https://, ws:// or wss://");
  const auto scheme = url.substr(0, colon);
  if (scheme == "https" || scheme == "wss")
    out.tls = true;
  else if (scheme != "http" && scheme != "ws")
    return refuse("must begin with http://, https://, ws:// or wss://");

  auto rest = url.substr(colon + 3);
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    // A node serves /ws and /api/v1 and nothing else: a path in the URL would be ignored in silence.
    if (slash + 1 != rest.size())
      return refuse("must not have a path");
    rest.remove_suffix(1);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto bracket = rest.find(']');
    if (bracket == std::string_view::npos)
      return refuse("has a [ without ]");
    out.host = rest.substr(1, bracket - 1);
    port = rest.substr(bracket + 1);
  } else {
    const auto end = std::min(rest.find(':'), rest.size());
    out.host = rest.substr(0, end);
    port = rest.substr(end);
  }
  if (out.host.empty())
    return refuse("has no host");
  if (port.empty()) {
    out.port = out.tls ? "443" : "80";
  } else {
    port.remove_prefix(port.front() == ':' ? 1 : 0);
    if (port.empty() || port.size() > 5 ||
        !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return refuse("the port must be a number");
    out.port = port;
  }
  return out;
}

} // namespace greenroom::cli
