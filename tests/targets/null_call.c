// A call through a null pointer: pc 0 interrupted by SIGSEGV, the return address on top of the stack.
// build: cc -O2 -g $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack: stay < handler < calls_null < main
// end: root
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) void stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static void handler(int number) {
    (void)number;
    stay();
    __asm__ volatile("");
}

static int (*volatile nowhere)(int);

static __attribute__((noinline)) int calls_null(int n) {
    return nowhere(n) + n;
}

int main(int argc, char **argv) {
    (void)argv;
    signal(SIGSEGV, handler);
    return calls_null(argc) + 1;
}
