// The main thread has ended, the others live on: /proc/PID is mostly empty, the threads are not.
// build: cc -O2 -g -pthread $SRC -o $OUT
// stack: *pause < stay < worker
// status: 0 1
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) void stay(void) {
    for (;;) pause();
}

static void *quiet(void *leader) {
    pthread_join(*(pthread_t *)leader, NULL);
    puts("ready");
    fflush(stdout);
    stay();
    return NULL;
}

static void *worker(void *unused) {
    stay();
    return unused;
}

int main(void) {
    static pthread_t self;
    pthread_t thread;
    self = pthread_self();
    pthread_create(&thread, NULL, worker, NULL);
    pthread_create(&thread, NULL, quiet, &self);
    pthread_exit(NULL);
}
