// schema_limits: the rows of [limits], all of which SIGHUP may change.
#include "config/address.hpp"
#include "config/schema.hpp"

namespace greenroom::config {
namespace {

constexpr int64_t kib = 1024;
constexpr int64_t mib = 1024 * kib;
constexpr int64_t count_max = 1'000'000; // of everything that is counted per time

bool is_range(const std::string& text) { return ip_range::parse(text).has_value(); }
constexpr text_form range_form{is_range, "an address or a range (192.0.2.0/24, 2001:db8::/32) with nothing set behind "
                                         "its prefix"};

// The name of a key is the name of its member, so the two cannot drift apart.
#define LIMIT(key) "limits", #key, [](settings& s) -> slot { return &s.limits.key; }, change::reload

const field table[] = {
    {LIMIT(frame_bytes), "bytes", 1 * kib, 16 * mib, "Longest frame (one JSON object) from a client.",
     "Too low: ordinary messages are refused with too_large. Too high: memory per connection."},
    {LIMIT(message_bytes), "bytes", 1 * kib, 64 * mib,
     "Longest WebSocket message, which may hold several frames; over it the connection is closed with 1009.",
     "Too low: clients that send many frames at once are cut off. Too high: memory per connection."},
    {LIMIT(text_bytes), "bytes", 1, 1 * mib, "Longest `text` of a message, in UTF-8.",
     "Too low: long messages are refused with too_large. Too high: all listeners pay for them."},
    {LIMIT(data_bytes), "bytes", 0, 1 * mib, "Longest `data` of a message, as JSON. 0: no data.",
     "Too low: applications are refused with too_large. Too high: all listeners pay for it."},
    {LIMIT(json_depth), "levels", 4, 256, "How deep arrays and objects of a client may be nested.",
     "Too low: rich `data` is refused. Too high: hostile input costs more."},
    {LIMIT(header_bytes), "bytes", 1 * kib, 1 * mib, "Longest header of an HTTP request; over it: 431.",
     "Too low: clients with long tokens or cookies are refused. Too high: memory for each stranger."},
    {LIMIT(body_bytes), "bytes", 1 * kib, 64 * mib, "Longest body of an HTTP request; over it: 413.",
     "Too low: REST clients cannot send what WebSocket clients can. Too high: memory per request."},

    {LIMIT(in_flight), "requests", 1, 65'536,
     "Unanswered requests of a connection; over it the server reads no more from it until one is answered.",
     "Too low: fast senders wait for the round trip. Too high: memory per connection."},
    {LIMIT(sends_per_s), "per second", 1, 1'000'000, "Messages that a connection may send, on average.",
     "Too low: people are refused with rate_limited. Too high: one client floods a room."},
    {LIMIT(sends_burst), "messages", 1, 1'000'000, "Messages that a connection may send at once after a pause.",
     "Too low: a client that comes back with a few waiting messages is refused at first."},
    {LIMIT(edits_per_message), "edits", 1, 10'000, "How often one message may be edited.",
     "Too low: people can't correct themselves. Too high: each revocation rewrites as many events."},
    {LIMIT(reactions_per_message), "emojis", 0, 1'000,
     "Different emojis on one message; any number of people may share each. 0: none.",
     "Too low: people are refused with too_large. Too high: pages of history grow."},
    {LIMIT(pins_per_room), "messages", 0, 1'000, "Messages that may be pinned in a room at the same time. 0: none.",
     "Too high: every look at the room lists them."},
    {LIMIT(bans_per_room), "users", 0, 1'000'000, "Users who may be banned from one room at the same time. 0: none.",
     "Too low: a room can't defend itself. Too high: memory per room."},
    {LIMIT(mentions_per_message), "mentions", 0, 10'000,
     "People whom one message may mean by `@`; further ones are just text.",
     "Too high: one message costs as many small writes."},
    {LIMIT(attachments_per_message), "attachments", 0, 100, "Attachments that one message may have. 0: none.",
     "Too high: each is named in the message, and goes with it in one write."},
    {LIMIT(mentions_counted), "mentions", 1, 10'000, "The most that `mentions` of a room in the inbox counts to.",
     "Too high: who comes back after a long time costs the disk more."},
    {LIMIT(scheduled_per_room), "messages", 0, 10'000,
     "Messages that one user may have scheduled in one room at the same time. 0: none.",
     "Too high: one client can fill a room's future."},
    {LIMIT(schedule_days), "days", 1, 3'650, "How far ahead a message may be scheduled.",
     "Too high: the store keeps what nobody remembers."},
    {LIMIT(requests_per_s), "per second", 0, count_max,
     "Requests other than messages and changes that a connection may make, on average. 0: no limit.",
     "Too low: clients that look around are refused with rate_limited. Too high: one client keeps a core busy."},
    {LIMIT(requests_burst), "requests", 1, count_max, "The same, at once after a pause.",
     "Too low: a client that opens many rooms at its start is refused."},
    {LIMIT(bad_frames), "frames", 0, 1'000'000,
     "Frames of a connection that may be no JSON object; one more closes it with 3400. 0: the first one does.",
     "Too high: garbage costs more."},
    {LIMIT(outbox_bytes), "bytes", 64 * kib, 1'024 * mib,
     "Bytes that wait to be sent to a connection. Over it typing and the like is dropped, then the connection closed "
     "with 3008; it may resume.",
     "Too low: phones on bad networks are thrown out. Too high: memory for each that does not read."},
    {LIMIT(subscriptions), "rooms", 1, 100'000, "Rooms that one connection may listen to.",
     "Too low: the rest of a user's rooms says `subscribed:false`. Too high: memory per connection."},
    {LIMIT(hello_rooms), "rooms", 1, 10'000,
     "Rooms that the answer to `hello` lists; `more` says that there are others.",
     "Too low: clients ask again. Too high: signing in gets slow for members of many rooms."},
    {LIMIT(resume_events), "events", 1, 1'000'000,
     "How far a client may be behind in a room and still be brought up to date; else it reads history.",
     "Too low: a short outage in a busy room loses the place. Too high: coming back costs the disk much."},
    {LIMIT(pull_events), "events", 1, 10'000,
     "Most events that a connection which is behind reads from a room in one go; it goes on until it has all.",
     "Too low: more round trips for those who come back. Too high: memory for each of them."},
    {LIMIT(closing_bytes), "bytes", 0, 1'024 * mib,
     "Bytes that are read and thrown away of a peer that sends on after the end, so that the last answer arrives; over "
     "it the connection is cut off.",
     "Too low: who uploads too much never sees why it was refused. Too high: traffic for nothing."},

    {LIMIT(history_page), "events", 1, 1'000, "Most events in one page of history.",
     "Too high: one request keeps a reader of the disk busy."},
    {LIMIT(page_bytes), "bytes", 64 * kib, 64 * mib, "Most bytes in a page of any kind, whichever bound is met first.",
     "Too low: more requests. Too high: memory per request."},
    {LIMIT(members_page), "members", 1, 1'000, "Most members in one page.", "Too high: memory per request."},
    {LIMIT(rooms_page), "rooms", 1, 1'000, "Most rooms in one page of the inbox.", "Too high: memory per request."},

    {LIMIT(handshake_ms), "ms", 100, 600'000,
     "Time for the TLS handshake and the header of the first request; then the connection is closed.",
     "Too low: far clients cannot connect. Too high: silent strangers hold places."},
    {LIMIT(hello_ms), "ms", 100, 600'000, "Time from the upgrade to a good `hello`; then close 3503.",
     "Too low: clients that must first ask for a password fail. Too high: silent strangers hold places."},
    {LIMIT(ping_ms), "ms", 100, 3'600'000, "Time between pings of the server.",
     "Too low: traffic and batteries. Too high: proxies cut quiet connections, often after 60 s."},
    {LIMIT(pong_ms), "ms", 100, 600'000, "Time for the answer to a ping; then close 3012.",
     "Too low: phones on bad networks are thrown out. Too high: the dead look alive."},
    {LIMIT(request_ms), "ms", 100, 600'000,
     "Time for the whole of an HTTP request to arrive, and for the answer to any request; then unavailable.",
     "Too low: slow uploads fail. Too high: trickling clients hold places."},
    {LIMIT(slow_ms), "ms", 100, 600'000,
     "A client whose outbox stays more than half full for this time is closed with 3008; it may resume.",
     "Too low: phones on bad networks are thrown out. Too high: the deaf hold memory."},
    {LIMIT(keep_alive_ms), "ms", 0, 3'600'000,
     "An HTTP connection is closed after this time without a request. 0: after each answer.",
     "Too high: idle connections hold places."},

    {LIMIT(connections), "connections", 1, 10'000'000,
     "Connections of this node; further ones are refused. The process needs as many file descriptors.",
     "Too high: memory or descriptors run out, and everybody suffers."},
    {LIMIT(connections_per_address), "connections", 1, 10'000'000,
     "Connections from one address; further ones are refused.",
     "Too low: people behind one proxy or router shut each other out. Too high: one machine takes all places."},
    {LIMIT(connections_per_user), "connections", 1, 100'000, "Connections of one user; one more is closed with 3504.",
     "Too low: devices shut each other out. Too high: each direct message goes to all of them."},
    {LIMIT(rooms_per_user), "rooms", 1, 1'000'000, "Rooms that one user may be a member of.",
     "Too high: signing in gets slow for members of many rooms."},
    {LIMIT(members_per_room), "members", 2, 10'000'000, "Members that one room may have.",
     "Too high: memory per room."},

    {LIMIT(rest_requests), "requests", 1, 1'048'576,
     "REST requests under way on one I/O thread; further ones are answered unavailable.",
     "Too low: bursts are refused. Too high: memory, and long waits."},
    {LIMIT(refusals), "connections", 0, 65'536,
     "Connections over limits.connections or limits.connections_per_address that are being told so at the same time; "
     "further ones are closed without a word.",
     "Too low: refused clients don't know why. Too high: strangers take descriptors."},
    {LIMIT(refusals_per_address), "connections", 0, 65'536, "The same, of one address.",
     "Too high: one address takes all of limits.refusals."},

    {LIMIT(logins_per_minute), "per minute", 1, 1'000'000, "Attempts to sign in to one account.",
     "Too low: a slip of the finger locks people out. Too high: passwords can be guessed."},
    {LIMIT(logins_per_minute_address), "per minute", 1, 1'000'000,
     "Attempts to sign in, register or come as a guest from one address.",
     "Too low: people behind one router shut each other out. Too high: robots."},

    {LIMIT(sends_per_s_user), "per second", 0, count_max,
     "Messages and changes of one user on this node, on average, over all devices and REST. Never less than "
     "limits.sends_per_s. 0: no limit.",
     "Too low: people with several devices are refused. Too high: who opens many connections sends as many times "
     "more."},
    {LIMIT(sends_burst_user), "messages", 1, count_max,
     "The same, at once after a pause; never less than limits.sends_burst.",
     "Too low: devices that come back together are refused at first."},
    {LIMIT(joins_per_minute_user), "per minute", 0, count_max,
     "Rooms that one user may join or make on this node, on average, and as many at once after a pause. 0: no limit.",
     "Too low: people who look around are refused. Too high: robots fill rooms with their comings and goings."},
    {LIMIT(calls_per_s_user), "per second", 0, count_max,
     "Requests through REST in the name of one user on this node, on average. 0: no limit.",
     "Too low: bots are refused. Too high: one of them keeps a core busy."},
    {LIMIT(calls_burst_user), "requests", 1, count_max, "The same, at once after a pause.",
     "Too low: a bot that reads its rooms at its start is refused."},
    {LIMIT(sends_per_s_room), "per second", 0, count_max,
     "Messages to one room, on average, from all of its members together. 0: no limit.",
     "Too low: people are refused for what others said. Too high: in a large room nobody can follow."},
    {LIMIT(sends_burst_room), "messages", 1, count_max, "The same, at once after a pause.",
     "Too low: a lively moment is refused."},
    {LIMIT(connects_per_minute_address), "per minute", 0, count_max,
     "New connections from one address, on average, and as many at once after a pause. 0: no limit.",
     "Too low: people behind one router can't all come back after an outage. Too high: handshakes keep a core busy."},
    {LIMIT(calls_per_s_address), "per second", 0, count_max,
     "Requests to /api from one address, on average, with a good token or without. 0: no limit.",
     "Too low: people behind one router shut each other out. Too high: tokens can be tried out."},
    {LIMIT(calls_burst_address), "requests", 1, count_max, "The same, at once after a pause.",
     "Too low: people behind one router shut each other out."},

    {LIMIT(flood_refusals), "refusals", 1, count_max,
     "How often in limits.flood_window_ms somebody may be refused with rate_limited. Who goes on is logged "
     "(what=abuse) "
     "and banned; a connection is closed with 3429.",
     "Too low: eager clients are thrown out. Too high: a flood goes on for longer."},
    {LIMIT(flood_window_ms), "ms", 1'000, 600'000, "In this time as many refusals are forgotten again.",
     "Too low: patient floods are never noticed. Too high: eager clients are thrown out."},
    {LIMIT(ban_s), "s", 0, 86'400,
     "For how long the user, or an address that nobody has signed in from, is banned from this node. 0: not at all.",
     "Too low: floods come back at once. Too high: a mistake of a client's locks its user out for long."},
    {LIMIT(bans), "users", 0, 1'000'000,
     "Users, and as many addresses, that may be banned at the same time; the ban that ends first makes way. 0: none.",
     "Too low: many attackers push each other out. Too high: memory."},
    {LIMIT(allow_addresses),
     "ranges",
     0,
     1'024,
     "Addresses and ranges that no limit by address and no ban by address holds for: proxies that many people come "
     "through, and monitoring. Goes before limits.deny_addresses.",
     "A proxy that is missing: all who come through it share one address's limits, and its bans. Too wide: floods.",
     {},
     &range_form},
    {LIMIT(deny_addresses),
     "ranges",
     0,
     1'024,
     "Addresses and ranges whose connections are closed at once, without an answer.",
     "Too wide: people are shut out without a word.",
     {},
     &range_form},
};
#undef LIMIT

} // namespace

std::span<const field> limit_fields() { return table; }

} // namespace greenroom::config
