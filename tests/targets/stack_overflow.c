// A stack that ran into its guard page: the handler on the alternate stack stays; thousands of frames lie
// below it on the overflowed stack of a thread with a small one.
// build: cc -O1 -g -pthread -fno-optimize-sibling-calls $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O1 -g -pthread -fno-optimize-sibling-calls $SRC -o $OUT
// needs(i386): -m32
// stack(i386): stay < handler < recurse < recurse
// stack: stay < handler < recurse < recurse < start_thread
// end: root
// max-frames: 0
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char alternate[65536];

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

static __attribute__((noinline)) int recurse(int n) {
    volatile char room[200];
    room[n % 200] = (char)n;
    return recurse(n + 1) + room[n % 200];
}

static void *worker(void *unused) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    recurse(0);
    return unused;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_create(&thread, &attributes, worker, NULL);
    for (;;) pause();
}
