// security: https both ways, users and tokens.
#include "middle.hpp"
#include "scene.hpp"

using namespace greenroom;
using namespace greenroom::test;

namespace {

/// A CA, and certificates that it signed: PEM files in a directory of their own.
class authority {
public:
  authority() {
    run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-days", "2", "-subj", "/CN=test", "-keyout", key("ca"), "-out", cert("ca")});
  }
  /// `names` as in "IP:127.0.0.1,DNS:localhost".
  void sign(const std::string& name, const std::string& names) {
    const auto csr = (dir_.path() / (name + ".csr")).string();
    const auto extensions = (dir_.path() / (name + ".ext")).string();
    std::ofstream(extensions) << "subjectAltName=" << names << "\n";
    run_program({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                 "/CN=" + name, "-keyout", key(name), "-out", csr});
    run_program({"openssl", "x509", "-req", "-in", csr, "-CA", cert("ca"), "-CAkey", key("ca"), "-CAcreateserial",
                 "-days", "2", "-extfile", extensions, "-out", cert(name)});
  }
  std::string cert(const std::string& name) const { return dir_.path() / (name + ".pem"); }
  std::string key(const std::string& name) const { return dir_.path() / (name + ".key"); }

private:
  temporary_directory dir_;
};

} // namespace

TEST_CASE("over https both sides show who they are", "[etcd]") {
  authority ca;
  ca.sign("server", "IP:127.0.0.1");
  ca.sign("client", "DNS:client");
  ca.sign("elsewhere", "IP:127.0.0.2,DNS:elsewhere");
  const authority stranger;
  etcd_process etcd(etcd_security{ca.cert("ca"), ca.cert("server"), ca.key("server")});
  auto o = patient::to({etcd.url()});
  o.ca_file = ca.cert("ca");
  o.certificate_file = ca.cert("client");
  o.key_file = ca.key("client");
  {
    patient c(o);
    record seen;
    const auto watch = c->watch("tls/", seen.watcher());
    REQUIRE(seen.await_listings(1));
    const auto lease = c.grant(60s);
    REQUIRE(lease);
    CHECK(c.renew(*lease));
    c.put("tls/a", std::string(100'000, 'x'), *lease);
    REQUIRE(seen.await_updates(1));
    const auto used = c->counts().connections.load();
    c.put("tls/b", "1");
    CHECK(c->counts().connections == used);
    CHECK(c.revoke(*lease));
    CHECK(seen.await_belief({{"tls/b", "1"}}));
  }
  o.request_ms = 1'000;
  const auto refused = [&](const char* why) {
    const auto got = patient(o).commit({}, {{"tls/c", "1", 0}});
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::unavailable);
    CHECK_THAT(got.error().message, Catch::Contains(why));
  };
  SECTION("a client without a certificate is turned away") {
    o.certificate_file = o.key_file = "";
    refused("certificate");
  }
  SECTION("an endpoint with a certificate of somebody else is not trusted") {
    o.ca_file = stranger.cert("ca");
    refused("certificate verify failed");
  }
  SECTION("the system's CAs do not vouch for it") {
    o.ca_file = "";
    refused("certificate verify failed");
  }
  SECTION("an endpoint by a name that its certificate does not have is not trusted") {
    o.endpoints = {"https://localhost:" + std::to_string(etcd.port())};
    refused("certificate verify failed");
  }
  SECTION("plain text is not understood") {
    o = patient::to({"http://127.0.0.1:" + std::to_string(etcd.port())});
    o.request_ms = 300;
    CHECK_FALSE(patient(o).list("tls/"));
  }
}

TEST_CASE("files that cannot be used are named at once", "[etcd]") {
  authority ca;
  ca.sign("client", "DNS:client");
  ca.sign("other", "DNS:other");
  auto o = patient::to({"https://127.0.0.1:1"});
  const auto refused = [&](const std::string& file) {
    const auto got = client::open(o);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == errc::bad_request);
    CHECK_THAT(got.error().message, Catch::Contains(file));
  };
  o.ca_file = "/does/not/exist.pem";
  refused(o.ca_file);
  o.ca_file = ca.key("client");
  refused(o.ca_file);
  o.ca_file = ca.cert("ca");
  o.certificate_file = ca.cert("client");
  o.key_file = ca.key("other");
  refused(o.key_file);
  o.key_file = ca.key("client");
  CHECK(client::open(o).has_value());
}

TEST_CASE("a user signs in, and again when etcd has forgotten the token", "[etcd]") {
  etcd_process etcd;
  etcd.control({"user", "add", "root:top"});
  etcd.control({"user", "grant-role", "root", "root"});
  etcd.control({"user", "add", "green:room"});
  etcd.control({"role", "add", "green"});
  etcd.control({"role", "grant-permission", "green", "readwrite", "/greenroom/", "--prefix=true"});
  etcd.control({"user", "grant-role", "green", "green"});

  auto o = patient::to({etcd.url()});
  o.user = "green";
  o.password = "room";
  patient early(o);
  // Before authentication is enabled a user may be given already.
  early.put("/greenroom/a", "0");
  CHECK(early->counts().authentications == 0);
  etcd.control({"auth", "enable"});
  early.put("/greenroom/a", "1");
  CHECK(early->counts().authentications == 1);
  CHECK(early->counts().unknown == 0);

  patient c(o);
  record seen;
  const auto watch = c->watch("/greenroom/", seen.watcher());
  REQUIRE(seen.await_belief({{"/greenroom/a", "1"}}));
  {
    // Many at once: one of them signs in, the others wait for it.
    patient crowd(o);
    std::atomic<int> good{0};
    for (int i = 0; i < 20; ++i)
      crowd->list("/greenroom/", [&](outcome<listing> x) { good += x ? 1 : 0; });
    CHECK(eventually([&] { return good == 20; }));
    CHECK(crowd->counts().authentications == 1);
    CHECK(crowd->counts().attempts_failed == 0);
  }
  const auto lease = c.grant(60s);
  REQUIRE(lease);
  CHECK(c.renew(*lease));
  const auto outside = c.commit({}, {{"/other", "1", 0}});
  REQUIRE_FALSE(outside);
  CHECK(outside.error().code == errc::forbidden);
  CHECK(outside.error().message.find("permission denied") != std::string::npos);

  // Its tokens are gone with the process. A commit is the first to find out, and is done all the same.
  etcd.kill();
  etcd.start();
  CHECK(eventually([&] { return early.commit({}, {{"/greenroom/a", "2", 0}}).has_value(); }));
  CHECK(early->counts().authentications == 2);
  CHECK(seen.await_belief({{"/greenroom/a", "2"}}));
  CHECK(seen.mistakes() == "");

  o.password = "wrong";
  const auto wrong = patient(o).list("/greenroom/");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == errc::forbidden);
  CHECK(wrong.error().message.find("invalid user ID or password") != std::string::npos);
  o.user = o.password = "";
  o.request_ms = 500;
  const auto nobody = patient(o).list("/greenroom/");
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().code == errc::unavailable);
}
