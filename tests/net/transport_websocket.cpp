#include "../support/net_house.hpp"

#include "net/ws_frame.hpp"

#include <catch2/catch.hpp>

using namespace greenroom;
using namespace greenroom::test;

TEST_CASE("an upgrade is answered 101 with the key's digest", "[transport]") {
  net_house house;
  peer p{house.port};
  const auto a = p.upgrade();
  CHECK(a.status == 101);
  CHECK(a.head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
  CHECK(a.head.find("Sec-WebSocket-Protocol") == std::string::npos);
  CHECK(house.connection()->address == "127.0.0.1");
}

TEST_CASE("lines of a message reach the decoder one by one, empty ones don't", "[transport]") {
  net_house house;
  peer p{house.port};
  REQUIRE(p.upgrade().status == 101);
  p.frame("one\n\ntwo\n");
  p.frame("");
  p.frame("three");
  auto c = house.connection();
  REQUIRE(house.has_lines(c, 3));
  CHECK(house.lines(c) == std::vector<std::string>{"one", "two", "three"});
  CHECK(eventually([&] { return house.metrics.frames_in.get() == 3; }));
}

TEST_CASE("what is written arrives", "[transport]") {
  net_house house;
  peer p{house.port};
  REQUIRE(p.upgrade().status == 101);
  house.write(house.connection(), "hello");
  CHECK(p.data().payload == "hello");
}
