// One mistake of each kind that the sanitizers find, by name. The integration tests see by it that reports arrive.
#include <climits>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>

namespace {

int use_after_free() {
  auto x = std::make_unique<int>(1);
  const volatile int* gone = x.get();
  x.reset();
  return *gone;
}

void* volatile lost = nullptr;

int leak() {
  lost = new int[100];
  lost = nullptr;
  return 0;
}

int overflow() {
  volatile int x = INT_MAX;
  x = x + 1;
  return x;
}

int race() {
  int x = 0;
  std::thread other([&x] { ++x; });
  ++x;
  other.join();
  return x;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  int result = 0;
  if (what == "use-after-free")
    result = use_after_free();
  else if (what == "leak")
    result = leak();
  else if (what == "overflow")
    result = overflow();
  else if (what == "race")
    result = race();
  std::printf("%d\n", result);
  return 0;
}
