#include "net/front/credentials.hpp"

#include "net/tls.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

namespace greenroom::net::front {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr size_t printable_bytes_max = 200;

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> out;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const auto* one = sk_GENERAL_NAME_value(all, i);
    if (one->type != GEN_DNS)
      continue;
    const auto* text = one->d.dNSName;
    // With its length: a zero byte in the middle is no end.
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(all);
  return out;
}

/// What others would say of our own certificate; empty: nothing.
std::string objection_to(SSL_CTX* context, X509* own, int purpose) {
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get_extra_chain_certs(context, &chain);
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> look{X509_STORE_CTX_new(), X509_STORE_CTX_free};
  if (!look || X509_STORE_CTX_init(look.get(), SSL_CTX_get_cert_store(context), own, chain) != 1)
    return tls_error();
  X509_STORE_CTX_set_purpose(look.get(), purpose);
  if (X509_verify_cert(look.get()) == 1)
    return {};
  ERR_clear_error();
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(look.get()));
}

std::string text_of(const ASN1_TIME* time) {
  std::unique_ptr<BIO, decltype(&BIO_free)> out{BIO_new(BIO_s_mem()), BIO_free};
  char* text = nullptr;
  if (!out || ASN1_TIME_print_ex(out.get(), time, ASN1_DTFLGS_ISO8601) != 1)
    return "unknown";
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

refusal kind_of(int error) {
  switch (error) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return refusal::expired;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    return refusal::unknown_ca;
  case X509_V_ERR_HOSTNAME_MISMATCH:
    return refusal::wrong_name;
  default:
    return refusal::bad_certificate;
  }
}

} // namespace

credentials::credentials() : context_(asio::ssl::context::tls) {}

outcome<std::shared_ptr<const credentials>> credentials::load(const credential_files& files, const std::string& node) {
  const auto refuse = [](const char* key, const std::string& file, const std::string& why) {
    ERR_clear_error();
    return fail(errc::bad_request, std::string(key) + " " + file + ": " + why);
  };
  ERR_clear_error();
  std::shared_ptr<credentials> out{new credentials};
  auto* c = out->context_.native_handle();
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN); // what leads to the issuer is in the file, the CA is known to all
  out->context_.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  // Else OpenSSL asks for the password of a key on the terminal.
  SSL_CTX_set_default_passwd_cb(c, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_load_verify_locations(c, files.ca.c_str(), nullptr) != 1)
    return refuse("cluster.tls_ca_file", files.ca, tls_error());
  if (SSL_CTX_use_certificate_chain_file(c, files.certificate.c_str()) != 1)
    return refuse("cluster.tls_certificate_file", files.certificate, tls_error());
  if (SSL_CTX_use_PrivateKey_file(c, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse("cluster.tls_key_file", files.key, tls_error());
  if (SSL_CTX_check_private_key(c) != 1)
    return refuse("cluster.tls_key_file", files.key,
                  "is not the key of cluster.tls_certificate_file " + files.certificate);
  auto* own = SSL_CTX_get0_certificate(c);
  const auto names = names_of(own);
  if (names != std::vector<std::string>{node})
    return refuse("cluster.tls_certificate_file", files.certificate,
                  "is for " + (names.empty() ? std::string("no DNS name") : list_of(names)) +
                      ", but the name of this node is " + node);
  // Known now rather than from the refusals of all the others.
  for (const int purpose : {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT})
    if (const auto why = objection_to(c, own, purpose); !why.empty())
      return refuse("cluster.tls_certificate_file", files.certificate,
                    "the other nodes would not believe it, by cluster.tls_ca_file " + files.ca + ": " + why);
  out->not_after_ = text_of(X509_get0_notAfter(own));
  return std::shared_ptr<const credentials>{std::move(out)};
}

bool inspect(inspection& into, bool good, asio::ssl::verify_context& at) {
  auto* look = at.native_handle();
  if (good && X509_STORE_CTX_get_error_depth(look) > 0)
    return true;
  if (const auto* shown = X509_STORE_CTX_get0_cert(look))
    into.names = names_of(shown);
  if (good && !into.expected.empty() && into.names != std::vector<std::string>{into.expected}) {
    X509_STORE_CTX_set_error(look, X509_V_ERR_HOSTNAME_MISMATCH);
    good = false;
  }
  if (!good)
    into.error = X509_STORE_CTX_get_error(look);
  return good;
}

trouble why_failed(const error_code& what, const inspection& seen) {
  if (seen.error != 0) {
    const auto kind = kind_of(seen.error);
    const auto whose = seen.names.empty() ? std::string("without a DNS name") : "of " + list_of(seen.names);
    if (kind == refusal::wrong_name)
      return {kind, "the certificate shown is one " + whose + ", not of " + seen.expected};
    return {kind, "a certificate " + whose + (kind == refusal::unknown_ca ? ", not from our CA: " : ": ") +
                      X509_verify_cert_error_string(seen.error)};
  }
  if (what.category() != asio::error::get_ssl_category())
    return {refusal::gone, what == asio::ssl::error::stream_truncated || what == asio::error::eof
                               ? std::string("the other side broke off the handshake")
                               : what.message()};
  const auto reason = ERR_GET_REASON(static_cast<unsigned long>(what.value()));
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return {refusal::no_certificate, "no certificate was shown"};
  // An alert, RFC 8446 section 6.2.
  if (reason >= SSL_AD_REASON_OFFSET)
    return {refusal::refused_there, "the other side does not accept our certificate or our TLS: " + what.message()};
  return {refusal::not_tls, "no TLS that is spoken here: " + what.message()};
}

std::vector<std::string> names_shown(SSL* on) {
  const auto* shown = SSL_get0_peer_certificate(on);
  return shown ? names_of(shown) : std::vector<std::string>{};
}

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& n : names)
    out += (out.empty() ? "" : ", ") + n;
  return printable(std::move(out));
}

std::string printable(std::string text) {
  if (text.size() > printable_bytes_max)
    text.resize(printable_bytes_max);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e || c == '"'; }, '?');
  return text;
}

} // namespace greenroom::net::front
