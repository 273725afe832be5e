#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <ctime>

namespace greenroom::cli {

using nlohmann::json;

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte < 0x20 || byte == 0x7f) {
      out += '?';
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      out += '?'; // U+0080 to U+009F: some terminals take them for the beginning of a command.
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string text_of(const json& object, std::string_view field) {
  if (!object.is_object())
    return "";
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

uint64_t number_of(const json& object, std::string_view field) {
  if (!object.is_object())
    return 0;
  const auto found = object.find(field);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

std::string clock_of(uint64_t ms) {
  const auto seconds = static_cast<time_t>(ms / 1000);
  std::tm parts{};
  char text[32] = "?";
  if (::gmtime_r(&seconds, &parts) != nullptr)
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string error_code(const json& frame) { return text_of(frame.value("error", json::object()), "code"); }

std::string line_of(const json& event) {
  const auto kind = text_of(event, "ev");
  const auto from = printable(text_of(event, "from"));
  const auto text = printable(text_of(event, "text"));
  std::string out = "[" + printable(text_of(event, "room")) + " " + std::to_string(number_of(event, "seq")) + "] ";
  if (kind == "message") {
    const bool revoked = event.contains("revoked") && event["revoked"] == true;
    return out + from + ": " + (revoked ? "(revoked)" : text) +
           (event.contains("data") ? " " + printable(event["data"].dump()) : "");
  }
  if (kind == "ephemeral")
    return "[" + printable(text_of(event, "room")) + "] " + from + " (in passing): " + text;
  const auto target = std::to_string(number_of(event, "target"));
  const auto title = printable(text_of(event, "title"));
  if (kind == "member") {
    const auto user = printable(text_of(event, "user"));
    const auto change = printable(text_of(event, "change"));
    const auto reason = printable(text_of(event, "reason"));
    return out + "* " + user + " " + (change == "role" ? "is " + printable(text_of(event, "role")) + " now" : change) +
           (from == user ? "" : " by " + from) + (reason.empty() ? "" : ": " + reason);
  }
  if (kind == "edited")
    return out + from + " edited " + target + (text.empty() ? "" : ": " + text);
  if (kind == "revoked")
    return out + from + " took back " + target;
  if (kind == "reaction") {
    const bool on = event.contains("on") && event["on"] == true;
    return out + from + (on ? " put " : " took ") + printable(text_of(event, "emoji")) + (on ? " on " : " off ") +
           target;
  }
  if (kind == "topic")
    return out + from + " set the topic: " + title;
  if (kind == "room" && event.contains("deleted"))
    return out + from + " deleted the room";
  if (kind == "room")
    return out + from + " changed the room: " + title + " (" + printable(text_of(event, "kind")) + ")";
  return out + from + " * " + printable(kind) + (target == "0" ? "" : " " + target);
}

std::string members_line(const std::string& room, const json& members) {
  std::string out;
  for (const auto& member : members.value("members", json::array()))
    out += (out.empty() ? "" : ", ") + printable(text_of(member, "user")) + " (" + printable(text_of(member, "role")) +
           (member.is_object() && member.value("online", json()) == true ? ", online)" : ")");
  return printable(room) + ": " + (out.empty() ? "nobody" : out) + (text_of(members, "next").empty() ? "" : ", ...");
}

std::string room_line(const json& room, uint64_t unread) {
  return printable(text_of(room, "room")) + ": " + std::to_string(unread) + " unread of " +
         std::to_string(number_of(room, "seq"));
}

} // namespace greenroom::cli
