// attachment upload | download: files of rooms, piece by piece. The other commands about them are rows of the table.
#include "net/cli/api_command.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/node_client.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr size_t piece_bytes = 1024 * 1024;
constexpr int tries = 3; // for a piece whose answer did not come

struct upload_flags {
  std::shared_ptr<client_flags> client;
  std::string room;
  std::string file;
  std::string type = "application/octet-stream";
  std::string id; // go on with this one
};

std::string path_of(const std::string& room, const std::string& rest) {
  return "/api/v1/rooms/" + escaped(room) + "/attachments" + rest;
}

/// Sends what is missing from `offset` on. The last answer.
http_reply send_rest(node_client& node, const std::string& path, std::ifstream& in, uint64_t offset, uint64_t size) {
  http_reply last;
  std::string piece;
  for (int left = tries; offset < size;) {
    piece.resize(std::min<uint64_t>(piece_bytes, size - offset));
    in.clear();
    in.seekg(static_cast<std::streamoff>(offset));
    if (!in.read(piece.data(), static_cast<std::streamsize>(piece.size())))
      return {0, {}, fail(errc::bad_request, "FILE: it has become shorter")};
    last = node.ask("PATCH", path, piece, {},
                    {{"Upload-Offset", std::to_string(offset)}, {"Content-Type", "application/octet-stream"}});
    if (last.good()) {
      offset += piece.size();
      left = tries;
      continue;
    }
    if (last.own || (last.status != 0 && last.status != 409 && last.status != 503) || --left == 0)
      return last;
    // How far it came is not known, or it stands elsewhere: the node says where to go on.
    const auto info = node.ask("GET", path + "/info");
    const auto known = json::parse(info.body, nullptr, false);
    if (!info.good() || !known.is_object())
      return info.good() ? last : info;
    offset = known.value("offset", uint64_t{0});
    last = info;
  }
  return last;
}

int upload(const upload_flags& x, const config::sources& from) {
  const bool as_json = x.client->json;
  std::error_code failed;
  const auto size = std::filesystem::file_size(x.file, failed);
  std::ifstream in(x.file, std::ios::binary);
  if (failed || !in)
    return tell_failure(fail(errc::bad_request, "FILE: cannot read " + x.file), as_json);
  return with_node(*x.client, from, [&](node_client& node) {
    const json wanted{{"name", std::filesystem::path(x.file).filename().string()}, {"type", x.type}, {"size", size}};
    auto reply = x.id.empty() ? node.ask("POST", path_of(x.room, {}), wanted.dump())
                              : node.ask("GET", path_of(x.room, "/" + x.id + "/info"));
    const auto begun = json::parse(reply.body, nullptr, false);
    if (!reply.good() || !begun.is_object())
      return tell_failure(reply, as_json);
    const auto id = begun.value("id", "");
    if (begun.value("size", uint64_t{0}) != size)
      return tell_failure(fail(errc::conflict, "--continue: that upload is of a file of another size"), as_json);
    if (const auto at = begun.value("offset", uint64_t{0}); at < size) {
      reply = send_rest(node, path_of(x.room, "/" + id), in, at, size);
      if (!reply.good()) {
        if (!as_json)
          std::cerr << "it can go on: --continue " << id << "\n";
        return tell_failure(reply, as_json);
      }
    }
    std::cout << (as_json ? reply.body + "\n" : id + "\n");
    return exit_done;
  });
}

struct download_flags {
  std::shared_ptr<client_flags> client;
  std::string room;
  std::string id;
  std::string output;
};

int fetch(const download_flags& x, const config::sources& from) {
  return with_node(*x.client, from, [&](node_client& node) {
    std::ofstream out;
    if (!x.output.empty()) {
      out.open(x.output, std::ios::binary | std::ios::trunc);
      if (!out)
        return tell_failure(fail(errc::bad_request, "--output: cannot write " + x.output), x.client->json);
    }
    auto& to = x.output.empty() ? std::cout : static_cast<std::ostream&>(out);
    auto done = download(node.to(), path_of(x.room, "/" + x.id), node.token(), [&to](std::string_view piece) {
      to.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    });
    to.flush();
    if (!done)
      return tell_failure(done.error(), x.client->json);
    return to ? exit_done : tell_failure(fail(errc::unavailable, "the file cannot be written"), x.client->json);
  });
}

} // namespace

void add_file_commands(CLI::App& program, context& shared) {
  auto* group = program.get_subcommand("attachment");
  auto* up = group->add_subcommand("upload", "upload a file, for a message; says its id");
  auto u = std::make_shared<upload_flags>();
  u->client = add_client_flags(*up);
  up->add_option("ROOM", u->room, "the room's id")->required();
  up->add_option("FILE", u->file, "what to upload")->required();
  up->add_option("--type", u->type, "its media type")->capture_default_str();
  up->add_option("--continue", u->id, "go on with this upload, which was broken off");
  up->callback([&shared, u] { shared.run = [&shared, u] { return upload(*u, shared.from); }; });
  auto* down = group->add_subcommand("download", "fetch a file's content");
  auto d = std::make_shared<download_flags>();
  d->client = add_client_flags(*down);
  down->add_option("ROOM", d->room, "the room's id")->required();
  down->add_option("ID", d->id, "the attachment's id")->required();
  down->add_option("--output", d->output, "file to write; else the output");
  down->callback([&shared, d] { shared.run = [&shared, d] { return fetch(*d, shared.from); }; });
}

} // namespace greenroom::cli
