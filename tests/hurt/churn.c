/* A process that is never the same for long; the first argument says how. Prints "ready". */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void rest(long microseconds)
{
    struct timespec time = { .tv_nsec = microseconds * 1000 };
    while (nanosleep(&time, &time) != 0)
        ;
}

static void *short_life(void *argument)
{
    if (argument)
        rest((long)(intptr_t)argument);
    return NULL;
}

/* Starts threads that end at once or soon, one after the other. */
static void *creator(void *argument)
{
    for (long i = 0;; i++) {
        pthread_t thread;
        long time = i % 3 == 0 ? 0 : (i * 37) % 300;
        if (pthread_create(&thread, NULL, short_life, (void *)(intptr_t)time) == 0)
            pthread_join(thread, NULL);
        if ((intptr_t)argument)
            rest(50);
    }
    return NULL;
}

static void creators(int count)
{
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, creator, (void *)(intptr_t)(i % 2)) != 0)
            abort();
    }
}

static void *vfork_often(void *unused)
{
    (void)unused;
    for (;;) {
        pid_t child = vfork();
        if (child == 0) {
            struct timespec time = { .tv_nsec = 3000000 };
            syscall(SYS_nanosleep, &time, NULL);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        rest(1000);
    }
    return NULL;
}

static char *own_name;

static void *exec_from_thread(void *unused)
{
    (void)unused;
    rest(20000);
    execl("/proc/self/exe", own_name, "exec-threads", "again", NULL);
    abort();
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    own_name = argv[0];
    const char *what = argc > 1 ? argv[1] : "";
    int is_first = argc < 3;
    pthread_t thread;
    if (!strcmp(what, "threads")) {
        creators(4);
        ready();
    } else if (!strcmp(what, "leaderless")) {
        creators(2);
        ready();
        pthread_exit(NULL);
    } else if (!strcmp(what, "vfork")) {
        for (int i = 0; i < 2; i++)
            if (pthread_create(&thread, NULL, vfork_often, NULL) != 0)
                abort();
        creators(1);
        ready();
    } else if (!strcmp(what, "exec")) {
        if (is_first)
            ready();
        rest(15000);
        execl("/proc/self/exe", own_name, "exec", "again", NULL);
    } else if (!strcmp(what, "exec-threads")) {
        creators(2);
        if (pthread_create(&thread, NULL, exec_from_thread, NULL) != 0)
            abort();
        if (is_first)
            ready();
    } else if (!strcmp(what, "exit")) {
        creators(2);
        /* Ends by itself, at another moment of the attach each time. */
        rest(atol(argv[2]));
        return 7;
    }
    for (;;)
        pause();
}
