/* Becomes itself so many times as the first argument says, by turns from the first thread and from another,
 * among threads that start and end; then exits with 42. Prints a line at each end of a chain. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *self, number[16];

static void *short_life(void *argument)
{
    return argument;
}

static void *creator(void *unused)
{
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_life, NULL) == 0)
            pthread_join(thread, NULL);
    }
    return unused;
}

static void *go_on(void *unused)
{
    execl(self, self, number, (char *)NULL);
    _exit(99);
    return unused;
}

int main(int argc, char **argv)
{
    int left = argc > 1 ? atoi(argv[1]) : 0;
    if (left <= 0) {
        puts("done");
        return 42;
    }
    self = argv[0];
    snprintf(number, sizeof number, "%d", left - 1);
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, creator, NULL);
    usleep(left % 3 * 700);
    if (left % 2)
        go_on(NULL);
    pthread_create(&thread, NULL, go_on, NULL);
    for (;;)
        pause();
}
