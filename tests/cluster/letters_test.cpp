// What nodes say to each other: every kind of letter comes out as it went in, and nothing odd goes through.
#include "actors/cluster/letters.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace greenroom;
using namespace greenroom::cluster;

namespace {

const auto lobby = room_id::trusted("team/lobby");
const auto ada = user_id::trusted("ada");

storage::event word(uint64_t seq) {
  storage::event e;
  e.seq = seq;
  e.ts = -5;
  e.from = ada;
  e.key = "k";
  e.text = std::string("what \0 ever", 11);
  e.more.edit().attachments = {{"a", "b", "c", 4, "d"}, {}};
  return e;
}

forward a_send() {
  op::send s;
  s.room = lobby;
  s.key = "k";
  s.text = "hi";
  s.reply_to = 7;
  caller from;
  from.user = ada;
  from.connection = 12;
  from.lane = 1;
  from.ticket = 99; // the way back stays at home
  return {3, 4, 5, true, room::command{lobby, from, std::move(s)}};
}

template <class Letter, class Outer>
Letter through(const Outer& x) {
  auto back = read_shard_letter(encode(shard_letter{x}));
  REQUIRE(back.has_value());
  REQUIRE(std::holds_alternative<Letter>(*back));
  return std::get<Letter>(*back);
}

} // namespace

TEST_CASE("a command comes as it went, without the way back", "[letters]") {
  auto x = through<forward>(a_send());
  CHECK(x.epoch == 3);
  CHECK(x.stream == 4);
  CHECK(x.ticket == 5);
  CHECK(x.again);
  const auto& c = std::get<room::command>(x.what);
  CHECK(c.room == lobby);
  CHECK(c.from.user == ada);
  CHECK(c.from.connection == 12);
  CHECK(c.from.lane == 1);
  CHECK(c.from.ticket == 0);
  const auto& s = std::get<op::send>(c.what);
  CHECK(s.room == lobby);
  CHECK_FALSE(s.to);
  CHECK(s.text == "hi");
  CHECK(s.reply_to == 7);

  storage::activity_record activity{"e", 7, 1'764'000'000'000};
  auto z = through<forward>(forward{1, 1, 0, false, user::command{ada, {}, user::activity{lobby, activity}}});
  CHECK(std::get<user::activity>(std::get<user::command>(z.what).what).what == activity);

  user::command arrive{ada, {}, user::arrive{7, "s_1", {}}};
  auto y = through<forward>(forward{1, 1, 1, false, arrive});
  CHECK(std::get<user::arrive>(std::get<user::command>(y.what).what).session == "s_1");
}

TEST_CASE("answers, refusals and events come as they went", "[letters]") {
  ok::page page{lobby, "e", {word(1), word(2)}, {{2, 3, -4, "well", true, {{"+1", 7, true}}}}, true, 1, 2};
  auto a = through<answered_letter>(answered_letter{8, answer{ok::any{page}}});
  CHECK(a.ticket == 8);
  CHECK(std::get<ok::page>(*std::get<answer>(a.what)).events == page.events);
  CHECK(std::get<ok::page>(*std::get<answer>(a.what)).folds == page.folds);

  auto b = through<answered_letter>(answered_letter{9, answer{failure{errc::rate_limited, "slow", 70}}});
  CHECK(std::get<answer>(b.what).error() == failure{errc::rate_limited, "slow", 70});

  standing where;
  where.epoch = "e";
  where.head = 5;
  where.recovered = false;
  where.last = std::make_shared<const storage::event>(word(5));
  auto c = through<answered_letter>(answered_letter{1, outcome<standing>{where}});
  const auto& stood = *std::get<outcome<standing>>(c.what);
  CHECK(stood.recovered == false);
  CHECK(*stood.last == word(5));
  where.last = nullptr;
  auto d = through<answered_letter>(answered_letter{1, admitted{where}});
  CHECK(std::get<admitted>(d.what).where.last == nullptr);

  auto n = through<news>(news{lobby, relay::publish{std::make_shared<const storage::event>(word(3))}});
  CHECK(*std::get<relay::publish>(n.what).what == word(3));
}

TEST_CASE("who is there comes as it went", "[letters]") {
  const appearance away{ada, seen_as::away, "at lunch"};
  CHECK(through<appearances>(appearances{{away, away}}).users == std::vector{away, away});
  CHECK(through<shown_there>(shown_there{7, {away, 7}}).what.presence == away);
  auto s = through<signalled_there>(signalled_there{7, {ada, "phone", "{}", 7}});
  CHECK(s.what.device == "phone");
  CHECK(s.what.data == "{}");
  auto w = through<watching_users>(watching_users{1, 2, {ada}, true, true});
  CHECK(w.users == std::vector{ada});
  CHECK(w.anew);
  room_presence there{lobby, 3, {{ada, seen_as::dnd}}};
  auto n = through<news>(news{lobby, relay::presence{there}});
  CHECK(std::get<relay::presence>(n.what).what.users == there.users);
}

TEST_CASE("entries of the log come as they went", "[letters]") {
  append x{3,
           {2, 9},
           {{{3, 10}, std::make_shared<const std::string>("batch")}, {{3, 11}, std::make_shared<const std::string>()}},
           9};
  auto back = read_replica_letter(encode(replica_letter{x}));
  REQUIRE(back);
  const auto& y = std::get<append>(*back);
  CHECK(y.before == x.before);
  CHECK(y.committed == 9);
  REQUIRE(y.entries.size() == 2);
  CHECK(y.entries[0].at == x.entries[0].at);
  CHECK(*y.entries[0].batch == "batch");
  CHECK(y.entries[1].batch->empty());
}

TEST_CASE("what is cut off, has a tail, or is noise is no letter, and harms nobody", "[letters]") {
  auto good = encode(shard_letter{a_send()});
  for (size_t n = 0; n < good.size(); ++n)
    CHECK_FALSE(read_shard_letter(good.substr(0, n)));
  CHECK_FALSE(read_shard_letter(good + "x"));
  std::mt19937 chance(7);
  for (int i = 0; i < 20'000; ++i) {
    auto bad = good;
    for (auto turns = 1 + chance() % 3; turns > 0; --turns)
      bad[chance() % bad.size()] = static_cast<char>(chance());
    (void)read_shard_letter(bad);
    std::string noise(chance() % 64, '\0');
    for (auto& b : noise)
      b = static_cast<char>(chance());
    (void)read_shard_letter(noise);
    (void)read_replica_letter(noise);
  }
}
