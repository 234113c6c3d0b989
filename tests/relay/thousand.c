// A thousand threads that sleep, and one that looks at the clock all the time and so knows for how long it stood
// still. A line on standard input asks for that, in microseconds, and starts anew.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_long longest, quits;

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

static void *spinner(void *argument) {
    for (long last = now();;) {
        long next = now();
        if (next - last > longest)
            longest = next - last;
        last = next;
    }
    return argument;
}

static void note(int signal) { quits++; }

int main(int count, char **arguments) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    signal(SIGQUIT, note);
    pthread_t thread;
    for (int i = atoi(arguments[1]); i > 2; i--)
        if (pthread_create(&thread, &small, sleeper, NULL))
            return 1;
    pthread_create(&thread, NULL, spinner, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (int c; (c = getchar()) != EOF;)
        if (c == '\n')
            printf("%ld %ld\n", atomic_exchange(&longest, 0) / 1000, atomic_load(&quits));
    return 0;
}
