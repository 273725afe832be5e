// The hasher: what it says of a password, in which order, and what is answered when it can't or when too many wait.
#include "tests/actors/lone_house.hpp"
#include "tests/actors/scene.hpp"

#include <sodium.h>

#include <limits>

using namespace greenroom;
using greenroom::testing::lone_house;
using greenroom::testing::scene;

namespace {

struct passwords : lone_house {
  explicit passwords(uint32_t memory_mb = 8)
      : lone_house([&](settings& c) {
          c.auth.argon2_mem_mb = memory_mb;
          c.auth.argon2_ops = 1;
        }) {
    REQUIRE(sodium_init() >= 0);
  }
  std::string hash(const std::string& password) {
    tell(it, hasher::hash{password, 1, user.handle});
    run();
    return user.only<hashed>().text;
  }
  bool matches(const std::string& password, const std::string& text) {
    tell(it, hasher::verify{password, text, 1, user.handle});
    run();
    return user.only<verified>().match;
  }

  hasher::handle it = spawn<hasher::hasher_actor>(*home);
  greenroom::testing::ear<hasher::asker> user = listen<hasher::asker>();
};

} // namespace

TEST_CASE("a password matches its own hash and no other, and never is the hash the same", "[hasher]") {
  passwords w;
  auto text = w.hash("correct horse");
  CHECK(text.starts_with("$argon2id$"));
  CHECK(text.find("m=8192,t=1") != std::string::npos); // auth.argon2_mem_mb and auth.argon2_ops
  CHECK(text.find("correct horse") == std::string::npos);
  CHECK(w.matches("correct horse", text));
  CHECK_FALSE(w.matches("correct horsf", text));
  CHECK_FALSE(w.matches("", text));
  CHECK_FALSE(w.matches(std::string("correct horse") + '\0', text));
  CHECK(w.hash("correct horse") != text);
}

TEST_CASE("no password matches an account that is not there, but each is held against a hash", "[hasher]") {
  passwords w;
  CHECK_FALSE(w.matches("correct horse", ""));
  CHECK(w.drawn == 1);                            // the text behind that hash, which nobody may know
  CHECK_FALSE(w.matches("rrrrrrrrrrrrrrr1", "")); // and even who knows it is not let in
  CHECK(w.drawn == 1);
}

TEST_CASE("a hash that is damaged matches nothing, and the next one is served", "[hasher]") {
  passwords w;
  auto text = w.hash("correct horse");
  for (const auto& damaged : {text.substr(0, text.size() / 2), "x" + text, std::string("$argon2id$"), std::string("x"),
                              std::string(10'000, '$')})
    CHECK_FALSE(w.matches("correct horse", damaged));
  CHECK(w.matches("correct horse", text));
}

TEST_CASE("without the memory for a hash the answer comes all the same, and is empty", "[hasher]") {
  passwords w{std::numeric_limits<uint32_t>::max()}; // 4 PiB: more than libsodium would ask the system for
  CHECK(w.hash("correct horse").empty());
  CHECK_FALSE(w.matches("correct horse", ""));
  // One that was made with less is still good.
  passwords small;
  CHECK(w.matches("correct horse", small.hash("correct horse")));
}

TEST_CASE("each asker gets its answers, in the order of its questions", "[hasher]") {
  passwords w;
  auto text = w.hash("one");
  auto other = w.listen<hasher::asker>();
  tell(w.it, hasher::verify{"one", text, 1, w.user.handle});
  tell(w.it, hasher::hash{"two", 2, w.user.handle});
  tell(w.it, hasher::verify{"one", text, 7, other.handle});
  tell(w.it, hasher::verify{"two", text, 3, w.user.handle});
  tell(w.it, hasher::stop{});
  tell(w.it, hasher::verify{"one", text, 8, other.handle}); // nobody is there to answer it
  w.run();
  REQUIRE(w.user.heard().size() == 3);
  CHECK(std::get<verified>(w.user.heard()[0]).token == 1);
  CHECK(std::get<verified>(w.user.heard()[0]).match);
  CHECK(std::get<hashed>(w.user.heard()[1]).token == 2);
  CHECK(std::get<verified>(w.user.heard()[2]).token == 3);
  CHECK_FALSE(std::get<verified>(w.user.heard()[2]).match);
  auto last = other.only<verified>();
  CHECK(last.token == 7);
  CHECK(last.match);
  CHECK(w.home->living.count(actor_kind::hasher) == 0);
}

TEST_CASE("a hasher whose asker has ended meanwhile goes on", "[hasher]") {
  passwords w;
  auto gone = w.listen<hasher::asker>();
  tell(w.it, hasher::hash{"one", 1, gone.handle});
  w.end(gone);
  CHECK_FALSE(w.hash("two").empty());
}

TEST_CASE("over auth.hash_queue a login is refused with the time to wait, until another one has its answer",
          "[hasher][user]") {
  scene s{[](settings& c) { c.auth.hash_queue = 2; }};
  auto& system = s.home->hasher->home_system();
  directory living;
  auto held = std::make_shared<std::vector<greenroom::testing::ear<hasher::handle>::any>>();
  auto answers = std::make_shared<std::vector<greenroom::testing::ear<asker>::any>>();
  hasher::handle slow =
      system.spawn<greenroom::testing::ear_actor<hasher::handle>>(*s.home->strands.front(), living, held);
  asker client = system.spawn<greenroom::testing::ear_actor<asker>>(*s.home->strands.front(), living, answers);
  auto log_in = [&](const std::string& name, uint64_t ticket) {
    auto user = user_id::trusted(name);
    caller from;
    from.to = client;
    from.ticket = ticket;
    from.user = user;
    tell(s.home->shard_of(user), user::ask{std::make_shared<user::command>(
                                     user::command{user, from, account::log_in{user, "correct horse", ""}})});
    s.run();
  };
  auto codes = [&] {
    std::vector<std::pair<uint64_t, errc>> result;
    for (const auto& x : *answers)
      result.emplace_back(std::get<reply>(x).ticket, std::get<reply>(x).what.error().code);
    return result;
  };
  using list = std::vector<std::pair<uint64_t, errc>>;

  auto real = std::exchange(s.home->hasher, slow);
  log_in("ada", 1);
  log_in("bob", 2);
  CHECK(answers->empty());
  log_in("carl", 3);
  CHECK(codes() == list{{3, errc::unavailable}});
  CHECK(std::get<reply>(answers->front()).what.error().retry_after_ms > 0);
  REQUIRE(held->size() == 2);
  answers->clear();

  s.home->hasher = real;
  tell(real, std::get<hasher::verify>(held->front())); // ada's has its turn
  s.run();
  CHECK(codes() == list{{1, errc::unauthenticated}});
  log_in("carl", 4);
  CHECK(codes() == list{{1, errc::unauthenticated}, {4, errc::unauthenticated}});
  tell(real, std::get<hasher::verify>(held->back()));
  s.run();
  CHECK(codes().back() == std::pair{uint64_t{2}, errc::unauthenticated});
  CHECK(s.home->hashes_waiting == 0);

  for (const auto& x : {caf::actor_cast<caf::strong_actor_ptr>(slow), caf::actor_cast<caf::strong_actor_ptr>(client)})
    caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  s.run();
  held->clear(); // it holds handles, which may not outlive the scene
}
