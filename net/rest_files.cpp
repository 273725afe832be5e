// Attachments through REST: their content comes and goes as a stream, one chunk at a time. Whoever is asked for the
// next chunk has stored the one before, so that the client feels what the disks can take; of a download the next chunk
// is read when the one before has left.
#include "net/event_json.hpp"
#include "net/http_text.hpp"
#include "net/io_threads.hpp"
#include "net/op_reader.hpp"
#include "net/rest.hpp"
#include "net/rest_call.hpp"

#include <algorithm>
#include <charconv>

namespace greenroom::net {
namespace {

std::optional<uint64_t> number(std::string_view text) {
  uint64_t x = 0;
  const auto* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, x) != std::from_chars_result{end, std::errc{}} ||
      x > json::integer_max)
    return std::nullopt;
  return x;
}

struct byte_range {
  uint64_t first = 0;
  uint64_t end = 0;
};

/// RFC 9110 section 14.1.2: one range of bytes. What is no such thing, several ranges included, is not looked at
/// (section 14.2): then `whole` stays. False: nothing of it is there.
bool cut(std::string_view header, uint64_t size, std::optional<byte_range>& part) {
  constexpr std::string_view unit = "bytes=";
  if (!header.starts_with(unit))
    return true;
  header.remove_prefix(unit.size());
  const auto dash = header.find('-');
  if (dash == header.npos)
    return true;
  const auto first = number(header.substr(0, dash)), last = number(header.substr(dash + 1));
  if (dash == 0) {
    if (!last)
      return true;
    part = byte_range{size - std::min(*last, size), size};
    return *last != 0;
  }
  if (!first || (!last && dash + 1 != header.size()) || (last && *last < *first))
    return true;
  part = byte_range{*first, last ? std::min(*last, size - 1) + 1 : size};
  return *first < size;
}

/// Whether the list holds it, or is "*" (RFC 9110 section 13.1.2); weak or not is all the same here.
bool names(std::string_view list, std::string_view etag) { return list == "*" || list.find(etag) != list.npos; }

/// RFC 5987: any name in ASCII.
std::string encoded(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (plain)
      out += static_cast<char>(c);
    else
      out.append({'%', digits[c >> 4], digits[c & 15]});
  }
  return out;
}

outcome<room_id> room_of(const rest_call& c) { return room_id::parse(c.parts.at(0), "room"); }

bool is_complete(const ok::file& x) { return x.what->at != storage::file_record::stage::uploading; }

} // namespace

/// An upload or a download, as long as anybody holds this.
class rest::transfer {
public:
  explicit transfer(std::atomic<uint32_t>& count) : count_(count) {}
  ~transfer() { count_.fetch_sub(1, std::memory_order_relaxed); }
  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;

private:
  std::atomic<uint32_t>& count_;
};

/// Null: there are too many, and the call has been answered.
rest::transfer_ptr rest::begin_transfer(const call_ptr& c) {
  if (transfers_.fetch_add(1, std::memory_order_relaxed) < transfers_max_)
    return std::make_shared<transfer>(transfers_);
  transfers_.fetch_sub(1, std::memory_order_relaxed);
  c->refuse(fail(errc::unavailable, "attachments.transfers: " + std::to_string(transfers_max_) + " are under way"));
  return nullptr;
}

bool rest::streams(std::string_view method, std::string_view target) const {
  const auto mark = target.find('?');
  const auto path = target.substr(0, mark);
  if (method == "PATCH")
    return match_path("/api/v1/rooms/*/attachments/*", path).has_value();
  // With its name in the query, an attachment comes in one request; else the body says what is to come.
  const auto query = mark == target.npos ? std::string_view{} : target.substr(mark);
  return method == "POST" && match_path("/api/v1/rooms/*/attachments", path) &&
         (query.starts_with("?name=") || query.find("&name=") != query.npos);
}

void rest::ask_file(const call_ptr& c, op::any what, std::function<void(ok::file)> then) {
  hooks_.perform(c->on, c->who, std::move(what), [c, then = std::move(then)](answer a) {
    if (!a)
      return c->pass_on(a.error(), a.error().code == errc::unsupported ? 415 : 0);
    auto* file = std::get_if<ok::file>(&*a);
    if (file == nullptr)
      return c->refuse(fail(errc::internal, "attachment: not an attachment"));
    then(std::move(*file));
  });
}

void rest::respond_file(const call_ptr& c, unsigned status, const ok::file& x) {
  http_response r;
  r.status = status;
  r.body = encode_.body(ok::any{x});
  r.headers.emplace_back("Upload-Offset", std::to_string(x.what->received));
  r.headers.emplace_back("Upload-Length", std::to_string(x.what->size));
  if (status == 201)
    r.headers.emplace_back("Location", c->request.path + "/" + x.id);
  c->respond(std::move(r));
}

// -- up --------------------------------------------------------------------------------------------------------------

void rest::begin_attachment(const call_ptr& c) {
  const bool at_once = c->request.stream != nullptr;
  auto fields = at_once ? c->query({{"name"}, {"sha256"}}) : c->body(rest_call::presence::required);
  if (!fields)
    return c->refuse(fields.error(), fields.error().code == errc::unsupported ? 415 : 0);
  if (at_once) {
    auto type = c->request.header("content-type");
    type = type.substr(0, type.find_first_of("; \t"));
    if (!type.empty()) {
      std::string lower(type);
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char x) { return x >= 'A' && x <= 'Z' ? static_cast<char>(x + ('a' - 'A')) : x; });
      if (!is_utf8(lower))
        return c->refuse(fail(errc::bad_request, "content-type: must be a media type"));
      fields->set("type", lower);
    }
    fields->set("size", c->request.stream->left());
  }
  auto room = room_of(*c);
  if (!room)
    return c->refuse(room.error());
  auto what = read_upload(*fields);
  if (!what)
    return c->refuse(what.error());
  what->room = std::move(*room);
  auto& floods = *hooks_.floods;
  if (turned_down(c, flood::sends, floods.send(floods.cell_of(c->who.user), *c->bounds, steady_ms())))
    return;
  transfer_ptr t;
  if (at_once && !(t = begin_transfer(c)))
    return;
  ask_file(c, std::move(*what), [this, c, t](const ok::file& x) {
    if (t)
      store_body(c, x, t, 201);
    else
      respond_file(c, 201, x);
  });
}

void rest::store_attachment(const call_ptr& c) {
  auto room = room_of(*c);
  if (!room)
    return c->refuse(room.error());
  if (!storage::is_file_id(c->parts.at(1)))
    return c->refuse(fail(errc::not_found, "attachment: no such attachment"));
  const auto offset = number(c->request.header("upload-offset"));
  if (!offset)
    return c->refuse(fail(errc::bad_request, "upload-offset: this header is required, a whole number"));
  auto t = begin_transfer(c);
  if (!t)
    return;
  ask_file(c, op::fetch{std::move(*room), c->parts[1], std::nullopt}, [this, c, t, offset](const ok::file& x) {
    const auto& f = *x.what;
    if (is_complete(x) || *offset != f.received)
      return c->refuse(fail(errc::conflict, "upload-offset: the upload stands at " + std::to_string(f.received)), 0,
                       {"Upload-Offset", std::to_string(f.received)});
    if (c->request.stream->left() > f.size - f.received)
      return c->refuse(
          fail(errc::too_large, "body: only " + std::to_string(f.size - f.received) + " bytes are missing"));
    store_body(c, x, t, 200);
  });
}

/// What is no whole chunk, and not the end, is left: the answer says from where on it is to come again.
void rest::store_body(const call_ptr& c, const ok::file& at, const transfer_ptr& t, unsigned status) {
  const auto wanted = std::min<uint64_t>(at.what->chunk_bytes, at.what->size - at.what->received);
  if (is_complete(at) || c->request.stream->left() < wanted)
    return respond_file(c, status, at);
  c->request.stream->take(wanted, [this, c, at, t, status](std::optional<std::string> piece) {
    if (!piece) // nobody hears it
      return c->refuse(fail(errc::unavailable, "attachment: its content did not come"));
    const auto next = at.what->received + piece->size();
    op::store part{at.room, at.id, at.what->received, std::make_shared<const std::string>(std::move(*piece))};
    ask_file(c, std::move(part), [this, c, t, status, next](const ok::file& x) {
      if (x.what->received != next)
        return c->refuse(fail(errc::conflict, "attachment: somebody else has uploaded a part of it"), 0,
                         {"Upload-Offset", std::to_string(x.what->received)});
      store_body(c, x, t, status);
    });
  });
}

// -- down ------------------------------------------------------------------------------------------------------------

void rest::show_attachment(const call_ptr& c) {
  auto room = room_of(*c);
  if (!room)
    return c->refuse(room.error());
  ask_file(c, op::fetch{std::move(*room), c->parts.at(1), std::nullopt},
           [this, c](const ok::file& x) { respond_file(c, 200, x); });
}

void rest::fetch_attachment(const call_ptr& c) {
  auto room = room_of(*c);
  if (!room)
    return c->refuse(room.error());
  ask_file(c, op::fetch{std::move(*room), c->parts.at(1), std::nullopt}, [this, c](const ok::file& x) {
    if (is_complete(x))
      return send_content(c, x);
    http_response r;
    r.status = 204;
    if (!c->request.head)
      return c->refuse(fail(errc::conflict, "attachment: its upload is not complete"), 0,
                       {"Upload-Offset", std::to_string(x.what->received)});
    r.headers.emplace_back("Upload-Offset", std::to_string(x.what->received));
    r.headers.emplace_back("Upload-Length", std::to_string(x.what->size));
    c->respond(std::move(r));
  });
}

/// A file's content, chunk by chunk.
class rest::file_content : public http_source, public std::enable_shared_from_this<file_content> {
public:
  file_content(const rest_hooks& hooks, call_ptr c, transfer_ptr t, const ok::file& x, byte_range what)
      : hooks_(hooks), call_(std::move(c)), transfer_(std::move(t)), room_(x.room), id_(x.id),
        chunk_bytes_(x.what->chunk_bytes), at_(what.first), end_(what.end) {}

  void next(std::function<void(http_piece)> take) override {
    hooks_.perform(call_->on, call_->who, op::fetch{room_, id_, at_ / chunk_bytes_},
                   [self = shared_from_this(), take = std::move(take)](answer a) { self->got(a, take); });
  }

private:
  void got(const answer& a, const std::function<void(http_piece)>& take) {
    const auto* file = a ? std::get_if<ok::file>(&*a) : nullptr;
    const auto from = at_ % chunk_bytes_;
    if (file == nullptr || !file->bytes || file->bytes->size() <= from)
      return take({{}, false, true}); // gone, or the reader has been removed from the room
    auto piece = file->bytes->substr(from, end_ - at_);
    at_ += piece.size();
    take({std::move(piece), at_ == end_});
  }

  const rest_hooks& hooks_;
  const call_ptr call_;
  const transfer_ptr transfer_; // counts as long as this lives
  const room_id room_;
  const std::string id_;
  const uint64_t chunk_bytes_;
  uint64_t at_;
  const uint64_t end_;
};

void rest::send_content(const call_ptr& c, const ok::file& x) {
  const auto size = x.what->size;
  const auto etag = '"' + hex_of(x.what->sha256) + '"';
  // It never changes, but who may have it does: a cache asks each time.
  for (auto& [name, value] : c->more_headers)
    if (name == "Cache-Control")
      value = "private, no-cache";
  http_response r;
  r.headers.emplace_back("ETag", etag);
  if (names(c->request.header("if-none-match"), etag)) {
    r.status = 304;
    return c->respond(std::move(r));
  }
  std::optional<byte_range> part;
  const auto condition = c->request.header("if-range");
  if ((condition.empty() || condition == etag) && !cut(c->request.header("range"), size, part))
    return c->refuse(fail(errc::bad_request, "range: the attachment has " + std::to_string(size) + " bytes"), 416,
                     {"Content-Range", "bytes */" + std::to_string(size)});
  const auto what = part.value_or(byte_range{0, size});
  auto t = c->request.head ? nullptr : begin_transfer(c);
  if (!t && !c->request.head)
    return;
  if (part) {
    r.status = 206;
    r.headers.emplace_back("Content-Range", "bytes " + std::to_string(what.first) + "-" + std::to_string(what.end - 1) +
                                                "/" + std::to_string(size));
  }
  r.content_type = x.what->type;
  r.headers.emplace_back("Accept-Ranges", "bytes");
  // What somebody has uploaded is no page of ours: browsers keep it, and neither guess at it nor run it.
  r.headers.emplace_back("Content-Disposition", "attachment; filename*=UTF-8''" + encoded(x.what->name));
  r.headers.emplace_back("X-Content-Type-Options", "nosniff");
  r.headers.emplace_back("Content-Security-Policy", "default-src 'none'; sandbox");
  r.length = what.end - what.first;
  if (t)
    r.source = std::make_shared<file_content>(hooks_, c, t, x, what);
  c->respond(std::move(r));
}

void rest::discard_attachment(const call_ptr& c) {
  auto room = room_of(*c);
  if (!room)
    return c->refuse(room.error());
  auto& floods = *hooks_.floods;
  if (turned_down(c, flood::sends, floods.send(floods.cell_of(c->who.user), *c->bounds, steady_ms())))
    return;
  hooks_.perform(c->on, c->who, op::discard{std::move(*room), c->parts.at(1)}, [c](answer a) {
    if (!a)
      return c->pass_on(a.error());
    c->respond(204);
  });
}

} // namespace greenroom::net
