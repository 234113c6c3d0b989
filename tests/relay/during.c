// One thread asks for dumps without a pause, another crashes after the microseconds given.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void *asking(void *argument) {
    for (;;)
        raise(SIGQUIT);
    return argument;
}

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(int count, char **arguments) {
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, sleeper, NULL);
    pthread_create(&thread, NULL, asking, NULL);
    usleep(count > 1 ? atoi(arguments[1]) : 0);
    *(volatile int *)8 = 1;
    return 0;
}
