#include "actors/cluster/letters.hpp"

#include "actors/cluster/archive.hpp"

namespace greenroom::cluster {
namespace {

/// A struct without fields is described, too.
template <class A, class... Fields>
void all(A& a, Fields&... fields) {
  a(fields...);
}

} // namespace

template <class A, class T>
void carry(A& a, storage::rare<T>& x) {
  bool there = static_cast<bool>(x);
  a(there);
  if (there)
    a(x.edit());
}

#define GREENROOM_CARRY(type, ...)                                                                                     \
  template <class A>                                                                                                   \
  void carry(A& a, type& x) {                                                                                          \
    (void)x;                                                                                                           \
    all(a __VA_OPT__(, ) __VA_ARGS__);                                                                                 \
  }

// What the house says everywhere.
GREENROOM_CARRY(position, x.epoch, x.seq)
GREENROOM_CARRY(appearance, x.user, x.status, x.note)
GREENROOM_CARRY(room_presence, x.room, x.online, x.users, x.whole)
GREENROOM_CARRY(storage::room_limits, x.members, x.text_bytes, x.sends_per_s)
GREENROOM_CARRY(storage::room_settings, x.kind, x.history_days, x.slow_ms, x.history_events, x.deleted, x.limits)
GREENROOM_CARRY(storage::attachment, x.id, x.name, x.type, x.size, x.sha256)
GREENROOM_CARRY(storage::file_record, x.at, x.owner, x.name, x.type, x.size, x.received, x.chunk_bytes, x.sha256,
                x.digest, x.created, x.expires)
GREENROOM_CARRY(storage::event_extras, x.data, x.reply_to, x.attachments, x.mentions, x.reason, x.until, x.settings)
GREENROOM_CARRY(storage::room_record, x.epoch, x.kind, x.title, x.creator, x.created, x.history_days, x.first, x.topic,
                x.slow_ms, x.pins, x.history_events, x.deleted, x.limits)
GREENROOM_CARRY(storage::event, x.kind, x.revoked, x.on, x.change, x.role, x.seq, x.ts, x.messages, x.target, x.from,
                x.user, x.key, x.text, x.more)
GREENROOM_CARRY(storage::effect_record, x.room, x.epoch, x.seq, x.user, x.change, x.role, x.kind, x.file, x.bytes, x.at)
GREENROOM_CARRY(storage::listed_room, x.epoch, x.kind, x.role, x.since, x.read, x.delivered, x.left)
GREENROOM_CARRY(standing, x.epoch, x.kind, x.role, x.head, x.head_ts, x.first, x.member_count, x.online_count, x.apart,
                x.cursor, x.recovered, x.unread, x.mentions, x.last)
GREENROOM_CARRY(identity, x.user, x.session, x.expires_at, x.admin, x.issued_at)
// The way back stays at home.
GREENROOM_CARRY(caller, x.user, x.connection, x.lane)

// Operations.
GREENROOM_CARRY(op::create, x.room, x.kind, x.title, x.history_days)
GREENROOM_CARRY(op::join, x.room, x.resume)
GREENROOM_CARRY(op::leave, x.room, x.erased)
GREENROOM_CARRY(op::subscribe, x.room, x.resume, x.goes_on)
GREENROOM_CARRY(op::send, x.room, x.to, x.key, x.text, x.data, x.reply_to, x.ephemeral, x.at, x.attachments)
GREENROOM_CARRY(op::edit, x.room, x.target, x.key, x.text, x.base)
GREENROOM_CARRY(op::revoke, x.room, x.target, x.key, x.erased)
GREENROOM_CARRY(op::react, x.room, x.target, x.key, x.emoji, x.on)
GREENROOM_CARRY(op::moderate, x.room, x.what, x.user, x.until, x.role, x.reason)
GREENROOM_CARRY(op::topic, x.room, x.title)
GREENROOM_CARRY(op::pin, x.room, x.target, x.on)
GREENROOM_CARRY(op::configure, x.room, x.title, x.kind, x.history_days, x.slow_ms, x.history_events, x.limits, x.remove)
GREENROOM_CARRY(op::history, x.room, x.where, x.seq, x.ts, x.limit)
GREENROOM_CARRY(op::thread, x.room, x.target, x.after, x.limit, x.read)
GREENROOM_CARRY(op::scheduled, x.room, x.after, x.limit, x.anyway)
GREENROOM_CARRY(op::pins, x.room, x.after, x.limit)
GREENROOM_CARRY(op::cancel, x.room, x.key)
GREENROOM_CARRY(op::read, x.room, x.seq, x.thread, x.arrived, x.quiet)
GREENROOM_CARRY(op::profile, x.user, x.name, x.avatar, x.fields)
GREENROOM_CARRY(op::presence, x.user, x.status, x.note)
GREENROOM_CARRY(op::watch, x.users)
GREENROOM_CARRY(op::signal, x.to, x.device, x.data)
GREENROOM_CARRY(op::block, x.user, x.on)
GREENROOM_CARRY(op::blocks, x.after, x.limit)
GREENROOM_CARRY(op::typing, x.room, x.on)
GREENROOM_CARRY(op::members, x.room, x.after, x.limit, x.banned, x.muted)
GREENROOM_CARRY(op::rooms, x.after, x.limit)
GREENROOM_CARRY(op::upload, x.room, x.file, x.name, x.type, x.size, x.sha256)
GREENROOM_CARRY(op::store, x.room, x.file, x.offset, x.bytes)
GREENROOM_CARRY(op::fetch, x.room, x.file, x.chunk)
GREENROOM_CARRY(op::discard, x.room, x.file)
GREENROOM_CARRY(room::pull, x.epoch, x.after)
GREENROOM_CARRY(room::peek, x.resume, x.read)
// From the shard to its own room or user: never on a link.
GREENROOM_CARRY(room::fall_due)
GREENROOM_CARRY(user::fall_due)
GREENROOM_CARRY(room::shun, x.on, x.version)
GREENROOM_CARRY(room::gather, x.after)
GREENROOM_CARRY(room::collect)
GREENROOM_CARRY(room::hook_moved)
GREENROOM_CARRY(room::replay, x.hook, x.seq, x.ts)
GREENROOM_CARRY(room::receipt, x.epoch, x.seq, x.arrived)
GREENROOM_CARRY(room::watch)
GREENROOM_CARRY(room::command, x.room, x.from, x.what, x.once)
GREENROOM_CARRY(account::register_user, x.user, x.password, x.device)
GREENROOM_CARRY(account::log_in, x.user, x.password, x.device)
GREENROOM_CARRY(account::guest, x.device)
GREENROOM_CARRY(account::refresh, x.refresh_token)
GREENROOM_CARRY(user::arrive, x.connection, x.session)
GREENROOM_CARRY(user::depart, x.connection)
GREENROOM_CARRY(user::vouch, x.session, x.one_more_room)
GREENROOM_CARRY(user::mark_read, x.room, x.epoch, x.seq, x.thread, x.arrived, x.quiet)
GREENROOM_CARRY(user::effect, x.what)
GREENROOM_CARRY(storage::activity_record, x.epoch, x.seq, x.ts)
GREENROOM_CARRY(user::activity, x.room, x.what)
GREENROOM_CARRY(user::vanish, x.whom)
GREENROOM_CARRY(user::end_session, x.session, x.expires_at)
GREENROOM_CARRY(user::invitation, x.room)
GREENROOM_CARRY(user::erase, x.what, x.fresh)
GREENROOM_CARRY(account::erase, x.user, x.password, x.reason, x.keep_messages)
GREENROOM_CARRY(account::show_erasure, x.user)
GREENROOM_CARRY(account::look_into, x.user, x.what, x.room, x.after, x.seq)
GREENROOM_CARRY(user::command, x.user, x.from, x.what)

// Answers.
GREENROOM_CARRY(ok::none)
GREENROOM_CARRY(ok::room_summary, x.room, x.epoch, x.seq, x.read, x.role, x.kind, x.subscribed, x.ts)
GREENROOM_CARRY(ok::resumption, x.room, x.recovered, x.epoch, x.seq, x.error)
GREENROOM_CARRY(ok::hello, x.session, x.user, x.node, x.time, x.expires_at, x.rooms, x.more, x.resumed, x.presence)
GREENROOM_CARRY(ok::refresh, x.expires_at)
GREENROOM_CARRY(ok::ping, x.time)
GREENROOM_CARRY(ok::created, x.room, x.epoch, x.seq)
GREENROOM_CARRY(ok::joined, x.epoch, x.seq, x.role, x.member_count, x.online_count, x.recovered)
GREENROOM_CARRY(ok::left, x.seq)
GREENROOM_CARRY(ok::changed, x.seq)
GREENROOM_CARRY(ok::room, x.room, x.seq, x.role, x.member_count, x.what)
GREENROOM_CARRY(ok::sent, x.room, x.epoch, x.seq, x.ts, x.duplicate, x.replicas, x.synced)
GREENROOM_CARRY(storage::message_fold::reaction, x.emoji, x.count, x.mine)
GREENROOM_CARRY(storage::message_fold, x.seq, x.edited, x.edited_ts, x.text, x.revoked, x.reactions, x.replies,
                x.last_reply)
GREENROOM_CARRY(ok::page, x.room, x.epoch, x.events, x.folds, x.more, x.first, x.as_of)
GREENROOM_CARRY(ok::thread, x.what, x.read)
GREENROOM_CARRY(storage::scheduled_send, x.at, x.key, x.text, x.data, x.reply_to, x.attachments)
GREENROOM_CARRY(ok::kept, x.room, x.epoch, x.at, x.key, x.duplicate)
GREENROOM_CARRY(ok::scheduled, x.room, x.list, x.next)
GREENROOM_CARRY(ok::read, x.seq)
GREENROOM_CARRY(storage::profile_record, x.name, x.avatar, x.fields, x.changed)
GREENROOM_CARRY(ok::profile, x.user, x.what)
GREENROOM_CARRY(ok::presence, x.what, x.hidden)
GREENROOM_CARRY(ok::watched, x.users, x.hidden)
GREENROOM_CARRY(ok::member, x.user, x.role, x.status, x.muted_until, x.banned_until)
GREENROOM_CARRY(ok::blocks, x.list, x.next)
GREENROOM_CARRY(storage::erasure_record, x.asked, x.by, x.reason, x.keep_messages, x.completed, x.rooms, x.messages)
GREENROOM_CARRY(ok::erasure, x.user, x.what, x.rooms_left)
GREENROOM_CARRY(storage::account_record, x.password, x.created, x.guest, x.admin)
GREENROOM_CARRY(storage::session_record, x.device, x.created, x.expires, x.refresh, x.revoked, x.family, x.previous,
                x.salt, x.rotated)
GREENROOM_CARRY(storage::presence_record, x.status, x.note, x.changed)
GREENROOM_CARRY(ok::user_contents, x.account, x.profile, x.presence, x.sessions, x.blocks, x.erasure)
GREENROOM_CARRY(ok::about_user, x.user, x.what)
GREENROOM_CARRY(ok::about_rooms, x.list, x.next)
GREENROOM_CARRY(ok::about_threads, x.room, x.list, x.more)
GREENROOM_CARRY(ok::about_events::mention, x.seq, x.ts, x.from)
GREENROOM_CARRY(ok::about_events, x.what, x.role, x.muted_until, x.banned_until, x.mentions, x.next)
GREENROOM_CARRY(ok::members, x.list, x.next)
GREENROOM_CARRY(ok::inbox_room, x.summary, x.unread, x.mentions, x.last)
GREENROOM_CARRY(ok::rooms, x.list, x.next)
GREENROOM_CARRY(ok::file, x.room, x.id, x.what, x.bytes)
GREENROOM_CARRY(ok::grant, x.who, x.refresh_token)
GREENROOM_CARRY(ok::live_session, x.user, x.session, x.device, x.node, x.since, x.queued_bytes)
GREENROOM_CARRY(ok::sessions, x.list, x.next)
GREENROOM_CARRY(ok::webhook, x.name, x.url, x.node, x.pending_rooms, x.more, x.in_flight, x.lag_ms, x.deliveries,
                x.events, x.failures, x.retry_ms, x.last_failure, x.failed_at)
GREENROOM_CARRY(ok::webhooks, x.list)
GREENROOM_CARRY(ok::replay, x.hook, x.room, x.from, x.head)
GREENROOM_CARRY(room::pulled, x.ticket, x.refused, x.events, x.head, x.first)
GREENROOM_CARRY(user::welcome, x.rooms, x.otherwise, x.presence)
GREENROOM_CARRY(user::listed, x.room, x.since, x.joined, x.rooms)
GREENROOM_CARRY(user::ended, x.code, x.reason)
GREENROOM_CARRY(user::shown, x.presence)
GREENROOM_CARRY(user::signalled, x.from, x.device, x.data)
GREENROOM_CARRY(user::vanished, x.whom)
GREENROOM_CARRY(user::effect_applied, x.what, x.refused)

// Events.
GREENROOM_CARRY(relay::publish, x.what)
GREENROOM_CARRY(relay::typing, x.user, x.on)
GREENROOM_CARRY(relay::remark, x.from, x.ts, x.text, x.data)
GREENROOM_CARRY(relay::receipt, x.user, x.seq, x.arrived)
GREENROOM_CARRY(relay::presence, x.what)
GREENROOM_CARRY(relay::announce, x.head)

// Replication.
GREENROOM_CARRY(storage::log_position, x.epoch, x.index)
GREENROOM_CARRY(storage::log_entry, x.at, x.batch)
GREENROOM_CARRY(append, x.epoch, x.before, x.entries, x.committed)
GREENROOM_CARRY(appended, x.epoch, x.what, x.index, x.there)
GREENROOM_CARRY(install_piece, x.epoch, x.transfer, x.number, x.bytes, x.last, x.applied)
GREENROOM_CARRY(installed_piece, x.transfer, x.number, x.ok)

// Letters.
GREENROOM_CARRY(forward, x.epoch, x.stream, x.ticket, x.again, x.what)
GREENROOM_CARRY(quiet, x.room)
GREENROOM_CARRY(watching, x.epoch, x.stream, x.room)
GREENROOM_CARRY(seen, x.epoch, x.stream, x.room, x.user, x.status)
GREENROOM_CARRY(watching_users, x.epoch, x.stream, x.users, x.on, x.anew)
GREENROOM_CARRY(shown_there, x.connection, x.what)
GREENROOM_CARRY(signalled_there, x.connection, x.what)
GREENROOM_CARRY(vanished_there, x.connection, x.what)
GREENROOM_CARRY(appearances, x.users)
GREENROOM_CARRY(turned_away, x.stream)
GREENROOM_CARRY(admitted, x.where)
GREENROOM_CARRY(refused, x.why)
GREENROOM_CARRY(answered_letter, x.ticket, x.what)
GREENROOM_CARRY(listed_there, x.connection, x.what)
GREENROOM_CARRY(ended_there, x.connection, x.what)
GREENROOM_CARRY(news, x.room, x.what)
GREENROOM_CARRY(list_there, x.ticket, x.user, x.after, x.limit)
GREENROOM_CARRY(sessions_there, x.ticket, x.list, x.last)
GREENROOM_CARRY(hooks_asked_there, x.ticket)
GREENROOM_CARRY(hooks_there, x.ticket, x.list)

#undef GREENROOM_CARRY

namespace {

template <class Letter>
std::string to_bytes(const Letter& x) {
  writer w;
  w(x);
  return w.take();
}

template <class Letter>
std::optional<Letter> from_bytes(std::string_view bytes) {
  reader r(bytes);
  Letter x;
  r(x);
  if (!r.done())
    return std::nullopt;
  return x;
}

} // namespace

std::string encode(const replica_letter& x) { return to_bytes(x); }
std::string encode(const shard_letter& x) { return to_bytes(x); }
std::string encode(const survey_letter& x) { return to_bytes(x); }
std::optional<replica_letter> read_replica_letter(std::string_view b) { return from_bytes<replica_letter>(b); }
std::optional<shard_letter> read_shard_letter(std::string_view b) { return from_bytes<shard_letter>(b); }
std::optional<survey_letter> read_survey_letter(std::string_view b) { return from_bytes<survey_letter>(b); }

} // namespace greenroom::cluster
