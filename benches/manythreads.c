// manythreads COUNT DEPTH [probe]: COUNT threads, each DEPTH calls deep, asleep in pause().
//
// With "probe", one more thread spins on the clock and keeps the longest gap between two looks:
// what the program itself sees of being stopped. SIGUSR1 prints "gap NANOSECONDS" and starts anew.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int depth;
static atomic_int ready;
static atomic_long longest;
static atomic_int clear;

#define LEVEL(n, next)                                                         \
    __attribute__((noinline)) static long level_##n(int left) {                \
        volatile char room[16 + n * 8];                                        \
        room[0] = (char)left;                                                  \
        long below = left > 0 ? next(left - 1) : (long)(atomic_fetch_add(&ready, 1), pause()); \
        return below + room[0];                                                \
    }
static long level_0(int left);
LEVEL(7, level_0)
LEVEL(6, level_7)
LEVEL(5, level_6)
LEVEL(4, level_5)
LEVEL(3, level_4)
LEVEL(2, level_3)
LEVEL(1, level_2)
LEVEL(0, level_1)

static void *sleeper(void *unused) {
    level_0(depth);
    return unused;
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void *probe(void *unused) {
    atomic_fetch_add(&ready, 1);
    for (long last = now();;) {
        long next = now();
        if (atomic_exchange(&clear, 0))
            atomic_store(&longest, 0);
        else if (next - last > atomic_load(&longest))
            atomic_store(&longest, next - last);
        last = next;
    }
    return unused;
}

int main(int count, char **arguments) {
    int threads = count > 1 ? atoi(arguments[1]) : 10;
    depth = count > 2 ? atoi(arguments[2]) : 20;
    int probing = count > 3 && strcmp(arguments[3], "probe") == 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    for (int i = 0; i < threads + probing; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, i < threads ? sleeper : probe, NULL) != 0)
            return 1;
    }
    while (atomic_load(&ready) < threads + probing)
        usleep(1000);
    puts("ready");
    fflush(stdout);
    for (int signal; sigwait(&set, &signal) == 0;) {
        printf("gap %ld\n", atomic_load(&longest));
        fflush(stdout);
        atomic_store(&clear, 1);
    }
}
