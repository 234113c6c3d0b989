// Tail calls leave no frame: `by_tail_call` must not be shown, whatever gdb makes of the call site records.
// build: cc -O2 -g $SRC -o $OUT
// build(clang): clang -O2 -g $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack: stay < target < caller < main
// absent: by_tail_call
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline, noipa)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

static __attribute__((noinline)) int target(int n) {
    return stay(n) * 3;
}

static __attribute__((noinline)) int by_tail_call(int n) {
    __asm__ volatile("" : "+r"(n));
#ifdef __clang__
    __attribute__((musttail))
#endif
    return target(n + 1);
}

static __attribute__((noinline)) int caller(int n) {
    return by_tail_call(n) + n;
}

int main(int argc, char **argv) {
    (void)argv;
    return caller(argc) + 1;
}
