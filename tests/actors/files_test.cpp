// Attachments: uploaded chunk by chunk, through restarts and failures of the disk; charged to their owners; referred to
// by messages, and gone with them.
#include "tests/actors/scene.hpp"

#include <sodium.h>

#include <algorithm>

using namespace greenroom;
using namespace std::chrono_literals;
using greenroom::testing::fault;
using greenroom::testing::person;
using greenroom::testing::scene;
using lines = std::vector<std::string>;

namespace {

constexpr size_t kib = 1'024;
constexpr size_t chunk = 16 * kib;

std::string some_bytes(size_t count, char seed = 'a') {
  std::string out(count, '\0');
  uint32_t x = static_cast<unsigned char>(seed);
  for (auto& c : out)
    c = static_cast<char>((x = x * 1'664'525 + 1'013'904'223) >> 24);
  return out;
}

/// Whether it was done. Catch would print what was answered, which it can't.
bool good(const answer& a) { return a.has_value(); }

std::string hash_of(const std::string& bytes) {
  std::string out(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  return out;
}

struct lobby : scene {
  lobby() : lobby(std::function<void(settings&)>{}) {}
  explicit lobby(const std::function<void(settings&)>& adjust)
      : scene([&](settings& c) {
          c.attachments.chunk_kb = 16;
          c.rooms.retention_minutes = 1;
          if (adjust)
            adjust(c);
        }),
        ada(enter("ada")), bob(enter("bob", 1)) {
    ada.hello().create("lobby");
    bob.hello().join("lobby");
    ada.heard(), bob.heard();
  }
  void come_back() {
    ada.hang_up(), bob.hang_up();
    restart();
    ada = enter("ada"), bob = enter("bob", 1);
    ada.hello(), bob.hello();
    ada.heard(), bob.heard();
  }

  answer begin(uint64_t size, std::string sha256 = {}, const std::string& user = "ada",
               std::string type = "image/png") {
    return perform(user, op::upload{room("lobby"), {}, "cat.png", std::move(type), size, std::move(sha256)});
  }
  answer store(const std::string& file, uint64_t offset, std::string bytes, const std::string& user = "ada") {
    return perform(user, op::store{room("lobby"), file, offset, std::make_shared<const std::string>(std::move(bytes))});
  }
  answer fetch(const std::string& file, std::optional<uint64_t> which = std::nullopt, const std::string& user = "bob") {
    return perform(user, op::fetch{room("lobby"), file, which});
  }
  answer discard(const std::string& file, const std::string& user = "ada") {
    return perform(user, op::discard{room("lobby"), file});
  }
  std::string upload(const std::string& bytes, const std::string& user = "ada") {
    const auto id = id_of(begin(bytes.size(), {}, user));
    for (size_t at = 0; at < bytes.size(); at += chunk)
      REQUIRE(good(store(id, at, bytes.substr(at, chunk), user)));
    return id;
  }
  answer send(std::vector<std::string> files, std::string key, const std::string& user = "ada", int64_t at = 0,
              uint64_t reply_to = 0) {
    op::send x;
    x.room = room("lobby");
    x.key = std::move(key);
    x.text = "look";
    x.at = at;
    x.reply_to = reply_to;
    x.attachments = std::move(files);
    return perform(user, std::move(x));
  }
  static std::string id_of(const answer& a) {
    REQUIRE(good(a));
    return std::get<ok::file>(*a).id;
  }
  static std::string code(const answer& a) { return a ? "ok" : std::string(to_string(a.error().code)); }

  std::string content(const std::string& file, const std::string& user = "bob") {
    std::string all;
    for (uint64_t i = 0;; ++i) {
      auto a = fetch(file, i, user);
      REQUIRE(good(a));
      const auto& x = std::get<ok::file>(*a);
      all += *x.bytes;
      if (all.size() >= x.what->size)
        return all;
    }
  }
  /// Bytes and files of a user, as they are counted.
  std::pair<uint64_t, uint64_t> usage(const std::string& user = "ada") {
    const auto all = store_of().load_usage(user_id::trusted(user), room("lobby"), std::string(32, 'x'))->first;
    return {all.bytes, all.files};
  }
  storage::store& store_of() { return *scene::store; }
  bool is_stored(const std::string& file) {
    return store_of().load_file(room("lobby"), file)->has_value() ||
           store_of().load_chunk(room("lobby"), file, 0)->has_value();
  }
  std::vector<storage::attachment> of_last_message() {
    auto page = store_of().events_before(room("lobby"), UINT64_MAX, 1, 1 << 20);
    REQUIRE(page.has_value());
    return page->events.back().more->attachments;
  }
  person ada, bob;
};

using usage = std::pair<uint64_t, uint64_t>;

} // namespace

TEST_CASE("an attachment is uploaded in chunks, referred to and read", "[files]") {
  lobby s;
  const auto bytes = some_bytes(2 * chunk + 5);
  const auto id = s.id_of(s.begin(bytes.size(), hash_of(bytes)));
  CHECK(storage::is_file_id(id));
  CHECK(s.usage() == usage{bytes.size(), 1});
  CHECK(s.code(s.fetch(id)) == "not_found"); // it is still ada's alone
  CHECK(std::get<ok::file>(*s.fetch(id, {}, "ada")).what->received == 0);
  for (size_t at = 0; at < bytes.size(); at += chunk)
    REQUIRE(good(s.store(id, at, bytes.substr(at, chunk))));
  CHECK(s.code(s.fetch(id, 0)) == "not_found");
  CHECK(s.content(id, "ada") == bytes);

  REQUIRE(good(s.send({id}, "k")));
  CHECK(s.of_last_message() ==
        std::vector<storage::attachment>{{id, "cat.png", "image/png", bytes.size(), hash_of(bytes)}});
  CHECK(s.content(id) == bytes);
  CHECK(s.code(s.fetch(id, 3)) == "not_found");
  s.come_back();
  CHECK(s.content(id) == bytes);
  CHECK(s.usage() == usage{bytes.size(), 1});
}

TEST_CASE("an upload goes on where it stands, whoever has stopped meanwhile", "[files]") {
  lobby s;
  const auto bytes = some_bytes(3 * chunk);
  const auto id = s.id_of(s.begin(bytes.size(), hash_of(bytes)));
  REQUIRE(good(s.store(id, 0, bytes.substr(0, chunk))));
  SECTION("nobody") {}
  SECTION("the node") { s.come_back(); }
  SECTION("the room") {
    s.ada.hang_up(), s.bob.hang_up();
    s.pass(70s);
  }
  CHECK(std::get<ok::file>(*s.fetch(id, {}, "ada")).what->received == chunk);
  CHECK(s.code(s.store(id, 0, bytes.substr(0, chunk))) == "ok"); // which was stored before
  CHECK(s.code(s.store(id, 2 * chunk, bytes.substr(2 * chunk))) == "conflict");
  CHECK(s.code(s.store(id, chunk, "too short")) == "bad_request");
  CHECK(s.code(s.store(id, chunk, bytes.substr(chunk, chunk), "bob")) == "not_found");
  REQUIRE(good(s.store(id, chunk, bytes.substr(chunk, chunk))));
  const auto last = s.store(id, 2 * chunk, bytes.substr(2 * chunk));
  REQUIRE(good(last));
  CHECK(std::get<ok::file>(*last).what->at == storage::file_record::stage::complete);
  CHECK(s.code(s.store(id, 2 * chunk, bytes.substr(2 * chunk))) == "ok");
  CHECK(s.code(s.store(id, 3 * chunk, bytes.substr(0, chunk))) == "bad_request");
  CHECK(s.content(id, "ada") == bytes);
}

TEST_CASE("content with another hash than was said voids the upload", "[files]") {
  lobby s;
  const auto bytes = some_bytes(chunk + 1);
  const auto id = s.id_of(s.begin(bytes.size(), hash_of("something else")));
  REQUIRE(good(s.store(id, 0, bytes.substr(0, chunk))));
  CHECK(s.code(s.store(id, chunk, bytes.substr(chunk))) == "bad_request");
  CHECK(s.code(s.fetch(id, {}, "ada")) == "not_found");
  CHECK_FALSE(s.is_stored(id));
  CHECK(s.usage() == usage{0, 0});
}

TEST_CASE("what is begun is within its bounds", "[files]") {
  lobby s([](settings& c) {
    c.attachments.max_mb = 2;
    c.attachments.quota_mb = 3;
    c.attachments.types = {"image/*", "application/pdf"};
  });
  constexpr uint64_t mib = 1u << 20;
  CHECK(s.code(s.begin(2 * mib + 1)) == "too_large");
  CHECK(s.code(s.begin(1, {}, "ada", "text/html")) == "unsupported");
  CHECK(s.code(s.begin(1, {}, "ada", "imagery/png")) == "unsupported");
  CHECK(s.code(s.begin(1, {}, "eve")) == "not_member");
  const auto first = s.id_of(s.begin(2 * mib, {}, "ada", "application/pdf"));
  CHECK(s.code(s.begin(mib + 1)) == "too_large"); // of the quota
  CHECK(s.usage() == usage{2 * mib, 1});
  CHECK(s.store_of().files(s.room("lobby"), 9)->size() == 1); // nothing is left of it
  CHECK(s.code(s.begin(2 * mib, {}, "bob")) == "ok");         // who has one of his own
  CHECK(s.code(s.begin(mib)) == "ok");
  CHECK(s.code(s.discard(first, "bob")) == "not_found");
  CHECK(s.code(s.discard(first)) == "ok");
  CHECK(s.usage() == usage{mib, 1});
  CHECK(s.code(s.begin(2 * mib)) == "ok");
}

TEST_CASE("a beginning whose time is over by another node's clock may be tried again", "[files]") {
  lobby s;
  std::optional<answer> done;
  const op::upload cat{s.room("lobby"), {}, "cat.png", "image/png", 10, {}};
  s.perform_later("ada", op::any{cat}, [&](answer a) { done = std::move(a); });
  while (s.store_of().files(s.room("lobby"), 9)->empty())
    REQUIRE(s.step());
  REQUIRE_FALSE(done); // it is durable, and on its way to the quota
  s.clock += 601'000;
  s.run();
  REQUIRE(done);
  CHECK(s.code(*done) == "unavailable");
  CHECK(s.store_of().files(s.room("lobby"), 9)->empty()); // nothing is left of it
  CHECK(s.usage() == usage{0, 0});
  CHECK(s.code(s.begin(10)) == "ok");
}

TEST_CASE("a message refers to complete attachments of its sender's, each in one message", "[files]") {
  lobby s;
  const auto id = s.upload(some_bytes(10)), other = s.upload(some_bytes(10), "bob");
  const auto unfinished = s.id_of(s.begin(10));
  CHECK(s.code(s.send({other}, "1")) == "not_found");
  CHECK(s.code(s.send({std::string(32, 'z')}, "2")) == "not_found");
  CHECK(s.code(s.send({id, unfinished}, "3")) == "conflict");
  CHECK(s.code(s.send({id}, "4")) == "ok");
  CHECK(s.code(s.send({id}, "5")) == "conflict");
  CHECK(s.code(s.discard(id)) == "conflict");
  const auto again = s.send({id}, "4"); // the same send
  REQUIRE(good(again));
  CHECK(std::get<ok::sent>(*again).duplicate);
  CHECK(s.code(s.send({}, "4")) == "conflict"); // the key stands for another content
  const auto reply = s.upload(some_bytes(20));
  CHECK(s.code(s.send({reply}, "6", "ada", 0, std::get<ok::sent>(*again).seq)) == "ok");
  CHECK(s.of_last_message().front().id == reply);
}

TEST_CASE("what nothing refers to any more is removed", "[files]") {
  lobby s([](settings& c) { c.attachments.unused_minutes = 1; });
  const auto bytes = some_bytes(2 * chunk);
  const auto id = s.upload(bytes), kept = s.upload(some_bytes(7));
  REQUIRE(good(s.send({kept}, "kept")));
  const auto sent = s.send({id}, "k");
  REQUIRE(good(sent));
  const auto seq = std::get<ok::sent>(*sent).seq;
  SECTION("when the message is revoked") { s.ada.ask(50, op::revoke{s.room("lobby"), seq, "r"}); }
  SECTION("when history forgets it") {
    s.bob.say("lobby", "later");
    op::configure few;
    few.room = s.room("lobby");
    few.history_events = 1;
    REQUIRE(good(s.perform("ada", few)));
    s.pass(2min);
    CHECK_FALSE(s.is_stored(kept));
    CHECK(s.usage() == usage{0, 0});
    CHECK_FALSE(s.is_stored(id));
    return;
  }
  SECTION("when the room is deleted") {
    const auto unused = s.upload(some_bytes(9));
    op::configure gone;
    gone.room = s.room("lobby");
    gone.remove = true;
    REQUIRE(good(s.perform("ada", gone)));
    s.pass(1min);
    CHECK_FALSE(s.is_stored(kept));
    CHECK_FALSE(s.is_stored(unused));
    CHECK_FALSE(s.is_stored(id));
    CHECK(s.usage() == usage{0, 0});
    CHECK_FALSE(s.store_of().load_room(s.room("lobby"), 0, 0)->has_value());
    return;
  }
  CHECK_FALSE(s.is_stored(id));
  CHECK(s.code(s.fetch(id)) == "not_found");
  CHECK(s.usage() == usage{7, 1});
  CHECK(s.content(kept) == some_bytes(7));
}

TEST_CASE("an upload that is not completed, or not used, goes after a time", "[files]") {
  lobby s([](settings& c) { c.attachments.unused_minutes = 1; });
  const auto begun = s.id_of(s.begin(3 * chunk));
  REQUIRE(good(s.store(begun, 0, some_bytes(chunk))));
  const auto complete = s.upload(some_bytes(10)), used = s.upload(some_bytes(11));
  REQUIRE(good(s.send({used}, "k")));
  SECTION("on a node that runs") {}
  SECTION("on one that was started anew") { s.come_back(); }
  s.pass(50s);
  CHECK(s.is_stored(begun));
  s.pass(20s);
  CHECK_FALSE(s.is_stored(begun));
  CHECK_FALSE(s.is_stored(complete));
  CHECK(s.is_stored(used));
  CHECK(s.usage() == usage{11, 1});
  CHECK(s.store_of().due(s.room("lobby").shard(), 100)->empty());
}

TEST_CASE("a scheduled send keeps its attachments", "[files]") {
  lobby s([](settings& c) { c.attachments.unused_minutes = 1; });
  const auto id = s.upload(some_bytes(10)), other = s.upload(some_bytes(12));
  REQUIRE(good(s.send({id}, "soon", "ada", s.clock + 120'000)));
  REQUIRE(good(s.send({other}, "never", "ada", s.clock + 600'000)));
  CHECK(std::get<ok::kept>(*s.send({id}, "soon", "ada", s.clock + 120'000)).duplicate);
  CHECK(s.code(s.send({id}, "now")) == "conflict");
  s.pass(90s);
  CHECK(s.is_stored(id));
  REQUIRE(good(s.perform("ada", op::cancel{s.room("lobby"), "never"})));
  CHECK_FALSE(s.is_stored(other));
  s.pass(40s);
  CHECK(s.of_last_message().front().id == id);
  CHECK(s.content(id) == some_bytes(10));
  CHECK(s.usage() == usage{10, 1});
}

TEST_CASE("who is removed from the room has no more to do with its attachments", "[files]") {
  lobby s;
  const auto id = s.upload(some_bytes(10)), bobs = s.upload(some_bytes(10), "bob");
  REQUIRE(good(s.send({id}, "k")));
  const auto half = s.id_of(s.begin(2 * chunk, {}, "bob"));
  op::moderate ban;
  ban.room = s.room("lobby");
  ban.what = op::moderate::act::ban;
  ban.user = user_id::trusted("bob");
  REQUIRE(good(s.perform("ada", ban)));
  CHECK(s.code(s.fetch(id)) == "banned");
  CHECK(s.code(s.fetch(bobs)) == "banned");
  CHECK(s.code(s.begin(10, {}, "bob")) == "banned");
  CHECK(s.code(s.store(half, 0, some_bytes(chunk), "bob")) == "banned");
  CHECK(s.code(s.send({bobs}, "b", "bob")) == "banned");
}

TEST_CASE("a message does not wait behind uploads", "[files]") {
  lobby s;
  constexpr int uploads = 30;
  std::vector<std::string> ids;
  for (int i = 0; i < uploads; ++i)
    ids.push_back(s.id_of(s.begin(chunk)));
  const auto commits = s.figures.commits.get();
  std::vector<std::string> order;
  for (const auto& id : ids)
    s.perform_later("ada", op::store{s.room("lobby"), id, 0, std::make_shared<const std::string>(some_bytes(chunk))},
                    [&](const answer& a) { order.push_back(s.code(a)); });
  op::send x;
  x.room = s.room("lobby");
  x.key = "k";
  x.text = "hello";
  s.perform_later("bob", std::move(x), [&](const answer& a) { order.push_back(a ? "said" : "refused"); });
  s.run();
  REQUIRE(order.size() == uploads + 1);
  CHECK(std::count(order.begin(), order.end(), "ok") == uploads);
  CHECK(std::find(order.begin(), order.end(), "said") - order.begin() <= 2);
  // One chunk in a group commit at most.
  CHECK(s.figures.commits.get() - commits >= uploads);
}

TEST_CASE("whatever write fails, an upload goes on to a good end", "[files]") {
  const auto bytes = some_bytes(2 * chunk + 100);
  for (uint64_t at = 1;; ++at) {
    CAPTURE(at);
    lobby s;
    s.disk.fail_at(at, fault::io_error);
    // Asks until it is done. What fails may be answered late: effects are sent again after a while.
    auto until_done = [&](const op::any& what) {
      for (int i = 0; i < 10; ++i) {
        auto result = std::make_shared<std::optional<answer>>();
        s.perform_later("ada", what, [result](answer a) { *result = std::move(a); });
        s.run();
        for (int wait = 0; wait < 20 && !*result; ++wait) {
          s.disk.heal();
          s.pass(1s);
        }
        REQUIRE(result->has_value());
        if (**result)
          return ***result;
        REQUIRE(s.code(**result) == "unavailable");
        s.disk.heal();
        s.pass(1s);
      }
      throw std::logic_error("no way on after a failure");
    };
    const auto lobby_id = s.room("lobby");
    const auto begun = until_done(op::upload{lobby_id, {}, "cat.png", "image/png", bytes.size(), hash_of(bytes)});
    const auto id = std::get<ok::file>(begun).id;
    for (size_t offset = 0; offset < bytes.size(); offset += chunk)
      until_done(op::store{lobby_id, id, offset, std::make_shared<const std::string>(bytes.substr(offset, chunk))});
    op::send x;
    x.room = lobby_id;
    x.key = "k";
    x.attachments = {id};
    const auto seq = std::get<ok::sent>(until_done(x)).seq;
    CHECK(s.content(id) == bytes);
    until_done(op::revoke{lobby_id, seq, "r"});
    const bool failed = s.disk.failed();
    s.disk.heal();
    s.pass(20s);
    CHECK_FALSE(s.is_stored(id));
    // What was begun in vain goes when its time has come; all else has been given back.
    const auto left = s.store_of().files(lobby_id, 100)->size();
    CHECK(s.usage() == usage{left * bytes.size(), left});
    if (!failed)
      break;
  }
}
