// Attachments on their way in. An upload is begun, charged to its owner's quota, and takes one chunk after the other;
// where it stands is in its record, which is written with each chunk, so that it goes on on any node. What is stored
// goes by the bulk lane (bulk.hpp), past the room's own writes; one chunk of each upload at a time.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::due_entry;
using storage::file_record;
using stage = storage::file_record::stage;

constexpr int64_t minute_ms = 60'000;
constexpr uint64_t mib = 1u << 20;

failure unknown() { return fail(errc::not_found, "attachment: no such attachment"); }

due_entry entry_of(const room_id& room, const std::string& file, const file_record& what) {
  return {what.expires, room, due_entry::kind::file, {}, {}, file};
}

/// `allowed`: types, or all of a kind ("image/*"); none: any.
bool is_allowed(const std::vector<std::string>& allowed, std::string_view type) {
  return allowed.empty() || std::any_of(allowed.begin(), allowed.end(), [&](std::string_view a) {
           return a.ends_with("/*") ? type.starts_with(a.substr(0, a.size() - 1)) : a == type;
         });
}

} // namespace

/// All that has been admitted is on the disk, where they are looked for; everything behind waits.
void room_actor::look_for_files(const command_ptr& c, std::vector<std::string> ids) {
  if (!pending_.empty()) {
    waiting_.push_front(c);
    phase_ = phase::settling;
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  tell(house_.reader_of(room_.shard()), reader::find_files{room_, key_of(*c), std::move(ids), self()});
}

void room_actor::receive(const files_found& x) {
  auto c = std::exchange(looked_up_, nullptr);
  if (phase_ != phase::looking_up)
    return; // a write has failed meanwhile: they are looked for again
  phase_ = phase::serving;
  const auto* due = std::get_if<fall_due>(&c->what);
  if (!*x.what) {
    if (due == nullptr) // the shard asks again
      refuse(*c, fail(errc::unavailable, "the store can't be read at present"));
  } else if (const auto* u = std::get_if<op::upload>(&c->what)) {
    begin_with(c, *u, (**x.what).front());
  } else if (const auto* s = std::get_if<op::store>(&c->what)) {
    store_with(c, *s, (**x.what).front());
  } else if (const auto* d = std::get_if<op::discard>(&c->what)) {
    discard_with(c, *d, (**x.what).front());
  } else if (const auto* send = std::get_if<op::send>(&c->what)) {
    send_found(c, *send, x);
  } else if (due != nullptr) {
    expire(c, due->what, (**x.what).front());
  }
  std::erase_if(changing_, [](const auto& i) { return i.second.in_flight == 0; });
  go_on();
}

// -- the beginning ---------------------------------------------------------------------------------------------------

void room_actor::begin(const command_ptr& c, const op::upload& x) {
  const auto& a = house_.config.attachments;
  if (auto why = refusal(c->from.user, action::send))
    c->from.answer(std::move(*why));
  else if (x.size > a.max_mb * mib)
    c->from.refuse(errc::too_large, "size: at most " + std::to_string(a.max_mb) + " MiB (attachments.max_mb)");
  else if (!is_allowed(a.types, x.type))
    c->from.refuse(errc::unsupported, "type: not one of those that are taken here (attachments.types)");
  else if (rare_->begun.size() >= a.uploads_per_room)
    c->from.refuse(errc::unavailable, "attachments.uploads_per_room: as many are just being begun");
  else
    look_for_files(c, {x.file});
}

/// Asked again, its owner's quota is asked again, too: it says the same of the same upload.
void room_actor::begin_with(const command_ptr& c, const op::upload& x, const std::optional<file_record>& known) {
  if (auto why = refusal(c->from.user, action::send)) {
    c->from.answer(std::move(*why));
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  p.causes = {c};
  if (!present()) {
    establish_direct(*batch);
    p.record = record_;
  }
  file_record r;
  if (known) {
    r = *known;
  } else {
    const auto& a = house_.config.attachments;
    r.owner = c->from.user;
    r.name = x.name;
    r.type = x.type;
    r.size = x.size;
    r.sha256 = x.sha256;
    r.chunk_bytes = a.chunk_kb * 1'024;
    r.created = house_.now_ms();
    r.expires = r.created + int64_t{a.unused_minutes} * minute_ms;
    batch->put(room_, x.file, r);
    p.later = entry_of(room_, x.file, r);
    batch->put(*p.later);
  }
  p.effects = {charge(x.file, r.owner, r.size, r.created)};
  batch->put(p.effects.front());
  rare_.edit().begun[x.file].record = std::move(r);
  commit(std::move(batch), std::move(p));
}

/// It is durable; the shard asks the quota.
void room_actor::begun(const command_ptr& c, const op::upload& x) {
  auto& begun = rare_.edit().begun;
  if (auto b = begun.find(x.file); b != begun.end())
    b->second.causes.push_back(c);
}

void room_actor::receive(const file_charged& x) {
  if (!rare_->begun.contains(x.file))
    return;
  auto& begun = rare_.edit().begun;
  auto b = std::move(begun.extract(x.file).mapped());
  for (const auto& c : b.causes)
    if (x.refused)
      c->from.answer(*x.refused);
    else
      c->from.answer(ok::any{ok::file{room_, x.file, b.record, nullptr}});
  if (x.refused)
    remove_now(x.file, b.record, false);
  else if (b.record.at == stage::uploading && b.record.received == 0 &&
           rare_->uploads.size() < house_.config.attachments.uploads_per_room)
    rare_.edit().uploads.try_emplace(x.file,
                                     open_upload{b.record, 0, 0, {}}); // its first chunk is not looked for on the disk
  try_to_end();
}

storage::effect_record room_actor::charge(const std::string& file, const user_id& owner, uint64_t bytes,
                                          int64_t at) const {
  storage::effect_record e;
  e.room = room_;
  e.epoch = record_->epoch;
  e.seq = bytes != 0 ? 0 : 1;
  e.user = owner;
  e.kind = record_->kind;
  e.file = file;
  e.bytes = bytes;
  e.at = at;
  return e;
}

// -- chunks ----------------------------------------------------------------------------------------------------------

void room_actor::store(const command_ptr& c, const op::store& x) {
  if (auto why = refusal(c->from.user, action::send)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (rare_->uploads.contains(x.file))
    store_next(c, x, rare_.edit().uploads.at(x.file));
  else
    look_for_files(c, {x.file});
}

void room_actor::store_with(const command_ptr& c, const op::store& x, const std::optional<file_record>& known) {
  if (!known || known->owner != c->from.user) {
    c->from.answer(unknown());
    return;
  }
  open_upload u;
  u.record = *known;
  if (known->at != stage::uploading) {
    store_next(c, x, u); // a repetition, or too much
    return;
  }
  auto& uploads = rare_.edit().uploads;
  if (auto bound = house_.config.attachments.uploads_per_room; uploads.size() >= bound) {
    auto idle = std::find_if(uploads.begin(), uploads.end(), [](const auto& i) { return i.second.token == 0; });
    if (idle == uploads.end()) {
      c->from.refuse(errc::unavailable, "attachments.uploads_per_room: " + std::to_string(bound) + " are under way");
      return;
    }
    uploads.erase(idle);
  }
  store_next(c, x, uploads.insert_or_assign(x.file, std::move(u)).first->second);
}

void room_actor::store_next(const command_ptr& c, const op::store& x, open_upload& u) {
  const auto& r = u.record;
  if (r.owner != c->from.user) {
    c->from.answer(unknown());
  } else if (u.token != 0 && u.offset == x.offset) {
    u.causes.push_back(c);
  } else if (u.token != 0) {
    c->from.refuse(errc::conflict, "attachment: another part of it is under way");
  } else if (x.offset + x.bytes->size() <= r.received) {
    c->from.answer(ok::any{ok::file{room_, x.file, r, nullptr}}); // stored before; the hash of all says if it was that
  } else if (x.offset != r.received) {
    c->from.refuse(errc::conflict, "offset: the upload stands at " + std::to_string(r.received));
  } else if (x.bytes->size() != std::min<uint64_t>(r.chunk_bytes, r.size - r.received)) {
    c->from.refuse(errc::bad_request, "attachment: a chunk has " + std::to_string(r.chunk_bytes) + " bytes");
  } else {
    u.token = ++next_token_;
    u.offset = x.offset;
    u.causes = {c};
    tell(house_.bulk, bulk::store{room_, x.file, r, x.bytes, era_, u.token, self()});
  }
}

void room_actor::receive(const bulk::stored& x) {
  auto& uploads = rare_.edit().uploads;
  auto i = uploads.find(x.file);
  if (i == uploads.end() || i->second.token != x.token)
    return;
  auto& u = i->second;
  u.token = 0;
  const auto causes = std::exchange(u.causes, {});
  auto answer_all = [&](const greenroom::answer& what) {
    for (const auto& c : causes)
      c->from.answer(what);
  };
  switch (x.what) {
  case bulk::stored::how::ok:
    u.record = x.record;
    if (x.record.at != stage::uploading)
      uploads.erase(i);
    answer_all(ok::any{ok::file{room_, x.file, x.record, nullptr}});
    break;
  case bulk::stored::how::failed:
    uploads.erase(i); // where it stands is uncertain, and is read again
    answer_all(fail(errc::unavailable, "the store takes no writes at present; nothing was acknowledged"));
    break;
  case bulk::stored::how::crowded:
    answer_all(fail(errc::unavailable, "attachments.queue: " + std::to_string(house_.config.attachments.queue) +
                                           " chunks wait for the disk"));
    break;
  case bulk::stored::how::wrong: {
    const auto record = u.record;
    uploads.erase(i);
    answer_all(fail(errc::bad_request, "sha256: the content has another one; the upload is void"));
    remove_now(x.file, record, true);
    break;
  }
  }
  go_on();
}

// -- the end without a message ---------------------------------------------------------------------------------------

void room_actor::discard_with(const command_ptr& c, const op::discard& x, const std::optional<file_record>& known) {
  const auto u = rare_->uploads.find(x.file);
  if (!present() || !known || known->owner != c->from.user) {
    c->from.answer(unknown());
  } else if (known->at == stage::used) {
    c->from.refuse(errc::conflict, "attachment: it belongs to a message, with which it goes");
  } else if (u != rare_->uploads.end() && u->second.token != 0) {
    c->from.refuse(errc::conflict, "attachment: a part of it is under way");
  } else {
    auto batch = std::make_shared<storage::batch>(room_.shard());
    pending p;
    p.causes = {c};
    p.done = entry_of(room_, x.file, *known);
    batch->erase(*p.done);
    remove_file(*batch, p, x.file, known->owner);
    commit(std::move(batch), std::move(p));
  }
}

/// Its time has come.
void room_actor::expire(const command_ptr& c, const due_entry& x, const std::optional<file_record>& known) {
  const auto u = rare_->uploads.find(x.file);
  if (u != rare_->uploads.end() && u->second.token != 0)
    return; // the shard asks again
  if (!known || known->at == stage::used) {
    strike_off(c, x);
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->erase(x);
  pending p;
  p.causes = {c};
  p.done = x;
  remove_file(*batch, p, x.file, known->owner);
  commit(std::move(batch), std::move(p));
}

/// Without being asked. What can't be done now is done when its time comes.
void room_actor::remove_now(const std::string& file, const file_record& what, bool charged) {
  if (phase_ == phase::cold || phase_ == phase::loading || stale() || !record_)
    return;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  p.done = entry_of(room_, file, what);
  p.causes = {std::make_shared<const command>(command{room_, {}, fall_due{*p.done}})};
  batch->erase(*p.done);
  if (charged) {
    remove_file(*batch, p, file, what.owner);
  } else {
    batch->erase_file(room_, file);
    if (rare_)
      rare_.edit().uploads.erase(file);
  }
  commit(std::move(batch), std::move(p));
}

} // namespace greenroom::room
