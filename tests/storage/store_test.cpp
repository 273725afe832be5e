// The store by itself: what is committed is found again, pages and their borders, effects, look-ups by key.
#include "fixture.hpp"

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

using numbers = std::vector<uint64_t>;

/// An outcome that holds a value answers error() with `internal`, too: ask first.
template <class T>
bool is_damage(const outcome<T>& x) {
  return !x && x.error().code == errc::internal;
}

TEST_CASE_METHOD(store_fixture, "a room that was never stored is absent", "[store]") {
  auto image = db->load_room(lobby, 10, 10'000);
  REQUIRE(image);
  CHECK_FALSE(image->has_value());
}

TEST_CASE_METHOD(store_fixture, "a room is loaded with its head, members and recent events", "[store]") {
  fill(*db, lobby, 5);
  batch more(lobby.shard());
  more.put(lobby, user("ada"), {member_role::owner, 1, {}});
  more.put(lobby, user("bob"), {member_role::none, 4, {}});
  REQUIRE(commit(*db, {&more}));
  // A neighbour whose name begins alike must not leak in.
  fill(*db, room("lobby2"), 9);

  auto image = db->load_room(lobby, 3, 10'000).value().value();
  CHECK(image.record == a_room());
  CHECK(image.head == 5);
  CHECK(image.head_ts == 50);
  CHECK(seqs(image.recent) == numbers{3, 4, 5});
  REQUIRE(image.members.size() == 2);
  CHECK(image.members[0] == std::pair{user("ada"), member_record{member_role::owner, 1, {}}});
  CHECK(image.members[1] == std::pair{user("bob"), member_record{member_role::none, 4, {}}});
}

TEST_CASE_METHOD(store_fixture, "the recent events of a room are bounded in bytes, too", "[store]") {
  fill(*db, lobby, 9);
  auto size = encode(message(9, "9", 90)).size();
  CHECK(seqs(db->load_room(lobby, 100, 2 * size).value()->recent) == numbers{8, 9});
  CHECK(db->load_room(lobby, 100, 0).value()->recent.empty());
  CHECK(db->load_room(lobby, 0, 10'000).value()->recent.empty());
  CHECK(db->load_room(lobby, 0, 0).value()->head == 9);
}

TEST_CASE_METHOD(store_fixture, "the head of a room outlives its events", "[store]") {
  batch x(lobby.shard());
  auto record = a_room();
  record.first = 42; // retention dropped 1 to 41, and nothing was said since
  x.put(lobby, record);
  REQUIRE(commit(*db, {&x}));
  CHECK(db->load_room(lobby, 10, 10'000).value()->head == 41);
}

TEST_CASE_METHOD(store_fixture, "a user is loaded with account, sessions and rooms", "[store]") {
  auto ada = user("ada");
  CHECK_FALSE(db->load_user(ada).value().account);
  batch x(ada.shard());
  account_record account{"$argon2id$...", 5, false, true};
  session_record session{"phone", 1, 2, "r", false, "f", "p", "s", 3};
  listed_room listed{"e1", room_kind::direct, member_role::member, 3, 2, false};
  x.put(ada, account);
  x.put(ada, "s1", session);
  x.put(ada, "s2", session);
  x.put(ada, room("a/b"), listed);
  x.put(ada, room("gone"), listed);
  activity_record activity{"e1", 3, 1'764'000'000'000};
  x.put(ada, room("a/b"), activity);
  x.put(ada, room("gone"), activity);
  batch y(user("adam").shard());
  y.put(user("adam"), "s3", session);
  REQUIRE(commit(*db, {&x, &y}));
  batch z(ada.shard());
  z.erase_session(ada, "s2");
  z.erase(ada, room("gone"));
  z.erase_activity(ada, room("gone"));
  REQUIRE(commit(*db, {&z}));

  auto image = db->load_user(ada).value();
  CHECK(image.account == account);
  CHECK(image.sessions == std::vector{std::pair{std::string("s1"), session}});
  CHECK(image.rooms == std::vector{std::pair{room("a/b"), listed}});
  CHECK(db->load_activity(ada).value() == std::vector{std::pair{room("a/b"), activity}});
  CHECK(db->load_activity(user("adam")).value().empty());
}

TEST_CASE_METHOD(store_fixture, "pages after a seq", "[store]") {
  fill(*db, lobby, 10);
  fill(*db, room("lobbz"), 3);
  auto page = db->events_after(lobby, 0, 4, 10'000).value();
  CHECK(seqs(page.events) == numbers{1, 2, 3, 4});
  CHECK(page.more);
  page = db->events_after(lobby, 6, 4, 10'000).value();
  CHECK(seqs(page.events) == numbers{7, 8, 9, 10});
  CHECK_FALSE(page.more);
  CHECK(seqs(db->events_after(lobby, 9, 4, 10'000).value().events) == numbers{10});
  CHECK(db->events_after(lobby, 10, 4, 10'000).value().events.empty());
  CHECK(db->events_after(lobby, UINT64_MAX, 4, 10'000).value().events.empty());
}

TEST_CASE_METHOD(store_fixture, "pages before a seq are oldest first, too", "[store]") {
  fill(*db, lobby, 10);
  fill(*db, room("lobbx"), 3);
  auto page = db->events_before(lobby, UINT64_MAX, 4, 10'000).value();
  CHECK(seqs(page.events) == numbers{7, 8, 9, 10});
  CHECK(page.more);
  page = db->events_before(lobby, 5, 4, 10'000).value();
  CHECK(seqs(page.events) == numbers{1, 2, 3, 4});
  CHECK_FALSE(page.more);
  CHECK(seqs(db->events_before(lobby, 2, 4, 10'000).value().events) == numbers{1});
  page = db->events_before(lobby, 9, 4, 10'000).value();
  CHECK(seqs(page.events) == numbers{5, 6, 7, 8});
  CHECK(page.more);
  CHECK(db->events_before(lobby, 9, 0, 10'000).value().events.empty());
  CHECK(db->events_before(lobby, 1, 4, 10'000).value().events.empty());
  CHECK(db->events_before(lobby, 0, 4, 10'000).value().events.empty());
}

TEST_CASE_METHOD(store_fixture, "a page is bounded in bytes, but holds one event at least", "[store]") {
  fill(*db, lobby, 9);
  auto size = encode(message(9, "9", 90)).size();
  auto page = db->events_after(lobby, 0, 100, 3 * size).value();
  CHECK(seqs(page.events) == numbers{1, 2, 3});
  CHECK(page.more);
  page = db->events_after(lobby, 0, 100, 1).value();
  CHECK(seqs(page.events) == numbers{1});
  CHECK(page.more);
  page = db->events_before(lobby, 100, 100, 1).value();
  CHECK(seqs(page.events) == numbers{9});
  CHECK(page.more);
  page = db->events_before(lobby, 100, 100, 2 * size).value();
  CHECK(seqs(page.events) == numbers{8, 9});
  page = db->events_before(lobby, 8, 5, 2 * size).value(); // the newest of those that were asked for
  CHECK(seqs(page.events) == numbers{6, 7});
  CHECK(page.more);
}

TEST_CASE_METHOD(store_fixture, "a hole in the log is an error, not a short page", "[store]") {
  batch x(lobby.shard());
  for (uint64_t seq : {1, 2, 4, 5})
    x.put(lobby, message(seq, "x"));
  REQUIRE(commit(*db, {&x}));
  CHECK(is_damage(db->events_after(lobby, 0, 10, 10'000)));
  CHECK(is_damage(db->events_before(lobby, 9, 10, 10'000)));
}

TEST_CASE_METHOD(store_fixture, "the seq at a time is the first event not older", "[store]") {
  batch x(lobby.shard());
  int64_t times[] = {10, 10, 20, 20, 20, 50};
  for (uint64_t seq = 1; seq <= 6; ++seq)
    x.put(lobby, message(seq, "x", times[seq - 1]));
  REQUIRE(commit(*db, {&x}));
  CHECK(db->seq_at(lobby, 0, 1, 6) == 1u);
  CHECK(db->seq_at(lobby, 10, 1, 6) == 1u);
  CHECK(db->seq_at(lobby, 11, 1, 6) == 3u);
  CHECK(db->seq_at(lobby, 20, 1, 6) == 3u);
  CHECK(db->seq_at(lobby, 21, 1, 6) == 6u);
  CHECK(db->seq_at(lobby, 50, 1, 6) == 6u);
  CHECK(db->seq_at(lobby, 51, 1, 6) == 7u);
  CHECK(db->seq_at(lobby, 0, 4, 6) == 4u);  // retention dropped what is before
  CHECK(db->seq_at(lobby, 99, 7, 6) == 7u); // an empty room
  CHECK(is_damage(db->seq_at(lobby, 99, 1, 9)));
}

TEST_CASE_METHOD(store_fixture, "effects of a shard wait until they are erased", "[store]") {
  effect_record first{lobby, "e1", 3, user("ada"), member_change::joined, member_role::member, room_kind::public_};
  auto second = first;
  second.seq = 20;
  auto third = second;
  third.user = user("bob");
  batch x(lobby.shard());
  x.put(third);
  x.put(second);
  x.put(first);
  REQUIRE(commit(*db, {&x}));
  CHECK(db->effects(lobby.shard(), 10).value() == std::vector{first, second, third});
  CHECK(db->effects(lobby.shard(), 2).value() == std::vector{first, second});
  CHECK(db->effects(lobby.shard(), 0).value().empty());
  CHECK(db->effects((lobby.shard() + 1) % shard_count, 10).value().empty());
  batch y(lobby.shard());
  y.erase(second);
  REQUIRE(commit(*db, {&y}));
  CHECK(db->effects(lobby.shard(), 10).value() == std::vector{first, third});
}

TEST_CASE_METHOD(store_fixture, "several batches are one commit, and are there after a restart", "[store]") {
  std::vector<batch> batches;
  std::vector<const batch*> pointers;
  for (int i = 0; i < 300; ++i)
    batches.push_back(a_send(room("r" + std::to_string(i)), 1, "hello"));
  for (auto& x : batches)
    pointers.push_back(&x);
  REQUIRE(db->commit(pointers));
  auto id = db->id();
  CHECK(id.size() == 32);
  restart();
  CHECK(db->id() == id);
  for (int i = 0; i < 300; ++i) {
    auto r = room("r" + std::to_string(i));
    CHECK(db->events_after(r, 0, 10, 1'000).value().events == std::vector{message(1, "hello")});
    CHECK(db->find_key(r, hash_of(user("ada"), "hello"), read_tier::disk).value().first == lookup::found);
  }
}

TEST_CASE_METHOD(store_fixture, "a commit of nothing succeeds", "[store]") {
  batch empty(0);
  CHECK(db->commit({}));
  CHECK(commit(*db, {&empty}));
}

TEST_CASE_METHOD(store_fixture, "keys are found in memory, and absent ones are known to be", "[store]") {
  auto x = a_send(lobby, 7, "k");
  REQUIRE(commit(*db, {&x}));
  auto found = db->find_key(lobby, hash_of(user("ada"), "k"), read_tier::cached).value();
  CHECK(found.first == lookup::found);
  CHECK(found.second == key_record{1, 7, 1'000, 7});
  CHECK(db->find_key(lobby, hash_of(user("bob"), "k"), read_tier::cached).value().first == lookup::absent);
  CHECK(db->find_key(room("other"), hash_of(user("ada"), "k"), read_tier::cached).value().first == lookup::absent);
}

TEST_CASE_METHOD(store_fixture, "a key that only the disk holds asks for a slow read, which fills the cache",
                 "[store]") {
  auto x = a_send(lobby, 7, "k");
  REQUIRE(commit(*db, {&x}));
  REQUIRE(db->reopen()); // recovery writes what the log held to a table
  auto key = hash_of(user("ada"), "k");
  CHECK(db->find_key(lobby, key, read_tier::cached).value().first == lookup::would_block);
  CHECK(db->find_key(lobby, key, read_tier::disk).value().second.seq == 7);
  CHECK(db->find_key(lobby, key, read_tier::cached).value().first == lookup::found);
  restart();
  CHECK(db->find_key(lobby, key, read_tier::cached).value().first == lookup::would_block);
  CHECK(db->find_key(lobby, key, read_tier::disk).value().first == lookup::found);
}

TEST_CASE_METHOD(store_fixture, "the filters answer for absent keys without the disk", "[store]") {
  batch x(lobby.shard());
  for (int i = 0; i < 10'000; ++i)
    x.put(lobby, hash_of(user("ada"), std::to_string(i)), key_record{1, 1, 1, 1});
  REQUIRE(commit(*db, {&x}));
  restart();
  int slow = 0;
  for (int i = 0; i < 10'000; ++i)
    slow +=
        db->find_key(lobby, hash_of(user("bob"), std::to_string(i)), read_tier::cached).value().first != lookup::absent;
  CHECK(slow < 200); // 12 bits per key: about 0.4 %
}

TEST_CASE_METHOD(store_fixture, "a thread is found whatever the number of its message ends with", "[store]") {
  batch x(lobby.shard());
  x.put(lobby, a_room());
  for (uint64_t target : {255u, 256u, 511u, 65'535u}) {
    x.put(lobby, message(target + 70'000, "reply"));
    x.put_reply(lobby, target, target + 70'000);
  }
  REQUIRE(commit(*db, {&x}));
  for (uint64_t target : {255u, 256u, 511u, 65'535u}) {
    auto page = db->thread_after(lobby, target, 0, 200'000, 10, 10'000, user("ada")).value();
    REQUIRE(page.events.size() == 1);
    CHECK(page.events[0].seq == target + 70'000);
  }
}

TEST_CASE_METHOD(store_fixture, "a webhook finds what is left for it, by rooms, and a room what its webhooks have",
                 "[store]") {
  // Rooms of one shard: what is left is asked for by shards.
  std::vector<room_id> rooms;
  for (int i = 0; rooms.size() < 3; ++i)
    if (auto r = room("r" + std::to_string(1'000 + i)); r.shard() == lobby.shard())
      rooms.push_back(r);
  batch x(lobby.shard());
  for (const auto& r : rooms) {
    x.put(r, a_room());
    x.put(r, "audit", hook_record{4, 0, true});
    x.put_hooked("audit", r);
  }
  x.put(rooms[1], "b", hook_record{9, 2, false});
  x.put_hooked("audi", rooms[0]);
  REQUIRE(commit(*db, {&x}));
  const auto left = [&](std::string_view hook, std::string_view after, size_t limit) {
    return db->hooked(lobby.shard(), hook, after, limit).value();
  };
  CHECK(left("audit", "", 10) == rooms);
  CHECK(left("audit", "", 2) == std::vector{rooms[0], rooms[1]});
  CHECK(left("audit", rooms[1].str(), 10) == std::vector{rooms[2]});
  CHECK(left("audi", "", 10) == std::vector{rooms[0]});
  CHECK(left("b", "", 10).empty());
  CHECK(db->load_room(rooms[1], 0, 0).value()->hooks.empty()); // not asked for
  const auto hooks = db->load_room(rooms[1], 0, 0, true).value()->hooks;
  REQUIRE(hooks.size() == 2);
  CHECK(hooks[0] == std::pair<std::string, hook_record>{"audit", {4, 0, true}});
  CHECK(hooks[1] == std::pair<std::string, hook_record>{"b", {9, 2, false}});
  batch gone(lobby.shard());
  gone.erase_contents(rooms[1]);
  gone.erase_hooked("audit", rooms[1]);
  REQUIRE(commit(*db, {&gone}));
  CHECK(db->load_room(rooms[1], 0, 0, true).value()->hooks.empty());
  CHECK(left("audit", "", 10) == std::vector{rooms[0], rooms[2]});
}

TEST_CASE_METHOD(store_fixture, "reopening counts as a new generation and keeps everything", "[store]") {
  fill(*db, lobby, 3);
  auto before = db->generation();
  REQUIRE(db->reopen());
  CHECK(db->generation() == before + 1);
  CHECK(db->healthy());
  CHECK(db->load_room(lobby, 10, 10'000).value()->head == 3);
}

TEST_CASE_METHOD(store_fixture, "a second store in the same directory is refused", "[store]") {
  auto second = store::open(options);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == errc::unavailable);
}

TEST_CASE_METHOD(store_fixture, "below the reserve of free space a commit is refused and the store stays healthy",
                 "[store]") {
  auto x = a_send(lobby, 1, "k");
  db.reset();
  options.min_free_bytes = UINT64_MAX;
  db = store::open(options).value();
  auto refused = commit(*db, {&x});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::unavailable);
  CHECK(db->healthy());
  CHECK(db->events_after(lobby, 0, 10, 1'000).value().events.empty());
  CHECK_FALSE(db->reopen());
  CHECK(db->healthy());
}

TEST_CASE_METHOD(store_fixture, "figures are there", "[store]") {
  fill(*db, lobby, 3);
  auto figures = db->figures();
  CHECK(figures.size() == 10);
  for (auto& [name, value] : figures)
    if (name == "memtable_bytes")
      CHECK(value > 0);
}
