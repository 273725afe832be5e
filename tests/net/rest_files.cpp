// Attachments through REST: what is asked of the node, chunk by chunk, and what is answered, without sockets.
#include "tests/net/rest_fixture.hpp"

#include <memory>

using namespace greenroom;

namespace {

const std::string id(storage::file_id_bytes, 'f');
const std::string place = "/api/v1/rooms/hall/attachments/" + id;

class some_body : public net::http_body {
public:
  explicit some_body(std::string bytes) : rest_(std::move(bytes)) {}
  uint64_t left() const override { return rest_.size(); }
  void take(size_t bytes, std::function<void(std::optional<std::string>)> then) override {
    auto piece = rest_.substr(0, bytes);
    rest_.erase(0, bytes);
    then(std::move(piece));
  }

private:
  std::string rest_;
};

ok::file a_file(uint64_t size, uint64_t received) {
  ok::file x{room_id::trusted("hall"), id, {}, nullptr};
  auto& f = x.what.edit();
  f.owner = user_id::trusted("alice");
  f.name = "caf\xc3\xa9.png";
  f.type = "image/png";
  f.size = size;
  f.received = received;
  f.chunk_bytes = 64;
  f.sha256 = std::string(32, '\xab');
  f.at = received == size ? storage::file_record::stage::complete : storage::file_record::stage::uploading;
  return x;
}

struct files_fixture : rest_fixture {
  net::http_request patch(std::string body, const std::string& offset) {
    auto r = request("PATCH", place);
    r.headers["upload-offset"] = offset;
    r.stream = std::make_shared<some_body>(std::move(body));
    return r;
  }
  /// Lets nothing be answered before answer() says it.
  void start(net::http_request r) {
    hold = true;
    api->handle(home, std::move(r), [this](net::http_response x) { answers.push_back(std::move(x)); });
  }
  void answer_next(answer a) {
    REQUIRE_FALSE(held.empty());
    auto next = std::move(held.front());
    held.erase(held.begin());
    next(std::move(a));
  }
  std::vector<net::http_response> answers;
};

} // namespace

TEST_CASE_METHOD(files_fixture, "a body is stored chunk by chunk, each after the one before", "[rest][files]") {
  CHECK(api->streams("PATCH", place));
  CHECK_FALSE(api->streams("PATCH", "/api/v1/rooms/hall/messages/1"));
  CHECK_FALSE(api->streams("POST", "/api/v1/rooms/hall/attachments"));
  CHECK(api->streams("POST", "/api/v1/rooms/hall/attachments?name=x"));
  CHECK(api->streams("POST", "/api/v1/rooms/hall/attachments?sha256=x&name=x"));

  start(patch(std::string(64, 'a') + std::string(36, 'b'), "0"));
  CHECK_FALSE(last_op<op::fetch>().chunk);
  answer_next(ok::any{a_file(100, 0)});
  CHECK(last_op<op::store>().offset == 0);
  CHECK(*last_op<op::store>().bytes == std::string(64, 'a'));
  CHECK(times_asked == 2); // the next one waits until this one is stored
  answer_next(ok::any{a_file(100, 64)});
  CHECK(last_op<op::store>().offset == 64);
  CHECK(*last_op<op::store>().bytes == std::string(36, 'b'));
  CHECK(answers.empty());
  answer_next(ok::any{a_file(100, 100)});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].status == 200);
  CHECK(header(answers[0], "Upload-Offset") == "100");
}

TEST_CASE_METHOD(files_fixture, "what is no whole chunk, or out of place, is not stored", "[rest][files]") {
  SECTION("half a chunk") {
    start(patch(std::string(70, 'a'), "0"));
    answer_next(ok::any{a_file(1'000, 0)});
    answer_next(ok::any{a_file(1'000, 64)});
    CHECK(times_asked == 2);
    CHECK(header(answers.at(0), "Upload-Offset") == "64");
  }
  SECTION("another offset") {
    start(patch("x", "1"));
    answer_next(ok::any{a_file(100, 64)});
    check_error(answers.at(0), 409, errc::conflict, "upload-offset: the upload stands at 64");
    CHECK(header(answers[0], "Upload-Offset") == "64");
  }
  SECTION("more than is missing") {
    start(patch(std::string(101, 'a'), "0"));
    answer_next(ok::any{a_file(100, 0)});
    check_error(answers.at(0), 413, errc::too_large, "body:");
  }
  SECTION("no offset, no id") {
    check_error(call(patch("x", "")), 400, errc::bad_request, "upload-offset:");
    auto r = patch("x", "0");
    r.path = "/api/v1/rooms/hall/attachments/cat.png";
    check_error(call(r), 404, errc::not_found, "attachment:");
    CHECK(times_asked == 0);
  }
  SECTION("refused by the node in the middle") {
    start(patch(std::string(100, 'a'), "0"));
    answer_next(ok::any{a_file(100, 0)});
    answer_next(fail(errc::unavailable, "not now"));
    check_error(answers.at(0), 503, errc::unavailable, "not now");
  }
}

TEST_CASE_METHOD(files_fixture, "no more transfers are under way than may", "[rest][files]") {
  for (uint32_t i = 0; i < config.attachments.transfers; ++i)
    start(patch("x", "0"));
  check_error(call(patch("x", "0")), 503, errc::unavailable, "attachments.transfers:");
  answer_next(fail(errc::not_found, "gone"));
  start(patch("x", "0"));
  CHECK(answers.size() == 1); // there was a place again
}

TEST_CASE_METHOD(files_fixture, "content is made chunk by chunk, and only what was asked for", "[rest][files]") {
  reply = ok::any{a_file(200, 200)};
  auto r = request("GET", place);
  SECTION("all of it") {}
  SECTION("a range") { r.headers["range"] = "bytes=60-130"; }
  const bool part = r.headers.contains("range");
  auto got = call(r);
  CHECK(got.status == (part ? 206 : 200));
  CHECK(got.length == uint64_t{part ? 71u : 200u});
  CHECK(got.content_type == "image/png");
  CHECK(header(got, "Content-Disposition") == "attachment; filename*=UTF-8''caf%C3%A9.png");
  CHECK(header(got, "Cache-Control") == "private, no-cache");
  CHECK(header(got, "ETag").size() == 66);
  std::vector<uint64_t> chunks;
  size_t bytes = 0;
  while (bytes < *got.length) {
    auto whole = a_file(200, 200);
    whole.bytes = std::make_shared<const std::string>(std::string(64, 'c'));
    reply = ok::any{whole};
    got.source->next([&](const net::http_piece& piece) {
      REQUIRE_FALSE(piece.broken);
      bytes += piece.bytes.size();
    });
    chunks.push_back(*last_op<op::fetch>().chunk);
  }
  CHECK(bytes == got.length);
  CHECK(chunks == (part ? std::vector<uint64_t>{0, 1, 2} : std::vector<uint64_t>{0, 1, 2, 3}));
  reply = fail(errc::banned, "room: you are banned");
  auto again = call(request("GET", place));
  CHECK(again.status == 403);
}
