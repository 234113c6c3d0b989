/* A thread calls exec while many others are there: the attach then meets a process in which everything
 * waits for everything. The argument is
 * the number of threads. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static char **arguments;

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void *exec_later(void *unused)
{
    /* From 20 to 40 ms, another time at each start. */
    struct timespec now, time = { .tv_nsec = 20000000 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    time.tv_nsec += now.tv_nsec / 1000 % 20000 * 1000;
    nanosleep(&time, NULL);
    execl("/proc/self/exe", arguments[0], arguments[1], NULL);
    return unused;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    arguments = argv;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_t thread;
    for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1); i++)
        if (pthread_create(&thread, &attributes, wait_for_ever, NULL) != 0)
            abort();
    if (pthread_create(&thread, &attributes, exec_later, NULL) != 0)
        abort();
    wait_for_ever(NULL);
}
