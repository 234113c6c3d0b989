// The library of musl has no unwind information: what is found of its callers may be a guess.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    usleep(10000);
    raise(SIGQUIT);
    puts("went on");
    return 0;
}
