// schema_hooks: the rows of [webhook], [presend] and [tenant], see schema_table.cpp.
#include "config/schema.hpp"

#include <algorithm>

namespace greenroom::config {
namespace {

constexpr auto reload = change::reload;

constexpr int64_t kib = 1024;
constexpr int64_t mib = 1024 * kib;
constexpr int64_t path_bytes = 4096;

constexpr std::string_view start_words[] = {"head", "first"};
constexpr std::string_view failure_words[] = {"closed", "open"};

// As is_jwks_url, but plain HTTP goes anywhere: what is pushed is signed, and nothing that comes back is a secret.
bool is_hook_url(const std::string& text) {
  const auto scheme = text.starts_with("https://") ? 8u : text.starts_with("http://") ? 7u : 0u;
  if (scheme == 0)
    return text.empty();
  const auto host = text.substr(scheme, text.find_first_of("/?", scheme) - scheme);
  return !host.empty() && host.find('@') == std::string::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

// What a room's id can be, with stars in it; `!` in front: these not.
bool is_room_pattern(const std::string& text) {
  const auto from = text.starts_with('!') ? 1u : 0u;
  return text.size() > from && text.size() <= 128 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-/@+*", from) == std::string::npos;
}

bool is_event_kind(const std::string& text) {
  constexpr std::string_view kinds[] = {"message", "edited", "revoked",  "reaction", "member",
                                        "topic",   "pinned", "unpinned", "room"};
  return std::find(std::begin(kinds), std::end(kinds), text) != std::end(kinds);
}

constexpr text_form hook_form{is_hook_url, "https://host[:port]/path, or http://"};
constexpr text_form pattern_form{is_room_pattern,
                                 "a room's id, with * for any characters, and ! in front of what is not meant"};
constexpr text_form kind_form{is_event_kind,
                              "message, edited, revoked, reaction, member, topic, pinned, unpinned or room"};

#define AT(section, key) #section, #key, [](settings & s) -> slot { return &s.section.key; }

const field table[] = {
    {AT(webhook, url),
     reload,
     "",
     0,
     path_bytes,
     "Where events are pushed to. Only in a section of its own, [webhook.NAME], one for each webhook; the other keys "
     "may "
     "stand in [webhook], too, for all of them. The name is what a webhook is known by: under another one it begins "
     "anew.",
     "Another service: it gets every message that is said.",
     {},
     &hook_form},
    {AT(webhook, secret_file), reload, "", 0, path_bytes,
     "File with the secret that deliveries are signed with: 16 to 256 visible characters on a line. A second line "
     "holds "
     "another one, which signs as well, so that secrets can be changed. Read anew on SIGHUP.",
     "Not the one that the receiver knows: it refuses what comes, which waits."},
    {AT(webhook, ca_file), reload, "", 0, path_bytes,
     "PEM file: whom the receiver must have its certificate from. Empty: whom the system trusts.",
     "Not the issuer: nothing is delivered."},
    {AT(webhook, events),
     reload,
     "kinds",
     0,
     9,
     "Kinds of events that are pushed, by the word that they have as \"ev\". Empty: all that are stored.",
     "A kind that is missing is never pushed, nor later.",
     {},
     &kind_form},
    {AT(webhook, rooms),
     reload,
     "patterns",
     0,
     64,
     "Rooms whose events are pushed: their ids, with * for any characters; ! in front of those that are not meant "
     "after "
     "all. Direct rooms begin with @.",
     "Too wide: what people say to each other leaves the house.",
     {},
     &pattern_form},
    {AT(webhook, start), reload, "", 1, 8,
     "Where a webhook begins in a room that it has not pushed anything of: with what is said from now on, or with the "
     "first event that is kept, as soon as something is said there.",
     "first: the whole history of each room that comes alive.", start_words},
    {AT(webhook, timeout_ms), reload, "ms", 100, 120'000,
     "Time for one delivery, from the look-up of the name to the answer.",
     "Too low: a slow receiver gets the same again and again. Too high: a hanging one holds its places."},
    {AT(webhook, batch_events), reload, "events", 1, 1'000, "Most events of a room in one delivery.",
     "Too low: more requests. Too high: more is repeated when one fails."},
    {AT(webhook, batch_bytes), reload, "bytes", 1 * kib, 16 * mib,
     "About the most bytes of events in one delivery; one event comes in any case.",
     "Too low: more requests. Too high: receivers that refuse long bodies get nothing."},
    {AT(webhook, in_flight), reload, "deliveries", 1, 1'024,
     "Deliveries of one webhook that this node makes at the same time, each of another room.",
     "Too low: a receiver that is far away falls behind. Too high: it is flooded after an outage."},
    {AT(webhook, retry_min_ms), reload, "ms", 100, 600'000,
     "Time until a delivery that failed is tried again; doubled with each further failure, give or take a quarter.",
     "Too low: a receiver in trouble is kept there."},
    {AT(webhook, retry_max_s), reload, "s", 1, 86'400, "The most that this time grows to.",
     "Too high: events come late when the receiver is back."},
    {AT(webhook, pending_rooms), reload, "rooms", 1, 10'000'000,
     "Rooms of this node with something to push that one webhook keeps in memory; the others wait on the disk.",
     "Too low: more reads of the disk after an outage. Too high: memory, some 300 bytes each."},
    {AT(webhook, deleted_s), reload, "s", 0, 86'400,
     "For how long a room that was deleted stays on the disk for a webhook that has not got all of it. Nobody can take "
     "its name meanwhile.",
     "Too low: a receiver that is down never hears of the end. Too high: names stay taken."},

    {AT(presend, url),
     reload,
     "",
     0,
     path_bytes,
     "Who is asked before a message is taken: see net/WEBHOOKS.md. Empty: nobody.",
     "A receiver that is down: see presend.on_failure.",
     {},
     &hook_form},
    {AT(presend, secret_file), reload, "", 0, path_bytes, "As webhook.secret_file, for these questions.",
     "Not the one that the receiver knows: it refuses to answer."},
    {AT(presend, ca_file), reload, "", 0, path_bytes, "As webhook.ca_file.",
     "Not the issuer: no question is answered."},
    {AT(presend, rooms),
     reload,
     "patterns",
     0,
     64,
     "Rooms whose messages are asked about, as webhook.rooms.",
     "Too narrow: messages pass that nobody has looked at.",
     {},
     &pattern_form},
    {AT(presend, on_failure), reload, "", 1, 8,
     "What becomes of a message when there is no good answer in time: closed refuses it with unavailable, open takes "
     "it.",
     "closed: a receiver that is down stops all talk. open: it lets everything pass.", failure_words},
    {AT(presend, deadline_ms), reload, "ms", 10, 60'000, "Time for the answer.",
     "Too low: messages are refused, or pass unseen. Too high: people wait."},
    {AT(presend, waiting), reload, "messages", 1, 65'536,
     "Messages of this node that wait for an answer; further ones are refused with unavailable. As many connections to "
     "the receiver may be open.",
     "Too low: bursts are refused. Too high: memory and connections."},
    {AT(tenant, members_per_room), change::restart, "members", 0, 100'000'000,
     "Members that a room of a namespace may have, for all namespaces that don't say otherwise in a section of their "
     "own, [tenant.NAME]. 0: as limits.members_per_room, which holds in any case.",
     "Too low: people are turned away."},
    {AT(tenant, text_bytes), change::restart, "bytes", 0, 16 * mib,
     "Text of a message in a room of a namespace. 0: as limits.text_bytes, which holds in any case.",
     "Too low: long messages are refused."},
    {AT(tenant, sends_per_s_room), change::restart, "per second", 0, 1'000'000,
     "Messages that all members of a room of a namespace may send together. 0: as limits.sends_per_s_room.",
     "Too low: busy rooms are refused."},
    {AT(tenant, sends_per_s), change::restart, "per second", 0, 10'000'000,
     "Messages that may be sent in all rooms of a namespace together, as far as this node serves them. 0: no limit.",
     "Too low: a tenant is refused. Too high: one tenant takes what others need."},
};
#undef AT

} // namespace

std::span<const field> hook_fields() { return table; }

} // namespace greenroom::config
