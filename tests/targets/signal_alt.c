// In a signal handler on an alternate stack.
// build: cc -O2 -g $SRC -o $OUT
// build(musl-static): musl-gcc -static -O2 -g $SRC -o $OUT
// stack: in_handler < handler < busy_leaf < main
// end(): root
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <unistd.h>

static char alternate[65536];

// Not through the C library: musl's has no call frame information.
static inline __attribute__((always_inline)) void system_call_pause(void) {
    long result = SYS_pause;
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}

static __attribute__((noinline)) void in_handler(void) {
    puts("ready");
    fflush(stdout);
    for (;;) system_call_pause();
}

static void handler(int number) {
    (void)number;
    in_handler();
    __asm__ volatile("");
}

static __attribute__((noinline)) int busy_leaf(volatile int *count) {
    for (;;) ++*count;
}

int main(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    struct itimerval once = {{0, 0}, {0, 20000}};
    volatile int count = 0;
    sigaltstack(&stack, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &once, NULL);
    return busy_leaf(&count) + 1;
}
