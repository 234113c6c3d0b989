// C++: templates, lambdas, member functions, operators, anonymous namespace, a destructor called while an
// exception unwinds, a thread with a lambda.
// build: c++ -O2 -g -pthread $SRC -o $OUT
// build(O0): c++ -O0 -g -pthread $SRC -o $OUT
// build(clang): clang++ -O2 -g -pthread $SRC -o $OUT
// build(g0): c++ -O1 -pthread $SRC -o $OUT
// build(static): c++ -O2 -g -pthread -static $SRC -o $OUT
// stack: stay < in_destructor < ~Guard < throws < main
// threads: 2
// end: root
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>

namespace {
template <typename T, int N> struct Box {
    T value[N];
    __attribute__((noinline)) int operator()(const std::function<int(T)> &f) { return f(value[0]) + 1; }
};

std::mutex mutex;
std::condition_variable condition;
bool waiting;

template <typename F> __attribute__((noinline)) int apply(F f) {
    return f() + 1;
}

__attribute__((noinline)) int wait_forever(int) {
    std::unique_lock<std::mutex> lock(mutex);
    waiting = true;
    condition.notify_all();
    std::condition_variable never;
    never.wait(lock, [] { return false; });
    return 0;
}
} // namespace

__attribute__((noinline)) static void stay() {
    std::puts("ready");
    std::fflush(stdout);
    for (;;) pause();
}

__attribute__((noinline)) static void in_destructor(int n) {
    if (n) stay();
    __asm__ volatile("");
}

struct Guard {
    std::string text;
    __attribute__((noinline)) ~Guard() {
        in_destructor((int)text.size());
        __asm__ volatile("");
    }
};

__attribute__((noinline)) static int throws(int n) {
    Guard guard{std::to_string(n)};
    if (n > 0) throw std::runtime_error("unwinding");
    return n;
}

int main(int argc, char **) {
    std::thread thread([argc] {
        Box<int, 3> box{{argc, 2, 3}};
        return apply([&] { return box([](int v) { return wait_forever(v); }); });
    });
    {
        std::unique_lock<std::mutex> lock(mutex);
        condition.wait(lock, [] { return waiting; });
    }
    try {
        throws(argc);
    } catch (const std::exception &) {
        return 1;
    }
    return 0;
}
