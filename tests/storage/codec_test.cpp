// The stored forms: what is encoded comes back, and no other bytes are taken for a record.
#include "fixture.hpp"
#include "storage/keys.hpp"

#include <random>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

/// With every field that its kind has.
event full_event(event_kind kind) {
  const auto text = std::string("t\0\xff", 3) + std::string(300, 'x');
  event x;
  x.kind = kind;
  x.seq = UINT64_MAX;
  x.ts = INT64_MIN;
  x.from = user("ada");
  x.messages = 300;
  switch (kind) {
  case event_kind::message:
    x.revoked = true;
    x.key = "k";
    x.text = text;
    x.more.edit().data = "{}";
    x.more.edit().reply_to = 128;
    x.more.edit().attachments = {{}, {"b", "cat.png", "image/png", UINT64_MAX, std::string(200, '\0')}};
    x.more.edit().mentions = {"bob", "@room"};
    break;
  case event_kind::edited:
    x.revoked = true;
    x.target = 300;
    x.key = "k";
    x.text = text;
    break;
  case event_kind::revoked:
    x.target = 300;
    x.key = "k";
    break;
  case event_kind::reaction:
    x.target = 300;
    x.key = "k";
    x.on = true;
    x.text = "\xf0\x9f\x91\x8d";
    break;
  case event_kind::member:
    x.user = user("bob");
    x.change = member_change::left;
    x.role = member_role::owner;
    x.more.edit().reason = "because";
    x.more.edit().until = INT64_MAX;
    break;
  case event_kind::room:
    x.text = text;
    x.more.edit().settings = {room_kind::announce, 7, UINT32_MAX, 300, true, {5, 6, 7}};
    break;
  case event_kind::topic:
    x.text = text;
    break;
  case event_kind::pinned:
  case event_kind::unpinned:
    x.target = 300;
    break;
  }
  return x;
}

/// Comes back; cut at any byte or with a byte behind it, it is refused; with a bit turned, it is a value or an error.
template <class Record>
void check_form(const Record& record) {
  auto bytes = encode(record);
  auto back = decode<Record>(bytes);
  REQUIRE(back);
  CHECK((*back == record));
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto cut = decode<Record>(std::string_view(bytes).substr(0, size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == errc::internal);
  }
  CHECK_FALSE(decode<Record>(bytes + '\0'));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto turned = bytes;
    turned[bit / 8] = static_cast<char>(turned[bit / 8] ^ 1 << bit % 8);
    if (auto read = decode<Record>(turned))
      CHECK(encode(*read) == turned); // one form per value
  }
  auto other = bytes;
  other[0] = static_cast<char>(bytes[0] + 1);
  CHECK_FALSE(decode<Record>(other)); // a version that is not known
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string noise(random() % 64, '\0');
    for (auto& byte : noise)
      byte = static_cast<char>(random() % 4 != 0 ? random() % 6 : random());
    if (!noise.empty())
      noise[0] = bytes[0];
    if (auto read = decode<Record>(noise))
      CHECK(encode(*read) == noise);
  }
}

} // namespace

TEST_CASE("events keep their form", "[codec]") {
  check_form(event{});
  for (int kind = 1; kind <= 9; ++kind) {
    event bare;
    bare.kind = static_cast<event_kind>(kind);
    check_form(bare);
    check_form(full_event(bare.kind));
  }
}

TEST_CASE("events that an older version has stored are read", "[codec]") {
  using namespace std::string_literals;
  auto message = decode<event>("\x01\x01\x07\x09\x03"s
                               "ada\x01k\x02hi\x02{}\x05\x01\x01"
                               "a\x00\x00\x00"s);
  REQUIRE(message);
  CHECK(message->kind == event_kind::message);
  CHECK(message->seq == 7);
  CHECK(message->ts == 9);
  CHECK(message->from == user("ada"));
  CHECK(message->key == "k");
  CHECK(message->text == "hi");
  CHECK(message->more->data == "{}");
  CHECK(message->more->reply_to == 5);
  CHECK(message->more->attachments == std::vector<attachment>{{"a", {}, {}, 0, {}}});
  CHECK(message->messages == 7); // not counted then: one for each event
  auto second = decode<event>("\x02\x06\x07\x09\x03"s
                              "ada\x02hi"s);
  REQUIRE(second);
  CHECK(second->text == "hi");
  CHECK(second->messages == 7);
  auto member = decode<event>("\x01\x05\x07\x09\x03"s
                              "ada\x00\x00\x00\x00\x00\x03"
                              "bob\x01\x02"s);
  REQUIRE(member);
  CHECK(member->user == user("bob"));
  CHECK(member->change == member_change::joined);
  CHECK(member->role == member_role::member);
  CHECK_FALSE(member->more);
}

TEST_CASE("rooms and members that an older version has stored are read", "[codec]") {
  using namespace std::string_literals;
  auto r = decode<room_record>("\x01\x01"
                               "e\x01\x01"
                               "t\x03"
                               "ada\x05\x07\x02"s);
  REQUIRE(r);
  CHECK((*r == room_record{"e", room_kind::public_, "t", user("ada"), 5, 7, 2, "", 0, {}, 0, 0, {}}));
  auto m = decode<member_record>("\x01\x04\x09"s);
  REQUIRE(m);
  CHECK((*m == member_record{member_role::owner, 9, {}}));
}

TEST_CASE("sessions that an older version has stored are read: their refresh token begins all that follow", "[codec]") {
  using namespace std::string_literals;
  auto s = decode<session_record>("\x01\x05phone\x07\x09\x06"
                                  "digest\x00"s);
  REQUIRE(s);
  CHECK((*s == session_record{"phone", 7, 9, "digest", false, "digest", "", "", 0}));
}

TEST_CASE("rooms and members keep their form", "[codec]") {
  check_form(room_record{});
  check_form(room_record{
      "epoch", room_kind::direct, "title", user("ada"), 5, UINT32_MAX, 300, "topic", 7, {1, 300}, 1'000, 9, {5, 6, 7}});
  check_form(member_record{});
  member_record muted{member_role::moderator, 256, {}};
  muted.more.edit() = {300, INT64_MAX, 5, false, 0, false};
  check_form(muted);
  muted.more.edit() = {300, INT64_MAX, 5, true, 1'764'000'000'000, true};
  check_form(muted);
  check_form(message_state{});
  check_form(message_state{9, 8, 7, "text", 0, {5, 8}, {{"+1", 300}, {"x", 1}}, 300, 9});
  check_form(thread_record{});
  check_form(thread_record{"e", UINT64_MAX});
  check_form(scheduled_send{});
  check_form(scheduled_send{1'764'000'000'000, "k", "text", "{}", 300});
  check_form(scheduled_send{1'764'000'000'000, "k", "text", "{}", 300, {{"a", "b", "c", 300, "d"}, {}}});
  const std::string hash(32, '\xff');
  check_form(file_record{file_record::stage::uploading, user("ada"), "cat.png", "image/png", 300, 299, 128, hash,
                         std::string(40, '\0'), 1'764'000'000'000, INT64_MAX});
  check_form(hook_record{});
  check_form(hook_record{300, 2, true});
  check_form(own_reactions{});
  check_form(own_reactions{9, 8, {"+1", "x"}});
  check_form(key_record{});
  check_form(key_record{8, 1, 2, UINT64_MAX});
  check_form(effect_record{room("@ada+bob"), "e", 9, user("bob"), member_change::joined, member_role::member,
                           room_kind::direct});
  check_form(effect_record{room("a"), "e", 0, user("bob"), member_change::none, member_role::none, room_kind::direct,
                           std::string(32, 'f'), UINT64_MAX, 1'764'000'000'000});
}

TEST_CASE("what belongs to a user keeps its form", "[codec]") {
  check_form(listed_room{});
  check_form(activity_record{});
  check_form(activity_record{"e", 41, 1'764'000'000'000});
  check_form(listed_room{"e", room_kind::private_, member_role::guest, 200, 199, 300, true});
  check_form(usage_record{});
  check_form(usage_record{UINT64_MAX, 300, {{"f", 1'764'000'000'000}, {"", 0}}});
  check_form(profile_record{});
  check_form(profile_record{"Ada", "https://example.org/ada.png", "{}", 1'764'000'000'000});
  check_form(presence_record{});
  check_form(presence_record{presence_status::invisible, "at lunch", 1'764'000'000'000});
  check_form(block_record{});
  check_form(block_record{false, 5, 300, true});
  const auto ada = user("ada"); // an erasure was asked for by somebody
  check_form(erasure_record{1, ada, {}, false, 0, 0, 0});
  check_form(erasure_record{1'764'000'000'000, ada, "spam", true, 1'764'000'000'001, 300, UINT64_MAX});
  check_form(account_record{});
  check_form(account_record{"$argon2id$", 1, true, true});
  check_form(session_record{});
  const auto digest = [](char c) { return std::string(32, c); };
  check_form(
      session_record{"a phone", 1, 2, digest('\xff'), true, digest('f'), digest('p'), "salt", 1'764'000'000'000});
}

TEST_CASE("an error of decoding names the record", "[codec]") {
  CHECK(decode<event>("").error().message.find("event") != std::string::npos);
  CHECK(decode<session_record>("x").error().message.find("session") != std::string::npos);
}

TEST_CASE("an effect of nobody is refused", "[codec]") {
  effect_record x{room("lobby"), "e", 9, {}, member_change::joined, member_role::member, room_kind::public_};
  CHECK_FALSE(decode<effect_record>(encode(x)));
}

TEST_CASE("a huge count or length costs nothing", "[codec]") {
  event x;
  x.more.edit().mentions = {""};
  auto bytes = encode(x);
  bytes.replace(bytes.size() - 2, 2, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
  CHECK_FALSE(decode<event>(bytes));
  CHECK_FALSE(decode<account_record>("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
}

TEST_CASE("the hash of a key depends on user and key, and on where one ends", "[codec]") {
  CHECK(hash_of(user("ada"), "k") == hash_of(user("ada"), "k"));
  CHECK(hash_of(user("ada"), "k") != hash_of(user("bob"), "k"));
  CHECK(hash_of(user("ada"), "bk") != hash_of(user("adab"), "k"));
  // Stored for ever, so it must never change: BLAKE2b with 16 bytes of "ada", 0, "k", computed by another library.
  CHECK(hash_of(user("ada"), "k") ==
        key_hash{0x72, 0xac, 0x4d, 0x5a, 0x02, 0x68, 0x83, 0x01, 0x73, 0xbd, 0x45, 0x57, 0x15, 0x42, 0xb4, 0xf6});
}

TEST_CASE("a key stands in the range of its id only", "[keys]") {
  auto lobby = room("lobby");
  auto begin = keys::prefix(lobby, keys::tag::event);
  auto end = keys::end_of(begin);
  for (uint64_t seq : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, UINT64_MAX}) {
    auto key = keys::event(lobby, seq);
    CHECK((begin <= key && key < end));
    CHECK(keys::seq_of(std::string_view(key).substr(begin.size())) == seq);
    CHECK(keys::belongs(key, lobby.shard()));
  }
  CHECK(keys::event(lobby, 255) < keys::event(lobby, 256));
  for (auto other : {room("lobb"), room("lobby2"), room("lobby.x"), room("lobby/x")}) {
    auto key = keys::event(other, 1);
    CHECK_FALSE((begin <= key && key < end));
  }
}

TEST_CASE("every key begins with its shard", "[keys]") {
  auto r = room("@ada+bob");
  auto u = user("ada");
  for (auto& key : {keys::room(r), keys::event(r, 1), keys::member(r, u), keys::key(r, {}), keys::effect(r, 1, u)}) {
    CHECK(static_cast<shard_id>(key[0]) == r.shard());
    CHECK(keys::belongs(key, r.shard()));
    CHECK_FALSE(keys::belongs(key, (r.shard() + 1) % shard_count));
  }
  for (auto& key : {keys::account(u), keys::session(u, "s"), keys::listed(u, r), keys::activity(u, r)}) {
    CHECK(static_cast<shard_id>(key[0]) == u.shard());
    CHECK(keys::belongs(key, u.shard()));
  }
}
