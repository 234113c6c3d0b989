// Threads that wait at different depths, one of which can be made to crash.
#include <pthread.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int never[2];

__attribute__((noinline)) static int deeper(int depth) {
    if (depth > 0) return deeper(depth - 1) + 1;
    char byte;
    return (int)read(never[0], &byte, 1);
}

static void *sleeper(void *depth) {
    return (void *)(long)deeper((int)(long)depth);
}

__attribute__((noinline)) static void fault(volatile int *where) {
    *where = 1;
}

static void *victim(void *unused) {
    sigset_t one;
    int got;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigwait(&one, &got);
    fault((int *)0x1234);
    return unused;
}

int main(void) {
    pthread_t thread;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    if (pipe(never)) return 1;
    for (long depth = 0; depth < 8; depth++) pthread_create(&thread, NULL, sleeper, (void *)(depth * 5));
    pthread_create(&thread, NULL, victim, NULL);
    usleep(100000);
    puts("ready");
    fflush(stdout);
    poll(NULL, 0, -1);
    return 0;
}
