// chat: a conversation in a terminal. Wires the three parts: what is typed (line_reader), what is meant (conversation)
// and the connection (ws_link), which it makes anew whenever it breaks.
#include "config/ids.hpp"
#include "net/cli/cli.hpp"
#include "net/cli/conversation.hpp"
#include "net/cli/line_reader.hpp"
#include "net/cli/ws_link.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>

namespace greenroom::cli {
namespace {

namespace asio = boost::asio;

constexpr uint32_t backoff_first_ms = 200;
constexpr uint32_t backoff_max_ms = 5'000;
// Long enough that a burst of events costs one `read`, short enough that other devices follow.
constexpr uint32_t mark_read_ms = 1'000;

constexpr auto token_advice = "a token is good at the node whose secret made it, for as long as `greenroom token --ttl "
                              "SECONDS` says; who signs in with an account (--user NAME) stays";
constexpr uint16_t token_invalid = 3501; // net/PROTOCOL.md, close codes

struct chat_flags {
  std::shared_ptr<node_flags> node;
  std::string room = "general";
  bool raw = false;
};

class chat {
public:
  chat(const chat_flags& flags, endpoint to, credentials who)
      : to_(std::move(to)), who_(std::move(who)), talk_(flags.room, flags.raw, outside()),
        reader_([this](auto lines, bool end) {
          asio::post(io_, [this, lines = std::move(lines), end] { typed(lines, end); });
        }) {}

  int run() {
    signals_.async_wait([this](boost::system::error_code failed, int) {
      if (!failed)
        interrupted();
    });
    asio::co_spawn(io_, stay_connected(), [this](std::exception_ptr e, int code) {
      thrown_ = std::move(e);
      exit_code_ = code;
      io_.stop();
    });
    io_.run();
    if (thrown_)
      std::rethrow_exception(thrown_);
    if (const auto left_over = talk_.left_over(); !left_over.empty())
      notice(left_over);
    return exit_code_;
  }

private:
  conversation::outside outside() {
    return {
        .send = [this](std::string frame) { link_->send(std::move(frame)); },
        .show = [this](const std::string& line) { show(line); },
        .notice = [](const std::string& line) { notice(line); },
        .retry_after =
            [this](uint32_t ms) {
              retry_.expires_after(std::chrono::milliseconds(ms));
              retry_.async_wait([this](boost::system::error_code failed) {
                if (failed)
                  return;
                talk_.retry();
                settle();
              });
            },
        .mark_read_soon =
            [this] {
              marking_.expires_after(std::chrono::milliseconds(mark_read_ms));
              marking_.async_wait([this](boost::system::error_code failed) {
                if (!failed)
                  talk_.mark_read();
              });
            },
        .reconnect = [this] { link_->drop(); },
        .leave_after =
            [this](uint32_t ms) {
              leaving_.expires_after(std::chrono::milliseconds(ms));
              leaving_.async_wait([this](boost::system::error_code failed) {
                if (!failed)
                  talk_.leave();
              });
            },
        .say_goodbye =
            [this] {
              left_ = true;
              link_->close();
            },
        .renew_token =
            [this] {
              if (!who_.renewable())
                return notice(std::string("the token expires soon and cannot be renewed: ") + token_advice);
              if (auto done = who_.renew(to_); done)
                talk_.renewed(who_.token());
              else
                notice("the token cannot be renewed: " + done.error().message);
            },
        .new_key = random_id,
    };
  }

  void show(const std::string& line) {
    // Flushed line by line: the reader may be a person or the next program in a pipe.
    std::cout << line << "\n" << std::flush;
    if (!std::cout)
      stop(1); // Nobody reads any more.
  }
  static void notice(const std::string& line) { std::cerr << "* " << line << "\n"; }

  void typed(const std::vector<std::string>& lines, bool end) {
    for (const auto& line : lines)
      talk_.typed(line);
    if (end)
      talk_.input_ended();
    reading_ = false;
    at_end_ = at_end_ || end;
    settle();
  }

  /// After anything has happened: whether to leave, and whether to read on.
  void settle() {
    if (talk_.finished()) {
      backoff_.cancel();
      if (link_)
        link_->close();
    } else if (!reading_ && !at_end_ && talk_.ready() && talk_.may_type()) {
      reading_ = true;
      reader_.want();
    }
  }

  void interrupted() {
    signals_.clear(); // The second time ends the program, should a node be too slow to say goodbye.
    stop(talk_.unacknowledged() > 0 ? 1 : 0);
  }
  void stop(int code) {
    stopped_ = code;
    backoff_.cancel();
    if (link_)
      link_->close();
  }

  /// Set when there is nothing more to do.
  std::optional<int> over() const { return stopped_ ? stopped_ : talk_.finished(); }

  asio::awaitable<int> stay_connected() {
    for (unsigned failures = 0; !over(); ++failures) {
      if (who_.renewable() && who_.stale())
        if (auto done = who_.renew(to_); !done && done.error().code != errc::unavailable) {
          notice("cannot sign in again: " + done.error().message);
          co_return 1;
        }
      bool welcome = false;
      left_ = false;
      link_ = std::make_shared<ws_link>(io_.get_executor(), to_,
                                        ws_link::listener{
                                            .opened = [this] { talk_.connected(who_.token()); },
                                            .received =
                                                [this, &welcome](std::string_view message) {
                                                  talk_.received(message);
                                                  welcome = welcome || talk_.welcome();
                                                  settle();
                                                },
                                        });
      const auto end = co_await link_->run();
      const bool moving = talk_.moving() && talk_.welcome();
      leaving_.cancel();
      talk_.disconnected();
      if (over())
        break;
      if (moving) { // as the server asked
        ever_welcome_ = true;
        failures = 0;
        if (!left_) // it did not wait for us: others may come as well
          co_await wait(failures);
        continue;
      }
      if (!ever_welcome_ && !end.opened && end.http_status == 0) {
        notice("cannot reach " + to_.authority() + ": " + end.reason);
        co_return 1;
      }
      if (!end.worth_another_try()) {
        notice("the server ended the conversation: " + to_string(end));
        if (!who_.renewable() && end.code == token_invalid)
          notice(token_advice);
        co_return 1;
      }
      ever_welcome_ = ever_welcome_ || welcome;
      if (welcome)
        failures = 0;
      // Once per outage, and again when the reason changes.
      if (const auto why = to_string(end); welcome || why != last_reason_) {
        notice("connection lost (" + why + "), reconnecting");
        last_reason_ = why;
      }
      co_await wait(failures);
    }
    co_return *over();
  }

  /// Longer after each failure, and by chance, so that the clients of a node that comes back do not all come at once.
  asio::awaitable<void> wait(unsigned failures) {
    const uint32_t longest = std::min(backoff_max_ms, backoff_first_ms << std::min(failures, 10U));
    const uint32_t ms = longest / 2 + static_cast<uint32_t>(random_() % (longest / 2 + 1));
    backoff_.expires_after(std::chrono::milliseconds(ms));
    boost::system::error_code canceled;
    co_await backoff_.async_wait(asio::redirect_error(asio::use_awaitable, canceled));
  }

  asio::io_context io_{1};
  const endpoint to_;
  credentials who_;
  std::shared_ptr<ws_link> link_;
  asio::steady_timer retry_{io_};
  asio::steady_timer marking_{io_};
  asio::steady_timer backoff_{io_};
  asio::steady_timer leaving_{io_};
  asio::signal_set signals_{io_, SIGINT, SIGTERM};
  std::minstd_rand random_{std::random_device{}()};
  conversation talk_;
  bool ever_welcome_ = false;
  bool left_ = false; // this connection, because the server asked for it
  std::string last_reason_;
  bool reading_ = false;
  bool at_end_ = false;
  std::optional<int> stopped_;
  std::exception_ptr thrown_;
  int exit_code_ = 1;
  // Last, so that its thread ends before what it posts to.
  line_reader reader_;
};

int run_chat(const chat_flags& flags, const config::sources& from) {
  if (auto room = room_id::parse(flags.room, "--room"); !room)
    return complain(room.error());
  auto to = endpoint_of(*flags.node, from);
  if (!to)
    return complain(to.error());
  auto who = sign_in(*flags.node, *to);
  if (!who)
    return complain(who.error());
  std::signal(SIGPIPE, SIG_IGN); // A broken connection or pipe is an error code, not our end.
  return chat(flags, std::move(*to), std::move(*who)).run();
}

} // namespace

void add_chat_command(CLI::App& program, context& shared) {
  auto* command = program.add_subcommand("chat", "talk in a room; /help there lists what can be typed");
  auto flags = std::make_shared<chat_flags>();
  flags->node = add_node_flags(*command, identity_flags::any);
  command->add_option("--room", flags->room, "the room to enter, made if it is not there (default: general)");
  command->add_flag("--json", flags->raw, "print the frames of the server as they come");
  command->callback([&shared, flags] { shared.run = [&shared, flags] { return run_chat(*flags, shared.from); }; });
}

} // namespace greenroom::cli
