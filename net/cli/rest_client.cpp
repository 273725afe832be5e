#include "net/cli/rest_client.hpp"

#include "net/cli/connect.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>

#include <exception>
#include <optional>

namespace greenroom::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using nlohmann::json;

using http_request = http::request<http::string_body>;
using http_response = http::response<http::string_body>;

constexpr uint64_t body_bytes_max = 16 * 1024 * 1024;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

asio::awaitable<http_response> perform(const endpoint& to, const http_request& request) {
  std::optional<asio::ssl::context> tls;
  if (to.tls)
    tls.emplace(tls_context_of(to));
  net::byte_stream stream(co_await asio::this_coro::executor, tls ? &*tls : nullptr);
  co_await connect(stream, to);
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(body_bytes_max);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  co_return parser.release();
}

constexpr size_t piece_bytes = 64 * 1024;

/// A body goes to `take` as it comes; that of a refusal is kept.
asio::awaitable<http_response> perform_streamed(const endpoint& to, const http_request& request,
                                                const std::function<void(std::string_view)>& take) {
  std::optional<asio::ssl::context> tls;
  if (to.tls)
    tls.emplace(tls_context_of(to));
  net::byte_stream stream(co_await asio::this_coro::executor, tls ? &*tls : nullptr);
  co_await connect(stream, to);
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  co_await http::async_read_header(stream, buffer, parser, asio::use_awaitable);
  http_response answer;
  answer.result(parser.get().result());
  const bool good = answer.result_int() / 100 == 2;
  std::string piece(piece_bytes, '\0');
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    stream.socket().expires_after(connect_time);
    auto [failed, bytes] = co_await http::async_read(stream, buffer, parser, asio::as_tuple(asio::use_awaitable));
    if (failed && failed != http::error::need_buffer)
      throw boost::system::system_error(failed);
    const std::string_view got(piece.data(), piece.size() - parser.get().body().size);
    if (good)
      take(got);
    else if (answer.body().size() + got.size() <= body_bytes_max)
      answer.body().append(got);
  }
  co_return answer;
}

errc code_of(std::string_view word) {
  for (uint8_t i = 1; i <= errc_count; ++i)
    if (to_string(static_cast<errc>(i)) == word)
      return static_cast<errc>(i);
  return errc::internal;
}

} // namespace

failure failure_of(const http_reply& reply) {
  if (reply.own)
    return *reply.own;
  if (reply.status == 0)
    return fail(errc::unavailable, reply.body);
  auto body = json::parse(reply.body, nullptr, false);
  if (body.is_object() && body.contains("error"))
    body = body["error"];
  if (!body.is_object() || !body.value("code", json()).is_string() || !body.value("message", json()).is_string())
    return fail(errc::unavailable, "HTTP status " + std::to_string(reply.status));
  failure out = fail(code_of(body["code"].get<std::string>()), body["message"].get<std::string>());
  if (auto wait = body.value("retry_after_ms", json()); wait.is_number_unsigned())
    out.retry_after_ms = wait.get<uint32_t>();
  return out;
}

namespace {

http_request make_request(const endpoint& to, std::string_view method, std::string_view path, const std::string& body,
                          const std::string& token, const std::string& key, const header_list& headers) {
  http_request request;
  request.version(11);
  request.method_string(beast::string_view(method.data(), method.size()));
  request.target(beast::string_view(path.data(), path.size()));
  request.set(http::field::host, to.authority());
  request.set(http::field::user_agent, "greenroom/" GREENROOM_VERSION);
  request.set(http::field::connection, "close");
  if (!token.empty())
    request.set(http::field::authorization, "Bearer " + token);
  if (!key.empty())
    request.set("Idempotency-Key", key);
  if (!body.empty()) {
    request.set(http::field::content_type, "application/json");
    request.body() = body;
  }
  for (const auto& [name, value] : headers)
    request.set(name, value);
  request.prepare_payload();
  return request;
}

http_reply run(const endpoint& to, asio::awaitable<http_response> how) {
  try {
    asio::io_context io(1);
    http_reply got{0, "no answer"};
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(how), [&](std::exception_ptr e, http_response response) {
      thrown = e;
      if (!e)
        got = {response.result_int(), std::move(response.body())};
    });
    io.run();
    if (thrown)
      std::rethrow_exception(thrown);
    return got;
  } catch (const boost::system::system_error& e) {
    // Not what(): it tells where in the library it came from.
    return {0, "cannot reach " + to.authority() + ": " + explain(e.code(), to)};
  }
}

} // namespace

http_reply exchange(const endpoint& to, std::string_view method, std::string_view path, const std::string& body,
                    const std::string& token, const std::string& key, const header_list& headers) {
  const auto request = make_request(to, method, path, body, token, key, headers);
  return run(to, perform(to, request));
}

outcome<void> download(const endpoint& to, const std::string& path, const std::string& token,
                       const std::function<void(std::string_view)>& take) {
  const auto request = make_request(to, "GET", path, {}, token, {}, {});
  if (auto reply = run(to, perform_streamed(to, request, take)); !reply.good())
    return failure_of(reply);
  return boost::system::in_place_value;
}

outcome<std::string> call(const endpoint& to, std::string_view method, std::string_view path, const std::string& body,
                          const std::string& token) {
  auto reply = exchange(to, method, path, body, token);
  if (!reply.good())
    return failure_of(reply);
  return std::move(reply.body);
}

credentials credentials::with_token(std::string token) {
  credentials out;
  out.token_ = std::move(token);
  return out;
}

outcome<void> credentials::ask(const endpoint& to, std::string_view path, const std::string& body) {
  auto answer = call(to, "POST", path, body, "");
  if (!answer)
    return std::move(answer).error();
  auto grant = json::parse(*answer, nullptr, false);
  if (!grant.is_object() || !grant.value("token", json()).is_string())
    return fail(errc::unavailable, to.authority() + " answers without a token");
  token_ = grant["token"].get<std::string>();
  // "empty: unchanged" when a token is renewed.
  if (auto next = grant.value("refresh_token", json()); next.is_string() && !next.get_ref<std::string&>().empty())
    refresh_token_ = next.get<std::string>();
  if (auto session = grant.value("session", json()); session.is_string())
    session_ = session.get<std::string>();
  if (auto life = grant.value("expires_in", json()); life.is_number_integer()) {
    expires_in_s_ = life.get<int64_t>();
    expires_at_ms_ = now_ms() + expires_in_s_ * 1000;
  }
  return boost::system::in_place_value;
}

outcome<credentials> credentials::log_in(const endpoint& to, const std::string& user, const std::string& password) {
  credentials out;
  if (auto done = out.ask(to, "/api/v1/auth", json{{"user", user}, {"password", password}}.dump()); !done)
    return std::move(done).error();
  return out;
}

outcome<credentials> credentials::register_account(const endpoint& to, const std::string& user,
                                                   const std::string& password) {
  credentials out;
  if (auto done = out.ask(to, "/api/v1/auth/register", json{{"user", user}, {"password", password}}.dump()); !done)
    return std::move(done).error();
  return out;
}

outcome<credentials> credentials::guest(const endpoint& to) {
  credentials out;
  if (auto done = out.ask(to, "/api/v1/auth/guest", "{}"); !done)
    return std::move(done).error();
  return out;
}

bool credentials::stale() const noexcept { return expires_at_ms_ != INT64_MAX && expires_at_ms_ - now_ms() < 60'000; }

outcome<void> credentials::renew(const endpoint& to) {
  return ask(to, "/api/v1/auth/refresh", json{{"refresh_token", refresh_token_}}.dump());
}

} // namespace greenroom::cli
