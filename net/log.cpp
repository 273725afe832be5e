#include "net/log.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace greenroom::net {
namespace {

/// Lines are written as `key=value key="value with spaces" ...`; each becomes a member of the JSON object.
class as_json : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    nlohmann::ordered_json line;
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(msg.time.time_since_epoch()).count();
    line["ts"] = ms;
    line["level"] = std::string(spdlog::level::to_string_view(msg.level).data());
    split({msg.payload.data(), msg.payload.size()}, line);
    auto text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    dest.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<formatter> clone() const override { return std::make_unique<as_json>(); }

private:
  static void split(std::string_view text, nlohmann::ordered_json& into) {
    while (!text.empty()) {
      auto equals = text.find('=');
      if (equals == std::string_view::npos || text.substr(0, equals).find(' ') != std::string_view::npos) {
        into["message"] = std::string(text);
        return;
      }
      auto key = std::string(text.substr(0, equals));
      text.remove_prefix(equals + 1);
      bool quoted = !text.empty() && text.front() == '"';
      if (quoted)
        text.remove_prefix(1);
      auto end = quoted ? text.find("\" ") : text.find(' ');
      auto value = text.substr(0, end);
      if (quoted && end == std::string_view::npos && !value.empty() && value.back() == '"')
        value.remove_suffix(1);
      into[key] = std::string(value);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + (quoted ? 2 : 1));
    }
  }
};

spdlog::level::level_enum level_of(log_level level) {
  switch (level) {
  case log_level::trace:
    return spdlog::level::trace;
  case log_level::debug:
    return spdlog::level::debug;
  case log_level::info:
    return spdlog::level::info;
  case log_level::warn:
    return spdlog::level::warn;
  case log_level::error:
    return spdlog::level::err;
  }
  return spdlog::level::info;
}

} // namespace

void start_log(log_level level, log_format format) {
  auto logger = spdlog::stderr_color_mt("greenroom");
  if (format == log_format::json)
    logger->set_formatter(std::make_unique<as_json>());
  else
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%-7l%$ %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  set_log_level(level);
}

void set_log_level(log_level level) { spdlog::set_level(level_of(level)); }

} // namespace greenroom::net
