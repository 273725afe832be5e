#include "net/cli/certificates.hpp"

#include "net/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace greenroom::cli {
namespace {

struct release {
  void operator()(BIO* x) const noexcept { BIO_free(x); }
  void operator()(EVP_PKEY* x) const noexcept { EVP_PKEY_free(x); }
  void operator()(X509* x) const noexcept { X509_free(x); }
  void operator()(X509_EXTENSION* x) const noexcept { X509_EXTENSION_free(x); }
  void operator()(BIGNUM* x) const noexcept { BN_free(x); }
};
template <class T>
using owned = std::unique_ptr<T, release>;

std::string text_of(BIO* from) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(from, &data);
  return {data, static_cast<size_t>(size)};
}

owned<BIO> reader_of(const std::string& text) {
  return owned<BIO>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

failure broken(const char* what) { return fail(errc::internal, std::string(what) + ": " + net::tls_error()); }

outcome<certified> written(X509* certificate, EVP_PKEY* key) {
  const owned<BIO> c{BIO_new(BIO_s_mem())};
  const owned<BIO> k{BIO_new(BIO_s_mem())};
  if (!c || !k || PEM_write_bio_X509(c.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(k.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return broken("the certificate can't be written");
  return certified{text_of(c.get()), text_of(k.get())};
}

bool add(X509* to, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const owned<X509_EXTENSION> made{X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str())};
  return made && X509_add_ext(to, made.get(), -1) == 1;
}

/// All of it but names and extensions.
owned<X509> blank(EVP_PKEY* key, const lifetime& alive) {
  owned<X509> x{X509_new()};
  const owned<BIGNUM> serial{BN_new()};
  // RFC 5280 section 4.1.2.2: positive, at most 20 bytes; random, so that nobody has to count.
  if (!x || !serial || BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      !BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x.get())) || X509_set_version(x.get(), 2) != 1 ||
      !X509_gmtime_adj(X509_getm_notBefore(x.get()), alive.from_s) ||
      !X509_gmtime_adj(X509_getm_notAfter(x.get()), alive.until_s) || X509_set_pubkey(x.get(), key) != 1)
    return nullptr;
  return x;
}

bool call(X509_NAME* what, const std::string& name) {
  return X509_NAME_add_entry_by_txt(what, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

} // namespace

outcome<certified> make_authority(const lifetime& alive) {
  ERR_clear_error();
  const owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
  const auto x = key ? blank(key.get(), alive) : nullptr;
  // Two of them should not look alike to whoever reads an error.
  unsigned char mark[4] = {};
  if (!x || RAND_bytes(mark, sizeof mark) != 1)
    return broken("the CA can't be made");
  std::string name = "Greenroom cluster CA ";
  for (const auto byte : mark)
    for (const auto half : {byte >> 4, byte & 15})
      name += "0123456789abcdef"[half];
  auto* subject = X509_get_subject_name(x.get());
  if (!call(subject, name) || X509_set_issuer_name(x.get(), subject) != 1 ||
      !add(x.get(), x.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add(x.get(), x.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add(x.get(), x.get(), NID_subject_key_identifier, "hash") || X509_sign(x.get(), key.get(), EVP_sha256()) == 0)
    return broken("the CA can't be made");
  return written(x.get(), key.get());
}

outcome<certified> issue(const certified& authority, const std::string& node, const lifetime& alive) {
  ERR_clear_error();
  const owned<X509> ca{PEM_read_bio_X509(reader_of(authority.certificate).get(), nullptr, nullptr, nullptr)};
  if (!ca)
    return fail(errc::bad_request, "the CA's certificate can't be read: " + net::tls_error());
  // An empty password, or OpenSSL asks for one on the terminal.
  const owned<EVP_PKEY> ca_key{
      PEM_read_bio_PrivateKey(reader_of(authority.key).get(), nullptr, nullptr, const_cast<char*>(""))};
  if (!ca_key)
    return fail(errc::bad_request, "the CA's key can't be read: " + net::tls_error());
  if (X509_check_private_key(ca.get(), ca_key.get()) != 1) {
    ERR_clear_error();
    return fail(errc::bad_request, "the CA's key is not the one of its certificate");
  }
  auto end = static_cast<std::time_t>(std::time(nullptr) + alive.until_s);
  if (X509_cmp_time(X509_get0_notAfter(ca.get()), &end) < 0)
    return fail(errc::bad_request, "the CA ends before, on " + end_of(authority.certificate));
  const owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
  const auto x = key ? blank(key.get(), alive) : nullptr;
  if (!x || !call(X509_get_subject_name(x.get()), node) ||
      X509_set_issuer_name(x.get(), X509_get_subject_name(ca.get())) != 1 ||
      !add(x.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add(x.get(), ca.get(), NID_key_usage, "critical,digitalSignature") ||
      !add(x.get(), ca.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add(x.get(), ca.get(), NID_subject_alt_name, "DNS:" + node) ||
      !add(x.get(), ca.get(), NID_subject_key_identifier, "hash") ||
      !add(x.get(), ca.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(x.get(), ca_key.get(), EVP_sha256()) == 0)
    return broken("the certificate can't be made");
  return written(x.get(), key.get());
}

std::string end_of(const std::string& certificate) {
  const owned<X509> x{PEM_read_bio_X509(reader_of(certificate).get(), nullptr, nullptr, nullptr)};
  const owned<BIO> out{BIO_new(BIO_s_mem())};
  if (!x || !out || ASN1_TIME_print_ex(out.get(), X509_get0_notAfter(x.get()), ASN1_DTFLGS_ISO8601) != 1) {
    ERR_clear_error();
    return {};
  }
  return text_of(out.get());
}

} // namespace greenroom::cli
