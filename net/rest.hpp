// rest: the HTTP side of Greenroom: /api/v1 (accounts, sessions, rooms, messages), health, figures and a page of text.
//
// A thin translation: fields of bodies, queries and paths go through op_reader into the same operations that WebSocket
// frames become, and the node's answers come back with the same JSON. net/README.md has the table of routes.
//
// Invariants
// - Every request is answered exactly once, on its lane's thread, at the latest when the node gives up
//   (limits.request_ms).
// - What comes too often from one address, or in the name of one user, is answered 429 and reaches nobody; attempts to
//   sign in as one user are the user actor's to bound.
// - Nothing that the node has not acknowledged is answered with a 2xx.
//
// Threads: handle() on any lane's thread; what it shares between them is const or locked.
#pragma once

#include "actors/flood_control.hpp"
#include "actors/metrics.hpp"
#include "actors/requests.hpp"
#include "config/settings.hpp"
#include "net/codec.hpp"
#include "net/http.hpp"
#include "net/json_document.hpp"
#include "net/jwt.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greenroom::net {

class rest_call;

/// What REST asks of the node, see there; plain functions, so that tests need no actors.
struct rest_hooks {
  std::function<void(lane&, const identity&, op::any, std::function<void(answer)>)> perform;
  std::function<void(lane&, const identity&, account::any, std::function<void(answer)>)> perform_account;
  std::function<void(lane&, const identity&, admin::any, std::function<void(answer)>)> perform_admin;
  std::function<bool()> ready;
  std::function<bool()> draining = nullptr;                         // null: never
  std::function<std::shared_ptr<const greenroom::limits>()> limits; // never null
  std::function<std::string()> metrics_text;                        // for GET /metrics
  flood_control* floods = nullptr;                                  // outlives the handler
};

class rest : public http_handler {
public:
  /// Whatever is passed by reference outlives this. Of `config` the allowed origins and auth are read.
  rest(const settings& config, const jwt_tokens& tokens, const json_encoder& encode, metrics& figures,
       rest_hooks hooks);

  void handle(lane& on, http_request request, std::function<void(http_response)> done) override;
  /// The content of attachments.
  bool streams(std::string_view method, std::string_view target) const override;

private:
  using call_ptr = std::shared_ptr<rest_call>;
  enum class access : uint8_t {
    open,
    account,
    token,
    parting, // with a token, also for who is banned: a session that was stolen can be ended
  };
  struct route {
    std::string_view method;
    std::string_view pattern; // `*` is one segment
    access needs;
    void (rest::*run)(const call_ptr&);
  };
  static const route routes[];

  void dispatch(const call_ptr& c);
  void run(const route& r, const call_ptr& c);
  bool turned_down(const call_ptr& c, flood kind, const std::optional<failure>& why);
  void allow_origin(rest_call& c) const;
  void preflight(rest_call& c, const std::string& methods) const;

  // -- asking the node -----------------------------------------------------------------------------------------------
  void ask(const call_ptr& c, std::string_view op, const outcome<json::document>& fields, unsigned status = 200);
  std::optional<failure> held_back(const call_ptr& c, const op::any& what);
  void ask_keyed(const call_ptr& c, std::string_view op, outcome<json::document> fields, unsigned status);
  void ask_passing(const call_ptr& c, std::string_view op, outcome<json::document> fields);
  void ask_account(const call_ptr& c, account::any what, unsigned status);
  void ask_admin(const call_ptr& c, admin::any what);
  void sign_in(const call_ptr& c, outcome<account::any> what, unsigned status);

  // -- many operations in one request: rest_batch.cpp ----------------------------------------------------------------
  struct batch_work;
  using batch_ptr = std::shared_ptr<batch_work>;
  void batch(const call_ptr& c);
  void go_on(const batch_ptr& b);
  void begin(const batch_ptr& b, json::value operation);
  void settle(const batch_ptr& b, const answer& a);

  // -- attachments: rest_files.cpp -----------------------------------------------------------------------------------
  class transfer;
  class file_content;
  using transfer_ptr = std::shared_ptr<transfer>;
  transfer_ptr begin_transfer(const call_ptr& c);
  void ask_file(const call_ptr& c, op::any what, std::function<void(ok::file)> then);
  void store_body(const call_ptr& c, const ok::file& at, const transfer_ptr& t, unsigned status);
  void respond_file(const call_ptr& c, unsigned status, const ok::file& x);
  void send_content(const call_ptr& c, const ok::file& x);

  // -- one per route -------------------------------------------------------------------------------------------------
  void front_page(const call_ptr& c);
  void livez(const call_ptr& c);
  void readyz(const call_ptr& c);
  void show_metrics(const call_ptr& c);
  void show_openapi(const call_ptr& c);
  void show_asyncapi(const call_ptr& c);
  void log_in(const call_ptr& c);
  void register_user(const call_ptr& c);
  void guest(const call_ptr& c);
  void refresh(const call_ptr& c);
  void log_out(const call_ptr& c);
  void list_sessions(const call_ptr& c);
  void end_session(const call_ptr& c);
  void chat(const call_ptr& c);
  void list_rooms(const call_ptr& c);
  void create_room(const call_ptr& c);
  void list_events(const call_ptr& c);
  void list_members(const call_ptr& c);
  void join(const call_ptr& c);
  void leave(const call_ptr& c);
  void mark_read(const call_ptr& c);
  void mark_delivered(const call_ptr& c);
  void show_typing(const call_ptr& c);
  void send(const call_ptr& c);
  void send_to_user(const call_ptr& c);
  void show_message(const call_ptr& c);
  void edit(const call_ptr& c);
  void revoke(const call_ptr& c);
  void react(const call_ptr& c);
  void show_own_profile(const call_ptr& c);
  void show_profile(const call_ptr& c);
  void change_profile(const call_ptr& c);
  void show_own_presence(const call_ptr& c);
  void change_presence(const call_ptr& c);
  void show_presence(const call_ptr& c);
  void list_blocks(const call_ptr& c);
  void block(const call_ptr& c);
  void unblock(const call_ptr& c);
  void export_own(const call_ptr& c);
  void export_user(const call_ptr& c);
  void begin_export(const call_ptr& c, user_id user);
  void erase_own(const call_ptr& c);
  void erase_user(const call_ptr& c);
  void erase(const call_ptr& c, user_id user);
  void show_erasure(const call_ptr& c);
  void list_replies(const call_ptr& c);
  void list_scheduled(const call_ptr& c);
  void cancel(const call_ptr& c);
  void show_room(const call_ptr& c);
  void delete_room(const call_ptr& c);
  void configure_room(const call_ptr& c);
  void set_topic(const call_ptr& c);
  void pin(const call_ptr& c);
  void unpin(const call_ptr& c);
  void invite(const call_ptr& c);
  void set_role(const call_ptr& c);
  void kick(const call_ptr& c);
  void list_bans(const call_ptr& c);
  void list_mutes(const call_ptr& c);
  void list_pins(const call_ptr& c);
  void ban(const call_ptr& c);
  void unban(const call_ptr& c);
  void mute(const call_ptr& c);
  void unmute(const call_ptr& c);
  void begin_attachment(const call_ptr& c);
  void store_attachment(const call_ptr& c);
  void show_attachment(const call_ptr& c);
  void fetch_attachment(const call_ptr& c);
  void discard_attachment(const call_ptr& c);
  void list_webhooks(const call_ptr& c);
  void replay(const call_ptr& c);

  const std::vector<std::string> allowed_origins_;
  const std::chrono::seconds token_life_;
  const bool registration_;
  const bool guests_;
  const uint32_t transfers_max_;
  std::atomic<uint32_t> transfers_{0};
  const jwt_tokens& tokens_;
  const json_encoder& encode_;
  metrics& figures_;
  const rest_hooks hooks_;
};

} // namespace greenroom::net
