// changes: what has become of a message since it was sent, and their stored forms. Beside the log, not in it: the log
// says what happened, one event at a time; these say how it stands, so that a page of history needs one more range and
// no walk through all that came later.
#pragma once

#include "storage/event.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace greenroom::storage {

/// Of a message that was edited, revoked, reacted or replied to; others have none.
struct message_state {
  uint64_t changed = 0;        // seq of the last event about the message
  uint64_t edited = 0;         // seq of the last edit; 0: never edited, or revoked
  int64_t edited_ts = 0;       // its time, ms since 1970 UTC
  std::string text;            // what the message says since then
  uint64_t revoked = 0;        // seq of the revocation; 0: not revoked
  std::vector<uint64_t> edits; // seqs of all edits, whose texts go when the message is revoked
  std::vector<std::pair<std::string, uint64_t>> reactions; // by emoji, how many people; none with 0
  uint64_t replies = 0;                                    // messages in its thread, revoked ones included
  uint64_t last_reply = 0;                                 // seq of the last of them
  friend bool operator==(const message_state&, const message_state&) = default;
};

/// What one user has put on one message; no record where there was never anything.
struct own_reactions {
  uint64_t changed = 0;            // seq of this user's last reaction to it
  int64_t ts = 0;                  // and its time, ms since 1970 UTC
  std::vector<std::string> emojis; // in byte order
  friend bool operator==(const own_reactions&, const own_reactions&) = default;
};

/// How a message stands, for one reader.
struct message_fold {
  struct reaction {
    std::string emoji;
    uint64_t count = 0;
    bool mine = false;
    friend bool operator==(const reaction&, const reaction&) = default;
  };
  uint64_t seq = 0;
  uint64_t edited = 0;   // as above
  int64_t edited_ts = 0; //
  std::string text;      //
  bool revoked = false;
  std::vector<reaction> reactions; // in byte order of the emojis
  uint64_t replies = 0;            // as above
  uint64_t last_reply = 0;         //
  friend bool operator==(const message_fold&, const message_fold&) = default;
};

std::string encode(const message_state&);
std::string encode(const own_reactions&);

} // namespace greenroom::storage
