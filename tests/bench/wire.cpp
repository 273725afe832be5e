#include "wire.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>
#include <cstring>
#include <ctime>
#include <stdexcept>

namespace greenroom::bench {

namespace {

void append_header(std::string& out, opcode op, size_t length, bool masked) {
  const char mask_bit = masked ? '\x80' : '\0';
  out.push_back(static_cast<char>(0x80 | static_cast<uint8_t>(op)));
  if (length < 126) {
    out.push_back(static_cast<char>(mask_bit | static_cast<char>(length)));
    return;
  }
  const bool wide = length > 0xffff;
  out.push_back(static_cast<char>(mask_bit | (wide ? 127 : 126)));
  for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(static_cast<uint64_t>(length) >> shift));
}

std::string base64url(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  while (!text.empty() && text.back() == '=')
    text.pop_back();
  for (char& c : text)
    c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

uint32_t next_mask() {
  static uint32_t x = 0x9e3779b9;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return x;
}

} // namespace

std::optional<frame_header> parse_header(std::string_view bytes) {
  if (bytes.size() < 2)
    return std::nullopt;
  auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (at(0) & 0x70)
    throw std::runtime_error("a frame with reserved bits");
  frame_header h;
  h.fin = at(0) & 0x80;
  h.op = static_cast<opcode>(at(0) & 0x0f);
  h.masked = at(1) & 0x80;
  h.length = at(1) & 0x7f;
  const size_t extra = h.length == 126 ? 2 : h.length == 127 ? 8 : 0;
  h.size = 2 + extra + (h.masked ? 4 : 0);
  if (bytes.size() < h.size)
    return std::nullopt;
  if (extra > 0) {
    h.length = 0;
    for (size_t i = 0; i < extra; ++i)
      h.length = h.length << 8 | at(2 + i);
  }
  if (h.masked)
    std::memcpy(h.mask.data(), bytes.data() + 2 + extra, 4);
  return h;
}

void apply_mask(char* data, size_t size, const std::array<uint8_t, 4>& mask) {
  for (size_t i = 0; i < size; ++i)
    data[i] = static_cast<char>(data[i] ^ mask[i & 3]);
}

void append_client_frame(std::string& out, opcode op, std::string_view payload) {
  append_header(out, op, payload.size(), true);
  std::array<uint8_t, 4> mask;
  const uint32_t key = next_mask();
  std::memcpy(mask.data(), &key, 4);
  out.append(reinterpret_cast<const char*>(mask.data()), 4);
  const size_t begin = out.size();
  out.append(payload);
  apply_mask(out.data() + begin, payload.size(), mask);
}

void append_server_frame(std::string& out, opcode op, std::string_view payload) {
  append_header(out, op, payload.size(), false);
  out.append(payload);
}

std::string make_token(std::string_view secret, std::string_view user) {
  const auto now = static_cast<long long>(std::time(nullptr));
  const std::string name{user};
  const std::string claims = R"({"sub":")" + name + R"(","sid":"s_bench-)" + name + R"(","iss":"greenroom","iat":)" +
                             std::to_string(now) + R"(,"exp":)" + std::to_string(now + 86'400) + "}";
  std::string token = base64url(R"({"alg":"HS256","typ":"JWT"})") + "." + base64url(claims);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
            reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest, &size))
    throw std::runtime_error("HMAC failed");
  return token + "." + base64url({reinterpret_cast<const char*>(digest), size});
}

std::optional<uint64_t> number_in(std::string_view frame, std::string_view quoted) {
  const size_t at = frame.find(quoted);
  if (at == std::string_view::npos)
    return std::nullopt;
  uint64_t value = 0;
  const char* begin = frame.data() + at + quoted.size();
  if (std::from_chars(begin, frame.data() + frame.size(), value).ec != std::errc{})
    return std::nullopt;
  return value;
}

std::string_view text_in(std::string_view frame, std::string_view quoted) {
  const size_t at = frame.find(quoted);
  if (at == std::string_view::npos)
    return {};
  const std::string_view rest = frame.substr(at + quoted.size());
  return rest.substr(0, rest.find('"'));
}

} // namespace greenroom::bench
