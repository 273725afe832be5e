#include "net/lookups.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <netdb.h>

#include <cstring>
#include <system_error>
#include <thread>

namespace greenroom::net {

namespace asio = boost::asio;
using boost::system::error_code;

lookups::lookups(std::shared_ptr<asio::io_context> io, resolver ask) : io_(std::move(io)), ask_(std::move(ask)) {}

lookups::addresses lookups::by_system(const std::string& host, std::string& why) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int wrong = ::getaddrinfo(host.c_str(), nullptr, &wanted, &found); wrong != 0) {
    why = ::gai_strerror(wrong);
    return {};
  }
  addresses out;
  for (const auto* a = found; a; a = a->ai_next) {
    asio::ip::tcp::endpoint one;
    if (a->ai_addrlen > one.capacity())
      continue;
    std::memcpy(one.data(), a->ai_addr, a->ai_addrlen);
    one.resize(a->ai_addrlen);
    out.push_back(one.address());
  }
  ::freeaddrinfo(found);
  return out;
}

asio::awaitable<lookups::addresses> lookups::find(std::string host, std::chrono::steady_clock::time_point until,
                                                  std::string& why) {
  error_code name;
  const auto literal = asio::ip::make_address(host, name);
  if (!name)
    co_return addresses{literal};
  auto& slot = hosts_[host];
  if (!slot)
    slot = std::make_shared<entry>();
  const auto at = slot;
  if (!at->under_way)
    begin(host, at);
  if (at->under_way && !closed_) {
    asio::steady_timer bell{*io_, until};
    at->waiting.insert(&bell);
    error_code rung;
    co_await bell.async_wait(asio::redirect_error(asio::use_awaitable, rung));
    at->waiting.erase(&bell);
  }
  if (at->known.empty())
    why = at->under_way ? "the resolver does not answer" : at->why;
  co_return at->known;
}

void lookups::begin(const std::string& host, const std::shared_ptr<entry>& into) {
  try {
    std::thread([io = io_, host, ask = ask_, weak = std::weak_ptr<entry>(into)] {
      std::string why;
      auto found = ask(host, why);
      asio::post(*io, [weak, found = std::move(found), why = std::move(why)]() mutable {
        auto e = weak.lock();
        if (!e)
          return;
        e->under_way = false;
        e->why = std::move(why);
        if (!found.empty()) // else the old ones may do yet: whoever is there must show who it is
          e->known = std::move(found);
        for (auto* bell : e->waiting)
          bell->cancel();
      });
    }).detach();
    into->under_way = true;
  } catch (const std::system_error& e) {
    into->why = e.what(); // no more threads
  }
}

void lookups::close() {
  closed_ = true;
  for (auto& [_, e] : hosts_)
    for (auto* bell : e->waiting)
      bell->cancel();
}

} // namespace greenroom::net
