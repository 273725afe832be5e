#include "net/cli/cli.hpp"

#include <iostream>
#include <random>

namespace greenroom::cli {

std::optional<config::load_result> load_or_complain(const config::sources& from) {
  auto loaded = config::load(from);
  for (const auto& m : loaded.mistakes)
    std::cerr << config::to_string(m) << "\n";
  if (!loaded.ok())
    return std::nullopt;
  return loaded;
}

std::string random_id() {
  static constexpr char hex[] = "0123456789abcdef";
  std::random_device random;
  std::string out;
  for (int i = 0; i < 32; ++i)
    out += hex[random() & 15U];
  return out;
}

int complain(const failure& why) {
  std::cerr << "greenroom: " << why.message << "\n";
  return 1;
}

} // namespace greenroom::cli
