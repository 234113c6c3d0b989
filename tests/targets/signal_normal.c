// In a signal handler on the normal stack; the interrupted function is a leaf that uses the red zone.
// build: cc -O2 -g $SRC -o $OUT
// build(musl): musl-gcc -O2 -g $SRC -o $OUT
// build(musl-static): musl-gcc -static -O2 -g $SRC -o $OUT
// stack: in_handler < handler < busy_leaf < caller < main
// end(): root
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static __attribute__((noinline)) unsigned long busy_leaf(unsigned long n) {
    volatile unsigned long a[4] = {n, 1, 2, 3};
    for (;;) a[n & 3] += a[(n + 1) & 3];
}

static __attribute__((noinline)) unsigned long caller(unsigned long n) {
    return busy_leaf(n) + 1;
}

int main(int argc, char **argv) {
    (void)argv;
    signal(SIGALRM, handler);
    struct itimerval once = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &once, NULL);
    return (int)caller((unsigned long)argc);
}
