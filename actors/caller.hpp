// caller: who asked, and how the answer finds its way back. Part of every command to a room or a user.
#pragma once

#include "actors/base.hpp"
#include "actors/requests.hpp"

#include <cstdint>

namespace greenroom {

/// The one answer to a command.
struct reply {
  using local = message_tag;
  uint64_t ticket = 0;
  answer what;
};
using asker = caf::typed_actor<caf::reacts_to<reply>>;

struct caller {
  asker to;            // null: nobody wants an answer
  uint64_t ticket = 0; // chosen by the asker
  user_id user;
  uint64_t connection = 0; // actor id of a connection; 0: a call through REST
  uint32_t lane = 0;       // index of the connection's lane
  uint32_t node = 0;       // on which the connection is; 0: on this one
  bool retried = false;    // the command may have been carried out before

  // Neither waits nor fails: an asker that is gone hears nothing.
  void answer(greenroom::answer what) const { tell(to, reply{ticket, std::move(what)}); }
  void refuse(errc code, std::string message) const { answer(fail(code, std::move(message))); }
};

} // namespace greenroom
