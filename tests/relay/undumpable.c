// A process that may not be traced by others of its user.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    prctl(PR_SET_DUMPABLE, 0);
    raise(SIGQUIT);
    printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
    return 0;
}
