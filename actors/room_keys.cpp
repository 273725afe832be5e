// What makes a command that is repeated the same command: its client's key, or the word of whoever passed it on. A key
// is written with what it did, in one batch, and answers every repetition from then on.
#include "actors/house.hpp"
#include "actors/room.hpp"

namespace greenroom::room {

using storage::event_kind;

/// FNV-1a: a client can only fool itself.
uint64_t content_of(std::string_view a, std::string_view b, std::string_view c) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (auto text : {a, b, c}) {
    for (unsigned char byte : text)
      h = (h ^ byte) * 0x100000001b3ULL;
    h = (h ^ 0xff) * 0x100000001b3ULL; // 0xff is in no UTF-8 text: the end of a field
  }
  return h;
}

uint64_t content_of(const op::send& x) {
  auto rest = std::to_string(x.reply_to) + (x.at == 0 ? std::string{} : "@" + std::to_string(x.at));
  for (const auto& file : x.attachments)
    rest += "+" + file;
  return content_of(x.text, x.data, rest);
}

storage::key_hash key_of(const command& c) {
  return std::visit(
      [&](const auto& x) {
        if constexpr (requires {
                        x.key;
                        x.erased;
                      }) // of an account that goes: found by what it revokes
          return storage::hash_of(c.from.user, x.erased ? '\x02' + std::to_string(x.target) : x.key);
        else if constexpr (requires { x.key; })
          return storage::hash_of(c.from.user, x.key);
        else
          return c.once.empty() ? storage::key_hash{} : storage::hash_of(c.from.user, '\x01' + c.once);
      },
      c.what);
}

/// True if the key was used before: then the command has been answered, or waits for the first one's result.
bool room_actor::settle_by_key(const command_ptr& c, const keyed& what, const known_key& known) {
  if (!known) {
    c->from.refuse(errc::unavailable, "the store can't be read at present");
    return true;
  }
  auto other = [&] { c->from.refuse(errc::conflict, "key: used before for another content"); };
  if (auto i = keys_in_flight_.find(what.key); i != keys_in_flight_.end()) {
    if (i->second->key == what)
      i->second->causes.push_back(c);
    else
      other();
    return true;
  }
  if (known->first != storage::lookup::found)
    return false;
  if (!record_) { // it went while this was looked up
    c->from.refuse(errc::not_found, "room: no such room");
    return true;
  }
  const auto& first = known->second;
  if (first.op != static_cast<uint8_t>(what.kind) || first.content != what.content) {
    other();
    return true;
  }
  house_.metrics.duplicates.add();
  const auto copies = house_.copies_of(room_.shard());
  c->from.answer(ok::any{ok::sent{room_, record_->epoch, first.seq, first.ts, true, copies, copies}});
  return true;
}

/// With its key in the same batch, if it has one. Without an event, `p.seq` says what the key stands for.
void room_actor::commit_keyed(const command_ptr& c, const std::optional<keyed>& what,
                              std::shared_ptr<storage::batch> batch, std::optional<storage::event> e, pending p) {
  p.causes = {c};
  p.key = what;
  if (e) {
    p.seq = e->seq;
    p.ts = e->ts;
    batch->put(room_, *e);
    if (!hooks_.empty())
      note_for_hooks(*batch, *e, p);
    p.what = std::make_shared<const storage::event>(std::move(*e));
  }
  if (what)
    batch->put(room_, what->key, storage::key_record{static_cast<uint8_t>(what->kind), p.seq, p.ts, what->content});
  commit(std::move(batch), std::move(p));
}

/// Nothing has to change. The answer is durable like any other, so that a repetition gets it, too, whatever has been
/// changed since.
void room_actor::stands_already(const command_ptr& c, uint64_t seq) {
  pending p;
  p.seq = seq;
  commit_keyed(c, once_of(*c, event_kind::room), std::make_shared<storage::batch>(room_.shard()), std::nullopt,
               std::move(p));
}

} // namespace greenroom::room
