// A handler on the normal stack interrupted by a handler on the alternate stack, which is interrupted by a
// third one (on the alternate stack as well).
// build: cc -O1 -g -fno-omit-frame-pointer $SRC -o $OUT
// build(fomit): cc -O2 -g $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack: third < *raise < second < *raise < first < *raise < work < main
// end: root
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char alternate[65536];

static void third(int number) {
    (void)number;
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static void second(int number) {
    (void)number;
    raise(SIGTERM);
    __asm__ volatile("");
}

static void first(int number) {
    (void)number;
    raise(SIGUSR2);
    __asm__ volatile("");
}

static __attribute__((noinline)) int work(int signal_number) {
    raise(signal_number);
    return signal_number + 1;
}

static void install(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, &action, NULL);
}

int main(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    install(SIGUSR1, first, 0);
    install(SIGUSR2, second, SA_ONSTACK);
    install(SIGTERM, third, SA_ONSTACK);
    return work(SIGUSR1) + 1;
}
