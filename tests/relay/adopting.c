// A program that adopts orphans, counts the children that end, and waits for any of them in another thread.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int ended, found;
static void note(int signal) { ended++; }

static void *waiter(void *argument) {
    for (;;) {
        int status;
        if (waitpid(-1, &status, 0) > 0)
            found++;
        else
            usleep(200);
    }
    return argument;
}

int main(int count, char **arguments) {
    pthread_t thread;
    int status;
    signal(SIGCHLD, note);
    if (count > 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    pthread_create(&thread, NULL, waiter, NULL);
    for (int i = 0; i < 5; i++) {
        raise(SIGQUIT);
        usleep(50000);
    }
    usleep(300000);
    int left = waitpid(-1, &status, WNOHANG | __WALL);
    printf("%d ended, %d found, %d left\n", ended, found, left);
    return 0;
}
