// Readers beside the writer, also while it reopens the store: they get a value or "unavailable", and never wait.
#include "fixture.hpp"

#include <atomic>
#include <thread>

using namespace greenroom;
using namespace greenroom::storage;
using namespace greenroom::storage::testing;

TEST_CASE_METHOD(store_fixture, "reads run beside commits and reopenings", "[store]") {
  fill(*db, lobby, 1);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> acknowledged{1}, values{0}, refusals{0}, wrong{0};
  auto read = [&] {
    while (!stop) {
      auto least = acknowledged.load();
      auto page = db->events_before(lobby, UINT64_MAX, 5, 10'000);
      if (page && page->events.back().seq >= least)
        ++values;
      else if (!page && page.error().code == errc::unavailable)
        ++refusals;
      else
        ++wrong;
      auto found = db->find_key(lobby, hash_of(user("bob"), "never"), read_tier::cached);
      if (found ? found->first == lookup::found : found.error().code != errc::unavailable)
        ++wrong;
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back(read);
  uint64_t seq = 1;
  // At least 20 reopenings; more until a reader has met one, which one of them does soon.
  for (int i = 0; i < 20 || (refusals == 0 && i < 1'000); ++i) {
    for (int j = 0; j < 5; ++j) {
      ++seq;
      auto x = a_send(lobby, seq, std::to_string(seq));
      REQUIRE(commit(*db, {&x}));
      acknowledged = seq;
    }
    REQUIRE(db->reopen());
  }
  stop = true;
  for (auto& x : readers)
    x.join();
  CHECK(wrong == 0);
  CHECK(values > 0);
  CHECK(refusals > 0);
}
