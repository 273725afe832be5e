// The half of the user that knows passwords and sessions.
//
// Refresh tokens are spent by being used (RFC 9700 section 4.14.2): each gives the next one. A token that comes a
// second time was stolen, or its successor was; nobody can tell who of the two is the thief, so the session ends for
// both. Three things would spoil that if nothing was done about them:
//
// - The answer gets lost, and the client asks again with what it has. For auth.refresh_grace_s the token before the
// last
//   gets the same successor again, as long as that has not been used itself. The successor is stored nowhere: it is
//   made from the token that is shown and a salt that only the store has, so it can be made once more, also by another
//   node or after a restart. A thief who comes in that time holds what the owner holds, and the next to use it later
//   than the other ends the session.
// - An old token must be known for what it is, however old, without a list of them. So all secrets of a session
//   begin alike, with its family; what has the right family and no other right was good once.
// - Whoever knows no token must not be able to end a session. Its id is no secret (it is in each JWT); its family is.
#include "actors/house.hpp"
#include "actors/user.hpp"

#include <sodium.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace greenroom::user {
namespace {

constexpr std::string_view guest_prefix = "guest-";
constexpr size_t session_characters = 24; // 120 bits
constexpr size_t family_characters = 40;  // 200 bits; sessions of before rotation have a secret of just that
constexpr size_t turn_characters = 40;    // of the first token; those of others are hashes
constexpr size_t salt_characters = 40;
constexpr uint32_t minute_ms = 60'000;
constexpr int64_t day_ms = 86'400'000;
constexpr size_t password_bytes_max = 1'024; // longer ones cost us and help nobody

/// What is stored of a secret. Fast on purpose: it is random, not a word.
std::string digest_of(std::string_view secret) {
  std::string digest(crypto_generichash_BYTES, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(digest.data()), digest.size(),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), nullptr, 0);
  return digest;
}

bool fits(const std::string& digest, std::string_view secret) {
  const auto other = digest_of(secret);
  return digest.size() == other.size() && sodium_memcmp(digest.data(), other.data(), other.size()) == 0;
}

std::string_view family_of(std::string_view secret) { return secret.substr(0, family_characters); }

/// The secret that follows `secret`. To foresee it takes both; the store has no secret, and clients have no salt.
std::string successor_of(std::string_view secret, const std::string& salt) {
  std::array<unsigned char, 32> turn;
  crypto_generichash(turn.data(), turn.size(), reinterpret_cast<const unsigned char*>(secret.data()), secret.size(),
                     reinterpret_cast<const unsigned char*>(salt.data()), salt.size());
  std::array<char, 2 * turn.size() + 1> hex;
  sodium_bin2hex(hex.data(), hex.size(), turn.data(), turn.size());
  return std::string(family_of(secret)).append(hex.data());
}

} // namespace

bool user_actor::is_revoked(const std::string& session) const {
  if (is_erased())
    return true;
  auto i = sessions_.find(session);
  return i != sessions_.end() && (i->second.revoked || i->second.expires < house_.now_ms());
}

/// At most limits.logins_per_minute attempts, whoever makes them.
std::optional<failure> user_actor::throttled() {
  auto bound = house_.limits_now()->logins_per_minute;
  auto wait = logins_.take({bound, minute_ms, bound}, house_.steady_ms()); // a clock that goes back would lock out
  if (wait == 0)
    return std::nullopt;
  house_.metrics.logins_refused.add();
  return too_often("limits.logins_per_minute", bound, "logins per minute per user", wait);
}

bool user_actor::start_hash(const command_ptr& c, const std::function<void(uint64_t token)>& start) {
  // One count for the whole node: what is bounded is the memory and time of the one hashing thread.
  if (house_.hashes_waiting.fetch_add(1) >= house_.config.auth.hash_queue) {
    house_.hashes_waiting.fetch_sub(1);
    c->from.answer(failure{errc::unavailable, "auth.hash_queue: too many logins wait", 1'000});
    return false;
  }
  auto token = ++next_token_;
  hashing_.emplace_back(token, c);
  start(token);
  return true;
}

command_ptr user_actor::end_hash(uint64_t token) {
  auto i = std::find_if(hashing_.begin(), hashing_.end(), [token](const auto& h) { return h.first == token; });
  if (i == hashing_.end())
    return nullptr;
  house_.hashes_waiting.fetch_sub(1);
  auto c = std::move(i->second);
  hashing_.erase(i);
  return c;
}

// -- making accounts -------------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const account::register_user& x) {
  const auto& config = house_.config.auth;
  if (!config.registration) {
    c->from.refuse(errc::forbidden, "auth.registration is off");
  } else if (user_.str().starts_with(guest_prefix)) {
    c->from.refuse(errc::forbidden, "user: names that begin with guest- are for guests");
  } else if (x.password.size() < config.password_bytes_min) {
    c->from.refuse(errc::bad_request, "password: at least " + std::to_string(config.password_bytes_min) + " bytes");
  } else if (x.password.size() > password_bytes_max) {
    c->from.refuse(errc::too_large, "password: at most " + std::to_string(password_bytes_max) + " bytes");
  } else if (is_erased() || (account_ && !c->from.retried)) {
    c->from.refuse(errc::exists, "user: the name is taken");
  } else if (auto why = throttled()) {
    c->from.answer(*why);
  } else if (account_) { // by this very request, before a primary died, if the password is the same
    start_hash(c, [&](uint64_t token) {
      tell(house_.hasher, hasher::verify{x.password, account_->password, token, self()});
    });
  } else {
    start_hash(c, [&](uint64_t token) { tell(house_.hasher, hasher::hash{x.password, token, self()}); });
  }
}

void user_actor::receive(const hashed& x) {
  auto c = end_hash(x.token);
  if (!c)
    return;
  const auto& request = std::get<account::register_user>(c->what);
  if (x.text.empty()) {
    c->from.refuse(errc::unavailable, "no memory for the password's hash");
  } else if (phase_ != phase::serving || stale()) {
    c->from.refuse(errc::unavailable, "the store takes no writes at present");
  } else if (account_ || is_erased()) { // somebody was faster
    c->from.refuse(errc::exists, "user: the name is taken");
  } else {
    account_ = storage::account_record{x.text, house_.now_ms(), false, false};
    auto batch = std::make_shared<storage::batch>(user_.shard());
    batch->put(user_, *account_);
    open_session(c, request.device, std::move(batch));
  }
  go_on();
}

void user_actor::perform(const command_ptr& c, const account::guest& x) {
  if (!house_.config.auth.guests) {
    c->from.refuse(errc::forbidden, "auth.guests is off");
    return;
  }
  // The name was drawn for this request: if the account is there, it made it before a primary died.
  if (account_ && !(c->from.retried && account_->guest)) {
    c->from.refuse(errc::unavailable, "the name drawn for the guest is taken");
    return;
  }
  account_ = storage::account_record{{}, house_.now_ms(), true, false};
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, *account_);
  open_session(c, x.device, std::move(batch));
}

// -- logging in and out ----------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const account::log_in& x) {
  if (x.password.size() > password_bytes_max) {
    c->from.refuse(errc::too_large, "password: at most " + std::to_string(password_bytes_max) + " bytes");
    return;
  }
  if (auto why = throttled()) {
    c->from.answer(*why);
    return;
  }
  start_hash(c, [&](uint64_t token) {
    tell(house_.hasher, hasher::verify{x.password, account_ ? account_->password : std::string{}, token, self()});
  });
}

void user_actor::receive(const verified& x) {
  auto c = end_hash(x.token);
  if (!c)
    return;
  if (const auto* e = std::get_if<erase>(&c->what)) {
    if (phase_ != phase::serving || stale())
      c->from.refuse(errc::unavailable, "the store takes no writes at present");
    else if (!x.match)
      c->from.refuse(errc::forbidden, "password: wrong");
    else
      begin_erasure(c, e->what);
    go_on();
    return;
  }
  const auto* registers = std::get_if<account::register_user>(&c->what);
  if (!x.match && registers) {
    c->from.refuse(errc::exists, "user: the name is taken");
  } else if (!x.match) {
    house_.metrics.logins_refused.add();
    c->from.refuse(errc::unauthenticated, "user or password is wrong");
  } else if (phase_ != phase::serving || stale()) {
    c->from.refuse(errc::unavailable, "the store takes no writes at present");
  } else if (is_erased()) {
    c->from.refuse(errc::unauthenticated, "user or password is wrong");
  } else {
    logins_.fill(); // who knows the password is no attacker
    const auto& device = registers ? registers->device : std::get<account::log_in>(c->what).device;
    open_session(c, device, std::make_shared<storage::batch>(user_.shard()));
  }
  go_on();
}

/// Adds a session to the batch, commits it and answers with what a token is made from.
void user_actor::open_session(const command_ptr& c, const std::string& device, std::shared_ptr<storage::batch> batch) {
  auto now = house_.now_ms();
  forget_expired(*batch);
  const auto& config = house_.config.auth;
  size_t good = 0;
  auto oldest = sessions_.end();
  for (auto i = sessions_.begin(); i != sessions_.end(); ++i) {
    if (i->second.revoked)
      continue;
    ++good;
    if (oldest == sessions_.end() || i->second.created < oldest->second.created)
      oldest = i;
  }
  if (good >= config.sessions_per_user && oldest != sessions_.end()) {
    oldest->second.expires = now + int64_t{config.token_s + config.leeway_s} * 1000; // its tokens are void then
    put_revoked(*batch, oldest->first);
    close_connections(oldest->first, "auth.sessions_per_user: replaced by a newer session");
  }
  auto id = "s_" + house_.random_text(session_characters);
  auto family = house_.random_text(family_characters);
  auto secret = family + house_.random_text(turn_characters);
  auto& s = sessions_[id];
  s.device = device;
  s.created = now;
  s.expires = now + int64_t{config.session_days} * day_ms;
  s.refresh = digest_of(secret);
  s.family = digest_of(family);
  batch->put(user_, id, s);
  commit(std::move(batch), c, [this, c, id, secret, admin = account_ && account_->admin] {
    house_.metrics.logins.add();
    c->from.answer(ok::any{ok::grant{{user_, id, 0, admin, nullptr}, user_.str() + ":" + id + ":" + secret}});
  });
}

void user_actor::perform(const command_ptr& c, const account::refresh& x) {
  // The token is user:session:secret; whoever routed it here has read the user off it.
  auto wrong = [&] { c->from.refuse(errc::unauthenticated, "refresh_token: unknown, expired or revoked"); };
  auto first = x.refresh_token.find(':');
  auto last = x.refresh_token.rfind(':');
  if (first == std::string::npos || first == last) {
    wrong();
    return;
  }
  auto i = sessions_.find(x.refresh_token.substr(first + 1, last - first - 1));
  const auto secret = x.refresh_token.substr(last + 1);
  if (i == sessions_.end() || is_revoked(i->first) || !fits(i->second.family, family_of(secret))) {
    wrong();
    return;
  }
  auto& s = i->second;
  const auto now = house_.now_ms();
  // What another node repeats is the same request, however long it was under way.
  const bool in_time = c->from.retried || now - s.rotated < int64_t{house_.config.auth.refresh_grace_s} * 1000;
  if (fits(s.refresh, secret)) {
    s.salt = house_.random_text(salt_characters);
    s.previous = std::exchange(s.refresh, digest_of(successor_of(secret, s.salt)));
    s.rotated = now;
    s.expires = now + int64_t{house_.config.auth.session_days} * day_ms;
  } else if (!(in_time && fits(s.previous, secret))) {
    end_reused(c, i->first);
    return;
  }
  // Also when it has been stored: the write that did it may be under way yet, and fail.
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, i->first, s);
  commit(std::move(batch), c,
         [this, c, id = i->first, next = successor_of(secret, s.salt), admin = account_ && account_->admin] {
           c->from.answer(ok::any{ok::grant{{user_, id, 0, admin, nullptr}, user_.str() + ":" + id + ":" + next}});
         });
}

/// A refresh token that was good once was shown again.
void user_actor::end_reused(const command_ptr& c, const std::string& session) {
  house_.metrics.refresh_reuses.add();
  spdlog::warn("what=security_event kind=refresh_token_reused user={} session={} rotated_s_ago={}", user_.str(),
               session, (house_.now_ms() - sessions_[session].rotated) / 1000);
  auto batch = std::make_shared<storage::batch>(user_.shard());
  put_revoked(*batch, session);
  commit(std::move(batch), c, [this, c, session] {
    house_.metrics.sessions_revoked.add();
    close_connections(session, "a refresh token was used again: sign in anew");
    c->from.refuse(errc::unauthenticated, "refresh_token: used before; the session has ended, sign in anew");
  });
}

void user_actor::perform(const command_ptr& c, const end_session& x) {
  bool connected = std::any_of(connections_.begin(), connections_.end(),
                               [&](const connection& device) { return device.session == x.session; });
  auto i = sessions_.find(x.session);
  if (i == sessions_.end() && !connected && x.expires_at == 0) {
    c->from.refuse(errc::not_found, "session: no such session");
    return;
  }
  auto now = house_.now_ms();
  auto batch = std::make_shared<storage::batch>(user_.shard());
  forget_expired(*batch);
  auto& s = sessions_[x.session];
  if (s.created == 0) { // of an outside issuer, or a development token: remembered as long as its tokens can last
    s.created = now;
    s.expires = std::max(x.expires_at, now + int64_t{house_.config.auth.session_days} * day_ms);
  }
  put_revoked(*batch, x.session);
  commit(std::move(batch), c, [this, c, session = x.session] {
    house_.metrics.sessions_revoked.add();
    close_connections(session, "the session was revoked");
    c->from.answer(ok::any{ok::none{}});
  });
}

/// No token of it is good from now on, of either kind.
void user_actor::put_revoked(storage::batch& batch, const std::string& session) {
  auto& s = sessions_[session];
  s.revoked = true;
  for (auto* secret : {&s.refresh, &s.family, &s.previous, &s.salt})
    secret->clear();
  batch.put(user_, session, s);
}

void user_actor::forget_expired(storage::batch& batch) {
  auto now = house_.now_ms();
  for (auto i = sessions_.begin(); i != sessions_.end();) {
    if (i->second.expires >= now) {
      ++i;
      continue;
    }
    batch.erase_session(user_, i->first);
    i = sessions_.erase(i);
  }
}

void user_actor::close_connections(const std::string& session, const std::string& reason) {
  for (const auto& device : connections_)
    if (device.session == session)
      tell_ahead(device.to, ended{close_code::revoked, reason, device.id});
}

} // namespace greenroom::user
