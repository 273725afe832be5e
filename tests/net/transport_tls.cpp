#include "../support/net_house.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace greenroom;
using namespace greenroom::test;

TEST_CASE("requests and messages travel over TLS", "[transport]") {
  certificate cert{"localhost"};
  net_house house{{}, &cert};
  peer p{house.tls_port, true};
  CHECK(std::string{SSL_get_version(p.ssl())} == "TLSv1.3");
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(p.ssl(), &protocol, &size);
  CHECK(std::string(reinterpret_cast<const char*>(protocol), size) == "http/1.1");
  CHECK(p.request("GET /a HTTP/1.1\r\nHost: h").body == "GET /a ");
  CHECK(p.request("GET /large HTTP/1.1\r\nHost: h").body.size() == 4'000'000);
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  size_t n = 0;
  for (size_t bytes : {1, 1'000, 16'384, 16'385, 100'000, 262'144}) {
    const std::string text(bytes, 'q');
    p.frame(text);
    REQUIRE(house.has_lines(c, ++n));
    CHECK(house.lines(c).back() == text);
    house.write(c, text);
    CHECK(p.data().payload == text);
  }
  house.at(c, [](transport& t) { t.close(close_code::draining, "soon back"); });
  CHECK(p.data().code() == 3001);
  p.frame("\x0b\xb9", {.opcode = 8});
  CHECK(p.ended());
  CHECK((SSL_get_shutdown(p.ssl()) & SSL_RECEIVED_SHUTDOWN) != 0);
}

TEST_CASE("small frames share TLS records", "[transport]") {
  certificate cert{"localhost"};
  net_house house{{}, &cert};
  peer p{house.tls_port, true};
  REQUIRE(p.upgrade().status == 101);
  auto c = house.connection();
  REQUIRE(eventually([&] { return house.metrics.writes.get() == 1; }));
  house.at(c, [](transport& t) {
    for (int i = 0; i < 100; ++i)
      t.write(net::ws_text(std::string(300, 'x')), delivery::reliable);
  });
  for (int i = 0; i < 100; ++i)
    p.data();
  CHECK(eventually([&] { return house.metrics.queue_bytes.get() == 0 && house.metrics.writes.get() > 1; }));
  CHECK(house.metrics.writes.get() == 3); // 30,400 bytes are two records
}

TEST_CASE("a client below TLS 1.2, or that wants another protocol, is turned away", "[transport]") {
  certificate cert{"localhost"};
  net_house house{{}, &cert};
  auto connects = [&](auto prepare) {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
    prepare(context.get());
    peer p{house.tls_port};
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), SSL_free};
    SSL_set_fd(ssl.get(), p.descriptor());
    return SSL_connect(ssl.get()) == 1;
  };
  CHECK(connects([](SSL_CTX*) {}));
  CHECK(connects([](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION); }));
  CHECK_FALSE(connects([](SSL_CTX* c) {
    SSL_CTX_set_security_level(c, 0);
    SSL_CTX_set_max_proto_version(c, TLS1_1_VERSION);
  }));
  CHECK_FALSE(connects([](SSL_CTX* c) {
    SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(c, "AES128-SHA"); // no forward secrecy
  }));
  CHECK_FALSE(connects([](SSL_CTX* c) {
    const unsigned char h2[] = "\x02h2";
    SSL_CTX_set_alpn_protos(c, h2, sizeof h2 - 1);
  }));
  CHECK(eventually([&] { return house.metrics.handshakes_refused.get() == 3; }));
}

TEST_CASE("a TLS handshake that stalls, or is none, ends by its deadline", "[transport]") {
  certificate cert{"localhost"};
  limits l;
  l.handshake_ms = 200;
  net_house house{l, &cert};
  peer silent{house.tls_port}, begun{house.tls_port}, plain{house.tls_port};
  begun.send(std::string_view{"\x16\x03\x01\x02\x00\x01", 6});
  plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(silent.ended());
  CHECK(begun.ended());
  CHECK(plain.ended());
  CHECK(eventually([&] { return house.metrics.handshakes_refused.get() == 3; }));
}

TEST_CASE("a new certificate is used for new connections, and a bad one not at all", "[transport]") {
  certificate cert{"first"};
  net_house house{{}, &cert};
  peer before{house.tls_port, true};
  REQUIRE(before.upgrade().status == 101);
  CHECK(before.server_name() == "first");

  certificate::write("second", cert.cert, cert.key);
  REQUIRE(house.server->reload_tls().has_value());
  peer after{house.tls_port, true};
  CHECK(after.server_name() == "second");
  CHECK(after.upgrade().status == 101);
  before.frame("still here");
  CHECK(house.has_lines(house.connection(0), 1));

  auto refused = [&](std::string_view names) {
    const auto r = house.server->reload_tls();
    REQUIRE(r.has_error());
    INFO(r.error().message);
    CHECK(r.error().message.find(names) != std::string::npos);
    peer p{house.tls_port, true};
    CHECK(p.server_name() == "second");
  };
  SECTION("a key that belongs to another certificate") {
    certificate other{"other"};
    std::filesystem::copy_file(other.key, cert.key, std::filesystem::copy_options::overwrite_existing);
    refused(cert.key);
  }
  SECTION("no certificate in the file") {
    std::ofstream{cert.cert} << "not a certificate\n";
    refused(cert.cert);
  }
  SECTION("half a key") {
    std::filesystem::resize_file(cert.key, 60);
    refused(cert.key);
  }
  SECTION("no file") {
    std::filesystem::remove(cert.cert);
    refused(cert.cert);
  }
}

TEST_CASE("a server does not start without its certificate or its port", "[transport]") {
  greenroom::metrics m;
  net::io_threads threads{1, m};
  net::server_hooks hooks;
  const auto bounds = std::make_shared<const limits>();
  hooks.limits = [&bounds] { return bounds; };
  hooks.metrics = &m;
  net::server_options options;
  options.listen.push_back({"127.0.0.1", 0, true});
  CHECK_THROWS_WITH((net::server{threads, options, hooks}), Catch::Contains("tls.certificate"));
  options.tls = net::tls_files{"/nowhere.pem", "/nowhere.key", "1.2"};
  CHECK_THROWS_WITH((net::server{threads, options, hooks}), Catch::Contains("/nowhere.pem"));
  options.tls->min_version = "1.1";
  CHECK_THROWS_WITH((net::server{threads, options, hooks}), Catch::Contains("tls.min_version"));
  options.tls.reset();
  options.listen = {{"localhost", 0, false}};
  CHECK_THROWS_WITH((net::server{threads, options, hooks}), Catch::Contains("localhost"));
  options.listen = {{"127.0.0.1", 0, false}};
  net::server first{threads, options, hooks};
  options.listen = {{"127.0.0.1", first.ports()[0], false}};
  CHECK_THROWS_WITH((net::server{threads, options, hooks}), Catch::Contains(std::to_string(first.ports()[0])));
}
