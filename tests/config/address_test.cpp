// Addresses, ranges of them, and what the configuration says about those that are none.
#include "config/address.hpp"
#include "tests/config/support.hpp"

using namespace greenroom;
using config::strings;

namespace {

ip_address at(const std::string& text) {
  auto found = ip_address::parse(text);
  REQUIRE(found);
  return *found;
}

bool holds(const std::string& range, const std::string& address) {
  auto found = ip_range::parse(range);
  CAPTURE(range, address);
  REQUIRE(found);
  return found->contains(at(address));
}

} // namespace

TEST_CASE("an IPv4 address is the same one, however it is written", "[address]") {
  CHECK(at("192.0.2.7").is_v4());
  CHECK(at("::ffff:192.0.2.7").is_v4());
  CHECK(at("::ffff:192.0.2.7").bytes() == at("192.0.2.7").bytes());
  CHECK(at("::ffff:192.0.2.7").str() == "192.0.2.7");
  CHECK_FALSE(at("2001:db8::1").is_v4());
  CHECK(at("2001:0db8:0::1").str() == "2001:db8::1");
  for (auto text :
       {"", "192.0.2", "192.0.2.256", "192.0.2.7:80", "[::1]", "::g", "localhost", "1", " ::1", "192.0.2.07x"})
    CHECK_FALSE(ip_address::parse(text));
}

TEST_CASE("an IPv6 customer counts as one, whichever of his addresses he uses", "[address]") {
  CHECK(at("2001:db8:1:2::1").network() == at("2001:db8:1:2:ffff::9").network());
  CHECK(at("2001:db8:1:2::1").network() != at("2001:db8:1:3::1").network());
  CHECK(at("192.0.2.1").network() != at("192.0.2.2").network());
  CHECK(at("::ffff:192.0.2.1").network() == at("192.0.2.1").network());
  CHECK(at("::1").network() != at("0.0.0.0").network());
  CHECK(to_string(at("2001:db8:1:2:3:4:5:6").network()) == "2001:db8:1:2::/64");
  CHECK(to_string(at("192.0.2.1").network()) == "192.0.2.1");
}

TEST_CASE("a range holds the addresses that share its prefix, and no others", "[address]") {
  CHECK(holds("192.0.2.0/24", "192.0.2.0"));
  CHECK(holds("192.0.2.0/24", "192.0.2.255"));
  CHECK_FALSE(holds("192.0.2.0/24", "192.0.3.0"));
  CHECK_FALSE(holds("192.0.2.0/24", "192.0.1.255"));
  CHECK(holds("192.0.2.128/25", "192.0.2.128"));
  CHECK_FALSE(holds("192.0.2.128/25", "192.0.2.127"));
  CHECK(holds("192.0.2.7", "192.0.2.7"));
  CHECK(holds("192.0.2.7", "::ffff:192.0.2.7"));
  CHECK_FALSE(holds("192.0.2.7", "192.0.2.6"));
  CHECK(holds("127.0.0.0/8", "127.255.0.1"));
  CHECK(holds("2001:db8::/32", "2001:db8:ffff::1"));
  CHECK_FALSE(holds("2001:db8::/32", "2001:db9::"));
  CHECK(holds("2001:db8::/33", "2001:db8:7fff::"));
  CHECK_FALSE(holds("2001:db8::/33", "2001:db8:8000::"));
  CHECK(holds("::1", "::1"));
  CHECK_FALSE(holds("::1", "::2"));
  CHECK(holds("::ffff:192.0.2.0/120", "192.0.2.9"));
}

TEST_CASE("all of IPv4 and all of IPv6 are two ranges", "[address]") {
  CHECK(holds("0.0.0.0/0", "203.0.113.9"));
  CHECK_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  CHECK(holds("::/0", "2001:db8::1"));
  CHECK_FALSE(holds("::/0", "203.0.113.9"));
}

TEST_CASE("what is no range is not taken for another one", "[address]") {
  for (auto text : {"", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/8x",
                    "192.0.2.0/ 8", "192.0.2.1/24", "10.0.0.1/8", "2001:db8::1/32", "2001:db8::/129", "::/0/0",
                    "192.0.2/24", "example.org", "*", "192.0.2.0-192.0.2.9", "192.0.2.0/4294967320"}) {
    CAPTURE(text);
    CHECK_FALSE(ip_range::parse(text));
  }
}

TEST_CASE("a list holds what one of its ranges holds; an empty one nothing", "[address]") {
  const ip_list some{{"127.0.0.0/8", "::1", "10.1.0.0/16"}};
  CHECK(some.contains(at("127.0.0.1")));
  CHECK(some.contains(at("::1")));
  CHECK(some.contains(at("10.1.2.3")));
  CHECK_FALSE(some.contains(at("10.2.0.0")));
  CHECK_FALSE(ip_list{}.contains(at("127.0.0.1")));
}

TEST_CASE_METHOD(config::load_fixture, "a range that is none is named with its line, its key and what was meant",
                 "[address]") {
  CHECK(mistakes_in("[limits]\n\ndeny_addresses = [\"192.0.2.0/24\", \"10.0.0.1/8\"]\n") ==
        strings{"greenroom.toml:3: limits.deny_addresses: \"10.0.0.1/8\" is not an address or a range (192.0.2.0/24, "
                "2001:db8::/32) with nothing set behind its prefix"});
  CHECK(mistakes_in("[limits]\nallow_addresses = [\"proxy.example\"]\n").size() == 1);
  const auto good = load_text("[limits]\nallow_addresses = []\ndeny_addresses = [\"2001:db8::/32\"]\n");
  CHECK(good.ok());
  CHECK(good.values.limits.allow_addresses.empty());
  CHECK(good.values.limits.deny_addresses == strings{"2001:db8::/32"});
}
