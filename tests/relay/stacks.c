// Stack overflows in the first and in another thread, and a thread with the smallest stack there is.
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

__attribute__((noinline)) static int overflow(volatile char *above) {
    volatile char here[512];
    here[0] = above[0];
    return overflow(here) + here[0];
}

static void *overflowing(void *argument) {
    volatile char start[1] = {1};
    overflow(start);
    return argument;
}

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

// How much of its signal stack a handler uses besides the frame of the kernel.
static void measure(void) {
    static unsigned char room[1 << 16];
    memset(room, 0xa5, sizeof room);
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    sigaltstack(&stack, NULL);
    raise(SIGQUIT);
    unsigned long unused = 0;
    while (unused < sizeof room && room[unused] == 0xa5)
        unused++;
    printf("%lu\n", sizeof room - unused - getauxval(AT_MINSIGSTKSZ));
}

int main(int count, char **arguments) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
    pthread_create(&thread, &small, sleeper, NULL);
    if (count > 1 && !strcmp(arguments[1], "main"))
        overflowing(NULL);
    if (count > 1 && !strcmp(arguments[1], "thread")) {
        pthread_create(&thread, NULL, overflowing, NULL);
        sleeper(NULL);
    }
    usleep(50000);
    if (count > 1 && !strcmp(arguments[1], "measure")) {
        measure();
        return 0;
    }
    raise(SIGQUIT);
    puts("went on");
    return 0;
}
