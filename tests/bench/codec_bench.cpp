// codec_bench: what frames and tokens cost by themselves, on one thread: CPU microseconds per call, one line of JSON
// for each of
//
// - decode: a `send` of 64 bytes of text; the dearest frame of 64 KiB, an array of numbers in a field that nobody knows
//
// - encode: an event, and the answer to a `send`, as finished WebSocket frames
//
// - verify: a token, by algorithm
//
// Usage: codec_bench (it writes its keys into a temporary directory, which goes with it)
#include "net/codec.hpp"
#include "net/jwt.hpp"

#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

using namespace greenroom;
using namespace greenroom::net;

namespace {

constexpr double measured_us = 500'000; // CPU time, after a tenth of it to warm up

double cpu_us() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// Calls `f` until the time is over and prints what one call costs.
template <class F>
void measure(const char* what, const char* of, F f) {
  const auto run = [&](double for_us) {
    const auto begin = cpu_us();
    double calls = 0;
    double spent = 0;
    for (; spent < for_us; spent = cpu_us() - begin)
      for (int i = 0; i < 16; ++i, ++calls)
        f();
    return spent / calls;
  };
  run(measured_us / 10);
  const auto us = run(measured_us);
  std::printf("{\"what\":\"%s\",\"of\":\"%s\",\"cpu_us\":%.2f}\n", what, of, us);
}

void require(bool good, const char* what) {
  if (!good)
    throw std::runtime_error(std::string("codec_bench: ") + what);
}

class directory {
public:
  directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "greenroom-codec-bench-XXXXXX").string();
    require(::mkdtemp(pattern.data()) != nullptr, "no temporary directory");
    path_ = pattern;
  }
  ~directory() { std::filesystem::remove_all(path_); }
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  std::string write(const std::string& name, const std::string& content) const {
    auto file = path_ / name;
    std::ofstream(file, std::ios::binary) << content;
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return file;
  }

private:
  std::filesystem::path path_;
};

std::string pem_of(EVP_PKEY* key, bool with_secret) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  require((with_secret ? PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr)
                       : PEM_write_bio_PUBKEY(out.get(), key)) == 1,
          "a key can't be written");
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string token_of(jwt_alg_t algorithm, const std::string& key) {
  jwt_t* raw = nullptr;
  require(jwt_new(&raw) == 0, "no token");
  const std::unique_ptr<jwt_t, decltype(&jwt_free)> token(raw, &jwt_free);
  require(jwt_add_grant(raw, "sub", "alice") == 0 && jwt_add_grant(raw, "iss", "greenroom") == 0 &&
              jwt_add_grant(raw, "sid", "0123456789abcdef") == 0 &&
              jwt_add_grant_int(raw, "exp", std::time(nullptr) + 3'600) == 0 &&
              jwt_set_alg(raw, algorithm, reinterpret_cast<const unsigned char*>(key.data()),
                          static_cast<int>(key.size())) == 0,
          "a token can't be made");
  const std::unique_ptr<char, decltype(&std::free)> text(jwt_encode_str(raw), &std::free);
  require(text != nullptr, "a token can't be signed");
  return text.get();
}

void verify(const char* name, const settings& config, const std::string& token) {
  const auto tokens = jwt_tokens::open(config).value();
  measure("verify", name, [&] { require(tokens->verify(token).has_value(), "a good token was refused"); });
}

void frames() {
  const limits bounds;
  const auto send =
      R"({"op":"send","id":1234,"room":"general","key":"client-1-1234","text":")" + std::string(64, 'x') + R"("})";
  measure("decode", "a send", [&] { require(decode(send, bounds).index() == 0, "a good frame was refused"); });
  std::string dearest = R"({"op":"ping","id":1,"x":[1)";
  while (dearest.size() + 4 <= bounds.frame_bytes)
    dearest += ",1";
  dearest += "]}";
  measure("decode", "the dearest frame of 64 KiB", [&] { decode(dearest, bounds); });

  const json_encoder encoder([&bounds] { return &bounds; });
  const auto room = room_id::trusted("general");
  storage::event e;
  e.seq = 1'234'567;
  e.ts = 1'700'000'000'000;
  e.from = user_id::trusted("alice");
  e.key = "client-1-1234";
  e.text = std::string(64, 'x');
  measure("encode", "an event", [&] { encoder.event(room, e); });
  const answer sent = ok::any{ok::sent{room, "abcdefghijkl", e.seq, e.ts, false, 1, 1}};
  measure("encode", "the answer to a send", [&] { encoder.answer(1'234, sent); });
}

void tokens() {
  const directory files;
  settings config;
  const std::string secret(64, 's');
  config.auth.secret_file = files.write("secret", secret);
  verify("HS256", config, token_of(JWT_ALG_HS256, secret));
  const auto outside = [&](const char* name, token_algorithm algorithm, jwt_alg_t kind, EVP_PKEY* made) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(made, &EVP_PKEY_free);
    require(key != nullptr, "no key");
    config.auth.algorithm = algorithm;
    config.auth.public_key_file = files.write(name, pem_of(made, false));
    verify(name, config, token_of(kind, pem_of(made, true)));
  };
  outside("RS256", token_algorithm::rs256, JWT_ALG_RS256, EVP_RSA_gen(2048));
  outside("ES256", token_algorithm::es256, JWT_ALG_ES256, EVP_EC_gen("P-256"));
}

} // namespace

int main() try {
  frames();
  tokens();
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return EXIT_FAILURE;
}
