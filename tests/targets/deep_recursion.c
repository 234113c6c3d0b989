// Recursion 100,000 deep on a thread with a big stack.
// build: cc -O1 -g -pthread -fno-optimize-sibling-calls $SRC -o $OUT
// stack: stay < recurse < recurse < worker < start_thread
// frames: 100000
// max-frames: 0
// end: root
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) int recurse(int n) {
    return (n == 0 ? stay() : recurse(n - 1)) + n;
}

static void *worker(void *unused) {
    recurse(100000);
    return unused;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 20);
    pthread_create(&thread, &attributes, worker, NULL);
    for (;;) pause();
}
