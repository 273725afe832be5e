// Batches: every key of a batch lives in its shard, however the batch came to be.
#include "fixture.hpp"
#include "storage/keys.hpp"

#include <random>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

namespace {

struct operation {
  std::string key;
  std::optional<std::string> value;
  std::string what = {}; // but for put and erase
  friend bool operator==(const operation&, const operation&) = default;
};

struct recorder : batch_reader {
  std::vector<operation> all;
  void put(std::string_view key, std::string_view value) override {
    all.push_back({std::string(key), std::string(value)});
  }
  void erase(std::string_view key) override { all.push_back({std::string(key), std::nullopt}); }
  void erase_range(std::string_view from, std::string_view to) override {
    all.push_back({std::string(from), std::string(to), "range"});
  }
  void replace(std::string_view key, std::string_view value) override {
    all.push_back({std::string(key), std::string(value), "replace"});
  }
};

std::vector<operation> operations(const batch& x) {
  recorder result;
  x.replay(result);
  return result.all;
}

batch a_join(const room_id& where) {
  batch x(where.shard());
  x.put(where, message(1, "hello"));
  x.put(where, user("ada"), {member_role::member, 1, {}});
  effect_record effect{where, "e", 1, user("ada"), member_change::joined, member_role::member, room_kind::public_};
  x.put(effect);
  x.erase(effect);
  return x;
}

/// A user who does not live in the lobby's shard.
user_id stranger_to(shard_id shard) {
  for (int i = 0;; ++i)
    if (auto x = user("u" + std::to_string(i)); x.shard() != shard)
      return x;
}

} // namespace

TEST_CASE("a batch is its operations in order, also after it was shipped", "[batch]") {
  auto lobby = room("lobby");
  auto x = a_join(lobby);
  CHECK(x.count() == 4);
  auto shipped = batch::parse(x.bytes());
  REQUIRE(shipped);
  CHECK(shipped->shard() == lobby.shard());
  CHECK(shipped->count() == 4);
  CHECK(shipped->bytes() == x.bytes());
  auto all = operations(*shipped);
  CHECK(all == operations(x));
  REQUIRE(all.size() == 4);
  CHECK(all[0] == operation{keys::event(lobby, 1), encode(message(1, "hello"))});
  CHECK(all[3] == operation{keys::effect(lobby, 1, user("ada")), std::nullopt});
}

TEST_CASE("an id of another shard can't get into a batch", "[batch]") {
  auto lobby = room("lobby");
  batch x(lobby.shard());
  x.put(lobby, message(1, "hello"));
  auto before = x.bytes();
  auto stranger = stranger_to(lobby.shard());
  CHECK_THROWS_AS(x.put(stranger, account_record{}), std::logic_error);
  CHECK_THROWS_AS(x.erase(stranger, lobby), std::logic_error);
  CHECK_THROWS_AS(x.erase_session(stranger, "s"), std::logic_error);
  CHECK(x.bytes() == before); // and the batch is as it was
  CHECK(x.count() == 1);
  CHECK_THROWS_AS(batch(shard_count), std::logic_error);
}

TEST_CASE("an empty id can't get into a batch, nor one that would end too early", "[batch]") {
  auto lobby = room("lobby");
  batch x(lobby.shard());
  CHECK_THROWS_AS(x.put(lobby, user_id{}, member_record{}), std::logic_error);
  batch y(room_id{}.shard());
  CHECK_THROWS_AS(y.put(room_id{}, a_room()), std::logic_error);
  auto split = room_id::trusted(std::string("a\0b", 3));
  batch z(split.shard());
  CHECK_THROWS_AS(z.put(split, a_room()), std::logic_error);
}

TEST_CASE("foreign keys are refused when a batch is parsed", "[batch]") {
  auto lobby = room("lobby");
  auto bytes = a_join(lobby).bytes();
  auto other = static_cast<char>((lobby.shard() + 1) % shard_count);
  SECTION("the batch says another shard than its keys") { bytes[1] = other; }
  SECTION("a key begins with another shard") { bytes[4] = other; }
  SECTION("a key begins with the right shard, but its id lives elsewhere") { bytes[6] = 'k'; }
  SECTION("a kind of key that there is not") { bytes[5] = 'z'; }
  SECTION("a shard that there is not") { bytes[1] = static_cast<char>(200); }
  auto parsed = batch::parse(bytes);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == errc::internal);
}

TEST_CASE("a range that is erased is of one kind of one room", "[batch]") {
  auto lobby = room("lobby"), neighbour = room("lobby.2");
  batch x(lobby.shard());
  x.erase_events(lobby, 1, 9);
  x.erase_contents(lobby);
  auto shipped = batch::parse(x.bytes());
  REQUIRE(shipped);
  CHECK(operations(*shipped) == operations(x));
  for (const auto& o : operations(x)) {
    REQUIRE(o.what == "range");
    CHECK(o.key < *o.value);
    CHECK(keys::spans(o.key, *o.value, lobby.shard()));
    CHECK_FALSE(keys::spans(*o.value, o.key, lobby.shard()));
    CHECK_FALSE(keys::spans(o.key, *o.value, static_cast<shard_id>(lobby.shard() ^ 1)));
  }
  auto events = keys::prefix(lobby, keys::tag::event);
  CHECK(keys::spans(events, keys::end_of(events), lobby.shard()));
  CHECK_FALSE(keys::spans(events, keys::end_of(events) + "x", lobby.shard())); // beyond the room
  CHECK_FALSE(keys::spans(events, keys::event(neighbour, 1), lobby.shard()));
  CHECK_FALSE(keys::spans(keys::prefix(lobby.shard(), keys::tag::event), keys::end_of(events), lobby.shard()));
  CHECK_FALSE(keys::spans(events, keys::prefix(lobby, keys::tag::member), lobby.shard()));
  CHECK_FALSE(keys::spans(keys::prefix(user("lobby"), keys::tag::erasure),
                          keys::end_of(keys::prefix(user("lobby"), keys::tag::erasure)), lobby.shard()));
}

TEST_CASE("what a user had is erased by ranges, and the record of that is not among them", "[batch]") {
  auto ada = user("ada");
  batch x(ada.shard());
  x.erase_account(ada);
  x.erase_contents(ada);
  auto shipped = batch::parse(x.bytes());
  REQUIRE(shipped);
  CHECK(operations(*shipped) == operations(x));
  for (const auto& key : {keys::account(ada), keys::session(ada, "s_1"), keys::profile(ada), keys::presence(ada),
                          keys::listed(ada, room("lobby")), keys::activity(ada, room("lobby")),
                          keys::thread(ada, room("lobby"), 1), keys::block(ada, user("bob")), keys::erasure(ada)}) {
    size_t covered = 0;
    for (const auto& o : operations(x)) {
      REQUIRE(o.what == "range");
      CHECK(keys::spans(o.key, *o.value, ada.shard()));
      covered += o.key <= key && key < *o.value ? 1 : 0;
    }
    CHECK(covered == (key == keys::erasure(ada) ? 0 : 1));
    CHECK(keys::belongs(key, ada.shard()));
  }
}

TEST_CASE("behind a prefix is the first key that does not begin with it, whatever its last byte", "[batch]") {
  using namespace std::string_literals;
  CHECK(keys::end_of("a"s) == "b");
  CHECK(keys::end_of("a\xff"s) == "b");
  CHECK(keys::end_of("a\x01\xff\xff"s) == "a\x02");
}

TEST_CASE("what is due says itself in its key", "[batch]") {
  const due_entry all[] = {
      {1'764'000'000'000, room("lobby"), due_entry::kind::send, user("ada"), hash_of(user("ada"), "k")},
      {0, room("@ada+bob"), due_entry::kind::retention, {}, {}},
      {5, room("ada"), due_entry::kind::errand, {}, {}},
      {INT64_MAX, room("a"), due_entry::kind::send, user("b"), {}},
      {9, room("a"), due_entry::kind::file, {}, {}, std::string(file_id_bytes, 'f')}};
  for (const auto& x : all) {
    const auto key = keys::due(x);
    CHECK(keys::belongs(key, x.room.shard()));
    CHECK_FALSE(keys::belongs(key, static_cast<shard_id>(x.room.shard() ^ 1)));
    REQUIRE(keys::read_due(key));
    CHECK(*keys::read_due(key) == x);
    for (size_t size = 0; size < key.size(); ++size)
      if (auto cut = keys::read_due(key.substr(0, size)))
        CHECK(cut->user != x.user); // its end is the user's name
  }
}

TEST_CASE("what a webhook has not got all of says itself in its key", "[batch]") {
  for (const auto& x : {room("lobby"), room("@ada+bob"), room("shop/a")}) {
    const auto key = keys::hooked("audit", x);
    CHECK(keys::belongs(key, x.shard()));
    CHECK_FALSE(keys::belongs(key, static_cast<shard_id>(x.shard() ^ 1)));
    CHECK(keys::read_hooked(key) == x);
    CHECK_FALSE(keys::read_hooked(key.substr(0, key.size() - x.str().size())));
    CHECK(key.starts_with(keys::all_hooked(x.shard(), "audit")));
    batch both(x.shard());
    both.put(x, "audit", hook_record{7, 1, true});
    both.put_hooked("audit", x);
    both.erase_hooked("audit", x);
    auto shipped = batch::parse(both.bytes());
    REQUIRE(shipped);
    CHECK(operations(*shipped) == operations(both));
    CHECK_THROWS_AS(both.put(x, "", hook_record{}), std::logic_error);
  }
  CHECK_FALSE(keys::read_hooked(""));
}

TEST_CASE("no bytes crash the parser of batches", "[batch]") {
  auto x = a_join(room("lobby"));
  x.erase_events(room("lobby"), 1, 3);
  x.replace(room("lobby"), message(2, "x"));
  x.put(due_entry{7, room("lobby"), due_entry::kind::send, user("ada"), {}, {}});
  const std::string file(file_id_bytes, 'f');
  x.put(due_entry{7, room("lobby"), due_entry::kind::file, {}, {}, file});
  x.put(room("lobby"), file, file_record{});
  x.put_chunk(room("lobby"), file, 3, "bytes");
  x.put_attached(room("lobby"), 2, file, user("ada"));
  x.erase_attached(room("lobby"), 2, file);
  x.erase_file(room("lobby"), file);
  for (size_t size = 0; size < x.bytes().size(); ++size)
    if (auto cut = batch::parse(x.bytes().substr(0, size))) // at the border of two operations
      CHECK(operations(*cut).size() == cut->count());
  for (size_t bit = 0; bit < x.bytes().size() * 8; ++bit) {
    auto turned = x.bytes();
    turned[bit / 8] = static_cast<char>(turned[bit / 8] ^ 1 << bit % 8);
    if (auto parsed = batch::parse(turned))
      for (auto& o : operations(*parsed))
        CHECK((o.what == "range" ? keys::spans(o.key, *o.value, parsed->shard())
                                 : keys::belongs(o.key, parsed->shard())));
  }
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    std::string noise(random() % 40, '\0');
    for (auto& byte : noise)
      byte = static_cast<char>(random() % 8);
    if (auto parsed = batch::parse(noise))
      CHECK(operations(*parsed).size() == parsed->count());
  }
}
