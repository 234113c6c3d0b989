/* The process that the tests of the ways to look at a process start. The first argument says what it
 * does; it prints "ready" when it is in place. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t barrier;

#define KEEP __attribute__((noinline, noclone))

static KEEP long in_poll(void)
{
    return poll(NULL, 0, -1) + 1;
}

static KEEP long in_nanosleep(void)
{
    struct timespec time = { .tv_sec = 100000 };
    return nanosleep(&time, NULL) + 1;
}

static KEEP long in_epoll(void)
{
    struct epoll_event event;
    int fd = epoll_create1(0);
    /* The name tells whoever looks from outside that it was disturbed. */
    while (epoll_wait(fd, &event, 1, -1) == -1 && errno == EINTR)
        prctl(PR_SET_NAME, "disturbed");
    return close(fd);
}

static KEEP long in_futex(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    pthread_cond_wait(&condition, &mutex);
    return pthread_mutex_unlock(&mutex);
}

static void *run(void *work)
{
    pthread_barrier_wait(&barrier);
    return (void *)(((long (*)(void))work)() + 1);
}

static void *spin(void *unused)
{
    pthread_barrier_wait(&barrier);
    for (volatile unsigned long n = 0;; n++)
        ;
    return unused;
}

/* Sleeps shortly again and again, at another place of the stack each time. */
static KEEP long wander(int depth)
{
    struct timespec time = { .tv_nsec = 1000 };
    volatile char room[256];
    room[0] = (char)depth;
    if (depth > 0)
        return wander(depth - 1) + room[0];
    return nanosleep(&time, NULL) + room[0];
}

static void *restless(void *unused)
{
    pthread_barrier_wait(&barrier);
    for (int depth = 0;; depth = (depth + 1) % 50)
        wander(depth);
    return unused;
}

static void start(void *(*function)(void *), long (*work)(void), const char *name)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, function, (void *)work);
    pthread_setname_np(thread, name);
    pthread_barrier_wait(&barrier);
    usleep(20000);
}

/* A ring whose submissions a thread of the kernel looks for. */
static int ring(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = IORING_SETUP_SQPOLL;
    params.sq_thread_idle = 1000000;
    return (int)syscall(SYS_io_uring_setup, 4, &params);
}

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "sleep";
    if (!strcmp(what, "sleep")) {
        start(run, in_poll, "poll");
        start(run, in_nanosleep, "nanosleep");
        start(run, in_epoll, "epoll");
        start(run, in_futex, "futex");
    } else if (!strcmp(what, "spin")) {
        start(spin, NULL, "spin");
    } else if (!strcmp(what, "restless")) {
        start(restless, NULL, "restless");
    } else if (!strcmp(what, "ring")) {
        if (ring() == -1) {
            puts("ready, but no io_uring");
            fflush(stdout);
        }
    } else if (!strcmp(what, "nondumpable")) {
        prctl(PR_SET_DUMPABLE, 0);
    } else if (!strcmp(what, "daemon")) {
        /* Gives up root, as servers do, and is non-dumpable from then on. */
        if (setgid(65534) || setuid(65534))
            return 1;
    } else if (!strcmp(what, "vfork")) {
        ready();
        if (vfork() == 0) {
            struct timespec time = { .tv_sec = 100000 };
            syscall(SYS_nanosleep, &time, NULL);
            _exit(0);
        }
    }
    ready();
    char byte;
    while (read(0, &byte, 1) == 1)
        ;
    for (;;)
        pause();
}
