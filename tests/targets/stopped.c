// A program stopped by SIGSTOP: dumped, and still stopped afterwards.
// build: cc -O2 -g $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack: stay < main
// state: T
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) void stay(void) {
    raise(SIGSTOP);
    for (;;) pause();
}

int main(void) {
    puts("ready");
    fflush(stdout);
    stay();
    __asm__ volatile("");
    return 0;
}
