// reading: what the readers of the store have in common. Private to storage/.
#pragma once

#include "storage/range.hpp"
#include "storage/records.hpp"

#include <rocksdb/db.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace greenroom::storage {

/// Calls `take(rest of the key, record)` for everything with a prefix.
template <class Record, class Take>
outcome<void> scan(range& all, const Take& take) {
  for (all->SeekToFirst(); all->Valid(); all->Next()) {
    auto record = decode<Record>(all.value());
    if (!record)
      return record.error();
    if (!take(all.rest(), std::move(*record)))
      break;
  }
  return all.status();
}

template <class Record>
outcome<std::optional<Record>> get(const database& db, keys::family family, const std::string& key,
                                   const rocksdb::ReadOptions& options) {
  rocksdb::PinnableSlice value;
  auto status = db->Get(options, db.family(family), key, &value);
  if (status.IsNotFound())
    return std::optional<Record>{};
  if (!status.ok())
    return to_failure("can't read", status);
  auto record = decode<Record>(value.ToStringView());
  if (!record)
    return record.error();
  return std::optional<Record>{std::move(*record)};
}

/// The event at which the iterator stands.
inline outcome<event> event_at(const range& log) {
  auto decoded = decode<event>(log.value());
  if (decoded && decoded->seq != keys::seq_of(log.rest()))
    return fail(errc::internal, "storage: event " + std::to_string(decoded->seq) + " stands in the place of another");
  return decoded;
}

/// How a message stands, for nobody in particular.
inline message_fold fold_of(uint64_t seq, message_state&& state) {
  message_fold f;
  f.seq = seq;
  f.edited = state.edited;
  f.edited_ts = state.edited_ts;
  f.text = std::move(state.text);
  f.revoked = state.revoked != 0;
  f.replies = state.replies;
  f.last_reply = state.last_reply;
  for (auto& [emoji, count] : state.reactions)
    f.reactions.push_back({std::move(emoji), count, false});
  return f;
}

inline void mark_own(message_fold& f, const own_reactions& own) {
  for (auto& r : f.reactions)
    r.mine = std::binary_search(own.emojis.begin(), own.emojis.end(), r.emoji);
}

} // namespace greenroom::storage
