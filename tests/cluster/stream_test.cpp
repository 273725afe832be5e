#include "actors/cluster/flow.hpp"
#include "actors/cluster/stream.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace greenroom::cluster;

namespace {

letter text(uint16_t to, std::string what) { return {to, std::make_shared<const std::string>(std::move(what))}; }

struct post_office {
  link_options options;
  link_metrics figures;
  int wakes = 0;
  std::shared_ptr<outbox> queue;
  explicit post_office(link_options o = {})
      : options(o), queue(std::make_shared<outbox>("b", "store-b", 1, options, figures, [this] { ++wakes; })) {}
  bool post(channel by, size_t size) { return queue->post(by, text(7, std::string(size, 'x'))); }
};

} // namespace

TEST_CASE("letters come out as they went in, wherever the frames are cut", "[stream]") {
  std::mt19937 dice{7};
  for (size_t frame : {1u, 2u, 5u, 6u, 7u, 64u, 1000u}) {
    letter_cutter cutter;
    letter_reader reader{5000};
    std::vector<letter> sent;
    for (uint16_t i = 0; i < 200; ++i)
      sent.push_back(
          text(static_cast<uint16_t>(i * 300), std::string(i % 7 == 0 ? 0 : dice() % 300, static_cast<char>(i))));
    auto copy = sent;
    cutter.fill(std::move(copy));
    std::vector<letter> got;
    size_t ended = 0;
    size_t bytes = 0;
    while (!cutter.empty()) {
      auto piece = cutter.cut(frame);
      REQUIRE(piece.bytes.size() <= frame);
      REQUIRE(reader.read(piece.bytes, got));
      ended += piece.ended;
      bytes += piece.ended_text;
      REQUIRE(ended == got.size()); // a letter is handed over with its last byte, not with the next frame
    }
    REQUIRE(got.size() == sent.size());
    for (size_t i = 0; i < sent.size(); ++i) {
      REQUIRE(got[i].to == sent[i].to);
      REQUIRE(*got[i].what == *sent[i].what);
      bytes -= sent[i].what->size();
    }
    CHECK(bytes == 0);
    CHECK(reader.kept_bytes() == 0);
  }
}

TEST_CASE("a letter that is announced too long is refused before its bytes come", "[stream]") {
  letter_reader reader{1000};
  std::vector<letter> got;
  CHECK(reader.read(std::string("\1\0\xe8\3\0\0", 6), got)); // 1000
  letter_reader other{1000};
  CHECK_FALSE(other.read(std::string("\1\0\xe9\3\0\0", 6), got)); // 1001
  CHECK(got.empty());
}

TEST_CASE("an outbox wakes the gateway once until it has looked", "[outbox]") {
  post_office p;
  REQUIRE(p.post(channel::bulk, 10));
  REQUIRE(p.post(channel::bulk, 10));
  CHECK(p.wakes == 1);
  REQUIRE(p.post(channel::control, 10)); // it may be that only bulk waits for credit
  CHECK(p.wakes == 2);
  CHECK(p.queue->take(channel::bulk).size() == 2);
  REQUIRE(p.post(channel::bulk, 10));
  CHECK(p.wakes == 3);
}

TEST_CASE("more bytes than allowed end the outbox, and only bytes that have gone make room", "[outbox]") {
  link_options o;
  o.queue_bytes = 10'000;
  post_office p{o};
  auto cost = 936 + outbox::letter_overhead; // 1000
  for (int i = 0; i < 10; ++i)
    REQUIRE(p.post(channel::bulk, 936));
  CHECK(p.queue->queued() == 10 * cost);
  CHECK(p.queue->take(channel::bulk).size() == 10);
  p.queue->done(1, 936);
  CHECK(p.post(channel::control, 936));
  CHECK_FALSE(p.post(channel::control, 0));
  CHECK(p.queue->failure().find("10000 bytes") != std::string::npos);
  CHECK_FALSE(p.post(channel::control, 0));
  CHECK(p.figures.overflows.get() == 1);
  CHECK(p.queue->take(channel::control).empty());
  p.queue->close();
  CHECK(p.figures.queue_bytes.get() == 0);
}

TEST_CASE("a letter that is too long ends the outbox", "[outbox]") {
  link_options o;
  o.letter_bytes_max = 100;
  post_office p{o};
  CHECK(p.post(channel::bulk, 100));
  CHECK_FALSE(p.post(channel::bulk, 101));
  CHECK(p.queue->failure().find("101 bytes") != std::string::npos);
}

TEST_CASE("frames stop at the credit and go on with it; control goes first", "[flow]") {
  link_options o;
  o.batch_bytes = 1000;
  post_office p{o};
  flow f{o, {4000, 4000}, p.queue, p.figures};
  for (int i = 0; i < 10; ++i)
    REQUIRE(p.post(channel::bulk, 994));
  for (uint64_t i = 1; i <= 4; ++i) {
    auto x = f.next();
    REQUIRE(x);
    CHECK(x->by == channel::bulk);
    CHECK(x->number == i);
    CHECK(x->bytes.size() == 1000);
  }
  CHECK_FALSE(f.next());
  CHECK_FALSE(f.next());
  CHECK(p.figures[channel::bulk].credit_waits.get() == 1);
  REQUIRE(p.post(channel::control, 4));
  auto x = f.next();
  REQUIRE(x);
  CHECK(x->by == channel::control);
  CHECK(x->number == 1);
  CHECK(x->bytes.size() == 10);
  CHECK_FALSE(f.next());
  REQUIRE(p.post(channel::control, 4));
  CHECK_FALSE(f.granted(channel::bulk, 4001));
  REQUIRE(f.granted(channel::bulk, 1000));
  x = f.next();
  CHECK(x->by == channel::control);
  x = f.next();
  CHECK(x->by == channel::bulk);
  CHECK(x->number == 5);
  CHECK_FALSE(f.next());
}

TEST_CASE("two flows never stop, however their sizes fit", "[flow]") {
  link_options from;
  link_options to;
  std::mt19937 dice{11};
  for (int round = 0; round < 200; ++round) {
    from.batch_bytes = 1 + dice() % 3000;
    to.credit_bulk_bytes = 2 + dice() % 3000;
    post_office p{from};
    post_office q{to};
    flow sender{from, {2, to.credit_bulk_bytes}, p.queue, p.figures};
    flow receiver{to, {2, 2}, q.queue, q.figures};
    for (int i = 0; i < 100; ++i)
      REQUIRE(p.post(channel::bulk, dice() % 200));
    std::vector<letter> got;
    while (got.size() < 100) {
      auto x = sender.next();
      REQUIRE(x);
      REQUIRE(receiver.take(x->by, x->number, x->bytes, got) == nullptr);
      if (auto bytes = receiver.grant(x->by))
        REQUIRE(sender.granted(x->by, *bytes));
    }
    CHECK(p.queue->queued() == 0);
  }
}

TEST_CASE("a frame that is missing, and one without credit, are found", "[flow]") {
  link_options o;
  o.credit_bulk_bytes = 100;
  post_office p{o};
  std::vector<letter> got;
  flow f{o, {100, 100}, p.queue, p.figures};
  CHECK(f.take(channel::bulk, 1, std::string("\1\0\1\0\0\0x", 7), got) == nullptr);
  CHECK(f.take(channel::control, 1, std::string("\1\0\1\0\0\0x", 7), got) == nullptr);
  CHECK(got.size() == 2);
  CHECK(f.take(channel::bulk, 3, std::string("\1\0\1\0\0\0x", 7), got) != nullptr);
  flow g{o, {100, 100}, p.queue, p.figures};
  CHECK(g.take(channel::bulk, 1, std::string(101, '\0'), got) != nullptr);
}
