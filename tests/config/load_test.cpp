#include "config/load.hpp"
#include "config/print.hpp"
#include "config/schema.hpp"
#include "tests/config/support.hpp"

namespace greenroom::config {

// -- precedence ------------------------------------------------------------------

TEST_CASE_METHOD(load_fixture, "without a file, variables and flags every key has its default", "[load]") {
  auto result = load({});
  REQUIRE(result.ok());
  CHECK(result.file.empty());
  const settings defaults;
  for (const auto& f : fields())
    CHECK(read(f, result.values) == read(f, defaults));
  for (const auto& from : result.came_from)
    CHECK(from.kind == origin::fallback);
}

TEST_CASE_METHOD(load_fixture, "a file beats the default, a variable the file, a flag the variable", "[load]") {
  write("greenroom.toml", "[listen]\nport = 1001\ntls_port = 0\nbacklog = 1001\nio_threads = 41\n");
  sources from;
  from.environment = {"GREENROOM_LISTEN_BACKLOG=1002", "GREENROOM_LISTEN_IO_THREADS=42", "PATH=/bin"};
  from.flags = {"--listen.io_threads=43"};
  auto result = load(from);
  CHECK(lines(result) == strings{});
  CHECK(result.file == "greenroom.toml");
  CHECK(result.values.listen.port == 1001);
  CHECK(result.values.listen.backlog == 1002);
  CHECK(result.values.listen.io_threads == 43);
  const auto came_from = [&](std::string_view name) {
    return result.came_from[static_cast<size_t>(find(name) - fields().data())];
  };
  CHECK(came_from("listen.address").kind == origin::fallback);
  CHECK(came_from("listen.port").where == "greenroom.toml:2");
  CHECK(came_from("listen.backlog").where == "GREENROOM_LISTEN_BACKLOG");
  CHECK(came_from("listen.io_threads").where == "--listen.io_threads");
}

TEST_CASE_METHOD(load_fixture, "a file that is named goes before greenroom.toml", "[load]") {
  write("greenroom.toml", "[listen]\nport = 1\n");
  write("other.toml", "[listen]\nport = 2\n");
  auto result = load({"other.toml", {}, {}});
  CHECK(result.values.listen.port == 2);
  CHECK(result.file == "other.toml");
}

TEST_CASE_METHOD(load_fixture, "words, lists, switches and empty texts can be given everywhere", "[load]") {
  auto result = load_text("[auth]\nguests = false\nalgorithm = \"ES256\"\npublic_key_file = 'k.pem'\n"
                          "[listen]\nallowed_origins = ['https://a.example', \"http://b.example:8080\"]\n"
                          "[log]\nlevel = 'debug'\nformat = 'json'\n");
  REQUIRE(lines(result) == strings{});
  CHECK_FALSE(result.values.auth.guests);
  CHECK(result.values.auth.algorithm == token_algorithm::es256);
  CHECK(result.values.log.level == log_level::debug);
  CHECK(result.values.log.format == log_format::json);
  CHECK(result.values.listen.allowed_origins == strings{"https://a.example", "http://b.example:8080"});

  sources from;
  from.environment = {"GREENROOM_AUTH_GUESTS=true", "GREENROOM_LOG_LEVEL=error",
                      "GREENROOM_LISTEN_ALLOWED_ORIGINS=http://x.example,http://y.example"};
  from.flags = {"--auth.algorithm=HS256", "--auth.public_key_file="};
  result = load(from);
  REQUIRE(lines(result) == strings{});
  CHECK(result.values.auth.guests);
  CHECK(result.values.auth.algorithm == token_algorithm::hs256);
  CHECK(result.values.auth.public_key_file.empty());
  CHECK(result.values.log.level == log_level::error);
  CHECK(result.values.listen.allowed_origins == strings{"http://x.example", "http://y.example"});
}

// -- mistakes --------------------------------------------------------------------

TEST_CASE_METHOD(load_fixture, "an unknown key or section is a mistake with a suggestion", "[load]") {
  CHECK(mistakes_in("[limits]\n\nfram_bytes = 5000\n") ==
        strings{"greenroom.toml:3: limits.fram_bytes: no such key; did you mean limits.frame_bytes?"});
  CHECK(mistakes_in("[lisen]\nport = 1\n") ==
        strings{"greenroom.toml:1: lisen: no such section; did you mean listen?"});
  CHECK(mistakes_in("[limits]\ntls_port = 1\n") ==
        strings{"greenroom.toml:2: limits.tls_port: no such key; did you mean listen.tls_port?"});
  CHECK(mistakes_in("backlog = 1\n") ==
        strings{"greenroom.toml:1: backlog: no such key outside of a section; did you mean listen.backlog?"});
  CHECK(mistakes_in("limits = 1\n") == strings{"greenroom.toml:1: limits: must be a section: [limits]"});
  CHECK(mistakes_in("[limits]\nzzzzzzzzzzzz = 1\n") == strings{"greenroom.toml:2: limits.zzzzzzzzzzzz: no such key"});
}

TEST_CASE_METHOD(load_fixture, "a value of a wrong type is a mistake", "[load]") {
  CHECK(mistakes_in("[listen]\nport = \"80\"\nallowed_origins = \"*\"\naddress = 1\n"
                    "[auth]\nguests = 1\ntoken_s = 1.5\nissuer = 2020-01-01\n"
                    "[node]\nname = { a = 1 }\n") ==
        strings{
            "greenroom.toml:2: listen.port: must be a whole number, is text in quotes",
            "greenroom.toml:3: listen.allowed_origins: must be a list of texts, is text in quotes",
            "greenroom.toml:4: listen.address: must be text in quotes, is a whole number",
            "greenroom.toml:6: auth.guests: must be true or false, is a whole number",
            "greenroom.toml:7: auth.token_s: must not be a number with a fraction",
            "greenroom.toml:8: auth.issuer: must not be a date or time",
            "greenroom.toml:10: node.name: must not be a section",
        });
  CHECK(mistakes_in("[listen]\nallowed_origins = [\"*\", 3]\n") ==
        strings{"greenroom.toml:2: listen.allowed_origins: must be a list of texts: entry 2 is not a text in quotes"});
}

TEST_CASE_METHOD(load_fixture, "a value out of bounds is a mistake that says bound and unit", "[load]") {
  CHECK(mistakes_in("[limits]\nframe_bytes = 10\n") ==
        strings{"greenroom.toml:2: limits.frame_bytes: 10 is too low: must be 1024 to 16777216 bytes"});
  CHECK(mistakes_in("[listen]\nport = 65536\n") ==
        strings{"greenroom.toml:2: listen.port: 65536 is too high: must be 0 to 65535"});
  CHECK(mistakes_in("[rooms]\nactive = 127\n") ==
        strings{"greenroom.toml:2: rooms.active: 127 is too low: must be 128 to 10000000 rooms"});
  CHECK(mistakes_in("[limits]\nin_flight = -1\n") ==
        strings{"greenroom.toml:2: limits.in_flight: -1 is too low: must be 1 to 65536 requests"});
  CHECK(mistakes_in("[node]\ndata_dir = ''\n") ==
        strings{"greenroom.toml:2: node.data_dir: a text of 0 is too low: must be 1 to 4096 bytes"});
  CHECK(mistakes_in("[log]\nlevel = 'loud'\n") == strings{"greenroom.toml:2: log.level: \"loud\" is unknown: must be "
                                                          "\"trace\", \"debug\", \"info\", \"warn\" or \"error\""});
  CHECK(mistakes_in("[tls]\nmin_version = '1.1'\n") ==
        strings{"greenroom.toml:2: tls.min_version: \"1.1\" is unknown: must be \"1.2\" or \"1.3\""});
}

TEST_CASE_METHOD(load_fixture, "a text that does not look right is a mistake", "[load]") {
  CHECK(mistakes_in("[listen]\naddress = 'localhost'\n") ==
        strings{"greenroom.toml:2: listen.address: \"localhost\" is not an IPv4 or IPv6 address"});
  CHECK(mistakes_in("[listen]\nallowed_origins = ['*', 'https://a.example/']\n") ==
        strings{"greenroom.toml:2: listen.allowed_origins: \"https://a.example/\" is not scheme://host[:port] without "
                "a slash at the end, or \"*\""});
  CHECK(mistakes_in("[node]\nname = 'Über'\n").size() == 1);
  CHECK(load_text("[listen]\naddress = '::1'\n").ok());
}

TEST_CASE_METHOD(load_fixture, "links between nodes are on loopback, and etcd is a URL", "[load]") {
  for (auto address : {"10.0.0.1", "127.0.0.3", "::1"})
    CHECK(mistakes_in("[cluster]\nlisten_address = '" + std::string(address) + "'\n") ==
          strings{"greenroom.toml:2: cluster.listen_address: is not 127.0.0.1, which needs "
                  "cluster.tls_certificate_file, cluster.tls_key_file and cluster.tls_ca_file: `greenroom cluster "
                  "certs` makes them"});
  CHECK(mistakes_in("[cluster]\nlisten_address = 'localhost'\n") ==
        strings{"greenroom.toml:2: cluster.listen_address: \"localhost\" is not an IPv4 or IPv6 address"});
  const std::string files = "tls_certificate_file='c'\ntls_key_file='k'\ntls_ca_file='a'\n";
  CHECK(load_text("[cluster]\n" + files + "listen_address = '10.0.0.1'\n").ok());
  for (auto address : {"0.0.0.0", "::"}) {
    const auto everywhere = "[cluster]\n" + files + "listen_address = '" + address + "'\n";
    CHECK(mistakes_in(everywhere) ==
          strings{"greenroom.toml:5: cluster.advertise_address: is needed because cluster.listen_address is " +
                  std::string(address) + ": nobody can dial that"});
    for (auto other : {"n1.example", "10.0.0.1", "2001:db8::1"})
      CHECK(load_text(everywhere + "advertise_address = '" + other + "'\n").ok());
    CHECK(mistakes_in(everywhere + "advertise_address = '::'\n") ==
          strings{"greenroom.toml:6: cluster.advertise_address: is ::: nobody can dial that"});
    CHECK(mistakes_in(everywhere + "advertise_address = 'n1:7400'\n").size() == 1);
  }
  CHECK(mistakes_in("[cluster]\nadvertise_address = '10.0.0.1'\n").size() == 1);
  for (auto url : {"10.0.0.1:2379", "http://", "ftp://a", "http://a/", "http://a/b", "https://u@a"})
    CHECK(mistakes_in("[cluster]\netcd = ['" + std::string(url) + "']\n") ==
          strings{"greenroom.toml:2: cluster.etcd: \"" + std::string(url) +
                  "\" is not http://host[:port] or https://host[:port]"});
  CHECK(load_text("[cluster]\netcd = ['http://a', 'https://[::1]:2379']\n").ok());
  CHECK(mistakes_in("[cluster]\nzone = 'a b'\n").size() == 1);
}

TEST_CASE_METHOD(load_fixture, "keys of a provider come by https, or from this machine", "[load]") {
  const std::string before = "[auth]\nalgorithm='ES256'\naudience='chat'\njwks_url='";
  for (auto url : {"https://id.example/keys", "https://id.example:8443/a/b?c=d", "http://127.0.0.1:8080/keys",
                   "http://localhost/keys", "http://[::1]:80/keys", "https://[2001:db8::1]/keys"})
    CHECK(mistakes_in(before + url + "'\n").empty());
  for (auto url : {"http://id.example/keys", "ftp://id.example/keys", "id.example/keys", "https://", "https:///keys",
                   "https://me@id.example/keys", "https://id.example/keys#1", "https://id.example/a b",
                   "http://localhost.example/keys", "http://id.example/localhost"}) {
    CAPTURE(url);
    const auto mistakes = mistakes_in(before + url + "'\n");
    CHECK((mistakes.size() == 1 && mistakes[0].find("auth.jwks_url: ") != std::string::npos));
  }
}

TEST_CASE_METHOD(load_fixture, "keys that contradict each other are a mistake that names both", "[load]") {
  CHECK(mistakes_in("[limits]\nframe_bytes = 300000\nmessage_bytes = 262144\npage_bytes = 300000\n") ==
        strings{"greenroom.toml:2: limits.frame_bytes: 300000 bytes is more than limits.message_bytes (262144 bytes): "
                "no message could hold the longest frame"});
  // The blame falls on the key that was set.
  CHECK(mistakes_in("[limits]\nmessage_bytes = 60000\n") ==
        strings{"greenroom.toml:2: limits.message_bytes: 60000 bytes is less than limits.frame_bytes (65536 bytes): "
                "no message could hold the longest frame"});
  const auto one = [](const strings& all, std::string_view key, std::string_view other) {
    CAPTURE(all, key, other);
    return all.size() == 1 && all[0].find(": " + std::string(key) + ": ") != std::string::npos &&
           all[0].find(other) != std::string::npos;
  };
  CHECK(one(mistakes_in("[limits]\ntext_bytes = 70000\n"), "limits.text_bytes", "limits.frame_bytes"));
  CHECK(one(mistakes_in("[limits]\ndata_bytes = 70000\n"), "limits.data_bytes", "limits.frame_bytes"));
  CHECK(one(mistakes_in("[limits]\nframe_bytes = 70000\npage_bytes = 65536\n"), "limits.frame_bytes",
            "limits.page_bytes"));
  CHECK(one(mistakes_in("[limits]\nmessage_bytes = 1048577\n"), "limits.message_bytes", "limits.outbox_bytes"));
  CHECK(one(mistakes_in("[limits]\npage_bytes = 1048577\n"), "limits.page_bytes", "limits.outbox_bytes"));
  CHECK(one(mistakes_in("[limits]\nhello_rooms = 1001\n"), "limits.hello_rooms", "limits.subscriptions"));
  CHECK(one(mistakes_in("[limits]\nsends_per_s = 41\n"), "limits.sends_per_s", "limits.sends_burst"));
  CHECK(one(mistakes_in("[storage]\nqueue = 64\n"), "storage.queue", "storage.commit_requests"));
  CHECK(one(mistakes_in("[listen]\nport = 0\n"), "listen.port", "listen.tls_port"));
  CHECK(one(mistakes_in("[tls]\ncertificate='c'\nkey='k'\n[listen]\nport=443\ntls_port=443\n"), "listen.tls_port",
            "listen.port"));
  CHECK(one(mistakes_in("[tls]\nkey='k'\n[listen]\ntls_port=443\n"), "tls.certificate", "listen.tls_port"));
  CHECK(one(mistakes_in("[tls]\ncertificate='c'\n[listen]\ntls_port=443\n"), "tls.key", "listen.tls_port"));
  CHECK(one(mistakes_in("[auth]\nalgorithm='RS256'\n"), "auth.public_key_file", "auth.algorithm"));
  CHECK(one(mistakes_in("[auth]\npublic_key_file='k'\n"), "auth.public_key_file", "auth.algorithm"));
  const std::string outside = "[auth]\nalgorithm='ES256'\naudience='chat'\n";
  CHECK(load_text(outside + "jwks_url='https://id.example/keys'\nuser_claim='nick'\n").ok());
  CHECK(load_text(outside + "jwks_file='k'\nadmin_claim='/realm/roles'\nadmin_value='chat-admin'\n").ok());
  CHECK(one(mistakes_in(outside + "jwks_file='k'\njwks_url='https://id.example/keys'\n"), "auth.jwks_url",
            "auth.jwks_file"));
  CHECK(one(mistakes_in(outside + "public_key_file='k'\njwks_file='k'\n"), "auth.jwks_file", "auth.public_key_file"));
  CHECK(one(mistakes_in("[auth]\njwks_url='https://id.example/keys'\n"), "auth.jwks_url", "auth.algorithm"));
  CHECK(one(mistakes_in("[auth]\njwks_file='k'\n"), "auth.jwks_file", "auth.algorithm"));
  CHECK(one(mistakes_in("[auth]\nalgorithm='ES256'\njwks_file='k'\n"), "auth.audience", "auth.jwks_file"));
  CHECK(one(mistakes_in(outside + "jwks_url='http://127.0.0.1:1/'\njwks_ca_file='c'\n"), "auth.jwks_ca_file",
            "auth.jwks_url"));
  CHECK(one(mistakes_in("[auth]\nuser_claim='nick'\n"), "auth.user_claim", "auth.algorithm"));
  CHECK(one(mistakes_in(outside + "jwks_file='k'\nadmin_claim='roles'\n"), "auth.admin_value", "auth.admin_claim"));
  CHECK(one(mistakes_in(outside + "jwks_file='k'\nadmin_value='boss'\n"), "auth.admin_claim", "auth.admin_value"));
  CHECK(one(mistakes_in("[auth]\nadmin_claim='roles'\nadmin_value='boss'\n"), "auth.admin_claim", "auth.algorithm"));
  CHECK(one(mistakes_in("[cluster]\nmin_in_sync = 4\n"), "cluster.min_in_sync", "cluster.replicas"));
  CHECK(one(mistakes_in("[cluster]\ntls_certificate_file='c'\ntls_key_file='k'\n"), "cluster.tls_ca_file",
            "cluster.tls_certificate_file"));
  CHECK(one(mistakes_in("[cluster]\ntls_key_file='k'\ntls_ca_file='a'\n"), "cluster.tls_certificate_file",
            "cluster.tls_key_file"));
  CHECK(one(mistakes_in("[cluster]\nreplicas = 1\n"), "cluster.replicas", "cluster.min_in_sync"));
  CHECK(one(mistakes_in("[cluster]\nwindow_kb = 128\n"), "cluster.window_kb", "cluster.append_kb"));
  CHECK(one(mistakes_in("[cluster]\nappend_kb = 512\n"), "cluster.link_queue_kb", "cluster.append_kb"));
  CHECK(one(mistakes_in("[cluster]\nletter_kb = 65536\n"), "cluster.letter_kb", "cluster.link_queue_kb"));
  CHECK(one(mistakes_in("[cluster]\netcd_user='u'\n"), "cluster.etcd_password_file", "cluster.etcd_user"));
  CHECK(one(mistakes_in("[cluster]\netcd_password_file='p'\n"), "cluster.etcd_user", "cluster.etcd_password_file"));
  CHECK(one(mistakes_in("[cluster]\netcd=['https://e']\netcd_key='k'\n"), "cluster.etcd_certificate",
            "cluster.etcd_key"));
  CHECK(one(mistakes_in("[cluster]\netcd=['https://e']\netcd_certificate='c'\n"), "cluster.etcd_key",
            "cluster.etcd_certificate"));
  CHECK(one(mistakes_in("[cluster]\netcd=['http://e']\netcd_ca='c'\n"), "cluster.etcd_ca", "cluster.etcd"));
}

TEST_CASE_METHOD(load_fixture, "a key with a bad value takes no part in relations", "[load]") {
  CHECK(mistakes_in("[limits]\nframe_bytes = 'x'\nmessage_bytes = 2000\npage_bytes = 65536\n").size() == 1);
}

TEST_CASE_METHOD(load_fixture, "what is no TOML is a mistake with line and column", "[load]") {
  auto all = mistakes_in("[limits]\nframe_bytes = = 3\n");
  REQUIRE(all.size() == 1);
  CHECK(all[0].starts_with("greenroom.toml:2:15: "));
  CHECK(mistakes_in("[limits]\nframe_bytes = 2000\nframe_bytes = 3000\n").size() == 1);
  CHECK(mistakes_in(std::string("[limits]\n\x80\xff")).size() == 1);
}

TEST_CASE_METHOD(load_fixture, "a file that cannot be read is a mistake", "[load]") {
  CHECK(lines(load({"not-there.toml", {}, {}})) == strings{"not-there.toml: cannot be read"});
  std::filesystem::create_directory("dir.toml");
  CHECK(lines(load({"dir.toml", {}, {}})) == strings{"dir.toml: cannot be read"});
  write("huge.toml", std::string(file_bytes_max + 1, '#'));
  CHECK(lines(load({"huge.toml", {}, {}})) == strings{"huge.toml: is longer than 1048576 bytes"});
}

TEST_CASE_METHOD(load_fixture, "variables: unknown names and bad values are mistakes that name the variable",
                 "[load]") {
  sources from;
  from.environment = {"GREENROOM_LISTEN_PROT=1", "GREENROOM_LISTEN_PORT=http", "GREENROOM_AUTH_GUESTS=yes",
                      "GREENROOM_", "GREENROOM_LIMITS_FRAME_BYTES=99999999999999999999"};
  CHECK(lines(load(from)) ==
        strings{"GREENROOM_LISTEN_PROT: no such setting; did you mean GREENROOM_LISTEN_PORT?",
                "GREENROOM_LISTEN_PORT: listen.port: \"http\" is no whole number: must be 0 to 65535",
                "GREENROOM_AUTH_GUESTS: auth.guests: \"yes\" is neither true nor false", "GREENROOM_: no such setting",
                "GREENROOM_LIMITS_FRAME_BYTES: limits.frame_bytes: \"99999999999999999999\" is no whole number: must "
                "be 1024 to 16777216 bytes"});
}

TEST_CASE_METHOD(load_fixture, "flags: unknown names, missing and repeated values are mistakes that name the flag",
                 "[load]") {
  sources from;
  from.flags = {"--listen.prot=1", "--listen.port", "--log.level=info", "--log.level=warn", "--rooms.active=1"};
  CHECK(lines(load(from)) == strings{"--listen.prot: no such setting; did you mean listen.port?",
                                     "--listen.port: listen.port: needs a value: --listen.port=VALUE",
                                     "--log.level: log.level: is given more than once",
                                     "--rooms.active: rooms.active: 1 is too low: must be 128 to 10000000 rooms"});
}

TEST_CASE_METHOD(load_fixture, "all mistakes of all sources are found in one go, also overridden ones", "[load]") {
  write("greenroom.toml", "[limits]\nframe_bytes = 1\nnonsense = 2\n");
  sources from;
  from.environment = {"GREENROOM_X=1"};
  from.flags = {"--limits.frame_bytes=2048", "--limits.text_bytes=4096", "--limits.data_bytes=0"};
  auto result = load(from);
  CHECK(result.mistakes.size() == 4);
  CHECK(result.mistakes.back().where == "--limits.text_bytes");
  CHECK(result.mistakes.back().message.find("limits.frame_bytes (2048 bytes)") != std::string::npos);
}

// -- command line ----------------------------------------------------------------

namespace {
command_line read_arguments(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "greenroomd");
  const char* environment[] = {"HOME=/", "GREENROOM_CLI_TOKEN=x", "GREENROOM_LISTEN_PORT=9", nullptr};
  return read_command_line(static_cast<int>(arguments.size()), arguments.data(), environment);
}
} // namespace

TEST_CASE("the command line holds a file and settings in any order", "[load]") {
  auto line = read_arguments({"--listen.port=1", "-c", "a.toml", "--auth.audience=", "--log.level=info"});
  CHECK(line.mistakes.empty());
  CHECK(line.answer.empty());
  CHECK(line.from.file == "a.toml");
  CHECK(line.from.environment == strings{"GREENROOM_LISTEN_PORT=9"});
  CHECK(line.from.flags == strings{"--listen.port=1", "--auth.audience=", "--log.level=info"});
  CHECK(read_arguments({"--config=b.toml"}).from.file == "b.toml");
}

TEST_CASE("the command line answers --help and --version", "[load]") {
  CHECK(read_arguments({"--version"}).answer == "greenroomd " GREENROOM_VERSION "\n");
  CHECK(read_arguments({"--help"}).answer.find("--config") != std::string::npos);
}

TEST_CASE("the command line refuses what it does not know", "[load]") {
  auto line = read_arguments({"--port=8", "start", "--confg", "x"});
  REQUIRE(line.mistakes.size() == 4);
  CHECK(to_string(line.mistakes[0]) ==
        "--port=8: no such flag; settings are flags with a dot; did you mean listen.port?");
  CHECK(to_string(line.mistakes[1]) == "start: no such argument");
  CHECK(read_arguments({"--config"}).mistakes.size() == 1);
  CHECK(read_arguments({"--config="}).mistakes.size() == 1);
}

// -- webhooks, which have names --------------------------------------------------

TEST_CASE_METHOD(load_fixture, "a webhook has a section of its own, and the rest from all of them", "[load]") {
  write("greenroom.toml",
        "[webhook.b]\nurl = 'http://b.example/'\nrooms = ['x/*', '!x/y']\n"
        "[webhook]\nsecret_file = 's'\ntimeout_ms = 500\n"
        "[webhook.a]\nurl = 'https://a.example:8443/h?k=1'\ntimeout_ms = 700\nevents = ['message']\n");
  sources from;
  from.flags = {"--webhook.batch_events=7"};
  auto result = load(from);
  REQUIRE(lines(result) == strings{});
  const auto& all = result.values.webhooks;
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "a");
  CHECK(all[0].what.timeout_ms == 700);
  CHECK(all[0].what.events == strings{"message"});
  CHECK(all[0].what.batch_events == 7);
  CHECK(all[1].what.timeout_ms == 500);
  CHECK(all[1].what.secret_file == "s");
  CHECK(all[1].what.rooms == strings{"x/*", "!x/y"});
  const auto shown = effective_text(result);
  CHECK_THAT(shown, Catch::Contains("[webhook.a]\nurl = \"https://a.example:8443/h?k=1\" # greenroom.toml:8\n"));
  CHECK_THAT(shown, Catch::Contains("timeout_ms = 500 # as in [webhook]\n"));
}

TEST_CASE_METHOD(load_fixture, "a namespace has a section of its own, and what it leaves out is as for all", "[load]") {
  auto result = load_text("[tenant]\ntext_bytes = 9\n[tenant.beta]\n[tenant.acme]\nsends_per_s = 7\n");
  CHECK(lines(result) == strings{});
  const auto& all = result.values.tenants;
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "acme");
  CHECK(all[0].what.sends_per_s == 7);
  CHECK(all[0].what.text_bytes == 9);
  CHECK(all[1].what.sends_per_s == 0);
  CHECK_THAT(effective_text(result), Catch::Contains("[tenant.acme]\n"));
  CHECK(mistakes_in("[tenant.Acme]\n") ==
        strings{"greenroom.toml:1: tenant.Acme: is not a name: [a-z0-9][a-z0-9._-]{0,31}"});
  CHECK(mistakes_in("[tenant.a]\ntext_bytes = 'x'\n").size() == 1);
  CHECK(mistakes_in("[tenant.acme]\n[tenant.other]\n") ==
        strings{"greenroom.toml:2: tenant.other: is what all namespaces without a section are counted as; "
                "[tenant] has their limits"});
}

TEST_CASE_METHOD(load_fixture, "mistakes in the section of a webhook are named with it", "[load]") {
  CHECK(mistakes_in("[webhook.a]\nurl = 'ftp://x/'\nsecret_file = 's'\nzzzzzz = 1\nevents = ['typing']\n") ==
        strings{
            "greenroom.toml:4: webhook.a.zzzzzz: no such key",
            "greenroom.toml:2: webhook.a.url: \"ftp://x/\" is not https://host[:port]/path, or http://",
            "greenroom.toml:5: webhook.a.events: \"typing\" is not message, edited, revoked, reaction, member, topic, "
            "pinned, unpinned or room"});
  CHECK(mistakes_in("[webhook.a]\n") ==
        strings{"greenroom.toml:1: webhook.a.url: is needed: where events are pushed to",
                "greenroom.toml:1: webhook.a.secret_file: is needed: with what deliveries are signed"});
  CHECK(mistakes_in("[webhook.'A b']\n") ==
        strings{"greenroom.toml:1: webhook.A b: is not a name: [a-z0-9][a-z0-9._-]{0,31}"});
  CHECK(mistakes_in("[webhook]\nurl = 'http://x/'\n") ==
        strings{"greenroom.toml:2: webhook.url: needs a name: [webhook.NAME]"});
  CHECK(mistakes_in("[presend]\nurl = 'http://x/'\n") ==
        strings{"greenroom.toml:2: presend.secret_file: is needed because presend.url is set"});
  std::string many;
  for (int i = 0; i < 33; ++i)
    many += "[webhook.h" + std::to_string(i) + "]\nurl = 'http://x/'\nsecret_file = 's'\n";
  CHECK(mistakes_in(many).size() == 1);
}

} // namespace greenroom::config
