// hooks: the words about webhooks and the pre-send hook that actors and net/ share: what is configured, what is pushed
// and asked, and how both are signed. The JSON of it is net/'s: see hook_wire.
#pragma once

#include "actors/metrics.hpp"
#include "config/ids.hpp"
#include "config/outcome.hpp"
#include "config/settings.hpp"
#include "storage/event.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::hooks {

/// Whether a room is meant by a list of patterns: by one of those without `!`, and by none of those with it.
bool covers(const std::vector<std::string>& patterns, std::string_view room);

/// A webhook as it is in force, with what its files hold.
struct webhook {
  std::string name;
  settings::webhook_settings what;
  std::vector<std::string> secrets; // one or two
  uint32_t kinds = 0;               // a bit for each event_kind

  bool wants(storage::event_kind kind) const noexcept { return (kinds & (1u << static_cast<unsigned>(kind))) != 0; }
};
using webhook_ptr = std::shared_ptr<const webhook>;

struct presend {
  settings::presend_settings what;
  std::vector<std::string> secrets;
};

/// All of them; never changed, only replaced.
struct hook_set {
  std::vector<webhook_ptr> webhooks;          // at most config::webhooks_max, by name
  std::shared_ptr<const presend> before_send; // null: nobody is asked
};
using hook_set_ptr = std::shared_ptr<const hook_set>;

/// A bit for each word that is an event's kind; all of them where the list is empty.
uint32_t kinds_of(const std::vector<std::string>& words);

/// What one webhook has done on this node, and what is left to do here. Any thread.
struct figures {
  counter deliveries; // that were answered with 2xx
  counter events;     // in them
  counter failures;   // deliveries that were not
  counter pending;    // gauge: rooms with something to push, of those in memory
  counter in_flight;  // gauge
  counter lag_ms;     // gauge: age of the oldest event that was to be pushed and is not yet, as far as is known
};
using figures_ptr = std::shared_ptr<figures>;

/// The set in force, which SIGHUP replaces, and the figures by webhook, which outlive it. Any thread.
class in_force {
public:
  in_force() : set_(std::make_shared<const hook_set>()) {}
  hook_set_ptr set() const;
  /// Grows with each replacement; 1: there has never been any.
  uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  void use(hook_set_ptr set);
  figures_ptr figures_of(const std::string& name);
  /// Of all that there are or were.
  std::vector<std::pair<std::string, figures_ptr>> all_figures() const;

private:
  mutable std::mutex mutex_; // guards set_ and figures_
  hook_set_ptr set_;
  std::atomic<uint64_t> version_{1};
  std::vector<std::pair<std::string, figures_ptr>> figures_;
};

// -- what goes out ---------------------------------------------------------------------------------------------------

/// A part of one room's log for one webhook, as the room asks for it.
struct piece {
  std::string hook;
  room_id room;
  std::string epoch;
  uint64_t token = 0; // of whoever asked
  uint64_t turn = 0;
  uint64_t after = 0;  // up to there everything was delivered
  uint64_t first = 1;  // lowest seq that is kept
  uint64_t head = 0;   // no more than that
  bool to_head = true; // nothing that is durable was left out behind `head`
};
/// What has been read of it.
struct read_piece {
  piece what;
  std::vector<storage::event> events; // those that the webhook wants, oldest first
  uint64_t through = 0;               // up to there it has been looked through
};
/// One delivery; the same id means the same events.
struct delivery {
  std::string id;
  read_piece what;
};

enum class said : uint8_t { message, ephemeral, edit };
/// What somebody wants to say.
struct question {
  said what = said::message;
  room_id room;
  user_id from;
  std::string key;
  std::string text;
  std::string data;    // a JSON object as compact text, or empty
  uint64_t target = 0; // edit: the message
  uint64_t reply_to = 0;
  bool scheduled = false; // it was said earlier, to be sent now
  std::vector<storage::attachment> attachments = {};
};

struct verdict {
  enum class kind : uint8_t {
    allow,
    reject,  // `reason` says why, in words for the sender
    replace, // by `text` and `data`, where they are there
    failed,  // there is no good answer; `reason` says why
  };
  kind what = kind::allow;
  std::string reason;
  std::optional<std::string> text;
  std::optional<std::string> data;
};

/// The JSON of it. Implemented in net/. Pure; any thread.
class hook_wire {
public:
  virtual ~hook_wire() = default;
  virtual std::string delivery(const hooks::delivery& x) const = 0;
  virtual std::string question(const hooks::question& x) const = 0;
  /// The answer to `to`, from outside; what replaces a message is within the bounds of one.
  virtual verdict read_verdict(unsigned status, std::string_view body, const hooks::question& to,
                               const limits& bounds) const = 0;
};

/// 32 hexadecimal digits.
std::string delivery_id(const read_piece& x);
/// HMAC-SHA256 (RFC 2104) of `timestamp`, a full stop and the body, in hexadecimal digits.
std::string sign(std::string_view secret, std::string_view timestamp, std::string_view body);
/// Greenroom-Timestamp and Greenroom-Signature.
std::vector<std::pair<std::string, std::string>> signed_headers(const std::vector<std::string>& secrets, int64_t now_ms,
                                                                std::string_view body);

} // namespace greenroom::hooks
