// Children of fork and of vfork that get the signal, while the parent has threads.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

static void *vforking(void *argument) {
    if (vfork() == 0) {
        usleep(3000000);
        _exit(0);
    }
    return argument;
}

int main(void) {
    int status;
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGQUIT);
        _exit(4);
    }
    waitpid(child, &status, 0);
    printf("fork %d %x\n", child, status);
    child = vfork();
    if (child == 0) {
        kill(getpid(), SIGQUIT);
        _exit(5);
    }
    waitpid(child, &status, 0);
    printf("vfork %d %x\n", child, status);
    pthread_create(&thread, NULL, vforking, NULL);
    usleep(500000);
    raise(SIGQUIT);
    printf("parent %d\n", getpid());
    return 6;
}
