// Who is connected on all nodes: all of them, or an error that says who is missing.
#include "actors/cluster/survey.hpp"
#include "bare_house.hpp"
#include "tests/support/temporary_directory.hpp"

#include <caf/actor_system.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <deque>
#include <limits>

using namespace greenroom;
using namespace greenroom::cluster;
using namespace greenroom::cluster::test;

namespace {

/// Two lanes of a node in one: each list is answered with what the test has put there.
class lane_ear : public hosted_actor<lane_ear, relay_lane::handle> {
public:
  lane_ear(caf::actor_config& cfg, house& in, const std::vector<ok::live_session>& all, const bool& listens)
      : hosted_actor(cfg, *in.strands[0], actor_kind::relay_lane, "ear", in.living), all_(all), listens_(listens) {}

  void receive(const relay_lane::list& x) {
    if (!listens_)
      return;
    ok::sessions found;
    for (const auto& s : all_)
      if (x.user.empty() || s.user == x.user)
        found.list.push_back(s);
    x.from.answer(ok::any{std::move(found)});
  }
  void receive(const relay_lane::stop&) { quit(); }
  template <class Other>
  void receive(const Other&) {
    FAIL("nobody says this to a lane here");
  }

private:
  const std::vector<ok::live_session>& all_;
  const bool& listens_;
};

using ear = caf::typed_actor<caf::reacts_to<reply>, caf::reacts_to<survey_stop>>;
class asking : public hosted_actor<asking, ear> {
public:
  asking(caf::actor_config& cfg, house& in, std::vector<answer>& into)
      : hosted_actor(cfg, *in.strands[0], actor_kind::requester, "ear", in.living), into_(into) {}
  void receive(const reply& x) { into_.push_back(x.what); }
  void receive(const survey_stop&) { quit(); }

private:
  std::vector<answer>& into_;
};

struct queue_peer : peer {
  queue_peer(const std::string& to, uint64_t number) : peer(to, "store-" + to, number) {}
  bool post(channel, letter what) const override {
    if (is_up)
      waiting.push_back(std::move(what));
    return is_up;
  }
  size_t queued() const override { return 0; }
  mutable std::deque<letter> waiting;
  bool is_up = true;
};

/// Three nodes in one actor system; "a" asks.
struct three_nodes {
  struct node {
    std::unique_ptr<storage::store> store;
    settings config;
    greenroom::metrics figures;
    std::vector<ok::live_session> connections;
    std::unique_ptr<house> home;
    survey_handle survey;
    std::map<std::string, std::shared_ptr<queue_peer>> links;
  };

  three_nodes() {
    for (const auto* name : {"a", "b", "c"}) {
      auto& n = nodes[name];
      storage::store_options o;
      o.path = directory / name;
      n.store = storage::store::open(o).value();
      n.config.node.name = name;
      n.home = std::make_unique<house>(n.config, *n.store, encoder_of_all, tokens_of_all, n.figures);
      n.home->now_ms = n.home->steady_ms = [this] { return now; };
      for (int i = 0; i < 2; ++i)
        n.home->strands.push_back(std::make_unique<strand>(system, 100));
      n.home->cluster = std::make_unique<cluster_house>(agreement_of_all);
      n.home->cluster->lease_until_ns = std::numeric_limits<int64_t>::max();
      n.home->relay_lanes.push_back(system.spawn<lane_ear>(*n.home, n.connections, lanes_listen));
      n.survey = system.spawn<survey::survey_actor>(*n.home, *n.home->strands[1]);
      tell(n.survey, survey_know{std::make_shared<const std::set<std::string>>(std::set<std::string>{"a", "b", "c"})});
    }
    for (const auto* from : {"a", "b", "c"})
      for (const auto* to : {"a", "b", "c"})
        if (from != std::string(to))
          link(from, to);
    who = system.spawn<asking>(*nodes["a"].home, answers);
  }
  ~three_nodes() {
    for (auto& [name, n] : nodes) {
      tell(n.survey, survey_stop{});
      tell(n.home->relay_lanes.front(), relay_lane::stop{});
    }
    tell(who, survey_stop{});
    run();
    who = ear{};
    for (auto& [name, n] : nodes) {
      n.survey = survey_handle{};
      n.home->relay_lanes.clear();
    }
  }

  void link(const std::string& from, const std::string& to) {
    auto& l = nodes[from].links[to];
    l = std::make_shared<queue_peer>(to, 1);
    tell(nodes[from].survey, peer_up{l});
  }
  void unlink(const std::string& from, const std::string& to) {
    nodes[from].links[to]->is_up = false;
    tell(nodes[from].survey, peer_down{nodes[from].links[to]});
  }
  void connect(const std::string& at, const std::string& user, size_t count) {
    for (size_t i = 0; i < count; ++i)
      nodes[at].connections.push_back({user_id::trusted(user), "s_" + std::to_string(i), "phone", at, 5, 0});
  }
  void ask(const std::string& user) {
    caller from;
    from.to = caf::actor_cast<asker>(who);
    tell(nodes["a"].survey, survey_ask{from, user.empty() ? user_id{} : user_id::trusted(user)});
  }
  /// What `from` has written to `to` and nobody has read yet.
  std::deque<letter>& on_the_way(const std::string& from, const std::string& to) {
    return nodes[from].links[to]->waiting;
  }
  void arrive(const std::string& at, const peer_ptr& from, std::string bytes) {
    tell(nodes[at].survey, arrived{from, std::make_shared<const std::string>(std::move(bytes))});
    run();
  }
  void tick_after(int64_t ms) {
    now += ms;
    for (auto& [name, n] : nodes)
      tell(n.survey, survey_tick{});
    run();
  }
  void run() {
    auto& scheduler = dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
    for (bool moved = true; moved;) {
      moved = scheduler.run() > 0;
      for (auto& [from, n] : nodes)
        for (auto& [to, l] : n.links)
          while (letters_flow && !l->waiting.empty()) {
            letters = std::max(letters, l->waiting.size());
            tell(nodes[to].survey, arrived{nodes[to].links[from], l->waiting.front().what});
            l->waiting.pop_front();
            moved = true;
          }
    }
  }

  greenroom::test::temporary_directory directory;
  caf_settings caf_config;
  caf::actor_system system{caf_config};
  std::map<std::string, node> nodes;
  ear who;
  std::vector<answer> answers;
  int64_t now = 1'000'000;
  bool letters_flow = true;
  bool lanes_listen = true;
  size_t letters = 0; // most that waited in one direction
};

const std::vector<ok::live_session>& sessions_of(const answer& x) { return std::get<ok::sessions>(*x).list; }

} // namespace

TEST_CASE("the connections of all other nodes are found, those of one user or of all", "[survey]") {
  three_nodes w;
  w.connect("a", "ada", 1); // its own are not for the survey
  w.connect("b", "ada", 2);
  w.connect("b", "bob", 1);
  w.connect("c", "ada", 3);
  w.ask("ada");
  w.ask("");
  w.ask("eve");
  w.run();
  REQUIRE(w.answers.size() == 3);
  CHECK(sessions_of(w.answers[0]).size() == 5);
  CHECK(sessions_of(w.answers[1]).size() == 6);
  CHECK(sessions_of(w.answers[2]).empty());
  for (const auto& s : sessions_of(w.answers[0]))
    CHECK((s.user == user_id::trusted("ada") && (s.node == "b" || s.node == "c") && s.device == "phone"));
}

TEST_CASE("many connections come in several letters", "[survey]") {
  three_nodes w;
  w.connect("b", "ada", 2 * survey::letter_sessions + 1);
  w.connect("c", "ada", survey::letter_sessions);
  w.ask("");
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(sessions_of(w.answers[0]).size() == 3 * survey::letter_sessions + 1);
  CHECK(w.letters == 3);
}

TEST_CASE("without a node that etcd lists there is no list, and the answer names it", "[survey]") {
  three_nodes w;
  auto refused = [&] {
    w.run();
    REQUIRE(w.answers.size() == 1);
    REQUIRE(w.answers[0].has_error());
    CHECK(w.answers[0].error().code == errc::unavailable);
    CHECK(w.answers[0].error().message.find("node c") != std::string::npos);
  };
  SECTION("it is not linked") {
    w.unlink("a", "c");
    w.ask("");
    refused();
  }
  SECTION("its link ends before it has answered") {
    w.letters_flow = false;
    w.ask("");
    w.run();
    CHECK(w.answers.empty());
    w.unlink("a", "c");
    refused();
  }
  SECTION("its own lease has ended, so that there may be nodes that it does not know") {
    w.nodes["a"].home->cluster->lease_until_ns = 0;
    w.ask("");
    w.run();
    REQUIRE(w.answers.size() == 1);
    CHECK(w.answers[0].error().code == errc::unavailable);
  }
  SECTION("it does not answer") {
    w.nodes["a"].links["c"]->waiting.clear();
    w.letters_flow = false;
    w.ask("");
    w.run();
    w.nodes["a"].links["c"]->waiting.clear();
    w.letters_flow = true;
    w.run();
    CHECK(w.answers.empty());
    w.now += w.nodes["a"].config.limits.request_ms + 1;
    tell(w.nodes["a"].survey, survey_tick{});
    refused();
  }
}

TEST_CASE("few may ask for the connections of all users at the same time", "[survey]") {
  three_nodes w;
  w.letters_flow = false;
  for (uint32_t i = 0; i < w.nodes["a"].config.cluster.surveys_of_all + 1; ++i)
    w.ask("");
  w.ask("ada");
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(w.answers[0].error().code == errc::unavailable);
  CHECK(w.answers[0].error().message.find("cluster.surveys_of_all") == 0);
  w.letters_flow = true;
  w.run();
  CHECK(w.answers.size() == 4);
}

TEST_CASE("a node that etcd does not list any more is not waited for", "[survey]") {
  three_nodes w;
  w.connect("b", "ada", 1);
  w.unlink("a", "c");
  tell(w.nodes["a"].survey,
       survey_know{std::make_shared<const std::set<std::string>>(std::set<std::string>{"a", "b"})});
  w.ask("");
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(sessions_of(w.answers[0]).size() == 1);
}

TEST_CASE("only so many may ask at the same time; the next is refused at once, and heard when others are done",
          "[survey]") {
  three_nodes w;
  const auto bound = w.nodes["a"].config.cluster.surveys = 20;
  w.letters_flow = false;
  for (size_t i = 0; i < bound; ++i)
    w.ask("ada");
  w.run();
  CHECK(w.answers.empty());
  w.ask("ada");
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(w.answers[0].error().code == errc::unavailable);
  CHECK(w.answers[0].error().message.find("cluster.surveys: 20") == 0);
  w.letters_flow = true;
  w.run();
  CHECK(w.answers.size() == 1 + bound);
  w.ask("ada");
  w.run();
  REQUIRE(w.answers.size() == 2 + bound);
  CHECK(w.answers.back().has_value());
}

TEST_CASE("a node answers only so many others at once, and again when it has forgotten those", "[survey]") {
  three_nodes w;
  const auto bound = w.nodes["b"].config.cluster.surveys = 20;
  w.lanes_listen = false; // so that what b is asked stays open there
  auto from_a = w.nodes["b"].links["a"];
  for (uint64_t i = 1; i <= bound; ++i)
    w.arrive("b", from_a, encode(survey_letter{list_there{i, {}}}));
  w.lanes_listen = true;
  w.letters_flow = false;
  w.arrive("b", from_a, encode(survey_letter{list_there{bound + 1, {}}}));
  CHECK(w.on_the_way("b", "a").empty());
  SECTION("after the limit of time") { w.tick_after(w.nodes["b"].config.limits.request_ms + 1); }
  SECTION("when who asked is gone") {
    w.unlink("b", "a");
    w.link("b", "a");
    w.run();
  }
  w.arrive("b", w.nodes["b"].links["a"], encode(survey_letter{list_there{7, {}}}));
  REQUIRE(w.on_the_way("b", "a").size() == 1);
  auto answer = read_survey_letter(*w.on_the_way("b", "a").front().what);
  REQUIRE(answer.has_value());
  CHECK(std::get<sessions_there>(*answer).ticket == 7);
  CHECK(std::get<sessions_there>(*answer).last);
}

TEST_CASE("a lane that answers late answers nobody, and does no harm", "[survey]") {
  three_nodes w;
  w.lanes_listen = false;
  w.ask("ada");
  w.run();
  w.tick_after(w.nodes["a"].config.limits.request_ms + 1);
  REQUIRE(w.answers.size() == 1);
  CHECK(w.answers[0].error().code == errc::unavailable);
  // By now b and c have forgotten the question.
  w.letters_flow = false;
  for (uint64_t ticket = 0; ticket < 5; ++ticket) {
    caller lane;
    lane.to = caf::actor_cast<asker>(w.nodes["b"].survey);
    lane.ticket = ticket;
    lane.answer(ok::any{ok::sessions{}});
  }
  w.run();
  CHECK(w.on_the_way("b", "a").empty());
  w.letters_flow = true;
  w.lanes_listen = true;
  w.ask("ada");
  w.run();
  REQUIRE(w.answers.size() == 2);
  CHECK(w.answers[1].has_value());
}

TEST_CASE("what a node says again, or after the end, or of another's question, counts for nobody", "[survey]") {
  three_nodes w;
  w.connect("b", "ada", 1);
  w.connect("c", "ada", 1);
  w.letters_flow = false;
  w.ask("ada");
  w.run();
  // The question is c's and b's: b may not answer in c's place.
  auto asked = read_survey_letter(*w.on_the_way("a", "b").front().what);
  REQUIRE(asked.has_value());
  auto ticket = std::get<list_there>(*asked).ticket;
  auto from_b = w.nodes["a"].links["b"];
  auto b_says = encode(survey_letter{sessions_there{ticket, w.nodes["b"].connections, true}});
  for (int i = 0; i < 3; ++i)
    w.arrive("a", from_b, b_says);
  w.arrive("a", from_b, encode(survey_letter{sessions_there{ticket + 1, w.nodes["b"].connections, true}}));
  CHECK(w.answers.empty());
  w.letters_flow = true;
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(sessions_of(w.answers[0]).size() == 2);
  w.arrive("a", from_b, b_says);
  CHECK(w.answers.size() == 1);
}

TEST_CASE("letters of a link that has ended are not read, nor those that can't be", "[survey]") {
  three_nodes w;
  w.letters_flow = false;
  auto old = w.nodes["b"].links["a"];
  w.unlink("b", "a");
  w.arrive("b", old, encode(survey_letter{list_there{1, {}}}));
  w.link("b", "a");
  w.run();
  w.arrive("b", old, encode(survey_letter{list_there{1, {}}}));
  CHECK(w.on_the_way("b", "a").empty());
  auto good = encode(survey_letter{list_there{1, {}}});
  for (const auto& bytes :
       {std::string{}, std::string("x"), good.substr(0, good.size() - 1), std::string(1'000, '\xff')})
    w.arrive("b", w.nodes["b"].links["a"], bytes);
  CHECK(w.on_the_way("b", "a").empty());
  w.arrive("b", w.nodes["b"].links["a"], good);
  CHECK(w.on_the_way("b", "a").size() == 1);
}

TEST_CASE("the end of an old link of a node that has a new one changes nothing", "[survey]") {
  three_nodes w;
  w.letters_flow = false;
  auto old = w.nodes["a"].links["c"];
  w.link("a", "c");
  w.run();
  w.ask("ada");
  w.run();
  tell(w.nodes["a"].survey, peer_down{old});
  w.run();
  CHECK(w.answers.empty());
  w.letters_flow = true;
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(w.answers[0].has_value());
}

TEST_CASE("a node by itself has nobody to ask", "[survey]") {
  three_nodes w;
  tell(w.nodes["a"].survey, survey_know{std::make_shared<const std::set<std::string>>(std::set<std::string>{"a"})});
  w.ask("");
  w.run();
  REQUIRE(w.answers.size() == 1);
  CHECK(sessions_of(w.answers[0]).empty());
}

TEST_CASE("what webhooks have done is gathered from all other nodes", "[survey]") {
  three_nodes w;
  hooks::webhook hook;
  hook.name = "audit";
  hook.what.url = "https://audit.example/in?secret=1";
  for (auto& [name, n] : w.nodes) {
    n.home->hooks.use(std::make_shared<const hooks::hook_set>(
        hooks::hook_set{{std::make_shared<const hooks::webhook>(hook)}, nullptr}));
    n.home->hooks.figures_of("audit")->deliveries.add(name == "b" ? 5 : 7);
    n.home->pusher = w.system.spawn<pusher::pusher_actor>(*n.home, *n.home->strands[1]);
  }
  caller from;
  from.to = caf::actor_cast<asker>(w.who);
  tell(w.nodes["a"].survey, survey_hooks{from});
  w.run();
  REQUIRE(w.answers.size() == 1);
  const auto& found = std::get<ok::webhooks>(*w.answers[0]).list;
  REQUIRE(found.size() == 2); // its own are not for the survey
  for (const auto& x : found) {
    CHECK(x.name == "audit");
    CHECK(x.url == "https://audit.example/in");
    CHECK(x.deliveries == (x.node == "b" ? 5 : 7));
  }
  w.unlink("a", "c");
  tell(w.nodes["a"].survey, survey_hooks{from});
  w.run();
  REQUIRE(w.answers.size() == 2);
  CHECK(w.answers[1].has_error());
  for (auto& [name, n] : w.nodes) {
    tell(n.home->pusher, pusher::stop{});
    w.run();
    n.home->pusher = pusher::handle{};
  }
}
