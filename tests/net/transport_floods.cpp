// Who may connect at all: addresses that come too often, that are banned, that no limit holds for, or that are denied;
// and users who are banned.
#include "tests/support/net_house.hpp"

using namespace greenroom;
using namespace greenroom::test;

namespace {

const network_id here = ip_address::parse("127.0.0.1")->network();

limits bounds_for_loopback() {
  limits l;
  l.allow_addresses.clear();
  return l;
}

} // namespace

TEST_CASE("an address that connects too often is told when to come back, and shut out when it goes on", "[transport]") {
  auto l = bounds_for_loopback();
  l.connects_per_minute_address = 2;
  l.flood_refusals = 3;
  l.ban_s = 120;
  net_house house{l};
  for (int i = 0; i < 2; ++i) {
    peer p{house.port};
    CHECK(p.upgrade().status == 101);
  }
  for (int i = 0; i < 4; ++i) {
    peer p{house.port};
    const auto answer = p.upgrade();
    CHECK(answer.status == 429);
    CHECK(answer.head.find("Retry-After: ") != std::string::npos);
    CHECK(answer.body.find("limits.connects_per_minute_address") != std::string::npos);
  }
  CHECK(house.metrics.abuses[static_cast<size_t>(flood::connects)].get() == 1);
  peer banned{house.port};
  const auto answer = banned.request("GET / HTTP/1.1\r\nHost: h");
  CHECK(answer.status == 429);
  CHECK(answer.head.find("Retry-After: 1") != std::string::npos);
  CHECK(answer.body.find("limits.ban_s") != std::string::npos);
  // An address that no limit holds for is let in, whatever it has done.
  l.allow_addresses = {"10.0.0.0/8", "127.0.0.1"};
  house.set_limits(l);
  peer allowed{house.port};
  CHECK(allowed.upgrade().status == 101);
  CHECK_FALSE(house.connection(2)->from.network);
}

TEST_CASE("no limit by address holds for this machine by default", "[transport]") {
  limits l;
  l.connections_per_address = 1;
  l.connects_per_minute_address = 1;
  net_house house{l};
  house.floods.abused(flood::calls, {}, here, l, net::steady_ms());
  std::vector<peer> all;
  for (int i = 0; i < 5; ++i)
    CHECK(all.emplace_back(house.port).upgrade().status == 101);
}

TEST_CASE("a connection that is there when its address is banned gets no WebSocket any more", "[transport]") {
  auto l = bounds_for_loopback();
  net_house house{l};
  peer p{house.port};
  CHECK(p.request("GET / HTTP/1.1\r\nHost: h").status == 200);
  CHECK(house.floods.bans() == 0);
  house.floods.abused(flood::calls, {}, here, l, net::steady_ms());
  CHECK(house.floods.bans() == 1);
  const auto answer = p.upgrade();
  CHECK(answer.status == 429);
  CHECK(answer.head.find("Retry-After: ") != std::string::npos);
}

TEST_CASE("a banned user's token opens no WebSocket, another's does", "[transport]") {
  net_house house;
  house.floods.abused(flood::sends, user_id::trusted("eve"), here, {}, net::steady_ms());
  peer eve{house.port}, ada{house.port};
  const auto answer = eve.upgrade("\r\nAuthorization: Bearer good-eve");
  CHECK(answer.status == 429);
  CHECK(answer.head.find("Retry-After: ") != std::string::npos);
  CHECK(ada.upgrade("\r\nAuthorization: Bearer good-ada").status == 101);
}

TEST_CASE("a denied address is closed without a word, unless it is allowed", "[transport]") {
  auto l = bounds_for_loopback();
  l.deny_addresses = {"2001:db8::/32", "127.0.0.0/8"};
  net_house house{l};
  {
    peer p{house.port};
    CHECK(p.ended());
  }
  REQUIRE(eventually([&] { return house.metrics.denied.get() == 1; }));
  CHECK(house.accepted() == 0);
  l.allow_addresses = {"127.0.0.1"};
  house.set_limits(l); // as SIGHUP does
  peer p{house.port};
  CHECK(p.upgrade().status == 101);
}
