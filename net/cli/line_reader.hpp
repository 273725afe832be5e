// line_reader: hands over what is typed, line by line, without blocking the thread that talks to the node.
//
// A thread of its own, because a terminal or a file that is read without blocking would be non-blocking for all
// programs that share it (the shell, and our own output), and epoll takes no files. It reads only when wanted: what is
// not read waits in the pipe, and its writer with it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace greenroom::cli {

class line_reader {
public:
  /// Lines of at most 4 KiB of input (a longer line comes when it is whole, one of more than 256 KiB in pieces), and
  /// whether that was the end. Called on the reader's thread.
  using receiver = std::function<void(std::vector<std::string> lines, bool end)>;

  explicit line_reader(receiver to);
  ~line_reader();
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  /// Asks for one more call of the receiver.
  void want();

private:
  void run();
  /// Waits until something was typed and is wanted; false: the end of this object.
  bool wait();

  const receiver to_;
  const int wake_; // an eventfd
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace greenroom::cli
