// Threads with odd names: a newline, an escape sequence, bytes that are not UTF-8, nothing, brackets.
// build: cc -O2 -g -pthread $SRC -o $OUT
// stack: *pause < worker
// threads: 7
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *names[] = {"new\nline", "\x1b[31mred", "\xff\xfe\x80", "", "a) S 1 (b", "\"quo\\te\""};
static pthread_barrier_t started;

static void *worker(void *name) {
    prctl(PR_SET_NAME, name);
    pthread_barrier_wait(&started);
    for (;;) pause();
}

int main(void) {
    enum { COUNT = sizeof names / sizeof *names };
    pthread_barrier_init(&started, NULL, COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, worker, (void *)names[i]);
    }
    pthread_barrier_wait(&started);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
