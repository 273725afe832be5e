#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::test;

namespace {

struct pair_fixture {
  offices by;
  node_scene low{by, "n1", {"n1", "n2"}};
  node_scene high{by, "n2", {"n1", "n2"}};
};

} // namespace

TEST_CASE_METHOD(pair_fixture, "two fronts carry megabytes both ways, unchanged", "[front]") {
  auto near = link_up(high, low.listing());
  REQUIRE(near);
  auto far = low.gateway.accept();
  const auto up = unlike_text(8 << 20, 1);
  const auto down = unlike_text(8 << 20, 2);
  std::thread sends_up{[&] { near->send(up); }};
  std::thread sends_down{[&] { far.send(down); }};
  auto got_down = std::async(std::launch::async, [&] { return near->receive(down.size()); });
  const auto got_up = far.receive(up.size());
  CHECK((got_up == up)); // in parentheses: not to be printed
  CHECK((got_down.get() == down));
  sends_up.join();
  sends_down.join();
  CHECK(eventually([&] { return low.front->figures().bytes_in.get() == static_cast<int64_t>(up.size()); }));
  CHECK(eventually([&] { return low.front->figures().bytes_out.get() == static_cast<int64_t>(down.size()); }));
  CHECK(low.front->figures().connections.get() == 1);
  CHECK(high.front->figures().connections.get() == 1);
}

TEST_CASE_METHOD(pair_fixture, "when one end closes, what it said arrives and both ends are closed", "[front]") {
  auto near = link_up(high, low.listing());
  REQUIRE(near);
  auto far = low.gateway.accept();
  const auto text = unlike_text(1 << 20, 3);
  SECTION("the side that dialled") {
    auto got = std::async(std::launch::async, [&] { return far.receive(text.size()); });
    REQUIRE(near->send(text));
    near->close();
    CHECK((got.get() == text));
    CHECK(far.ended());
  }
  SECTION("the side that was dialled") {
    auto got = std::async(std::launch::async, [&] { return near->receive(text.size()); });
    REQUIRE(far.send(text));
    far.close();
    CHECK((got.get() == text));
    CHECK(near->ended());
  }
  CHECK(eventually(
      [&] { return low.front->figures().connections.get() == 0 && high.front->figures().connections.get() == 0; }));
}

TEST_CASE_METHOD(pair_fixture, "a second connection of a peer ends the first, before CAF sees it", "[front]") {
  auto first = link_up(high, low.listing());
  REQUIRE(first);
  auto far_first = low.gateway.accept();
  REQUIRE(first->send("a"));
  REQUIRE(far_first.receive(1) == "a");
  const auto only_one = [this] { return low.front->figures().connections.get() == 1; };
  SECTION("dialled by the same front") {
    auto second = link_up(high, low.listing());
    REQUIRE(second);
    auto far_second = low.gateway.accept();
    CHECK(first->ended());
    CHECK(far_first.ended());
    REQUIRE(second->send("b"));
    CHECK(far_second.receive(1) == "b");
    CHECK(eventually(only_one));
  }
  SECTION("dialled by a process that was started anew") {
    node_scene again{by, "n2", {"n1", "n2"}};
    auto second = link_up(again, low.listing());
    REQUIRE(second);
    CHECK(far_first.ended());
    CHECK(first->ended());
    auto far_second = low.gateway.accept();
    REQUIRE(second->send("b"));
    CHECK(far_second.receive(1) == "b");
    CHECK(low.front->figures().replaced.get() == 1);
    CHECK(eventually(only_one));
  }
}

TEST_CASE_METHOD(pair_fixture, "a slow reader is waited for, and gets everything", "[front]") {
  constexpr size_t all = 64u << 20; // far more than the kernel holds for four sockets
  auto near = link_up(high, low.listing());
  REQUIRE(near);
  auto far = low.gateway.accept();
  const auto text = unlike_text(1 << 20, 4);
  size_t sent = 0;
  while (sent < all && !near->stuck(std::chrono::milliseconds{500}))
    sent += near->send_some(std::string_view(text).substr(sent % text.size()));
  CHECK(sent < all);
  std::string got;
  bool same = true;
  for (size_t seen = 0; seen < sent;) {
    got = far.receive(std::min(text.size() - seen % text.size(), sent - seen));
    if (got.empty())
      break;
    same = same && got == std::string_view(text).substr(seen % text.size(), got.size());
    seen += got.size();
  }
  CHECK(same);
  CHECK(eventually([&] { return low.front->figures().bytes_in.get() == static_cast<int64_t>(sent); }));
}

TEST_CASE_METHOD(pair_fixture, "a node that is no longer listed is cut off, at either side", "[front]") {
  auto near = link_up(high, low.listing());
  REQUIRE(near);
  auto far = low.gateway.accept();
  SECTION("where it came in") { low.know({"n1"}); }
  SECTION("where it was dialled") { high.know({"n2"}); }
  CHECK(near->ended());
  CHECK(far.ended());
}

TEST_CASE_METHOD(pair_fixture, "a front that ends closes what it carries", "[front]") {
  auto near = link_up(high, low.listing());
  REQUIRE(near);
  auto far = low.gateway.accept();
  SECTION("the one that dialled") { high.front.reset(); }
  SECTION("the other") { low.front.reset(); }
  CHECK(near->ended());
  CHECK(far.ended());
}

TEST_CASE_METHOD(pair_fixture, "new credentials are for new connections, those that run stay", "[front]") {
  auto first = link_up(high, low.listing());
  REQUIRE(first);
  auto far_first = low.gateway.accept();
  // As when a CA is replaced: both nodes get new files, one after the other.
  high.front->use(by.of("n2", "another"));
  node_scene third{by, "n3", {"n1", "n3"}};
  third.front->use(by.of("n3", "another"));
  CHECK_FALSE(link_up(third, low.listing()));
  CHECK(eventually([&] { return third.refused_out(refusal::unknown_ca) == 1; }));
  low.front->use(by.of("n1", "another"));
  low.know({"n2", "n3"});
  auto second = link_up(third, low.listing());
  REQUIRE(second);
  auto far_second = low.gateway.accept();
  REQUIRE(second->send("new"));
  CHECK(far_second.receive(3) == "new");
  REQUIRE(first->send("old"));
  CHECK(far_first.receive(3) == "old");
}
