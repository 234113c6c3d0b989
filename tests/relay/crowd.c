// Sleeping threads, and some that crash at the same time: by a bad access or by abort.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define CRASHERS 4
#define SLEEPERS 4

static pthread_barrier_t barrier;

__attribute__((noinline)) static void bad_access(volatile int *place) { *place = 1; }

static void *crasher(void *argument) {
    pthread_barrier_wait(&barrier);
    if ((long)argument & 1)
        abort();
    bad_access((int *)argument);
    return argument;
}

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, CRASHERS);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_create(&thread, NULL, sleeper, NULL);
    for (long i = 0; i < CRASHERS; i++)
        pthread_create(&thread, NULL, crasher, (void *)(i * 8 + i % 2));
    sleeper(NULL);
    return 0;
}
