// The reader: what it shows of the store and what it hides; that every question is answered, in order, also by a store
// that is damaged, uncertain or closed; how many snapshots it keeps, and for how long.
#include "tests/actors/lone_house.hpp"

#include <chrono>
#include <set>

using namespace greenroom;
using greenroom::testing::fault;
using greenroom::testing::lone_house;

namespace {

using questioner =
    caf::typed_actor<caf::reacts_to<room_loaded>, caf::reacts_to<user_loaded>, caf::reacts_to<effects_loaded>,
                     caf::reacts_to<page_read>, caf::reacts_to<key_found>, caf::reacts_to<shard_loaded>,
                     caf::reacts_to<log_found>, caf::reacts_to<snapshot_read>>;
using numbers = std::vector<uint64_t>;
using how = reader::read_page::how;

const room_id lobby = room_id::trusted("lobby");
const shard_id here = lobby.shard();
const user_id ada = user_id::trusted("ada");

struct library : lone_house {
  library()
      : lone_house([](settings& c) {
          c.rooms.ring_events = 3;
          c.rooms.ring_bytes = 1'000'000;
        }) {}

  template <class Answer, class Question>
  Answer ask(Question x) {
    x.to = room.handle;
    tell(it, std::move(x));
    run();
    return room.only<Answer>();
  }
  void write(const std::vector<storage::mutation>& all) { REQUIRE(store->write(all).has_value()); }
  void write(const storage::batch& x) { write({&x}); }

  /// Events `from` to `to`; the text of each is its seq, its time ten times that.
  static storage::batch said(uint64_t from, uint64_t to) {
    storage::batch x(here);
    for (auto seq = from; seq <= to; ++seq) {
      storage::event e;
      e.seq = seq;
      e.ts = static_cast<int64_t>(seq * 10);
      e.from = ada;
      e.text = std::to_string(seq);
      x.put(lobby, e);
    }
    return x;
  }
  static storage::room_record record() {
    storage::room_record r;
    r.epoch = "e1";
    r.creator = ada;
    return r;
  }
  void make_room(uint64_t events) {
    storage::batch x(here);
    x.put(lobby, record());
    write(x);
    if (events > 0)
      write(said(1, events));
  }
  page_read page(how where, uint64_t seq, uint64_t head, uint32_t limit = 50, uint64_t first = 1) {
    reader::read_page x;
    x.room = lobby;
    x.where = where;
    x.seq = seq;
    x.ts = static_cast<int64_t>(seq);
    x.first = first;
    x.head = head;
    x.limit = limit;
    x.bytes = 1'000'000;
    return ask<page_read>(x);
  }
  storage::log_entry entry(uint64_t index, uint64_t epoch = 1) const {
    return {{epoch, index}, std::make_shared<const std::string>(said(index, index).bytes())};
  }
  void append(uint64_t from, uint64_t to) {
    std::vector<storage::mutation> all;
    for (auto i = from; i <= to; ++i)
      all.emplace_back(storage::append_entry{here, entry(i)});
    write(all);
  }
  void apply(uint64_t from, uint64_t to) {
    std::vector<storage::mutation> all;
    for (auto i = from; i <= to; ++i)
      all.emplace_back(storage::apply_entry{here, entry(i)});
    write(all);
  }
  log_found log(uint64_t after, size_t bytes = 1'000'000) {
    return ask<log_found>(reader::read_log{here, after, bytes, 5, {}});
  }
  snapshot_read piece(uint64_t transfer, bool first, size_t bytes = 1) {
    return ask<snapshot_read>(reader::read_snapshot{here, transfer, first, bytes, {}});
  }
  /// A write fails: the store is uncertain until it has been opened anew. Then every write and opening fails.
  void break_disk() {
    disk.fail_at(1, fault::power_loss);
    storage::batch x(ada.shard()); // which has no log
    x.put(ada, storage::account_record{});
    const storage::batch* one = &x;
    REQUIRE_FALSE(store->commit({&one, 1}).has_value());
    REQUIRE_FALSE(store->healthy());
  }

  reader::handle it = spawn<reader::reader_actor>(*home, 0u);
  greenroom::testing::ear<questioner> room = listen<questioner>();
};

template <class Loaded>
errc refused(const Loaded& x) {
  REQUIRE(x.what->has_error());
  return x.what->error().code;
}
numbers seqs(const std::vector<storage::event>& events) {
  numbers result;
  for (const auto& e : events)
    result.push_back(e.seq);
  return result;
}
numbers seqs(const page_read& x) {
  REQUIRE(x.what->has_value());
  return seqs((*x.what)->events);
}
numbers indexes(const std::vector<storage::log_entry>& entries) {
  numbers result;
  for (const auto& e : entries)
    result.push_back(e.at.index);
  return result;
}
/// A record whose form no program knows, where `good` would stand.
storage::batch damaged(const storage::batch& x, const std::string& good) {
  auto bytes = x.bytes();
  auto at = bytes.find(good);
  REQUIRE(at != std::string::npos);
  bytes[at] = '\x7f'; // its version
  return storage::batch::parse(bytes).value();
}

} // namespace

TEST_CASE("a room is loaded with its last events, as many as rooms.ring_events; one that is not there is no error",
          "[reader]") {
  library w;
  auto none = w.ask<room_loaded>(reader::load_room{lobby, false, {}});
  REQUIRE(none.what->has_value());
  CHECK_FALSE((*none.what)->has_value());
  w.make_room(5);
  auto found = w.ask<room_loaded>(reader::load_room{lobby, false, {}});
  REQUIRE(found.what->has_value());
  REQUIRE((*found.what)->has_value());
  CHECK((**found.what)->head == 5);
  CHECK(seqs((**found.what)->recent) == numbers{3, 4, 5});
}

TEST_CASE("a user is loaded, and a shard's effects", "[reader]") {
  library w;
  CHECK_FALSE((*w.ask<user_loaded>(reader::load_user{ada, {}}).what)->account);
  storage::batch of_user(ada.shard()), of_room(here);
  of_user.put(ada, storage::account_record{"$argon2id$", 1, false, false});
  storage::effect_record effect{
      lobby, "e1", 1, ada, storage::member_change::joined, storage::member_role::member, storage::room_kind::public_};
  of_room.put(effect);
  w.write(of_user);
  w.write(of_room);
  auto user = w.ask<user_loaded>(reader::load_user{ada, {}});
  REQUIRE((*user.what)->account);
  CHECK((*user.what)->account->password == "$argon2id$");
  CHECK(**w.ask<effects_loaded>(reader::load_effects{here, {}}).what == std::vector{effect});
  CHECK((*w.ask<effects_loaded>(reader::load_effects{static_cast<shard_id>(here ^ 1), {}}).what)->empty());
}

TEST_CASE("pages go both ways, around an event and from a time, and say whether there is more", "[reader]") {
  library w;
  w.make_room(10);
  auto check = [](const page_read& x, const numbers& expected, bool more) {
    CHECK(seqs(x) == expected);
    CHECK((*x.what)->more == more);
  };
  check(w.page(how::after, 0, 10, 3), {1, 2, 3}, true);
  check(w.page(how::after, 8, 10, 3), {9, 10}, false);
  check(w.page(how::after, 10, 10, 3), {}, false);
  check(w.page(how::before, UINT64_MAX, 10, 3), {8, 9, 10}, true);
  check(w.page(how::before, 3, 10, 3), {1, 2}, false);
  check(w.page(how::before, 1, 10, 3), {}, false);
  check(w.page(how::around, 5, 10, 4), {3, 4, 5, 6}, true);
  check(w.page(how::around, 1, 10, 4), {1, 2, 3, 4}, true);
  check(w.page(how::around, 10, 10, 4), {8, 9, 10}, false);
  check(w.page(how::around, 5, 10, 1), {5}, true);
  check(w.page(how::at, 50, 10, 3), {5, 6, 7}, true);
  check(w.page(how::at, 51, 10, 3), {6, 7, 8}, true);
  check(w.page(how::at, 101, 10, 3), {}, false);
}

TEST_CASE("what the room does not keep any more, or has not seen committed, is not shown", "[reader]") {
  library w;
  w.make_room(10); // the writer is at 10, the room at 7, and it keeps what begins with 4
  auto page = [&](how where, uint64_t seq, uint32_t limit = 50) { return w.page(where, seq, 7, limit, 4); };
  for (const auto& x : {page(how::after, 0), page(how::before, UINT64_MAX), page(how::around, 5), page(how::at, 0)}) {
    CHECK(seqs(x) == numbers{4, 5, 6, 7});
    CHECK_FALSE((*x.what)->more);
  }
  CHECK(seqs(page(how::after, 7)).empty());
  CHECK(seqs(page(how::before, 4)).empty());
  auto two = page(how::before, UINT64_MAX, 2);
  CHECK(seqs(two) == numbers{6, 7});
  CHECK((*two.what)->more);
  auto last_two = page(how::before, 6, 2);
  CHECK(seqs(last_two) == numbers{4, 5});
  CHECK_FALSE((*last_two.what)->more);
}

TEST_CASE("a key is found on the disk, or known not to be there", "[reader]") {
  library w;
  auto used = storage::hash_of(ada, "a-1");
  storage::batch x(here);
  x.put(lobby, used, storage::key_record{1, 4, 40, 7});
  w.write(x);
  auto found = w.ask<key_found>(reader::find_key{lobby, used, {}});
  REQUIRE(found.what.has_value());
  CHECK(found.what->first == storage::lookup::found);
  CHECK(found.what->second.seq == 4);
  CHECK(w.ask<key_found>(reader::find_key{lobby, storage::hash_of(ada, "a-2"), {}}).what->first ==
        storage::lookup::absent);
}

TEST_CASE("a damaged record is an error that names no file, and costs nobody else's answer", "[reader]") {
  library w;
  w.make_room(0);
  auto e = library::said(1, 1);
  storage::event first;
  first.seq = 1;
  first.ts = 10;
  first.from = ada;
  first.text = "1";
  w.write(damaged(e, storage::encode(first)));
  w.write(library::said(2, 3));
  auto page = w.page(how::after, 0, 3);
  CHECK(refused(page) == errc::internal);
  CHECK(page.what->error().message == "the store can't be read at present");
  CHECK(refused(w.ask<room_loaded>(reader::load_room{lobby, false, {}})) == errc::internal);
  CHECK(seqs(w.page(how::after, 1, 3)) == numbers{2, 3}); // what is behind it is whole
  CHECK(w.home->living.count(actor_kind::reader) == 1);

  storage::batch account(ada.shard());
  storage::account_record of_ada{"$argon2id$", 1, false, false};
  account.put(ada, of_ada);
  w.write(damaged(account, storage::encode(of_ada)));
  auto user = w.ask<user_loaded>(reader::load_user{ada, {}});
  CHECK(refused(user) == errc::internal);
  CHECK(user.what->error().message == "the store can't be read at present");
}

TEST_CASE("a hole in the events is an error, not a short page, also at the edge of one", "[reader]") {
  library w;
  w.make_room(3);
  w.write(library::said(5, 6));
  CHECK(refused(w.page(how::after, 0, 6)) == errc::internal);
  CHECK(refused(w.page(how::before, UINT64_MAX, 6)) == errc::internal);
  CHECK(refused(w.page(how::after, 3, 6)) == errc::internal);
  CHECK(refused(w.page(how::before, 5, 6)) == errc::internal);
  CHECK(refused(w.page(how::around, 4, 6)) == errc::internal);
  CHECK(seqs(w.page(how::before, 4, 6)) == numbers{1, 2, 3});
  CHECK(seqs(w.page(how::after, 4, 6)) == numbers{5, 6});
  // Below what the room keeps there may be anything, or nothing.
  CHECK(seqs(w.page(how::after, 0, 6, 50, 5)) == numbers{5, 6});
}

TEST_CASE("after a failed write nobody builds on what the store shows, until it has been opened anew", "[reader]") {
  library w;
  w.make_room(3);
  w.break_disk();
  auto uncertain = [&] {
    CHECK(refused(w.ask<room_loaded>(reader::load_room{lobby, false, {}})) == errc::unavailable);
    CHECK(refused(w.ask<user_loaded>(reader::load_user{ada, {}})) == errc::unavailable);
    CHECK(refused(w.ask<shard_loaded>(reader::load_shard{here, 1, {}})) == errc::unavailable);
    CHECK(refused(w.log(0)) == errc::unavailable);
    CHECK(refused(w.piece(1, true)) == errc::unavailable);
  };
  uncertain();
  // The room knows what of it is committed: that can be looked at all the while.
  CHECK(seqs(w.page(how::after, 0, 3)) == numbers{1, 2, 3});

  REQUIRE_FALSE(w.store->reopen().has_value()); // the disk is still broken: now the store is closed
  uncertain();
  CHECK(refused(w.page(how::after, 0, 3)) == errc::unavailable);
  CHECK(refused(w.ask<effects_loaded>(reader::load_effects{here, {}})) == errc::unavailable);
  CHECK(w.ask<key_found>(reader::find_key{lobby, storage::hash_of(ada, "a-1"), {}}).what.error().code ==
        errc::unavailable);

  w.disk.heal();
  REQUIRE(w.store->reopen().has_value());
  CHECK(w.ask<room_loaded>(reader::load_room{lobby, false, {}}).what->has_value());
  CHECK(seqs(w.page(how::after, 0, 3)) == numbers{1, 2, 3});
}

TEST_CASE("answers come in the order of the questions and bear their tokens, and a stop waits for them", "[reader]") {
  library w;
  w.make_room(3);
  reader::read_page x;
  x.room = lobby;
  x.where = how::after;
  x.head = 3;
  x.bytes = 1'000'000;
  x.to = w.room.handle;
  for (x.token = 1; x.token <= 5; ++x.token) {
    tell(w.it, x);
    tell(w.it, reader::find_key{lobby, {}, w.room.handle});
  }
  tell(w.it, reader::stop{});
  tell(w.it, x); // behind its end
  w.run();
  REQUIRE(w.room.heard().size() == 10);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(std::get<page_read>(w.room.heard()[2 * i]).token == i + 1);
    CHECK(std::holds_alternative<key_found>(w.room.heard()[2 * i + 1]));
  }
  CHECK(w.home->living.count(actor_kind::reader) == 0);
}

TEST_CASE("a reader whose asker has ended meanwhile goes on", "[reader]") {
  library w;
  w.make_room(1);
  auto gone = w.listen<questioner>();
  tell(w.it, reader::load_room{lobby, false, gone.handle});
  w.end(gone);
  CHECK(w.ask<room_loaded>(reader::load_room{lobby, false, {}}).what->has_value());
}

// -- for replicas ----------------------------------------------------------------------------------------------------

TEST_CASE("a shard is loaded with the entries that are not applied", "[reader][log]") {
  library w;
  auto shard = [&] { return w.ask<shard_loaded>(reader::load_shard{here, 9, {}}); };
  auto empty = shard();
  CHECK(empty.token == 9);
  CHECK((*empty.what)->state == storage::shard_state{});
  w.append(1, 5);
  w.apply(1, 3);
  auto found = shard();
  CHECK((*found.what)->state.last == storage::log_position{1, 5});
  CHECK((*found.what)->state.applied == storage::log_position{1, 3});
  CHECK(indexes((*found.what)->tail) == numbers{4, 5});
  w.write({storage::install_begin{here}});
  found = shard();
  CHECK((*found.what)->state.installing);
  CHECK((*found.what)->tail.empty());
}

TEST_CASE("of a log the position that was asked for and what follows is read, or that it is not kept",
          "[reader][log]") {
  library w;
  w.append(1, 6);
  w.apply(1, 4);
  auto part = w.log(0);
  CHECK(part.token == 5);
  CHECK((*part.what)->first == storage::log_position{});
  CHECK(indexes((*part.what)->second) == numbers{1, 2, 3, 4, 5, 6});
  part = w.log(4);
  CHECK((*part.what)->first == storage::log_position{1, 4});
  CHECK(indexes((*part.what)->second) == numbers{5, 6});
  part = w.log(6);
  CHECK((*part.what)->first == storage::log_position{1, 6});
  CHECK((*part.what)->second.empty());
  CHECK(refused(w.log(7)) == errc::not_found);
  // However little may be read, it is one entry that was asked for.
  part = w.log(2, 1);
  CHECK((*part.what)->first == storage::log_position{1, 2});
  CHECK(indexes((*part.what)->second) == numbers{3});
  w.write({storage::trim_log{here, 3}});
  CHECK(refused(w.log(2)) == errc::not_found);
  part = w.log(3);
  CHECK((*part.what)->first == storage::log_position{1, 3});
  CHECK(indexes((*part.what)->second) == numbers{4, 5, 6});
}

TEST_CASE("a snapshot is read piece by piece, and is gone after the last", "[reader][snapshot]") {
  library w;
  w.append(1, 4);
  w.apply(1, 4);
  size_t pieces = 0;
  for (bool last = false; !last; ++pieces) {
    auto x = w.piece(7, pieces == 0);
    CHECK(x.transfer == 7);
    REQUIRE(x.what->has_value());
    CHECK((*x.what)->applied == storage::log_position{1, 4});
    last = (*x.what)->last;
    if (pieces == 0) {
      w.append(5, 5); // is not in it
      w.apply(5, 5);
    }
  }
  CHECK(pieces > 1);
  CHECK(refused(w.piece(7, false)) == errc::unavailable);
  CHECK((*w.piece(7, true).what)->applied == storage::log_position{1, 5});
}

TEST_CASE("only so many snapshots are open, and each way to end one makes room for another", "[reader][snapshot]") {
  library w;
  const uint64_t bound = w.config.cluster.snapshots;
  w.append(1, 4);
  w.apply(1, 4);
  for (uint64_t i = 1; i < bound; ++i)
    CHECK(w.piece(i, true).what->has_value());
  auto other = w.listen<questioner>();
  tell(w.it, reader::read_snapshot{here, bound, true, 1, other.handle});
  w.run();
  CHECK(other.only<snapshot_read>().what->has_value());
  const uint64_t one_more = bound + 1;
  const auto refusal = w.piece(one_more, true);
  CHECK(refused(refusal) == errc::unavailable);
  CHECK(refusal.what->error().message.find("cluster.snapshots: ") == 0);
  SECTION("it is dropped") {
    tell(w.it, reader::drop_snapshot{2});
    CHECK(refused(w.piece(2, false)) == errc::unavailable);
    CHECK(w.piece(one_more, true).what->has_value());
  }
  SECTION("it has been read to its end") {
    while (!(*w.piece(2, false).what)->last)
      ;
    CHECK(w.piece(one_more, true).what->has_value());
  }
  SECTION("who asked for it has ended") {
    w.end(other);
    CHECK(w.piece(one_more, true).what->has_value());
    CHECK(w.piece(1, false).what->has_value()); // those of others go on
  }
  SECTION("it fails: the store is opened anew") {
    w.break_disk();
    w.disk.heal();
    REQUIRE(w.store->reopen().has_value());
    CHECK(refused(w.piece(2, false)) == errc::unavailable);
    CHECK(w.piece(one_more, true).what->has_value());
  }
  CHECK(refused(w.piece(one_more + 1, true)) == errc::unavailable);
}
