// real_timers: preloaded in front of libfaketime, which takes every absolute time given to a timerfd for one of the
// clock that it fakes. Asio says "now" with one nanosecond on a clock that nobody can set; with a clock that is ahead
// libfaketime makes a negative time of that, the kernel refuses it, and the timer never goes off. So timers are none of
// its business.
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* wanted, itimerspec* before) noexcept {
  return static_cast<int>(::syscall(SYS_timerfd_settime, fd, flags, wanted, before));
}
