// Calls to wild addresses: mapped but not executable, not mapped, not canonical; and a jump there, where the
// return address is that of the jumping function's caller. First argument: which.
// build: cc -O2 -g $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// args: data
// args: unmapped
// args: jump
// stack: stay < handler < caller < main
// end: root
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char data[64] __attribute__((aligned(64)));

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

static int (*volatile wild)(int);

static __attribute__((noinline)) int jumps(int n) {
    return wild(n);
}

static __attribute__((noinline)) int caller(int n, int jump) {
    if (jump) return jumps(n) + n;
    return wild(n) + n;
}

int main(int argc, char **argv) {
    const char *which = argc > 1 ? argv[1] : "data";
    signal(SIGSEGV, handler);
    wild = (int (*)(int))(void *)data;
    if (!strcmp(which, "unmapped")) wild = (int (*)(int))0x123456789000;
    return caller(argc, !strcmp(which, "jump")) + 1;
}
