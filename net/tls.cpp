#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <string_view>

namespace greenroom::net {
namespace {

// TLS 1.2 with forward secrecy and authenticated encryption only; what TLS 1.3 offers is sound as it is.
constexpr auto tls12_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// RFC 7301 section 3.2: a client that names protocols but not ours is turned away; one that names none is welcome.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// Without it OpenSSL asks for the password of a key on the terminal and the server hangs.
int no_password(char*, int, int, void*) { return -1; }

failure refuse(const std::string& what) { return fail(errc::bad_request, what + ": " + tls_error()); }

} // namespace

void ssl_free::operator()(ssl_st* s) const noexcept { SSL_free(s); }
void ssl_free::operator()(ssl_ctx_st* c) const noexcept { SSL_CTX_free(c); }

std::string tls_error() {
  // OpenSSL lists a file that is not there twice: what open(2) said, and then that its own layer failed ("system lib").
  unsigned long told = 0;
  while (const auto code = ERR_get_error())
    if (told == 0 || !ERR_SYSTEM_ERROR(told))
      told = code;
  if (told == 0)
    return "unknown error";
  if (ERR_SYSTEM_ERROR(told))
    return std::strerror(ERR_GET_REASON(told));
  const char* reason = ERR_reason_error_string(told);
  return reason != nullptr ? reason : "error " + std::to_string(told);
}

outcome<std::shared_ptr<const tls_context>> tls_context::load(const tls_files& files) {
  ERR_clear_error();
  if (files.min_version != "1.2" && files.min_version != "1.3")
    return fail(errc::bad_request, "tls.min_version: must be 1.2 or 1.3, not " + files.min_version);
  std::unique_ptr<SSL_CTX, ssl_free> c{SSL_CTX_new(TLS_server_method())};
  if (!c)
    return refuse("tls");
  SSL_CTX_set_min_proto_version(c.get(), files.min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(c.get(), tls12_ciphers);
  SSL_CTX_set_options(c.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(c.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Tickets let a client resume without the server remembering it; the cache would only hold memory.
  SSL_CTX_set_session_cache_mode(c.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c.get(), 1);
  SSL_CTX_set_alpn_select_cb(c.get(), choose_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(c.get(), no_password);
  if (SSL_CTX_use_certificate_chain_file(c.get(), files.certificate.c_str()) != 1)
    return refuse("tls.certificate " + files.certificate);
  if (SSL_CTX_use_PrivateKey_file(c.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse("tls.key " + files.key);
  if (SSL_CTX_check_private_key(c.get()) != 1)
    return refuse("tls.key " + files.key + " does not belong to tls.certificate " + files.certificate);
  return std::shared_ptr<const tls_context>{new tls_context{std::move(c)}};
}

ssl_ptr tls_context::accept_on(int descriptor) const {
  ssl_ptr s{SSL_new(context_.get())};
  if (!s || SSL_set_fd(s.get(), descriptor) != 1)
    return nullptr;
  SSL_set_accept_state(s.get());
  return s;
}

} // namespace greenroom::net
