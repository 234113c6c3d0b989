// A parent suspended in vfork (state D) until its child execs or exits: it cannot be stopped; the other
// thread can. The dump must come within its deadline, name the thread and leave no trace.
// build: cc -O2 -g -pthread $SRC -o $OUT
// stack: *pause < worker
// no-gdb: gdb waits for ever for the thread in state D
// status: 1
// threads: 2
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *worker(void *unused) {
    for (;;) pause();
    return unused;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, worker, NULL);
    if (vfork() == 0) {
        write(1, "ready\n", 6);
        sleep(600);
        _exit(0);
    }
    return 0;
}
