// log: structured lines on standard error: text for people, or one JSON object a line. Lines lead with `what=...`; they
// name ids, codes and figures, never the text of a message, a password or a token.
#pragma once

#include "config/settings.hpp"

namespace greenroom::net {

/// Makes the process' logger. Once, before other threads log.
void start_log(log_level level, log_format format);
/// Any thread.
void set_log_level(log_level level);

} // namespace greenroom::net
