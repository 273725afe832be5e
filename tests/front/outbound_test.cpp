#include "scene.hpp"

#include "net/lookups.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <condition_variable>
#include <mutex>

using namespace greenroom;
using namespace greenroom::test;
using as = tls_wire::as;
namespace asio = boost::asio;

namespace {

net::front::options within(uint32_t handshake_ms) {
  auto o = unhurried();
  o.handshake_ms = handshake_ms;
  return o;
}

uint16_t answer(std::future<uint16_t> way) {
  REQUIRE(way.wait_for(patience) == std::future_status::ready);
  return way.get();
}

cluster::known_peer at(uint16_t port, const std::string& host = "127.0.0.1") { return {"n1", "store", host, port}; }

} // namespace

TEST_CASE("a node that can't be reached is reported, and the next attempt is made", "[front]") {
  offices by;
  node_scene node{by, "n2", {"n1"}};
  uint16_t nobody = 0;
  {
    door gone;
    nobody = gone.port();
  }
  CHECK(answer(node.dial(at(nobody))) == 0);
  CHECK(answer(node.dial(at(nobody, "no-such-host.invalid"))) == 0);
  CHECK(eventually([&] { return node.refused_out(refusal::unreachable) == 2; }));
  node_scene low{by, "n1", {"n2"}};
  CHECK(link_up(node, low.listing()));
}

TEST_CASE("whoever is not the node that was meant gets nothing, and the reason is counted", "[front]") {
  offices by;
  node_scene node{by, "n2", {"n1"}};
  door other;
  auto way = node.dial(at(other.port()));
  const auto answers = [&](const std::optional<credential_files>& files, const std::string& line = {}) {
    tls_wire w{other.accept(), as::server, files};
    if (!line.empty()) {
      REQUIRE(w.shaken());
      REQUIRE(w.send(line));
    }
    CHECK(w.ended());
  };
  SECTION("another node") {
    answers(by.files("n3"));
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::wrong_name) == 1; }));
  }
  SECTION("a node of another CA") {
    answers(by.files("n1", "another"));
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::unknown_ca) == 1; }));
  }
  SECTION("one whose certificate has expired") {
    answers(by.files("n1", "ours", {-60, -cli::day_s}));
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::expired) == 1; }));
  }
  SECTION("something that speaks no TLS") {
    auto w = other.accept();
    REQUIRE(w.send("HTTP/1.1 400 Bad Request\r\n\r\n"));
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::not_tls) == 1; }));
  }
  SECTION("the right node, but no front of ours") {
    answers(by.files("n1"), "hello\n");
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::not_tls) == 1; }));
  }
  SECTION("the right node, which speaks without an end") {
    answers(by.files("n1"), std::string(10'000, 'x'));
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::not_tls) == 1; }));
  }
  SECTION("the right node, which refuses us") {
    answers(by.files("n1"), "no you smell of \"elderberries\"\n");
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::refused_there) == 1; }));
  }
  SECTION("one that breaks off") {
    other.accept().close();
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::gone) == 1; }));
  }
  CHECK(node.front->figures().connections_total.get() == 0);
}

TEST_CASE("a node that refuses our certificate is told apart from one that is not there", "[front]") {
  offices by;
  node_scene low{by, "n1", {"n2"}};
  node_scene high{by, "n2", {"n1"}};
  SECTION("not listed there") {
    low.know({});
    CHECK(answer(high.dial(low.listing())) == 0);
    CHECK(eventually([&] { return high.refused_out(refusal::refused_there) == 1; }));
  }
  SECTION("by a CA that only we believe") {
    // To us the handshake looks like a success: the other side looks at our certificate after it.
    auto files = by.files("n2", "another");
    files.ca = by.both("ours", "another");
    high.front->use(*credentials::load(files, "n2"));
    CHECK(answer(high.dial(low.listing())) == 0);
    CHECK(eventually([&] { return high.refused_out(refusal::refused_there) == 1; }));
    CHECK(eventually([&] { return low.refused_in(refusal::unknown_ca) == 1; }));
  }
}

TEST_CASE("a node that says nothing is given up at the deadline", "[front]") {
  offices by;
  door silent;
  SECTION("at all") {
    node_scene node{by, "n2", {"n1"}, within(200)};
    CHECK(answer(node.dial(at(silent.port()))) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::late) == 1; }));
  }
  SECTION("after the handshake") {
    node_scene node{by, "n2", {"n1"}, within(5'000)};
    auto way = node.dial(at(silent.port()));
    tls_wire t{silent.accept(), as::server, by.files("n1")};
    CHECK(t.shaken());
    CHECK(answer(std::move(way)) == 0);
    CHECK(eventually([&] { return node.refused_out(refusal::late) == 1; }));
  }
}

TEST_CASE("a way takes one connection", "[front]") {
  offices by;
  node_scene low{by, "n1", {"n2"}};
  node_scene high{by, "n2", {"n1"}};
  const auto port = answer(high.dial(low.listing()));
  REQUIRE(port != 0);
  auto far = low.gateway.accept();
  auto mine = wire::to(port);
  REQUIRE(mine.send("a"));
  CHECK(far.receive(1) == "a");
  CHECK_THROWS_WITH(wire::to(port), "can't connect");
}

TEST_CASE("a way to which nobody comes is closed", "[front]") {
  offices by;
  auto o = unhurried();
  o.claim_ms = 200;
  node_scene low{by, "n1", {"n2"}};
  node_scene high{by, "n2", {"n1"}, o};
  const auto port = answer(high.dial(low.listing()));
  REQUIRE(port != 0);
  auto far = low.gateway.accept();
  CHECK(far.ended());
  CHECK_THROWS_WITH(wire::to(port), "can't connect");
  CHECK(eventually([&] { return high.refused_out(refusal::no_gateway) == 1; }));
}

TEST_CASE("a dialling that is under way makes way for the next, and ends with the front", "[front]") {
  offices by;
  node_scene node{by, "n2", {"n1"}};
  door silent;
  auto first = node.dial(at(silent.port()));
  auto w = silent.accept();
  auto second = node.dial(at(silent.port()));
  CHECK(answer(std::move(first)) == 0);
  node.front.reset();
  CHECK(answer(std::move(second)) == 0);
}

TEST_CASE("a name that is looked up for long holds up nobody, and the last answer will do", "[front]") {
  std::mutex lock;
  std::condition_variable changed;
  bool hangs = false;
  auto io = std::make_shared<asio::io_context>();
  net::lookups names{io, [&](const std::string& host, std::string& why) -> net::lookups::addresses {
                       std::unique_lock guard{lock};
                       if (host == "slow")
                         changed.wait(guard, [&] { return !hangs; });
                       if (host == "none")
                         why = "unknown";
                       return host == "none" ? net::lookups::addresses{}
                                             : net::lookups::addresses{asio::ip::address_v4::loopback()};
                     }};
  std::string why;
  const auto find = [&](const std::string& host, std::chrono::milliseconds time) {
    auto found = asio::co_spawn(*io, names.find(host, std::chrono::steady_clock::now() + time, why), asio::use_future);
    io->restart();
    io->run();
    return found.get().size();
  };
  hangs = true;
  CHECK(find("slow", std::chrono::milliseconds{50}) == 0);
  CHECK(why == "the resolver does not answer");
  CHECK(find("other", patience) == 1);
  CHECK(find("::1", patience) == 1);
  CHECK(find("none", patience) == 0);
  CHECK(why == "unknown");
  const auto let_go = [&](bool still) {
    std::lock_guard guard{lock};
    hangs = still;
    changed.notify_all();
  };
  let_go(false);
  CHECK(find("slow", patience) == 1);
  let_go(true);
  CHECK(find("slow", std::chrono::milliseconds{50}) == 1);
  let_go(false);
  CHECK(find("slow", patience) == 1); // its thread has let go of what is ours
}

TEST_CASE("credentials that the others would not believe are refused with the file's name", "[front]") {
  offices by;
  const auto good = by.files("n1");
  const auto why = [&](const credential_files& files, const std::string& node = "n1") {
    auto made = credentials::load(files, node);
    return made ? std::string("good") : made.error().message;
  };
  CHECK(why(good) == "good");
  CHECK(why({"/no/such.pem", good.key, good.ca}) ==
        "cluster.tls_certificate_file /no/such.pem: No such file or directory");
  CHECK(why({good.certificate, "/no/such.key", good.ca}) ==
        "cluster.tls_key_file /no/such.key: No such file or directory");
  CHECK(why({good.certificate, good.key, "/no/ca.pem"}) == "cluster.tls_ca_file /no/ca.pem: No such file or directory");
  const auto other = by.files("n1");
  CHECK(why({good.certificate, other.key, good.ca}).starts_with("cluster.tls_key_file " + other.key + ": "));
  CHECK(why(good, "n2") ==
        "cluster.tls_certificate_file " + good.certificate + ": is for n1, but the name of this node is n2");
  const auto strange = by.files("n1", "another");
  CHECK(why({good.certificate, good.key, strange.ca}) ==
        "cluster.tls_certificate_file " + good.certificate +
            ": the other nodes would not believe it, by cluster.tls_ca_file " + strange.ca +
            ": unable to get local issuer certificate");
  const auto old = by.files("n1", "ours", {-60, -cli::day_s});
  CHECK(why(old).ends_with(": certificate has expired"));
  CHECK((*credentials::load(good, "n1"))->not_after().size() > 10);
}
