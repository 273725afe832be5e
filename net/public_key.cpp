#include "net/public_key.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <array>
#include <string>

namespace greenroom::net {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* x) const noexcept {
    Free(x);
  }
};
using key_ptr = std::shared_ptr<EVP_PKEY>;
using number_ptr = std::unique_ptr<BIGNUM, freed_by<BN_free>>;
using context_ptr = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;

failure wrong(std::string why) {
  ERR_clear_error(); // whoever asks this thread for OpenSSL's errors next must not find ours
  return fail(errc::bad_request, std::move(why));
}

number_ptr number_of(std::string_view bytes) {
  return number_ptr(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

/// Null: these are no key.
key_ptr key_of(const char* type, OSSL_PARAM_BLD* parts) {
  std::unique_ptr<OSSL_PARAM, freed_by<OSSL_PARAM_free>> params(OSSL_PARAM_BLD_to_param(parts));
  context_ptr maker(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!params || !maker || EVP_PKEY_fromdata_init(maker.get()) != 1 ||
      EVP_PKEY_fromdata(maker.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return {made, &EVP_PKEY_free};
}

/// The form that OpenSSL reads; empty where there is no such number.
std::string der_of(std::string_view two_numbers) {
  std::unique_ptr<ECDSA_SIG, freed_by<ECDSA_SIG_free>> both(ECDSA_SIG_new());
  auto r = number_of(two_numbers.substr(0, public_key::p256_bytes));
  auto s = number_of(two_numbers.substr(public_key::p256_bytes));
  if (!both || !r || !s || ECDSA_SIG_set0(both.get(), r.get(), s.get()) != 1)
    return {};
  r.release(); // `both` has them now
  s.release();
  unsigned char* bytes = nullptr;
  const int size = i2d_ECDSA_SIG(both.get(), &bytes);
  if (size <= 0)
    return {};
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

} // namespace

public_key::public_key(std::shared_ptr<evp_pkey_st> key, token_algorithm algorithm)
    : key_(std::move(key)), algorithm_(algorithm) {}

outcome<public_key> public_key::of_pem(std::string_view text, token_algorithm algorithm) {
  std::unique_ptr<BIO, freed_by<BIO_free>> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  key_ptr key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr, &EVP_PKEY_free);
  if (!key)
    return wrong("holds no public key in PEM form (BEGIN PUBLIC KEY)");
  return checked(std::move(key), algorithm);
}

outcome<public_key> public_key::of_rsa(std::string_view modulus, std::string_view exponent) {
  // Looked at before anything is computed with them.
  if (modulus.size() > rsa_bits_max / 8 + 1 || exponent.size() > sizeof(uint64_t))
    return wrong("the numbers of the RSA key are too long");
  const auto n = number_of(modulus);
  const auto e = number_of(exponent);
  std::unique_ptr<OSSL_PARAM_BLD, freed_by<OSSL_PARAM_BLD_free>> parts(OSSL_PARAM_BLD_new());
  if (!n || !e || !parts || OSSL_PARAM_BLD_push_BN(parts.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(parts.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return wrong("no memory for a key");
  // With an exponent of 1 every text would be its own signature.
  if (BN_is_odd(e.get()) != 1 || BN_is_one(e.get()) == 1 || BN_is_odd(n.get()) != 1)
    return wrong("the numbers are no RSA key");
  auto key = key_of("RSA", parts.get());
  if (!key)
    return wrong("the numbers are no RSA key");
  return checked(std::move(key), token_algorithm::rs256);
}

outcome<public_key> public_key::of_p256(std::string_view x, std::string_view y) {
  if (x.size() != p256_bytes || y.size() != p256_bytes)
    return wrong("a coordinate on P-256 has 32 bytes");
  const auto point = std::string("\x04").append(x).append(y); // uncompressed (SEC 1 section 2.3.3)
  std::unique_ptr<OSSL_PARAM_BLD, freed_by<OSSL_PARAM_BLD_free>> parts(OSSL_PARAM_BLD_new());
  if (!parts || OSSL_PARAM_BLD_push_utf8_string(parts.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(parts.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return wrong("no memory for a key");
  auto key = key_of("EC", parts.get());
  if (!key)
    return wrong("the numbers are no point on P-256");
  return checked(std::move(key), token_algorithm::es256);
}

outcome<public_key> public_key::checked(std::shared_ptr<evp_pkey_st> key, token_algorithm algorithm) {
  if (algorithm == token_algorithm::rs256) {
    if (EVP_PKEY_is_a(key.get(), "RSA") != 1)
      return wrong("RS256 needs an RSA key");
    if (EVP_PKEY_get_bits(key.get()) < rsa_bits_min)
      return wrong("RS256 needs an RSA key of at least 2048 bits");
    if (EVP_PKEY_get_bits(key.get()) > rsa_bits_max)
      return wrong("an RSA key of more than 8192 bits is too expensive");
  } else {
    std::array<char, 64> group{};
    if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
        EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), nullptr) != 1 ||
        std::string_view(group.data()) != "prime256v1")
      return wrong("ES256 needs an EC key on the curve P-256");
    context_ptr checker(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    if (!checker || EVP_PKEY_public_check_quick(checker.get()) != 1)
      return wrong("the numbers are no point on P-256");
  }
  return public_key(std::move(key), algorithm);
}

bool public_key::has_signed(std::string_view text, std::string_view signature) const {
  std::string der;
  if (algorithm_ == token_algorithm::es256) {
    if (signature.size() != 2 * p256_bytes)
      return false;
    der = der_of(signature);
    signature = der;
  }
  std::unique_ptr<EVP_MD_CTX, freed_by<EVP_MD_CTX_free>> check(EVP_MD_CTX_new());
  const bool good =
      check && EVP_DigestVerifyInit(check.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(check.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  ERR_clear_error();
  return good;
}

} // namespace greenroom::net
