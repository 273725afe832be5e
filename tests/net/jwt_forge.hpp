// jwt_forge: makes tokens with OpenSSL alone, right and wrong ones, so that the tests do not trust the library that
// they test. Also a directory that goes with its test.
#pragma once

#include "config/settings.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include <stdlib.h>

namespace forge {

struct directory {
  std::filesystem::path path;
  directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "greenroom-jwt-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~directory() { std::filesystem::remove_all(path); }
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  std::string write(const std::string& name, std::string_view content) const {
    auto file = (path / name).string();
    std::ofstream(file, std::ios::binary) << content;
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    return file;
  }
};

inline std::string base64url(std::string_view bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t window = 0;
  int bits = 0;
  for (unsigned char c : bytes) {
    window = window << 8 | c;
    for (bits += 8; bits >= 6; bits -= 6)
      out += alphabet[window >> (bits - 6) & 63];
  }
  if (bits > 0)
    out += alphabet[window << (6 - bits) & 63];
  return out;
}

inline std::string signed_part(std::string_view header, std::string_view payload) {
  return base64url(header) + "." + base64url(payload);
}

inline std::string hs256(std::string_view header, std::string_view payload, std::string_view key) {
  auto text = signed_part(header, payload);
  unsigned char mac[32];
  unsigned size = sizeof mac;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac, &size);
  return text + "." + base64url({reinterpret_cast<const char*>(mac), size});
}

inline std::string jwk_set(std::initializer_list<std::string> keys) {
  std::string out;
  for (const auto& key : keys)
    out += (out.empty() ? "" : ",") + key;
  return R"({"keys":[)" + out + "]}";
}

class key_pair {
public:
  static key_pair rsa(unsigned bits) { return key_pair(EVP_RSA_gen(bits)); }
  static key_pair ec(const char* curve) { return key_pair(EVP_EC_gen(curve)); }

  std::string public_pem() const {
    std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    REQUIRE(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
    char* data = nullptr;
    auto size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<size_t>(size)};
  }

  /// A JWK. `more`: further members, each with a comma behind it.
  std::string jwk(const std::string& more = {}) const {
    if (EVP_PKEY_is_a(key_.get(), "RSA") == 1)
      return "{" + more + R"("kty":"RSA","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
             number(OSSL_PKEY_PARAM_RSA_E) + "\"}";
    return "{" + more + R"("kty":"EC","crv":"P-256","x":")" + number(OSSL_PKEY_PARAM_EC_PUB_X, 32) + R"(","y":")" +
           number(OSSL_PKEY_PARAM_EC_PUB_Y, 32) + "\"}";
  }

  /// RS256 or ES256, as the key is.
  std::string sign(std::string_view header, std::string_view payload) const {
    auto text = signed_part(header, payload);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> ctx(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    REQUIRE(EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
    std::string signature(1024, '\0');
    size_t size = signature.size();
    REQUIRE(EVP_DigestSign(ctx.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                           reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1);
    signature.resize(size);
    return text + "." + base64url(EVP_PKEY_is_a(key_.get(), "EC") == 1 ? two_numbers(signature) : signature);
  }

private:
  explicit key_pair(EVP_PKEY* key) : key_(key, &EVP_PKEY_free) { REQUIRE(key_); }

  std::string number(const char* name, int bytes = 0) const {
    BIGNUM* n = nullptr;
    REQUIRE(EVP_PKEY_get_bn_param(key_.get(), name, &n) == 1);
    std::string raw(static_cast<size_t>(std::max(bytes, BN_num_bytes(n))), '\0');
    BN_bn2binpad(n, reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(raw.size()));
    BN_free(n);
    return base64url(raw);
  }

  // RFC 7518 section 3.4: r and s as 32 bytes each, where OpenSSL gives DER.
  static std::string two_numbers(const std::string& der) {
    auto* data = reinterpret_cast<const unsigned char*>(der.data());
    std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> sig(
        d2i_ECDSA_SIG(nullptr, &data, static_cast<long>(der.size())), &ECDSA_SIG_free);
    REQUIRE(sig);
    std::string raw(64, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), out + 32, 32);
    return raw;
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

} // namespace forge
