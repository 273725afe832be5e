// command_line: the flags of the node, read by CLI11, which stays in here.
//
// --section.key=value is taken out before CLI11 looks: it would take the next argument for an empty value
// (--auth.audience=), and end at the first mistake, where we want all of them.
#include "config/gathering.hpp"

#include <CLI/CLI.hpp>

namespace greenroom::config {

command_line read_command_line(int argc, const char* const* argv, const char* const* envp) {
  command_line out;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  out.from.environment = environment_of(envp);
  out.from.flags = take_flags(arguments);

  bool version = false;
  CLI::App app("greenroomd: a node of the Greenroom chat server", "greenroomd");
  app.add_option("-c,--config", out.from.file, "TOML file (default: greenroom.toml, if it is there)")
      ->check([](auto& x) { return x.empty() ? std::string("needs the path of a file") : std::string(); });
  app.add_flag("--version", version, "print the version and leave");
  app.footer("Every setting is also a flag, --section.key=value (--listen.port=9000), and a variable\n"
             "(GREENROOM_LISTEN_PORT=9000). `greenroom config default` prints all of them.");
  app.allow_extras();
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend()); // CLI11 takes them from the back.
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    out.answer = app.help();
  } catch (const CLI::ParseError& e) {
    out.mistakes.push_back({"command line", "", e.what()});
  }
  if (version)
    out.answer = "greenroomd " GREENROOM_VERSION "\n";
  for (const std::string& extra : app.remaining()) {
    const bool flag = extra.starts_with("--") && extra.size() > 2;
    const auto hint = flag ? nearest(extra.substr(2, extra.find('=') - 2)) : "";
    out.mistakes.push_back({extra, "",
                            "no such " + std::string(flag ? "flag" : "argument") +
                                (hint.empty() ? "" : "; settings are flags with a dot; " + hint)});
  }
  return out;
}

} // namespace greenroom::config
