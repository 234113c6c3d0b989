/* Threads that wait in several calls, and wait again when a signal handler has interrupted them. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static int ends[2];

static void *in_poll(void *unused)
{
    for (;;)
        poll(NULL, 0, -1);
    return unused;
}

static void *in_nanosleep(void *unused)
{
    for (;;) {
        struct timespec time = { .tv_sec = 100000 };
        nanosleep(&time, NULL);
    }
    return unused;
}

static void *in_read(void *unused)
{
    char byte;
    while (read(ends[0], &byte, 1) != 0)
        ;
    return unused;
}

static void *in_futex(void *unused)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    for (;;)
        pthread_cond_wait(&condition, &mutex);
    return unused;
}

int main(int count, char **arguments)
{
    void *(*works[])(void *) = { in_poll, in_nanosleep, in_read, in_futex };
    pthread_t thread;
    if (pipe(ends))
        return 1;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, works[i], NULL);
    if (count > 1 && !strcmp(arguments[1], "nondumpable"))
        prctl(PR_SET_DUMPABLE, 0);
    usleep(100000);
    puts("ready");
    fflush(stdout);
    in_poll(NULL);
}
