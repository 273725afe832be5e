#include "../support/net_house.hpp"

#include <catch2/catch.hpp>

using namespace greenroom;
using namespace greenroom::test;

namespace {

/// An accepted WebSocket.
peer joined(net_house& house, bool tls = false) {
  peer p{tls ? house.tls_port : house.port, tls};
  REQUIRE(p.upgrade().status == 101);
  return p;
}

} // namespace

TEST_CASE("lines of a message reach the decoder one by one, empty ones don't", "[transport]") {
  net_house house;
  auto p = joined(house);
  p.frame("one\n\ntwo\n");
  p.frame("");
  p.frame("\n");
  p.frame("three");
  auto c = house.connection();
  REQUIRE(house.has_lines(c, 3));
  CHECK(house.lines(c) == std::vector<std::string>{"one", "two", "three"});
  CHECK(eventually([&] { return house.metrics.frames_in.get() == 3; }));
}

TEST_CASE("messages of every length arrive whole, in both directions", "[transport]") {
  net_house house;
  auto p = joined(house);
  auto c = house.connection();
  size_t n = 0;
  for (size_t size : {1, 125, 126, 255, 256, 257, 1'023, 1'024, 1'536, 4'096, 65'535, 65'536, 262'144}) {
    std::string text(size, 'a');
    text.back() = 'z';
    p.frame(text);
    REQUIRE(house.has_lines(c, ++n));
    CHECK(house.lines(c).back() == text);
    house.write(c, text);
    CHECK(p.data().payload == text);
  }
}

TEST_CASE("a message in fragments arrives whole, with control frames between them", "[transport]") {
  net_house house;
  auto p = joined(house);
  p.frame("fr\xc3", {.fin = false}); // a code point may be split
  p.frame("now", {.opcode = 9});
  p.frame("", {.opcode = 0, .fin = false});
  p.frame("\xa9", {.opcode = 0, .fin = false});
  p.frame("", {.opcode = 10}); // a pong that nobody asked for
  p.frame("end", {.opcode = 0});
  auto c = house.connection();
  REQUIRE(house.has_lines(c, 1));
  CHECK(house.lines(c).front() == "fr\xc3\xa9"
                                  "end");
  const auto pong = p.message();
  CHECK(pong.opcode == 10);
  CHECK(pong.payload == "now");
}

TEST_CASE("frames may come a byte at a time, or many at once", "[transport]") {
  net_house house;
  auto p = joined(house);
  auto c = house.connection();
  for (char byte : ws_client_frame("slowly"))
    p.send({&byte, 1});
  REQUIRE(house.has_lines(c, 1));
  std::string many;
  for (int i = 0; i < 1'000; ++i)
    many += ws_client_frame("m" + std::to_string(i));
  p.send(many);
  REQUIRE(house.has_lines(c, 1'001));
  CHECK(house.lines(c).back() == "m999");
}

TEST_CASE("a broken frame ends the connection with the right code", "[transport]") {
  limits l;
  l.message_bytes = 10'000;
  net_house house{l};
  struct {
    std::string_view what;
    std::string bytes;
    uint16_t code;
  } cases[] = {
      {"no mask", ws_client_frame("x", {.masked = false}), 1002},
      {"reserved bit 1", ws_client_frame("x", {.reserved = 4}), 1002},
      {"reserved bit 3", ws_client_frame("x", {.reserved = 1}), 1002},
      {"reserved opcode", ws_client_frame("x", {.opcode = 3}), 1002},
      {"reserved control opcode", ws_client_frame("x", {.opcode = 11}), 1002},
      {"fragmented ping", ws_client_frame("x", {.opcode = 9, .fin = false}), 1002},
      {"long ping", ws_client_frame(std::string(126, 'x'), {.opcode = 9}), 1002},
      {"continuation of nothing", ws_client_frame("x", {.opcode = 0}), 1002},
      {"a message within a message", ws_client_frame("x", {.fin = false}) + ws_client_frame("y"), 1002},
      {"a length of 2^63", ws_client_frame("", {.length = uint64_t{1} << 63}), 1009},
      {"a length beyond the limit", ws_client_frame("", {.length = uint64_t{1} << 40}), 1009},
      {"a message beyond the limit", ws_client_frame(std::string(10'001, 'x')), 1009},
      {"fragments beyond the limit",
       ws_client_frame(std::string(6'000, 'x'), {.fin = false}) +
           ws_client_frame(std::string(6'000, 'x'), {.opcode = 0}),
       1009},
      {"binary", ws_client_frame("x", {.opcode = 2}), 1003},
      {"binary, begun", ws_client_frame("x", {.opcode = 2, .fin = false}), 1003},
      {"not UTF-8", ws_client_frame("\xff"), 1007},
      {"overlong", ws_client_frame("\xc0\xaf"), 1007},
      {"a surrogate", ws_client_frame("\xed\xa0\x80"), 1007},
      {"an unfinished code point", ws_client_frame("ab\xe2\x82"), 1007},
      {"an unfinished code point before an empty fragment",
       ws_client_frame("ab\xe2\x82", {.fin = false}) + ws_client_frame("", {.opcode = 0}), 1007},
      {"close code 0", ws_client_frame(std::string_view{"\0\0", 2}, {.opcode = 8}), 1002},
      {"close code 1005", ws_client_frame("\x03\xed", {.opcode = 8}), 1002},
      {"close code 5000", ws_client_frame("\x13\x88", {.opcode = 8}), 1002},
      {"close code 65535", ws_client_frame("\xff\xff", {.opcode = 8}), 1002},
      {"half a close code", ws_client_frame("\x03", {.opcode = 8}), 1002},
      {"a close reason that is not UTF-8", ws_client_frame("\x03\xe8\xff", {.opcode = 8}), 1002},
  };
  size_t n = 0;
  for (auto& c : cases) {
    CAPTURE(c.what);
    auto p = joined(house);
    p.send(c.bytes);
    const auto m = p.data();
    CHECK(m.opcode == 8);
    CHECK(m.code() == c.code);
    p.frame(m.payload.substr(0, 2), {.opcode = 8});
    CHECK(p.ended());
    CHECK_FALSE(p.was_reset());
    CHECK(house.is_closed(house.connection(n++)));
  }
  CHECK(house.closes(close_code::protocol_error) == 15);
  CHECK(house.closes(close_code::too_big) == 4);
  CHECK(house.closes(close_code::unsupported_data) == 2);
  CHECK(house.closes(close_code::invalid_text) == 5);
  CHECK(house.metrics.connections.get() == 0);
}

TEST_CASE("garbage costs only its sender", "[transport]") {
  net_house house;
  auto good = joined(house);
  uint32_t seed = 20'261'122;
  for (int i = 0; i < 50; ++i) {
    auto p = joined(house);
    std::string noise;
    for (int k = 0; k < 2'000; ++k)
      noise += static_cast<char>((seed = seed * 1'664'525u + 1'013'904'223u) >> 24);
    p.send(noise);
    p.half_close();
    CHECK(p.ended());
  }
  good.frame("still here");
  REQUIRE(house.has_lines(house.connection(0), 1));
  CHECK(eventually([&] { return house.metrics.connections.get() == 1; }));
}

TEST_CASE("a client's close frame is answered with its code", "[transport]") {
  net_house house;
  SECTION("with a code") {
    auto p = joined(house);
    p.frame("\x03\xe8"
            "bye",
            {.opcode = 8});
    const auto m = p.message();
    CHECK(m.opcode == 8);
    CHECK(m.code() == 1000);
    CHECK(p.ended());
    CHECK(house.is_closed(house.connection()));
    CHECK(house.closes(close_code::normal) == 1);
  }
  SECTION("without one") {
    auto p = joined(house);
    p.frame("", {.opcode = 8});
    CHECK(p.message().opcode == 8);
    CHECK(p.ended());
    CHECK(house.is_closed(house.connection()));
    CHECK(house.closes(close_code::normal) == 1);
  }
  SECTION("what the client sends afterwards is not looked at") {
    auto p = joined(house);
    p.send(ws_client_frame("\x03\xe8", {.opcode = 8}) + ws_client_frame("late"));
    CHECK(p.message().opcode == 8);
    CHECK(p.ended());
    CHECK(house.is_closed(house.connection()));
    CHECK(house.lines(house.connection()).empty());
  }
}

TEST_CASE("the server's close comes after what was written, and nothing comes after it", "[transport]") {
  net_house house;
  auto p = joined(house);
  auto c = house.connection();
  house.at(c, [](transport& t) {
    t.write(net::ws_text("last words"), delivery::reliable);
    t.close(close_code::revoked, "revoked, " + std::string(200, '\xc3')); // too long, and no UTF-8 where it is cut
    t.write(net::ws_text("never"), delivery::reliable);
    t.close(close_code::normal, "never");
  });
  p.frame("ping", {.opcode = 9}); // its pong may not follow the close frame either
  p.frame("not looked at");
  CHECK(p.data().payload == "last words");
  const auto m = p.data();
  CHECK(m.opcode == 8);
  CHECK(m.code() == 3502);
  CHECK(m.payload.size() <= 125);
  p.frame("\x0d\xae", {.opcode = 8});
  CHECK_FALSE(p.more()); // the end, and no byte before it
  CHECK(house.is_closed(c));
  CHECK(house.lines(c).empty());
  CHECK(house.closes(close_code::revoked) == 1);
  std::lock_guard guard{house.mutex};
  CHECK(c->closed == 1);
}

TEST_CASE("a client that ignores the close frame is cut off", "[transport]") {
  net_house house;
  auto p = joined(house);
  auto c = house.connection();
  house.at(c, [](transport& t) { t.close(close_code::no_hello, ""); });
  CHECK(p.data().code() == 3503);
  // It even goes on sending.
  while (p.frame(std::string(1'000, 'x')) && !p.readable_within(1))
    ;
  CHECK(house.is_closed(c));
}

TEST_CASE("what comes after the end is read up to limits.closing_bytes, then the client is cut off", "[transport]") {
  limits l;
  l.closing_bytes = 100'000;
  l.body_bytes = 1'000;
  net_house house{l};
  // As much as the kernel holds on both sides may be on its way besides; until the deadline it would be far more.
  constexpr size_t enough = 30'000'000;
  size_t sent = 0;
  const auto send_on = [&](peer& p, const std::string& more) {
    while (sent < enough && p.send(more))
      sent += more.size();
  };
  SECTION("behind a close frame of ours") {
    auto p = joined(house);
    auto c = house.connection();
    house.at(c, [](transport& t) { t.close(close_code::no_hello, ""); });
    CHECK(p.data().code() == 3503);
    send_on(p, ws_client_frame(std::string(20'000, 'x')));
    CHECK(house.is_closed(c));
  }
  SECTION("behind a refusal") {
    peer p{house.port};
    p.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + std::string(20'000, 'x'));
    CHECK(p.answer().status == 413);
    send_on(p, std::string(20'000, 'x'));
    CHECK(eventually([&] { return house.server->connections() == 0; }));
  }
  CHECK(sent < enough);
}

TEST_CASE("a silent client is closed with 3012", "[transport]") {
  limits l;
  l.ping_ms = 200;
  l.pong_ms = 200;
  net_house house{l};
  SECTION("no pong") {
    auto p = joined(house);
    CHECK(p.message().opcode == 9);
    CHECK(p.data().code() == 3012);
    CHECK(house.is_closed(house.connection()));
    CHECK(house.closes(close_code::no_pong) == 1);
  }
  SECTION("pongs keep it alive") {
    auto p = joined(house);
    for (int i = 0; i < 8; ++i) {
      REQUIRE(p.message().opcode == 9);
      p.frame("", {.opcode = 10});
    }
    CHECK(house.metrics.connections.get() == 1);
  }
  SECTION("anything else does, too") {
    auto p = joined(house);
    for (int i = 0; i < 4; ++i) {
      REQUIRE(p.message().opcode == 9);
      p.frame("busy");
    }
    CHECK(house.metrics.connections.get() == 1);
  }
  SECTION("a held connection is not asked") {
    auto p = joined(house);
    auto c = house.connection();
    house.at(c, [](transport& t) { t.hold(true); });
    p.frame("parks the read");
    while (p.readable_within(1'000)) // pings until the read is parked
      REQUIRE(p.message().opcode == 9);
    house.at(c, [](transport& t) { t.hold(false); });
    CHECK(house.has_lines(c, 1));
    CHECK(p.message().opcode == 9);
  }
}

TEST_CASE("while held, nothing is handed over and the client is pushed back", "[transport]") {
  net_house house;
  auto p = joined(house);
  auto c = house.connection();
  house.at(c, [](transport& t) { t.hold(true); });
  // More than all buffers on the way hold: in the end the client can't send.
  const timeval soon{0, 300'000};
  p.set_send_patience(soon);
  const auto big = ws_client_frame(std::string(100'000, 'x'));
  size_t sent = 0;
  while (sent < 1'000 && p.send(big))
    ++sent;
  CHECK(sent < 1'000);
  CHECK(house.lines(c).empty());
  house.at(c, [](transport& t) { t.hold(false); });
  CHECK(house.has_lines(c, sent));
}
