#include "net/etcd/options.hpp"

#include <algorithm>
#include <charconv>

namespace greenroom::net::etcd {

std::string address::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

outcome<address> parse_endpoint(std::string_view url) {
  const auto refuse = [url](std::string_view why) {
    return fail(errc::bad_request, "etcd endpoint \"" + std::string(url) + "\": " + std::string(why));
  };
  address out;
  std::string_view rest = url;
  if (rest.starts_with("https://"))
    out.tls = true;
  else if (!rest.starts_with("http://"))
    return refuse("must begin with http:// or https://");
  rest.remove_prefix(out.tls ? 8 : 7);
  if (rest.ends_with('/'))
    rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ \t\r\n") != std::string_view::npos)
    return refuse("must have nothing but a host and a port");

  std::string_view port;
  if (rest.starts_with('[')) {
    const auto bracket = rest.find(']');
    if (bracket == std::string_view::npos)
      return refuse("has a [ without ]");
    out.host = rest.substr(1, bracket - 1);
    port = rest.substr(bracket + 1);
    if (!port.empty() && !port.starts_with(':'))
      return refuse("has something between ] and the port");
  } else {
    const auto end = std::min(rest.find(':'), rest.size());
    out.host = rest.substr(0, end);
    port = rest.substr(end);
  }
  if (out.host.empty())
    return refuse("has no host");
  if (port.empty()) {
    out.port = "2379";
    return out;
  }
  port.remove_prefix(1);
  uint16_t number = 0;
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (wrong != std::errc{} || end != port.data() + port.size() || number == 0)
    return refuse("the port must be a number from 1 to 65535");
  out.port = port;
  return out;
}

outcome<std::vector<address>> validate(const options& o) {
  const auto refuse = [](std::string why) { return fail(errc::bad_request, "etcd: " + std::move(why)); };
  if (o.endpoints.empty())
    return refuse("endpoints: at least one is needed");
  std::vector<address> out;
  for (const auto& url : o.endpoints) {
    auto one = parse_endpoint(url);
    if (!one)
      return std::move(one).error();
    out.push_back(std::move(*one));
  }
  const bool tls = std::any_of(out.begin(), out.end(), [](const address& a) { return a.tls; });
  if (o.user.empty() != o.password.empty())
    return refuse("user and password: give both or none");
  if (o.certificate_file.empty() != o.key_file.empty())
    return refuse("certificate and key: give both or none");
  if (!tls && !(o.ca_file.empty() && o.certificate_file.empty()))
    return refuse("a CA or a certificate is given, but no endpoint is https://");

  struct bound {
    const char* name;
    uint64_t value, least, most;
  };
  const bound bounds[] = {
      {"request_ms", o.request_ms, 10, 600'000},
      {"body_bytes_max", o.body_bytes_max, 4'096, 1u << 30},
      {"watch_line_bytes_max", o.watch_line_bytes_max, 4'096, 1u << 30},
      {"pending_max", o.pending_max, 1, 1'000'000},
      {"connections_max", o.connections_max, 1, 1'024},
      {"watch_silence_ms", o.watch_silence_ms, 10, 3'600'000},
      {"pause_ms", o.pause_ms, 1, o.pause_ms_max},
      {"pause_ms_max", o.pause_ms_max, 1, 60'000},
  };
  for (const auto& b : bounds)
    if (b.value < b.least || b.value > b.most)
      return refuse(std::string(b.name) + " is " + std::to_string(b.value) + ", must be " + std::to_string(b.least) +
                    " to " + std::to_string(b.most));
  if (o.probe_key.empty())
    return refuse("probe_key must not be empty");
  return out;
}

} // namespace greenroom::net::etcd
