// Forty threads asleep in the same place, the main thread in another.
// build: cc -O2 -g -pthread $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -pthread $SRC -o $OUT
// needs(i386): -m32
// stack: sleep_here < middle < worker
// threads: 41
// end: root
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 40 };
static pthread_barrier_t started;

static __attribute__((noinline)) void sleep_here(void) {
    for (;;) pause();
}

static __attribute__((noinline)) void middle(void) {
    pthread_barrier_wait(&started);
    sleep_here();
    __asm__ volatile("");
}

static void *worker(void *unused) {
    middle();
    return unused;
}

int main(void) {
    pthread_barrier_init(&started, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, worker, NULL);
    }
    pthread_barrier_wait(&started);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
