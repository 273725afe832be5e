// Hostile frames: whatever comes in, decode() answers within its bounds and never falls over. Run under the sanitizers,
// too. The seed is printed with a failure.
#include "net/codec.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace greenroom;

namespace {

const std::vector<std::string> good_frames{
    R"({"op":"hello","id":1,"token":"eyJ.e.s","device":"phone-1","resume":{"general":{"epoch":"k3v9","seq":41}},"subscribe":["a","b/c"]})",
    R"({"op":"send","id":2,"room":"general","key":"k-1","text":"h\u00e9llo \ud83d\ude00","data":{"a":[1,2.5,-3,{"b":null}]},"reply_to":3})",
    R"({"op":"history","id":3,"room":"@alice+bob","around":12,"limit":50})",
    R"({"op":"create","id":4,"room":"ns/room","kind":"private","title":"Ünï","history_days":7})",
    R"({"op":"typing","room":"general","on":true})",
    R"({"op":"members","id":5,"room":"general","after":"bob","limit":10})",
};

// What must hold for every input: no crash, and what is accepted is within the limits.
void decode_any(std::string_view frame, const limits& bounds) {
  auto result = net::decode(frame, bounds);
  if (auto* bad = std::get_if<bad_frame>(&result)) {
    REQUIRE_FALSE(bad->why.message.empty());
    REQUIRE(bad->why.message.size() < 400);
    if (bad->not_an_object)
      REQUIRE_FALSE(bad->id);
    return;
  }
  auto& r = std::get<request>(result);
  if (r.id)
    REQUIRE((*r.id >= 1 && *r.id <= 9007199254740991));
  if (auto* send = std::get_if<op::send>(&r.what)) {
    REQUIRE(send->room.has_value() != send->to.has_value());
    REQUIRE(send->text.size() <= bounds.text_bytes);
    REQUIRE(send->data.size() <= bounds.data_bytes);
    REQUIRE_FALSE((send->text.empty() && send->data.empty()));
    REQUIRE((!send->key.empty() && send->key.size() <= 64));
  }
  if (auto* history = std::get_if<op::history>(&r.what))
    REQUIRE((history->limit >= 1 && history->limit <= bounds.history_page));
}

} // namespace

TEST_CASE("a good frame cut anywhere is refused", "[codec][fuzz]") {
  for (auto& frame : good_frames) {
    REQUIRE(std::holds_alternative<request>(net::decode(frame, limits{})));
    for (size_t size = 0; size < frame.size(); ++size)
      REQUIRE(std::get<bad_frame>(net::decode(std::string_view(frame).substr(0, size), limits{})).not_an_object);
  }
}

TEST_CASE("random bytes never crash the decoder", "[codec][fuzz]") {
  const uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const limits bounds;
  constexpr std::string_view alphabet = "{}[]\":,\\/u0123456789.eE+-truefalsn \t\x01\x7f\xc3\xa9\xed\xf0\xff";
  for (int round = 0; round < 30000; ++round) {
    std::string frame(random() % 200, '\0');
    for (auto& c : frame)
      c = round % 2 == 0 ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
    decode_any(frame, bounds);
  }
}

TEST_CASE("mutations of good frames never crash the decoder", "[codec][fuzz]") {
  const uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  limits bounds;
  bounds.text_bytes = 20;
  bounds.data_bytes = 40;
  bounds.history_page = 60;
  bounds.subscriptions = 2;
  bounds.json_depth = 5;
  const std::vector<std::string> pieces{"\"",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "null",
                                        "-1",
                                        "0",
                                        "1e9",
                                        "true",
                                        "\\",
                                        "\\u0000",
                                        "\xff",
                                        "\\ud800",
                                        "\"id\":",
                                        "1.5",
                                        "\"\"",
                                        "9007199254740992",
                                        "\"op\":\"send\"",
                                        "\xc3\xa9"};
  for (int round = 0; round < 60000; ++round) {
    auto frame = good_frames[random() % good_frames.size()];
    for (auto n = 1 + random() % 4; n > 0; --n) {
      const size_t at = random() % (frame.size() + 1);
      switch (random() % 4) {
      case 0:
        frame.insert(at, pieces[random() % pieces.size()]);
        break;
      case 1:
        frame.erase(at, random() % 8);
        break;
      case 2:
        if (at < frame.size())
          frame[at] = static_cast<char>(random());
        break;
      default: {
        auto& other = good_frames[random() % good_frames.size()];
        const size_t from = random() % other.size();
        frame.insert(at, other, from, random() % 30);
      }
      }
    }
    decode_any(frame, bounds);
  }
}
